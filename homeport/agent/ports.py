"""Host ports for containers in bridge mode: numbers are chosen here, so that a restart of a container keeps them.

Dynamic ports come in ascending order from the host's ephemeral range, going round: a port that was just given up is
the last to be given again. A range of container ports gets as many host ports in a row.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from homeport.base.config import AgentConfig
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs

FALLBACK_RANGE = (49153, 65535)
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - what a port mapping of ECS means
_KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class PortsExhausted(Exception):  # noqa: N818 - a fate
    """No free host port is left in the dynamic range, or a fixed one is taken; the text says which."""


class PortAllocator:
    """Who holds which host port. `is_free(protocol, port)` asks the host about ports that others hold."""

    def __init__(self, first: int, last: int, *, is_free: Callable[[str, int], bool]) -> None:
        self._first, self._last = first, last
        self._is_free = is_free
        self._next = first
        self._held: dict[tuple[str, int], str] = {}
        self._bindings: dict[str, tuple[PortBinding, ...]] = {}

    def allocate(self, owner: str, mappings: Sequence[acs.PortMapping]) -> tuple[PortBinding, ...]:
        """Bindings for all of a container's mappings, fixed ones too; the same again for an owner that has them.

        Raises PortsExhausted, holding nothing.
        """
        if owner in self._bindings:
            return self._bindings[owner]
        chosen: list[PortBinding] = []
        try:
            for mapping in mappings:
                bindings = self._bind(mapping)
                chosen += bindings
                self._hold(owner, bindings)
        except PortsExhausted:
            self._let_go(owner, chosen)
            raise
        self._bindings[owner] = tuple(chosen)
        return self._bindings[owner]

    def adopt(self, owner: str, bindings: Iterable[PortBinding]) -> None:
        """Take over what a running container holds."""
        self._bindings[owner] = tuple(bindings)
        self._hold(owner, self._bindings[owner])

    def release(self, owner: str) -> None:
        self._let_go(owner, self._bindings.pop(owner, ()))

    def _bind(self, mapping: acs.PortMapping) -> list[PortBinding]:
        first, last = port_range(mapping)
        count = last - first + 1
        if mapping.host_port:
            if (mapping.protocol, mapping.host_port) in self._held:
                raise PortsExhausted(f"host port {mapping.host_port}/{mapping.protocol} is already allocated")
            start = mapping.host_port
        else:
            start = self._free_run(mapping.protocol, count)
        return [
            PortBinding(
                host_ip=_ALL_ADDRESSES,
                host_port=start + offset,
                container_port=first + offset,
                protocol=mapping.protocol,
            )
            for offset in range(count)
        ]

    def _free_run(self, protocol: str, count: int) -> int:
        """The first of `count` free ports in a row, looking once round from where the last search ended."""
        size = self._last - self._first + 1
        start = self._next
        run = 0
        for step in range(size + count):
            port = self._first + (start - self._first + step) % size
            run = 0 if port == self._first else run  # A row does not wrap.
            run = run + 1 if (protocol, port) not in self._held and self._is_free(protocol, port) else 0
            if run == count:
                self._next = self._first + (port + 1 - self._first) % size
                return port - count + 1
        raise PortsExhausted(
            f"{count} contiguous host ports unavailable" if count > 1 else "no free host port in the dynamic range"
        )

    def _hold(self, owner: str, bindings: Iterable[PortBinding]) -> None:
        for binding in bindings:
            self._held[(binding.protocol, binding.host_port)] = owner

    def _let_go(self, owner: str, bindings: Iterable[PortBinding]) -> None:
        for binding in bindings:
            if self._held.get((binding.protocol, binding.host_port)) == owner:
                del self._held[(binding.protocol, binding.host_port)]


def port_range(mapping: acs.PortMapping) -> tuple[int, int]:
    """First and last container port of a mapping."""
    if mapping.container_port_range:
        first, _, last = mapping.container_port_range.partition("-")
        return int(first), int(last)
    return mapping.container_port or 0, mapping.container_port or 0


def dynamic_range(config: AgentConfig, kernel: Path = _KERNEL_RANGE) -> tuple[int, int]:
    """The configured range, or the kernel's ephemeral one, or 49153-65535."""
    if config.dynamic_port_range is not None:
        return config.dynamic_port_range
    try:
        first, last = kernel.read_text().split()
        return int(first), int(last)
    except (OSError, ValueError):
        return FALLBACK_RANGE


def is_port_free(protocol: str, port: int) -> bool:
    """Whether nothing on this host is bound to the port, on any address. Takes microseconds."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if protocol != "udp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Old connections in TIME_WAIT do not count.
        try:
            probe.bind((_ALL_ADDRESSES, port))
        except OSError:
            return False
        return True
