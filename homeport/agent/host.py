"""What this host offers, and which of the waiting tasks fit now: pure arithmetic over what the agent runs."""

from collections.abc import Callable, Iterable, Sequence

from homeport.base.config import AgentConfig
from homeport.drivers.engine import EngineInfo, PortBinding
from homeport.shapes import acs, ecs


class PortsExhausted(Exception):  # noqa: N818 - a fate
    """No free host port is left in the dynamic range, or a fixed one is taken; the text says which."""


def registration(
    info: EngineInfo, config: AgentConfig, *, task_limits: bool, container_instance_arn: str | None = None
) -> ecs.RegisterContainerInstanceRequest:
    """The request that registers this host. `task_limits` is `Cgroups.enabled`."""
    raise NotImplementedError


class HostResources:
    """CPU units, MiB and fixed ports, taken by task ARN. No task waits for another that does not fit."""

    def __init__(self, info: EngineInfo, config: AgentConfig) -> None:
        raise NotImplementedError

    def lacking(self, task: acs.Task) -> tuple[str, ...]:
        """Names of what is missing now (CPU, MEMORY, PORTS_TCP, PORTS_UDP, GPU); empty: it fits."""
        raise NotImplementedError

    def take(self, task: acs.Task) -> bool:
        """Reserve for the task if it fits; a task that has its reservation already keeps it (True)."""
        raise NotImplementedError

    def take_anyway(self, task: acs.Task) -> None:
        """Account for a task that already runs (adopted after a restart), whether or not it fits."""
        raise NotImplementedError

    def release(self, task_arn: str) -> None:
        raise NotImplementedError

    def admit(self, waiting: Iterable[acs.Task]) -> tuple[str, ...]:
        """Reserve for every waiting task that fits, in order; returns their ARNs."""
        raise NotImplementedError


class PortAllocator:
    """Host ports for `hostPort` 0 and ranges: ascending, contiguous for a range, none that is in use."""

    def __init__(self, first: int, last: int, *, is_free: Callable[[str, int], bool]) -> None:
        raise NotImplementedError

    def allocate(self, owner: str, mappings: Sequence[acs.PortMapping]) -> tuple[PortBinding, ...]:
        """Bindings for all of a container's mappings, fixed ones too; the same again for an owner that has them.

        Raises PortsExhausted, holding nothing.
        """
        raise NotImplementedError

    def adopt(self, owner: str, bindings: Iterable[PortBinding]) -> None:
        """Take over what a running container holds."""
        raise NotImplementedError

    def release(self, owner: str) -> None:
        raise NotImplementedError


def dynamic_range(config: AgentConfig) -> tuple[int, int]:
    """The configured range, or the kernel's ephemeral one, or 49153-65535."""
    raise NotImplementedError
