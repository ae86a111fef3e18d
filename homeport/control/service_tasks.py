"""Starting and stopping the tasks of a service, with the events that tell of it."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from homeport.control.scale_in import DEFAULT_STRATEGY
from homeport.control.service_round import Round
from homeport.model import service_events
from homeport.model.container_instance import ContainerInstance
from homeport.model.deployment import Deployment
from homeport.model.new_task import new_task, placed_on, task_template
from homeport.model.rules.capabilities import placement_attributes
from homeport.model.service import TaskSet
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.task import Container, Task
from homeport.model.task_definition import TaskDefinition
from homeport.scheduler.constraints import Constraint
from homeport.scheduler.place import Wanted, place
from homeport.shapes import ecs as shapes

PLACEMENT = "placement"
DEFINITION = "definition"
_EXTERNAL = shapes.Attribute(name="ecs.capability.external")


class Launch(NamedTuple):
    """What new tasks are made from. `owner` is the deployment's or task set's id; `digests` by container name."""

    owner: str
    task_definition_arn: str
    launch_type: str | None
    digests: dict[str, str]


def launch_of(round_: Round, deployment: Deployment) -> Launch:
    revision = round_.tx.service_revisions.get(deployment.revision_arn)
    digests = {} if revision is None else revision.image_digests
    return Launch(deployment.id, deployment.task_definition_arn, deployment.launch_type, digests)


def launch_of_task_set(task_set: TaskSet) -> Launch:
    return Launch(task_set.id, task_set.task_definition_arn, task_set.launch_type, {})


def start_tasks(round_: Round, launch: Launch, count: int, constraints: tuple[Constraint, ...] = ()) -> int:
    """Start up to `count` tasks, all in one placement; returns for how many of them there was no room."""
    definition = runnable_definition(round_, launch)
    if definition is None or count <= 0:
        return 0
    template = template_of(round_, launch, definition)
    placement = place(
        round_.fleet, wanted_of(round_, template, definition, count, constraints), round_.tx.rng(launch.owner)
    )
    for instance_arn in placement.instances:
        put_task(round_, template, round_.tx.container_instances[instance_arn])
    if len(placement.instances) < count:
        no_room(round_, placement.failures)
    else:
        round_.over(PLACEMENT)
    return count - len(placement.instances)


def runnable_definition(round_: Round, launch: Launch) -> TaskDefinition | None:
    definition = round_.tx.task_definitions.get(launch.task_definition_arn)
    if definition is None:
        round_.tell(DEFINITION, service_events.no_definition(launch.task_definition_arn))
    return definition


def template_of(round_: Round, launch: Launch, definition: TaskDefinition) -> Task:
    """A task of the service on no container instance yet."""
    service = round_.service
    template = task_template(
        definition,
        cluster_arn=service.cluster_arn,
        created_at=round_.now,
        group=service.group,
        launch_type=launch.launch_type,
        started_by=launch.owner,
        service_name=service.name,
        service_arn=service.arn,
        tags=_tags(round_, definition),
    )
    if not launch.digests:
        return template
    return replace(template, containers=tuple(_pinned(each, launch.digests) for each in template.containers))


def _pinned(container: Container, digests: dict[str, str]) -> Container:
    digest = digests.get(container.name)
    return container if digest is None else replace(container, image=pinned_image(container.image, digest))


def pinned_image(image: str, digest: str) -> str:
    """`registry:5000/web:1.2` with a digest is `registry:5000/web@sha256:…`."""
    repository, _, last = image.rpartition("/")
    name = last.partition("@")[0].partition(":")[0]
    return f"{repository}/{name}@{digest}" if repository else f"{name}@{digest}"


def _tags(round_: Round, definition: TaskDefinition) -> tuple[shapes.Tag, ...]:
    service = round_.service
    propagated = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(service.propagate_tags, ())
    if not service.enable_ecs_managed_tags:
        return propagated
    managed = (
        shapes.Tag(key="aws:ecs:clusterName", value=service.cluster_name),
        shapes.Tag(key="aws:ecs:serviceName", value=service.name),
    )
    return (*propagated, *managed)


def wanted_of(
    round_: Round, template: Task, definition: TaskDefinition, count: int, constraints: tuple[Constraint, ...] = ()
) -> Wanted:
    """What the scheduler is asked for; `constraints` come on top of those of the service and the definition."""
    service = round_.service
    required = placement_attributes(definition.definition)
    return Wanted(
        cluster_arn=service.cluster_arn,
        count=count,
        resources=template.resources,
        group=service.group,
        constraints=(
            *(definition.definition.placement_constraints or ()),
            *service.placement_constraints,
            *constraints,
        ),
        strategies=service.placement_strategy or DEFAULT_STRATEGY,
        required_attributes=(*required, _EXTERNAL) if template.launch_type == "EXTERNAL" else required,
    )


def put_task(round_: Round, template: Task, instance: ContainerInstance) -> Task:
    """One more task of the template on the instance."""
    tx = round_.tx
    arn = f"{round_.service.cluster_arn.replace(':cluster/', ':task/', 1)}/{tx.ids.hex32()}"
    gpus = _taken_gpus(tx.tasks.by(live_on=instance.arn)) if template.resources.gpu_count else ()
    task = placed_on(new_task(template, arn, tx.ids), instance, gpus)
    tx.tasks.put(task)
    round_.live.append(task)
    round_.started.append(task)
    return task


def _taken_gpus(tasks: Iterable[Task]) -> list[str]:
    return [gpu_id for task in tasks for container in task.containers for gpu_id in container.gpu_ids]


def no_room(round_: Round, failures: Sequence[shapes.Failure]) -> None:
    """Remember that room is lacking, and why."""
    round_.lacks_room = True
    round_.room_failures = tuple(failures)


def tell_of_room(round_: Round) -> None:
    """The event of a round that lacked room, unless tasks of the service are stopping and may be about to make it."""
    if not round_.lacks_room or round_.stopping():
        return
    if not round_.room_failures:
        round_.tell(PLACEMENT, service_events.no_instances())
        return
    closest = min(round_.room_failures, key=lambda failure: _DISTANCE.get(failure.reason or "", 0))
    instance_id = (closest.arn or "").rsplit("/", 1)[-1]
    round_.tell(PLACEMENT, service_events.not_placed(instance_id, closest.reason or ""))


#: How far a reason is from a match: the later a check comes in placement, the closer the instance was.
_DISTANCE = {
    "AGENT": 9,
    "RESOURCE:CPU": 4,
    "RESOURCE:GPU": 3,
    "RESOURCE:MEMORY": 3,
    "RESOURCE:PORTS": 2,
    "ATTRIBUTE": 5,
}


def stop_tasks(round_: Round, tasks: Iterable[Task], reason: str | None = None) -> None:
    """Have tasks stopped by the scheduler; without a reason, because of scaling by their own deployment."""
    for task in tasks:
        if task.desired_status is DesiredStatus.STOPPED:
            continue
        cause = "Availability-zone rebalancing" if round_.is_rebalancing else "Scaling activity"
        why = reason or f"{cause} initiated by (deployment {task.started_by})"
        round_.task_changed(task, task.stopping(StopCode.SERVICE_SCHEDULER_INITIATED, why, round_.now))
        round_.stopped.append(task)


def tell_of_tasks(round_: Round) -> None:
    """The events of everything this round has started and stopped."""
    running = [task for task in round_.stopped if task.last_status.rank >= TaskStatus.RUNNING.rank]
    pending = len(round_.stopped) - len(running)
    if round_.is_rebalancing:
        for zone, ids in _ids_by(_zone_of, round_.started).items():
            round_.say(service_events.started_to_rebalance(zone, ids))
        for zone, ids in _ids_by(_zone_of, running).items():
            round_.say(service_events.stopped_to_rebalance(zone, ids))
    else:
        named = _owner_of if round_.service.deployment_controller == "EXTERNAL" else _nobody
        for owner, ids in _ids_by(named, round_.started).items():
            round_.say(service_events.started(ids, round_.replaced), owner)
        for owner, ids in _ids_by(named, running).items():
            round_.say(service_events.stopped(ids), owner)
    if pending:
        round_.say(service_events.stopped_pending(pending))


def _ids_by(key: Callable[[Task], str], tasks: Iterable[Task]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task.id)
    return groups


def _zone_of(task: Task) -> str:
    return task.availability_zone or ""


def _owner_of(task: Task) -> str:
    """The task set; events of a service that deploys by itself do not name the deployment here."""
    return task.started_by or ""


def _nobody(_: Task) -> str:
    return ""
