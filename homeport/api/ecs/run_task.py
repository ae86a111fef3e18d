"""RunTask and StartTask: from a request to tasks on container instances, inside one transaction.

Both check everything first, build one template of the task (`model.new_task`) and copy it for every task that fits.
RunTask asks the scheduler where to; StartTask is told. What does not fit is answered in `failures`, not as an error.
"""

import re
from collections.abc import Iterable

from homeport.api.ecs.find import find_cluster, find_runnable_task_definition, lookup_container_instance
from homeport.api.failures import missing
from homeport.api.idempotency import remember, remembered
from homeport.api.operation import Context, operation
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.new_task import new_task, placed_on, task_template
from homeport.model.overrides import NO_OVERRIDE, check_overrides, effective_definition
from homeport.model.rules.capabilities import placement_attributes
from homeport.model.rules.launch import (
    EXTERNAL,
    check_constraints_together,
    check_launch_type,
    check_network,
    check_placement,
    check_platform_version,
)
from homeport.model.rules.support import unsupported
from homeport.model.rules.tags import check_tags, merged_tags
from homeport.model.task import Task
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_view import VIEWS
from homeport.scheduler.constraints import Needs, needs_of, obstacles
from homeport.scheduler.place import Wanted, place
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_TASKS = 10
MOST_INSTANCES = 10
LONGEST_STARTED_BY = 128
LONGEST_GROUP = 255
LONGEST_REFERENCE_ID = 1024
LONGEST_TOKEN = 64
_STARTED_BY = re.compile(r"[A-Za-z0-9/_:.@+=,\- ]*\Z")
_TOKEN = re.compile(r"[!-~]{1,64}\Z")
Launch = shapes.RunTaskRequest | shapes.StartTaskRequest


@operation(shapes.SERVICE, "RunTask")
def run_task(ctx: Context, tx: Tx, request: shapes.RunTaskRequest) -> shapes.RunTaskResponse:
    """Place up to ten tasks; all that fit are started, and for the rest each instance's reason is given."""
    cluster = find_cluster(ctx, tx, request.cluster)
    _check_token(request.client_token)
    earlier = _answered_before(tx, cluster, request)
    if earlier:
        return shapes.RunTaskResponse(tasks=tuple(VIEWS.view(task, with_tags=True) for task in earlier), failures=())
    template, wanted = planned(ctx, tx, cluster, request)
    if not _has_instances(tx, cluster):
        raise shapes.InvalidParameterException("No Container Instances were found in your cluster.")
    placement = place(ctx.world.fleet, wanted, tx.rng(cluster.arn))
    tasks = [_start(ctx, tx, cluster, template, tx.container_instances[arn]) for arn in placement.instances]
    if tasks:
        remember(tx, "RunTask", cluster.arn, request.client_token, request, tuple(task.arn for task in tasks))
    return shapes.RunTaskResponse(
        tasks=tuple(VIEWS.view(task, with_tags=True) for task in tasks), failures=placement.failures
    )


def planned(ctx: Context, tx: Tx, cluster: Cluster, request: shapes.RunTaskRequest) -> tuple[Task, Wanted]:
    """The task that RunTask would start and what it asks of the scheduler, after every check of the request."""
    _check_capacity(cluster, request)
    check_placement(request.placement_constraints or (), request.placement_strategy or ())
    count = 1 if request.count is None else request.count
    if not 1 <= count <= MOST_TASKS:
        raise shapes.InvalidParameterException(f"Count must be between 1 and {MOST_TASKS}.")
    task_definition = find_runnable_task_definition(ctx, tx, request.task_definition)
    check_constraints_together(task_definition.definition, request.placement_constraints or ())
    template = _template(tx, cluster, task_definition, request, launch_type=request.launch_type or "EC2")
    return template, _wanted(template, task_definition, request, count)


@operation(shapes.SERVICE, "StartTask")
def start_task(ctx: Context, tx: Tx, request: shapes.StartTaskRequest) -> shapes.StartTaskResponse:
    """One task on each of the named container instances that can take it."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.container_instances:
        raise shapes.InvalidParameterException("Container instances cannot be empty.")
    if len(request.container_instances) > MOST_INSTANCES:
        raise shapes.InvalidParameterException(f"Container instances cannot have more than {MOST_INSTANCES} elements.")
    task_definition = find_runnable_task_definition(ctx, tx, request.task_definition)
    template = _template(tx, cluster, task_definition, request, launch_type="EC2")
    # StartTask goes around placement: constraints do not apply, resources and attributes do.
    needs = needs_of(template.resources, (), placement_attributes(task_definition.definition), template.group)
    tasks: list[Task] = []
    failures: list[shapes.Failure] = []
    for name in dict.fromkeys(request.container_instances):
        instance = lookup_container_instance(ctx, tx, cluster, name)
        if instance is None:
            arn = name if name.startswith("arn:") else ctx.arns.container_instance(cluster.name, name)
            failures.append(missing(arn))
            continue
        failure = _refusal(ctx, instance, needs)
        if failure is None:
            tasks.append(_start(ctx, tx, cluster, template, instance))
        else:
            failures.append(failure)
    return shapes.StartTaskResponse(
        tasks=tuple(VIEWS.view(task, with_tags=True) for task in tasks), failures=tuple(failures)
    )


def _check_token(token: str | None) -> None:
    if token is not None and not _TOKEN.match(token):
        raise shapes.InvalidParameterException(
            f"clientToken must be 1 to {LONGEST_TOKEN} ASCII characters in the range of 33 to 126."
        )


def _answered_before(tx: Tx, cluster: Cluster, request: shapes.RunTaskRequest) -> list[Task]:
    """The tasks of an earlier call with the same token; once they are all gone the token counts as new."""
    arns = remembered(tx, "RunTask", cluster.arn, request.client_token, request) or ()
    return [task for arn in arns if (task := tx.tasks.get(arn)) is not None]


def _check_capacity(cluster: Cluster, request: shapes.RunTaskRequest) -> None:
    """What the tasks are to run on: container instances, for now."""
    if request.capacity_provider_strategy and request.launch_type is not None:
        raise shapes.InvalidParameterException("Specify either a launch type or a capacity provider strategy.")
    default_strategy = cluster.default_capacity_provider_strategy if request.launch_type is None else ()
    if request.capacity_provider_strategy or default_strategy:
        raise shapes.UnsupportedFeatureException("Capacity provider strategies are not supported.")
    check_platform_version(request.launch_type, request.platform_version)


def _template(tx: Tx, cluster: Cluster, task_definition: TaskDefinition, request: Launch, *, launch_type: str) -> Task:
    """The task that the request describes, after every check that needs no container instance."""
    _check_common(request)
    definition = task_definition.definition
    check_launch_type(definition, launch_type)
    check_network(definition, request.network_configuration)
    overrides = request.overrides or NO_OVERRIDE
    check_overrides(definition, overrides)
    lacking = unsupported(effective_definition(definition, overrides))
    if lacking is not None:
        raise shapes.UnsupportedFeatureException(f"Tasks that use {lacking} are not supported.")
    return task_template(
        task_definition,
        cluster_arn=cluster.arn,
        created_at=tx.now,
        overrides=overrides,
        group=_group(request.group),
        launch_type=launch_type,
        started_by=request.started_by,
        tags=_tags(cluster, task_definition, request),
    )


def _check_common(request: Launch) -> None:
    started_by = request.started_by or ""
    if len(started_by) > LONGEST_STARTED_BY or not _STARTED_BY.match(started_by):
        raise shapes.InvalidParameterException(
            f"startedBy must be at most {LONGEST_STARTED_BY} letters, digits, hyphens, slashes and underscores."
        )
    if len(request.reference_id or "") > LONGEST_REFERENCE_ID:
        raise shapes.InvalidParameterException(f"referenceId must be at most {LONGEST_REFERENCE_ID} characters.")
    if request.enable_execute_command:
        raise shapes.UnsupportedFeatureException("ECS Exec is not supported.")
    if request.volume_configurations:
        raise shapes.UnsupportedFeatureException("Volumes that are configured at launch are not supported.")
    if request.propagate_tags == "SERVICE":
        raise shapes.InvalidParameterException("Tags can only be propagated from the task definition.")


def _group(group: str | None) -> str | None:
    """The task group; groups of services belong to services."""
    if group is None:
        return None
    if not group.strip() or len(group) > LONGEST_GROUP:
        raise shapes.InvalidParameterException(f"group must be 1 to {LONGEST_GROUP} characters.")
    if group.startswith("service:"):
        raise shapes.InvalidParameterException("Invalid namespace for group.")
    return group


def _tags(cluster: Cluster, task_definition: TaskDefinition, request: Launch) -> tuple[shapes.Tag, ...]:
    """The request's tags, over the task definition's if they are propagated, and the tag that ECS manages."""
    propagated = task_definition.tags if request.propagate_tags == "TASK_DEFINITION" else ()
    if not (propagated or request.tags or request.enable_ecs_managed_tags):
        return ()
    tags = merged_tags(propagated, check_tags(request.tags))
    if request.enable_ecs_managed_tags:
        tags += (shapes.Tag(key="aws:ecs:clusterName", value=cluster.name),)
    return tags


def _has_instances(tx: Tables, cluster: Cluster) -> bool:
    rows = tx.container_instances
    return any(rows[arn].status == "ACTIVE" for arn in rows.keys_by(cluster_arn=cluster.arn))


def _start(ctx: Context, tx: Tx, cluster: Cluster, template: Task, instance: ContainerInstance) -> Task:
    """Put one more task on the instance; the fleet's view changes with the row."""
    task = new_task(template, ctx.arns.task(cluster.name, tx.ids.hex32()), tx.ids)
    task = placed_on(task, instance, _taken_gpus(tx, instance) if template.resources.gpu_count else ())
    tx.tasks.put(task)
    return task


def _wanted(template: Task, task_definition: TaskDefinition, request: shapes.RunTaskRequest, count: int) -> Wanted:
    definition = task_definition.definition
    required = placement_attributes(definition)
    return Wanted(
        cluster_arn=template.cluster_arn,
        count=count,
        resources=template.resources,
        group=template.group,
        constraints=(*(definition.placement_constraints or ()), *(request.placement_constraints or ())),
        strategies=request.placement_strategy or (),
        required_attributes=(*required, EXTERNAL) if template.launch_type == "EXTERNAL" else required,
    )


def _refusal(ctx: Context, instance: ContainerInstance, needs: Needs) -> shapes.Failure | None:
    """Why StartTask cannot start the task there, in the scheduler's words; None if it can."""
    host = ctx.world.fleet.host(instance.arn)
    if instance.status != "ACTIVE" or host is None:
        return shapes.Failure(arn=instance.arn, reason="INACTIVE")
    obstacle = next(obstacles(needs, host), None)
    return obstacle and shapes.Failure(arn=instance.arn, reason=obstacle.reason, detail=obstacle.detail)


def _taken_gpus(tx: Tables, instance: ContainerInstance) -> Iterable[str]:
    return [
        gpu_id
        for task in tx.tasks.by(live_on=instance.arn)
        for container in task.containers
        for gpu_id in container.gpu_ids
    ]
