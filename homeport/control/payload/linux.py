"""`linuxParameters` as Docker Engine's HostConfig. Source: API reference, LinuxParameters; agent protocol, B2."""

from typing import Any

from homeport.shapes import ecs as shapes

_MIB = 1024 * 1024
_PERMISSION_LETTERS = {"read": "r", "write": "w", "mknod": "m"}


def linux_parameters(linux: shapes.LinuxParameters | None, memory_mib: int | None) -> dict[str, Any]:
    """Keys of HostConfig; values that are None are not set. `memory_mib` is the container's hard limit, if it has one."""
    if linux is None:
        return {}
    capabilities = linux.capabilities or shapes.KernelCapabilities()
    return {
        "CapAdd": capabilities.add or None,
        "CapDrop": capabilities.drop or None,
        "Devices": [_device(device) for device in linux.devices or ()] or None,
        "Init": linux.init_process_enabled,
        "ShmSize": linux.shared_memory_size * _MIB if linux.shared_memory_size else None,
        "Tmpfs": {mount.container_path: _tmpfs_options(mount) for mount in linux.tmpfs or ()} or None,
        "MemorySwap": _memory_swap(linux.max_swap, memory_mib),
        "MemorySwappiness": _swappiness(linux),
    }


def _device(device: shapes.Device) -> dict[str, str]:
    letters = "".join(_PERMISSION_LETTERS[permission] for permission in device.permissions or ())
    return {
        "PathOnHost": device.host_path,
        "PathInContainer": device.container_path or device.host_path,
        "CgroupPermissions": letters or "rwm",
    }


def _tmpfs_options(mount: shapes.Tmpfs) -> str:
    return ",".join((f"size={mount.size}m", *(mount.mount_options or ())))


def _memory_swap(max_swap: int | None, memory_mib: int | None) -> int | None:
    """Docker counts memory and swap together. Without a hard limit there is nothing to add the swap to."""
    if max_swap is None or not memory_mib:
        return None
    return (memory_mib + max_swap) * _MIB


def _swappiness(linux: shapes.LinuxParameters) -> int | None:
    """Without `maxSwap` the parameter is ignored (API reference, LinuxParameters)."""
    return linux.swappiness if linux.max_swap is not None else None
