"""One control group for each task, around its containers' own: the limits of task-level cpu and memory.

Containers are made in it by Docker's `HostConfig.CgroupParent`. Where the group lies depends on the host:

| hierarchy | engine's driver | group | limits |
|---|---|---|---|
| v1 | cgroupfs | `/ecs/TASK` in cpu and memory | cpu.cfs_quota_us, cpu.shares, memory.limit_in_bytes |
| v2 | cgroupfs | `/ecstasks-TASK.slice` | cpu.max, cpu.weight, memory.max |
| v2 | systemd | unit `ecstasks-TASK.slice` | CPUQuota, CPUWeight, MemoryMax |

A task without cpu of its own gets the sum of its containers' shares, at least 2. v1 with the systemd driver is not
supported: its slices cannot be limited from outside, and no current distribution ships it.
"""

import asyncio
import errno
from pathlib import Path

from homeport.base.errors import Transient
from homeport.base.log import get_logger
from homeport.drivers.engine import EngineInfo

log = get_logger("cgroup")

PERIOD_MICROSECONDS = 100_000
LEAST_SHARES = 2
_MIB = 1024 * 1024
_V1_CONTROLLERS = ("cpu", "memory")


class CgroupFailed(Exception):  # noqa: N818 - a fate
    """`reason` is `CgroupError: …` as the control plane is told."""

    def __init__(self, text: str) -> None:
        self.reason = f"CgroupError: {text}"
        super().__init__(self.reason)


def v1_settings(cpu_vcpus: float | None, memory_mib: int | None, shares: int) -> dict[str, dict[str, str]]:
    """File contents by controller."""
    cpu = (
        {"cpu.cfs_period_us": str(PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(round(cpu_vcpus * PERIOD_MICROSECONDS))}
        if cpu_vcpus
        else {"cpu.shares": str(max(LEAST_SHARES, shares))}
    )
    memory = {"memory.limit_in_bytes": str(memory_mib * _MIB), "memory.use_hierarchy": "1"} if memory_mib else {}
    return {"cpu": cpu, "memory": memory}


def v2_settings(cpu_vcpus: float | None, memory_mib: int | None, shares: int) -> dict[str, str]:
    cpu = (
        {"cpu.max": f"{round(cpu_vcpus * PERIOD_MICROSECONDS)} {PERIOD_MICROSECONDS}"}
        if cpu_vcpus
        else {"cpu.weight": str(weight(shares))}
    )
    return cpu | ({"memory.max": str(memory_mib * _MIB)} if memory_mib else {})


def systemd_properties(cpu_vcpus: float | None, memory_mib: int | None, shares: int) -> tuple[str, ...]:
    """As `systemctl set-property` takes them; CPUQuota is in percent of one processor."""
    cpu = f"CPUQuota={round(cpu_vcpus * 100, 2):g}%" if cpu_vcpus else f"CPUWeight={weight(shares)}"
    return (cpu, *((f"MemoryMax={memory_mib * _MIB}",) if memory_mib else ()))


def weight(shares: int) -> int:
    """v2's 1-10000 for v1's 2-262144, by the formula that runc uses."""
    return 1 + ((max(LEAST_SHARES, min(shares, 262144)) - 2) * 9999) // 262142


class Cgroups:
    """`enabled` is False where the host does not let us make groups: then task limits are not advertised."""

    enabled = False

    @classmethod
    def detect(cls, info: EngineInfo, *, wanted: bool, root: Path = Path("/sys/fs/cgroup")) -> "Cgroups":
        """The kind that this host and engine need, tried out by making a group."""
        if not wanted:
            return cls()
        kinds: dict[tuple[str, str], type[V1Cgroups | V2Cgroups]] = {
            ("1", "cgroupfs"): V1Cgroups,
            ("2", "cgroupfs"): V2Cgroups,
        }
        if (info.cgroup_version, info.cgroup_driver) == ("2", "systemd"):
            return SystemdCgroups()
        kind = kinds.get((info.cgroup_version, info.cgroup_driver))
        if kind is None:
            log.warning("task_limits_unsupported", version=info.cgroup_version, driver=info.cgroup_driver)
            return cls()
        groups = kind(root)
        try:
            groups.prepare()
        except OSError as error:
            log.warning("task_limits_disabled", error=str(error))
            return cls()
        return groups

    async def create(
        self, task_id: str, cpu_vcpus: float | None, memory_mib: int | None, container_shares: tuple[int, ...] = ()
    ) -> str:
        """Make (or find) the task's group; returns the value for `HostConfig.CgroupParent`. Raises CgroupFailed.

        Without `cpu_vcpus` the group gets the sum of the containers' shares. Not enabled: "", Docker's own default.
        """
        del task_id, cpu_vcpus, memory_mib, container_shares
        return ""

    async def remove(self, task_id: str) -> None:
        """Remove the group once its containers are gone; missing: done. Raises Transient while it is still in use."""


class V1Cgroups(Cgroups):
    """`/ecs/TASK` in each controller's own hierarchy below `root`."""

    enabled = True

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        """Raises OSError where groups cannot be made."""
        for controller in _V1_CONTROLLERS:
            if not (self._root / controller).is_dir():
                raise FileNotFoundError(f"no {controller} controller in {self._root}")
            (self._root / controller / "ecs").mkdir(exist_ok=True)

    async def create(
        self, task_id: str, cpu_vcpus: float | None, memory_mib: int | None, container_shares: tuple[int, ...] = ()
    ) -> str:
        try:
            for controller, files in v1_settings(cpu_vcpus, memory_mib, sum(container_shares)).items():
                group = self._root / controller / "ecs" / task_id
                group.mkdir(parents=True, exist_ok=True)
                _write(group, files)
        except OSError as error:
            await self._discard(task_id)
            raise CgroupFailed(f"Unable to create cgroup at /ecs/{task_id}: {error}") from error
        return f"/ecs/{task_id}"

    async def remove(self, task_id: str) -> None:
        # Docker makes the containers' groups below ours in every controller, and leaves the parents behind.
        for controller in self._root.iterdir():
            if controller.is_dir() and not controller.is_symlink():
                _rmdir(controller / "ecs" / task_id)

    async def _discard(self, task_id: str) -> None:
        try:
            await self.remove(task_id)
        except (Transient, OSError) as error:
            log.warning("cgroup_left", task_id=task_id, error=str(error))


class V2Cgroups(Cgroups):
    """`/ecstasks-TASK.slice` in the unified hierarchy, made by hand."""

    enabled = True

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        """Hand the controllers down to groups below the root. Raises OSError where that is not allowed."""
        if not (self._root / "cgroup.controllers").exists():
            raise FileNotFoundError(f"{self._root} is no unified hierarchy")
        (self._root / "cgroup.subtree_control").write_text("+cpu +memory")

    async def create(
        self, task_id: str, cpu_vcpus: float | None, memory_mib: int | None, container_shares: tuple[int, ...] = ()
    ) -> str:
        group = self._root / f"ecstasks-{task_id}.slice"
        try:
            group.mkdir(exist_ok=True)
            _write(group, v2_settings(cpu_vcpus, memory_mib, sum(container_shares)))
        except OSError as error:
            raise CgroupFailed(f"Unable to create cgroup at /{group.name}: {error}") from error
        return f"/{group.name}"

    async def remove(self, task_id: str) -> None:
        _rmdir(self._root / f"ecstasks-{task_id}.slice")


class SystemdCgroups(Cgroups):
    """`ecstasks-TASK.slice` as a unit of systemd, which owns the hierarchy there."""

    enabled = True

    async def create(
        self, task_id: str, cpu_vcpus: float | None, memory_mib: int | None, container_shares: tuple[int, ...] = ()
    ) -> str:
        unit = f"ecstasks-{task_id}.slice"
        properties = systemd_properties(cpu_vcpus, memory_mib, sum(container_shares))
        text = await _systemctl("set-property", "--runtime", unit, *properties)
        if text is not None:
            raise CgroupFailed(f"Unable to create cgroup {unit}: {text}")
        return unit

    async def remove(self, task_id: str) -> None:
        unit = f"ecstasks-{task_id}.slice"
        text = await _systemctl("stop", unit) or await _systemctl("revert", unit)
        if text is not None and "not loaded" not in text:
            raise Transient(text)


def _write(group: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (group / name).write_text(content)


def _rmdir(group: Path) -> None:
    try:
        group.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            raise Transient(f"cgroup {group} is still in use") from error
        raise


async def _systemctl(*arguments: str) -> str | None:
    """Run systemctl; its complaint, or None. Takes some 10 ms."""
    try:
        process = await asyncio.create_subprocess_exec(
            "systemctl", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        return str(error)
    _, complaint = await process.communicate()
    return None if process.returncode == 0 else complaint.decode(errors="replace").strip() or "systemctl failed"
