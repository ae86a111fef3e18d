"""A new task, built from a task definition, overrides and fresh identifiers.

Most of a task is the same for every task of one call, so a *template* is built once (`task_template`) and each task is
a copy of it with its own ARN and credentials (`new_task`); placing is another copy (`placed_on`). The service scheduler
builds its tasks with the same three steps.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.model.container_instance import ContainerInstance
from homeport.model.overrides import NO_OVERRIDE, complete_overrides, effective_definition, task_size
from homeport.model.resources import Resources
from homeport.model.status import TaskStatus
from homeport.model.task import Container, Task
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import ecs as shapes

_ARCHITECTURE = "ecs.cpu-architecture"
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


def task_template(
    task_definition: TaskDefinition,
    *,
    cluster_arn: str,
    created_at: float,
    overrides: shapes.TaskOverride = NO_OVERRIDE,
    group: str | None = None,
    launch_type: str | None = "EC2",
    started_by: str | None = None,
    service_name: str | None = None,
    service_arn: str | None = None,
    tags: tuple[shapes.Tag, ...] = (),
) -> Task:
    """Everything that tasks of one call share: PROVISIONING, on no container instance, with an empty ARN.

    Overrides must have been checked. `group` defaults to `family:FAMILY`. A role's credentials id is left as "" where
    the role is set, so that `new_task` knows which to draw.
    """
    definition = effective_definition(task_definition.definition, overrides)
    cpu, memory = task_size(definition)
    return Task(
        arn="",
        cluster_arn=cluster_arn,
        task_definition_arn=task_definition.arn,
        family=task_definition.family,
        group=group or f"family:{task_definition.family}",
        created_at=created_at,
        resources=resources_of(definition),
        containers=tuple(_container(each) for each in definition.container_definitions or ()),
        launch_type=launch_type,
        overrides=complete_overrides(definition, overrides),
        cpu=None if cpu is None else str(cpu),
        memory=None if memory is None else str(memory),
        started_by=started_by,
        service_name=service_name,
        service_arn=service_arn,
        attributes=_attributes(definition),
        tags=tags,
        credentials_id="" if definition.task_role_arn else None,
        execution_credentials_id="" if definition.execution_role_arn else None,
    )


def new_task(template: Task, arn: str, ids: Ids) -> Task:
    """One task of the template, with its own ARN and credentials ids."""
    return replace(
        template,
        arn=arn,
        credentials_id=None if template.credentials_id is None else ids.uuid(),
        execution_credentials_id=None if template.execution_credentials_id is None else ids.uuid(),
    )


def placed_on(task: Task, instance: ContainerInstance, taken_gpu_ids: Iterable[str] = ()) -> Task:
    """The task on its container instance: PENDING at once, for nothing has to be provisioned before the agent acts.

    `taken_gpu_ids` are those of the other tasks there; enough must be free, which placement has seen to.
    """
    architecture = instance.attribute(_ARCHITECTURE)
    placed = replace(
        task,
        container_instance_arn=instance.arn,
        availability_zone=instance.availability_zone,
        attributes=(shapes.Attribute(name=_ARCHITECTURE, value=architecture),) if architecture else task.attributes,
        last_status=TaskStatus.PENDING,
    )
    if not task.resources.gpu_count:
        return placed
    taken = set(taken_gpu_ids)
    free = iter([gpu_id for gpu_id in instance.gpu_ids if gpu_id not in taken])
    containers = tuple(
        replace(each, gpu_ids=tuple(next(free) for _ in each.gpu_ids)) if each.gpu_ids else each
        for each in task.containers
    )
    return replace(placed, containers=containers)


def resources_of(definition: shapes.TaskDefinition) -> Resources:
    """What a task of this (effective) definition takes of its container instance.

    The task's own cpu and memory where they are set, else the sums over the containers (for memory the reservation if
    there is one, else the limit), as the agent accounts for them.
    """
    containers = definition.container_definitions or ()
    cpu, memory = task_size(definition)
    tcp, udp = host_ports(definition)
    return Resources(
        cpu_units=sum(each.cpu or 0 for each in containers) if cpu is None else cpu,
        memory_mib=sum(each.memory_reservation or each.memory or 0 for each in containers)
        if memory is None
        else memory,
        ports=tcp,
        ports_udp=udp,
        gpu_count=sum(gpu_count(each) for each in containers),
    )


def host_ports(definition: shapes.TaskDefinition) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The host ports, TCP and UDP, that the definition fixes.

    In `host` mode every container port is one; in `bridge` mode those with a `hostPort`, while a container port range
    gets a range of dynamic host ports. With `awsvpc` and `none` a task takes no ports of its host.
    """
    mode = definition.network_mode or "bridge"
    taken: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    if mode not in ("bridge", "host"):
        return (), ()
    for container in definition.container_definitions or ():
        for mapping in container.port_mappings or ():
            ports = taken[mapping.protocol or "tcp"]
            if mode == "host":
                ports.update(_container_ports(mapping))
            elif mapping.host_port:
                ports.add(mapping.host_port)
    return tuple(sorted(taken["tcp"])), tuple(sorted(taken["udp"]))


def _container_ports(mapping: shapes.PortMapping) -> Iterable[int]:
    if mapping.container_port_range:
        first, _, last = mapping.container_port_range.partition("-")
        return range(int(first), int(last or first) + 1)
    port = mapping.host_port or mapping.container_port
    return (port,) if port else ()


def gpu_count(container: shapes.ContainerDefinition) -> int:
    """How many GPUs the container asks for."""
    return sum(int(each.value or 0) for each in container.resource_requirements or () if each.type == "GPU")


def _container(definition: shapes.ContainerDefinition) -> Container:
    return Container(
        name=definition.name or "",
        image=definition.image or "",
        essential=definition.essential is not False,
        has_health_check=definition.health_check is not None,
        cpu=str(definition.cpu or 0),
        memory=None if definition.memory is None else str(definition.memory),
        memory_reservation=None if definition.memory_reservation is None else str(definition.memory_reservation),
        gpu_ids=("",) * gpu_count(definition),
    )


def _attributes(definition: shapes.TaskDefinition) -> tuple[shapes.Attribute, ...]:
    platform = definition.runtime_platform
    architecture = (platform.cpu_architecture if platform else None) or "X86_64"
    return (shapes.Attribute(name=_ARCHITECTURE, value=_ARCHITECTURES[architecture]),)
