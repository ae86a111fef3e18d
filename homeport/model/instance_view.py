"""A container instance as DescribeContainerInstances shows it."""

from collections.abc import Collection, Iterable

from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes


def instance_view(
    instance: ContainerInstance,
    free: Resources,
    counts: tuple[int, int],
    *,
    taken_gpu_ids: Collection[str] = (),
    with_tags: bool = False,
    with_health: bool = False,
) -> shapes.ContainerInstance:
    """`free`: what is left of cpu and memory, and the host ports that are taken; `counts`: running, pending tasks."""
    running, pending = counts
    return shapes.ContainerInstance(
        container_instance_arn=instance.arn,
        ec2_instance_id=instance.ec2_instance_id,
        capacity_provider_name=instance.capacity_provider_name,
        version=instance.version,
        version_info=shapes.VersionInfo(
            agent_version=instance.agent_version,
            agent_hash=instance.agent_hash,
            docker_version=instance.docker_version,
        ),
        remaining_resources=resource_list(free, tuple(each for each in instance.gpu_ids if each not in taken_gpu_ids)),
        registered_resources=resource_list(instance.registered, instance.gpu_ids),
        status=instance.status,
        status_reason=instance.status_reason,
        agent_connected=instance.agent_connected,
        running_tasks_count=running,
        pending_tasks_count=pending,
        attributes=instance.attributes,
        registered_at=instance.registered_at,
        attachments=(),
        tags=instance.tags if with_tags else (),
        health_status=_health(instance) if with_health else None,
    )


def resource_list(resources: Resources, gpu_ids: tuple[str, ...]) -> tuple[shapes.Resource, ...]:
    """Resources in ECS's form: integers and sets of strings under their names."""
    listed = [
        _integer("CPU", resources.cpu_units),
        _integer("MEMORY", resources.memory_mib),
        _string_set("PORTS", (str(port) for port in resources.ports)),
        _string_set("PORTS_UDP", (str(port) for port in resources.ports_udp)),
    ]
    if gpu_ids or resources.gpu_count:
        listed.append(_string_set("GPU", gpu_ids))
    return tuple(listed)


def _integer(name: str, value: int) -> shapes.Resource:
    return shapes.Resource(name=name, type="INTEGER", double_value=0.0, long_value=0, integer_value=value)


def _string_set(name: str, values: Iterable[str]) -> shapes.Resource:
    return shapes.Resource(
        name=name, type="STRINGSET", double_value=0.0, long_value=0, integer_value=0, string_set_value=tuple(values)
    )


def _health(instance: ContainerInstance) -> shapes.ContainerInstanceHealthStatus:
    """What the agent's last instance check said; INSUFFICIENT_DATA before the first."""
    result = instance.runtime_health
    status = (result.status if result else None) or "INSUFFICIENT_DATA"
    return shapes.ContainerInstanceHealthStatus(overall_status=status, details=() if result is None else (result,))
