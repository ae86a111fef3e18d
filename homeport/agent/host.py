"""This host as a container instance: how it registers, and which of the waiting tasks fit now.

Admission is exact accounting, as the control plane's own; it matters when a stop is still under way for a task whose
place has been given away already. A task that does not fit waits, and nobody waits behind it.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from homeport.agent.capabilities import builtin_attributes, cpu_units, memory_mib, total_resources
from homeport.agent.ports import PortAllocator, PortsExhausted, dynamic_range, is_port_free, port_range
from homeport.base.config import AgentConfig
from homeport.drivers.engine import EngineInfo
from homeport.shapes import acs, ecs

__all__ = ["HostResources", "Need", "PortAllocator", "PortsExhausted", "dynamic_range", "is_port_free", "registration"]

Port = tuple[str, int]


def registration(
    info: EngineInfo, config: AgentConfig, *, task_limits: bool, container_instance_arn: str | None = None
) -> ecs.RegisterContainerInstanceRequest:
    """The request that registers this host, or registers it again under its ARN. `task_limits` is `Cgroups.enabled`.

    Custom attributes go with the first registration only: later ones belong to the operator. Raises Permanent for
    a reservation larger than the host.
    """
    custom = [] if container_instance_arn else sorted(config.instance_attributes.items())
    attributes = [*builtin_attributes(info, config, task_limits=task_limits)]
    names = {attribute.name for attribute in attributes}
    attributes += [ecs.Attribute(name=name, value=value or None) for name, value in custom if name not in names]
    return ecs.RegisterContainerInstanceRequest(
        cluster=config.cluster,
        container_instance_arn=container_instance_arn,
        total_resources=total_resources(info, config),
        attributes=tuple(attributes),
        platform_devices=tuple(ecs.PlatformDevice(id=gpu, type="GPU") for gpu in config.gpu_ids) or None,
        tags=tuple(ecs.Tag(key=key, value=value) for key, value in config.instance_tags.items()) or None,
    )


class Need(Struct, frozen=True, kw_only=True):
    """What a task takes of its host: CPU units, MiB, fixed host ports (protocol, number), GPU ids."""

    cpu_units: int
    memory_mib: int
    ports: frozenset[Port]
    gpu_ids: frozenset[str]


def need_of(task: acs.Task) -> Need:
    """The task's own limits where it has them, else the sum over its containers."""
    containers = task.containers or ()
    return Need(
        cpu_units=round(task.cpu * 1024) if task.cpu else sum(container.cpu for container in containers),
        memory_mib=task.memory or sum(_container_memory(container) for container in containers),
        ports=frozenset(
            port for container in containers for mapping in container.port_mappings for port in _fixed(mapping, task)
        ),
        gpu_ids=frozenset(each.name for each in task.associations or () if each.type == "gpu"),
    )


class HostResources:
    """CPU units, MiB, fixed ports and GPUs, taken by task ARN."""

    def __init__(self, info: EngineInfo, config: AgentConfig) -> None:
        self._free_cpu = cpu_units(info, config)
        self._free_memory = memory_mib(info, config)
        self._ports: set[Port] = {("tcp", port) for port in config.reserved_ports}
        self._ports |= {("udp", port) for port in config.reserved_ports_udp}
        self._gpus: set[str] = set()
        self._taken: dict[str, Need] = {}

    def lacking(self, task: acs.Task) -> tuple[str, ...]:
        """Names of what is missing now (CPU, MEMORY, PORTS_TCP, PORTS_UDP, GPU); empty: it fits."""
        need = need_of(task)
        clashing = {protocol for protocol, _ in need.ports & self._ports}
        missing = {
            "CPU": need.cpu_units > max(0, self._free_cpu),
            "MEMORY": need.memory_mib > max(0, self._free_memory),
            "PORTS_TCP": "tcp" in clashing,
            "PORTS_UDP": "udp" in clashing,
            "GPU": bool(need.gpu_ids & self._gpus),
        }
        return tuple(name for name, is_missing in missing.items() if is_missing)

    def take(self, task: acs.Task) -> bool:
        """Reserve for the task if it fits; a task that has its reservation already keeps it (True)."""
        if task.arn in self._taken:
            return True
        if self.lacking(task):
            return False
        self.take_anyway(task)
        return True

    def take_anyway(self, task: acs.Task) -> None:
        """Account for a task that already runs (adopted after a restart), whether or not it fits."""
        if task.arn in self._taken:
            return
        need = self._taken[task.arn] = need_of(task)
        self._free_cpu -= need.cpu_units
        self._free_memory -= need.memory_mib
        self._ports |= need.ports
        self._gpus |= need.gpu_ids

    def release(self, task_arn: str) -> None:
        """Give back what the task holds, if anything. A port that an adopted task shares stays with the other."""
        need = self._taken.pop(task_arn, None)
        if need is None:
            return
        self._free_cpu += need.cpu_units
        self._free_memory += need.memory_mib
        self._ports -= need.ports - {port for other in self._taken.values() for port in other.ports}
        self._gpus -= need.gpu_ids

    def admit(self, waiting: Iterable[acs.Task]) -> tuple[str, ...]:
        """Reserve for every waiting task that fits, in order; returns their ARNs."""
        return tuple(task.arn for task in waiting if self.take(task))


def _container_memory(container: acs.Container) -> int:
    """The soft limit where there is one (it is in Docker's own configuration, in bytes), else the hard one."""
    reservation = 0
    if "MemoryReservation" in container.docker_config.host_config:
        reservation = msgspec.json.decode(container.docker_config.host_config).get("MemoryReservation") or 0
    return reservation // (1024 * 1024) or container.memory


def _fixed(mapping: acs.PortMapping, task: acs.Task) -> Iterable[Port]:
    if task.network_mode == "host":
        first, last = port_range(mapping)
        return [(mapping.protocol, port) for port in range(first, last + 1)]
    if task.network_mode in ("awsvpc", "none") or not mapping.host_port:
        return []
    return [(mapping.protocol, mapping.host_port)]
