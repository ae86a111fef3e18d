"""Container instances: registration by their agents, and what operators do with them afterwards."""

from collections.abc import Iterable

from msgspec.structs import replace

from homeport.api.ecs.find import find_cluster, find_container_instance, lookup_container_instance
from homeport.api.failures import describe_many, missing
from homeport.api.idempotency import remember, remembered
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.expression import ExpressionError, matches, parse
from homeport.model.instance_view import instance_view
from homeport.model.registration import (
    gpu_ids_of,
    identity_document,
    merged_attributes,
    re_registered,
    registered_resources,
)
from homeport.model.rules.tags import check_tags, merged_tags
from homeport.model.status import StopCode
from homeport.model.task_report import ended_task
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_DESCRIBED = 100
MOST_UPDATED = 10
LONGEST_EXPRESSION = 2000
#: `status_reason` of an instance that an operator removed; its agent cannot come back under the same ARN.
DEREGISTERED = "Container instance deregistered by user."
FORCED = "Container instance deregistration forced by user"


@operation(shapes.SERVICE, "RegisterContainerInstance")
def register_container_instance(
    ctx: Context, tx: Tx, request: shapes.RegisterContainerInstanceRequest
) -> shapes.RegisterContainerInstanceResponse:
    """A host joins its cluster, or its agent has started again and says so with the ARN it was given before."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if request.container_instance_arn:
        instance = _register_again(ctx, tx, cluster, request)
    else:
        instance = _register_new(ctx, tx, cluster, request)
    return shapes.RegisterContainerInstanceResponse(container_instance=_view(ctx, tx, instance, with_tags=True))


def _register_new(
    ctx: Context, tx: Tx, cluster: Cluster, request: shapes.RegisterContainerInstanceRequest
) -> ContainerInstance:
    token = request.client_token
    for arn in remembered(tx, "RegisterContainerInstance", cluster.arn, token, request) or ():
        earlier = tx.container_instances.get(arn)
        if earlier is not None and earlier.status != "INACTIVE":
            return earlier
    document = identity_document(request.instance_identity_document)
    version = request.version_info or shapes.VersionInfo()
    instance = ContainerInstance(
        arn=ctx.arns.container_instance(cluster.name, tx.ids.hex32()),
        cluster_arn=cluster.arn,
        ec2_instance_id=str(document.get("instanceId") or f"i-{tx.ids.hex32()[:17]}"),
        registered=registered_resources(request),
        attributes=merged_attributes(request.attributes or (), document, ctx.arns.region),
        gpu_ids=gpu_ids_of(request),
        agent_version=version.agent_version,
        agent_hash=version.agent_hash,
        docker_version=version.docker_version,
        tags=check_tags(request.tags),
        registered_at=tx.now,
    )
    tx.container_instances.put(instance)
    remember(tx, "RegisterContainerInstance", cluster.arn, token, request, (instance.arn,))
    return instance


def _register_again(
    ctx: Context, tx: Tx, cluster: Cluster, request: shapes.RegisterContainerInstanceRequest
) -> ContainerInstance:
    instance = lookup_container_instance(ctx, tx, cluster, request.container_instance_arn or "")
    if instance is None:
        raise shapes.ClientException("Referenced container instance not found.")
    if instance.status == "INACTIVE" and instance.status_reason == DEREGISTERED:
        raise shapes.ClientException("The container instance is INACTIVE and can not be registered again.")
    document = identity_document(request.instance_identity_document)
    updated = re_registered(
        instance,
        registered=registered_resources(request),
        attributes=merged_attributes(request.attributes or (), document, ctx.arns.region, earlier=instance.attributes),
        gpu_ids=gpu_ids_of(request),
        tags=merged_tags(instance.tags, request.tags),
        version_info=request.version_info,
        now=tx.now,
    )
    tx.container_instances.put(updated)
    return updated


@operation(shapes.SERVICE, "DeregisterContainerInstance")
def deregister_container_instance(
    ctx: Context, tx: Tx, request: shapes.DeregisterContainerInstanceRequest
) -> shapes.DeregisterContainerInstanceResponse:
    """The instance is INACTIVE from now on. With `force`, tasks on it end as far as ECS is concerned: their containers
    go on, unwatched, until somebody stops them on the host (API reference).
    """
    cluster = find_cluster(ctx, tx, request.cluster)
    instance = find_container_instance(ctx, tx, cluster, request.container_instance)
    tasks = tx.tasks.by(live_on=instance.arn)
    if tasks and not request.force:
        raise shapes.InvalidParameterException("Found running tasks on the instance.")
    for task in tasks:
        tx.tasks.put(ended_task(task, StopCode.USER_INITIATED, FORCED, tx.now))
    gone = replace(instance, status="INACTIVE", status_reason=DEREGISTERED, version=instance.version + 1)
    tx.container_instances.put(gone)
    return shapes.DeregisterContainerInstanceResponse(container_instance=_view(ctx, tx, gone))


@operation(shapes.SERVICE, "DescribeContainerInstances")
def describe_container_instances(
    ctx: Context, tx: Tables, request: shapes.DescribeContainerInstancesRequest
) -> shapes.DescribeContainerInstancesResponse:
    """Up to 100 instances by id or ARN, INACTIVE ones (while they are kept) included."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.container_instances:
        raise shapes.InvalidParameterException("Container instances cannot be empty.")
    if len(request.container_instances) > MOST_DESCRIBED:
        raise shapes.InvalidParameterException(f"Container instances cannot have more than {MOST_DESCRIBED} elements.")
    include = request.include or ()
    found, failures = describe_many(
        request.container_instances,
        lambda name: lookup_container_instance(ctx, tx, cluster, name),
        lambda name: _arn(ctx, cluster, name),
    )
    views = (
        _view(ctx, tx, each, with_tags="TAGS" in include, with_health="CONTAINER_INSTANCE_HEALTH" in include)
        for each in found
    )
    return shapes.DescribeContainerInstancesResponse(container_instances=tuple(views), failures=failures)


@operation(shapes.SERVICE, "ListContainerInstances")
def list_container_instances(
    ctx: Context, tx: Tables, request: shapes.ListContainerInstancesRequest
) -> shapes.ListContainerInstancesResponse:
    """ARNs of the instances with the given status (any but INACTIVE if none is given) that match the filter."""
    cluster = find_cluster(ctx, tx, request.cluster)
    rows: Iterable[ContainerInstance] = tx.container_instances.by(cluster_arn=cluster.arn)
    wanted = request.status
    rows = [row for row in rows if (row.status != "INACTIVE" if wanted is None else row.status == wanted)]
    arns = [row.arn for row in _filtered(ctx, rows, request.filter)]
    page, token = paginate(sorted(arns), key=str, token=request.next_token, limit=request.max_results)
    return shapes.ListContainerInstancesResponse(container_instance_arns=page, next_token=token)


def _filtered(ctx: Context, rows: list[ContainerInstance], text: str | None) -> list[ContainerInstance]:
    """The rows that an expression of the cluster query language matches."""
    if not text:
        return rows
    if len(text) > LONGEST_EXPRESSION:
        raise shapes.InvalidParameterException(f"Expressions can have at most {LONGEST_EXPRESSION} characters.")
    try:
        expression = parse(text)
    except ExpressionError as error:
        raise shapes.InvalidParameterException(f"Invalid expression: {error}") from None
    fleet = ctx.world.fleet
    return [row for row in rows if matches(expression, fleet.subject(row.arn))]


@operation(shapes.SERVICE, "UpdateContainerInstancesState")
def update_container_instances_state(
    ctx: Context, tx: Tx, request: shapes.UpdateContainerInstancesStateRequest
) -> shapes.UpdateContainerInstancesStateResponse:
    """ACTIVE <-> DRAINING for up to ten instances. Standalone tasks on a draining instance are left alone."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if request.status not in ("ACTIVE", "DRAINING"):
        raise shapes.InvalidParameterException("The container instance status must be ACTIVE or DRAINING.")
    if not request.container_instances:
        raise shapes.InvalidParameterException("Container instances cannot be empty.")
    if len(request.container_instances) > MOST_UPDATED:
        raise shapes.InvalidParameterException(f"Container instances cannot have more than {MOST_UPDATED} elements.")
    updated: list[ContainerInstance] = []
    failures: list[shapes.Failure] = []
    for name in dict.fromkeys(request.container_instances):
        instance = lookup_container_instance(ctx, tx, cluster, name)
        if instance is None:
            failures.append(missing(_arn(ctx, cluster, name)))
        elif instance.status == "INACTIVE":
            failures.append(shapes.Failure(arn=instance.arn, reason="INACTIVE"))
        else:
            updated.append(_with_status(tx, instance, request.status))
    return shapes.UpdateContainerInstancesStateResponse(
        container_instances=tuple(_view(ctx, tx, each) for each in updated), failures=tuple(failures)
    )


def _with_status(tx: Tx, instance: ContainerInstance, status: str) -> ContainerInstance:
    if instance.status == status:
        return instance
    changed = replace(instance, status=status, version=instance.version + 1)
    tx.container_instances.put(changed)
    return changed


@operation(shapes.SERVICE, "UpdateContainerAgent")
def update_container_agent(
    ctx: Context, tx: Tx, request: shapes.UpdateContainerAgentRequest
) -> shapes.UpdateContainerAgentResponse:
    """Agents are updated with their package, on their host; there never is an update that could be sent from here."""
    cluster = find_cluster(ctx, tx, request.cluster)
    instance = find_container_instance(ctx, tx, cluster, request.container_instance)
    if instance.agent_version is None:
        raise shapes.MissingVersionException("The agent's version is not known, so it can not be updated.")
    raise shapes.NoUpdateAvailableException("There is no update available for your container agent.")


def _arn(ctx: Context, cluster: Cluster, name: str) -> str:
    return name if name.startswith("arn:") else ctx.arns.container_instance(cluster.name, name)


def _view(
    ctx: Context, tx: Tables, instance: ContainerInstance, *, with_tags: bool = False, with_health: bool = False
) -> shapes.ContainerInstance:
    fleet = ctx.world.fleet
    taken: set[str] = set()
    if instance.gpu_ids:
        live = tx.tasks.by(live_on=instance.arn)
        taken = {gpu_id for task in live for container in task.containers for gpu_id in container.gpu_ids}
    return instance_view(
        instance,
        fleet.free(instance.arn),
        fleet.counts(instance.arn),
        taken_gpu_ids=taken,
        with_tags=with_tags,
        with_health=with_health,
    )
