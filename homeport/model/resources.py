"""What a container instance offers and a task needs.

CPU in ECS units (1 024 = one vCPU), memory in MiB, host ports by protocol, GPUs by count.
"""

from msgspec import Struct


class Resources(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount of each resource. For instances `ports` are the host ports that are *taken* (reserved by registration)."""

    cpu_units: int = 0
    memory_mib: int = 0
    ports: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpu_count: int = 0
