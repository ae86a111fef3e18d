"""One control group for each task, around its containers' own: the limits of task-level cpu and memory."""

from pathlib import Path

from homeport.drivers.engine import EngineInfo


class CgroupFailed(Exception):  # noqa: N818 - a fate
    """`reason` is `CgroupError: …` as the control plane is told."""

    def __init__(self, text: str) -> None:
        self.reason = f"CgroupError: {text}"
        super().__init__(self.reason)


class Cgroups:
    """`enabled` is False where the host does not let us make groups: then task limits are not advertised."""

    enabled: bool

    @classmethod
    def detect(cls, info: EngineInfo, *, wanted: bool, root: Path = Path("/sys/fs/cgroup")) -> "Cgroups":
        raise NotImplementedError

    async def create(
        self, task_id: str, cpu_vcpus: float | None, memory_mib: int | None, container_shares: tuple[int, ...] = ()
    ) -> str:
        """Make (or find) the task's group; returns the value for `HostConfig.CgroupParent`. Raises CgroupFailed.

        Without `cpu_vcpus` the group gets the sum of the containers' shares.
        """
        raise NotImplementedError

    async def remove(self, task_id: str) -> None:
        """Remove the group once its containers are gone; missing: done. Raises Transient while it is still in use."""
        raise NotImplementedError
