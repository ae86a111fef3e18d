"""From what a caller wrote (a name, an id, an ARN, nothing) to the row that is meant.

Every operation names things in the same forms, so the forms are known here and nowhere else. `lookup_*` gives None
where there is no such thing (Describe operations then answer with a failure MISSING); `find_*` raises what ECS raises.
`tx` may be a transaction or the tables of a read-only operation.
"""

import re

from homeport.api.operation import Context
from homeport.base.arn import Arn, parse_arn
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.service import Service, TaskSet
from homeport.model.task import Task
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables

DEFAULT_CLUSTER = "default"
#: What DescribeTaskDefinition says, and what RunTask, StartTask and CreateService say.
UNABLE_TO_DESCRIBE = "Unable to describe task definition."
NOT_FOUND = "TaskDefinition not found."

_NAME = re.compile(r"[a-zA-Z0-9\-_]{1,255}\Z")
_REVISION = re.compile(r"[1-9][0-9]{0,9}\Z")
_ID_LONGEST = 36


def cluster_name(ctx: Context, name_or_arn: str | None) -> str:
    """The name in a cluster's name or ARN (`default` for None); raises InvalidParameterException for neither."""
    if name_or_arn is None:
        return DEFAULT_CLUSTER
    if not name_or_arn.strip():
        raise shapes.InvalidParameterException("Cluster can not be blank.")
    arn = parse_arn(name_or_arn)
    name = name_or_arn if arn is None else _own(ctx, arn, "cluster").resource.partition("/")[2]
    if not _NAME.match(name):
        raise shapes.InvalidParameterException(f"Cluster must match ^[a-zA-Z0-9\\-_]{{1,255}}$, but was {name}")
    return name


def lookup_cluster(ctx: Context, tx: Tables, name_or_arn: str | None) -> Cluster | None:
    """The cluster in any status, or None."""
    return tx.clusters.get(ctx.arns.cluster(cluster_name(ctx, name_or_arn)))


def find_cluster(ctx: Context, tx: Tables, name_or_arn: str | None, *, inactive: bool = False) -> Cluster:
    """The cluster, `default` for None; an INACTIVE one counts as not found unless asked for."""
    cluster = lookup_cluster(ctx, tx, name_or_arn)
    if cluster is None or (cluster.status == "INACTIVE" and not inactive):
        raise shapes.ClusterNotFoundException("Cluster not found.")
    return cluster


def lookup_task_definition(ctx: Context, tx: Tables, text: str) -> TaskDefinition | None:
    """A revision in any status by `family:revision` or ARN; by `family` alone the newest ACTIVE one."""
    family, revision = task_definition_name(ctx, text)
    if revision is not None:
        return tx.task_definitions.get(ctx.arns.task_definition(family, revision))
    return latest_active(ctx, tx, family)


def latest_active(ctx: Context, tx: Tables, family: str) -> TaskDefinition | None:
    """The newest ACTIVE revision of a family: looked for from the top, so its cost is the INACTIVE ones above it."""
    counter = tx.families.get(family)
    for revision in range(counter.latest_revision if counter else 0, 0, -1):
        row = tx.task_definitions.get(ctx.arns.task_definition(family, revision))
        if row is not None and row.status == "ACTIVE":
            return row
    return None


def find_task_definition(ctx: Context, tx: Tables, text: str, missing: str = UNABLE_TO_DESCRIBE) -> TaskDefinition:
    """The revision in any status; raises ClientException with the sentence `missing`."""
    row = lookup_task_definition(ctx, tx, text)
    if row is None:
        raise shapes.ClientException(missing)
    return row


def find_runnable_task_definition(ctx: Context, tx: Tables, text: str) -> TaskDefinition:
    """The revision that RunTask, StartTask or a new service may use: it exists and is ACTIVE."""
    row = find_task_definition(ctx, tx, text, NOT_FOUND)
    if row.status != "ACTIVE":
        raise shapes.ClientException("TaskDefinition is inactive")
    return row


def task_definition_name(ctx: Context, text: str) -> tuple[str, int | None]:
    """`family[:revision]` or an ARN of it, taken apart; raises ClientException for a malformed one."""
    arn = parse_arn(text)
    if arn is not None:
        text = _own(ctx, arn, "task-definition").resource.partition("/")[2]
    family, colon, revision = text.partition(":")
    if not family.strip():
        raise shapes.ClientException("Task definition can not be blank.")
    if not colon:
        return family, None
    if not _REVISION.match(revision):
        raise shapes.ClientException(f"Invalid revision number. Number: {revision}")
    return family, int(revision)


def lookup_container_instance(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> ContainerInstance | None:
    """A container instance of the cluster, in any status, by id or ARN."""
    instance_id = _id_in(ctx, cluster, text, "container-instance")
    return tx.container_instances.get(ctx.arns.container_instance(cluster.name, instance_id))


def find_container_instance(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> ContainerInstance:
    """As `lookup_container_instance`, but an unknown or INACTIVE one raises InvalidParameterException."""
    instance = lookup_container_instance(ctx, tx, cluster, text)
    if instance is None or instance.status == "INACTIVE":
        raise shapes.InvalidParameterException("Referenced container instance not found.")
    return instance


def lookup_task(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> Task | None:
    """A task of the cluster by id or ARN, stopped ones (while they are kept) included."""
    return tx.tasks.get(ctx.arns.task(cluster.name, _id_in(ctx, cluster, text, "task")))


def find_task(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> Task:
    """As `lookup_task`, but an unknown one raises InvalidParameterException."""
    task = lookup_task(ctx, tx, cluster, text)
    if task is None:
        raise shapes.InvalidParameterException("The referenced task was not found.")
    return task


def service_name(ctx: Context, cluster: Cluster, text: str) -> str:
    """The name in a service's name or ARN (with or without the cluster in it)."""
    arn = parse_arn(text)
    if arn is None:
        name = text
    else:
        parts = _own(ctx, arn, "service").parts
        _check_cluster(parts, 2, cluster)
        name = parts[-1] if parts else ""
    if not _NAME.match(name):
        raise shapes.InvalidParameterException("Invalid service name or ARN.")
    return name


def lookup_service(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> Service | None:
    """A service of the cluster by name or ARN, in any status."""
    return tx.services.get(ctx.arns.service(cluster.name, service_name(ctx, cluster, text)))


def find_service(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> Service:
    """As `lookup_service`, but an unknown one raises ServiceNotFoundException."""
    service = lookup_service(ctx, tx, cluster, text)
    if service is None:
        raise shapes.ServiceNotFoundException("Service not found.")
    return service


def find_active_service(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> Service:
    """As `find_service`, but one that is DRAINING or INACTIVE raises ServiceNotActiveException."""
    service = find_service(ctx, tx, cluster, text)
    if service.status != "ACTIVE":
        raise shapes.ServiceNotActiveException("Service was not ACTIVE.")
    return service


def lookup_task_set(ctx: Context, tx: Tables, service: Service, text: str) -> TaskSet | None:
    """A task set of the service by ARN, by id (`ecs-svc/N`) or by the number alone."""
    arn = parse_arn(text)
    if arn is not None:
        row = tx.task_sets.get(str(_own(ctx, arn, "task-set")))
        return row if row is not None and row.service_arn == service.arn else None
    number = text.removeprefix("ecs-svc/")
    return tx.task_sets.get(ctx.arns.service_child("task-set", service.cluster_name, service.name, f"ecs-svc/{number}"))


def find_task_set(ctx: Context, tx: Tables, service: Service, text: str) -> TaskSet:
    """As `lookup_task_set`, but an unknown one raises TaskSetNotFoundException."""
    task_set = lookup_task_set(ctx, tx, service, text)
    if task_set is None:
        raise shapes.TaskSetNotFoundException("The specified task set was not found.")
    return task_set


def _check_cluster(parts: list[str], length: int, cluster: Cluster) -> None:
    """`parts` of an ARN that names its cluster first; old ones of fewer than `length` parts name none."""
    if len(parts) == length and parts[0] != cluster.name:
        raise shapes.InvalidParameterException(
            f"Invalid identifier: Identifier is for cluster {parts[0]}. Your cluster is {cluster.name}"
        )


def _id_in(ctx: Context, cluster: Cluster, text: str, kind: str) -> str:
    """The id in an id or ARN of `kind`; an ARN of another cluster is refused, one without a cluster accepted."""
    arn = parse_arn(text)
    if arn is None:
        if not text.strip():
            raise shapes.InvalidParameterException(f"{_SPOKEN[kind]} can not be blank.")
        if len(text) > _ID_LONGEST:
            raise shapes.InvalidParameterException(f"{_ID_NAME[kind]} longer than {_ID_LONGEST}.")
        return text
    parts = _own(ctx, arn, kind).parts
    _check_cluster(parts, 2, cluster)
    return parts[-1] if parts else ""


_SPOKEN = {"task": "Task", "container-instance": "Container instance"}
_ID_NAME = {"task": "taskId", "container-instance": "containerInstanceId"}


def _own(ctx: Context, arn: Arn, kind: str) -> Arn:
    """The ARN, if it is one of this kind, service, region and account."""
    if arn.service != "ecs" or arn.kind != kind:
        raise shapes.InvalidParameterException(f"Unsupported resource type: {arn.kind}")
    if arn.region != ctx.arns.region:
        raise shapes.InvalidParameterException(
            f"Invalid identifier: Identifier is for {arn.region}. Your region is {ctx.arns.region}"
        )
    if arn.account != ctx.arns.account_id:
        raise shapes.InvalidParameterException(
            f"Invalid identifier: Identifier is for account {arn.account}. Your accountId is {ctx.arns.account_id}"
        )
    return arn
