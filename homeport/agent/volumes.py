"""The volumes of a task, as Docker knows them. Pure; the rules follow the Amazon ECS agent.

A host volume with a source path is a bind mount. One without is a Docker volume that lives as long as its task, as is a
Docker volume of scope `task`. A shared Docker volume goes by its plain name, is made when `autoprovision` says so and
missing, and is never removed.
"""

import hashlib
import re
from typing import NamedTuple

from homeport.shapes import acs

_LONGEST_STEM = 230  # Docker keeps volumes in directories of their name: 255 bytes at most.
_FORBIDDEN = re.compile(r"[^A-Za-z0-9-]")


class DockerVolumePlan(NamedTuple):
    """`is_task_scoped`: removed with the task. `is_made`: create it if missing, else it must exist."""

    docker_name: str
    driver: str
    options: dict[str, str]
    labels: dict[str, str]
    is_task_scoped: bool
    is_made: bool


def docker_name(task: acs.Task, name: str) -> str:
    """`ecs-<family>-<revision>-<name>-<20 hex>`: a function of the task and the name, so that repeating is harmless."""
    digest = hashlib.sha256(f"{task.arn}\0{name}".encode()).hexdigest()[:20]
    stem = f"ecs-{task.family or 'task'}-{task.version or '0'}-{_FORBIDDEN.sub('', name)}"
    return f"{stem[:_LONGEST_STEM]}-{digest}"


def find_volume(task: acs.Task, name: str) -> acs.Volume | None:
    return next((volume for volume in task.volumes or () if volume.name == name), None)


def plan_volume(task: acs.Task, volume: acs.Volume) -> DockerVolumePlan | None:
    """The Docker volume behind a volume of the task; None for a bind mount of a host path."""
    if volume.type == "host" and volume.host is not None and volume.host.source_path:
        return None
    config = volume.docker_volume_configuration
    if config is None:
        return DockerVolumePlan(docker_name(task, volume.name), "local", {}, {}, is_task_scoped=True, is_made=True)
    is_shared = config.scope == "shared"
    return DockerVolumePlan(
        volume.name if is_shared else docker_name(task, volume.name),
        config.driver or "local",
        dict(config.driver_opts),
        dict(config.labels),
        is_task_scoped=not is_shared,
        is_made=config.autoprovision or not is_shared,
    )


def volumes_to_provision(task: acs.Task) -> tuple[str, ...]:
    """Names of the task's volumes that are Docker volumes and that some container mounts."""
    mounted = {mount.source_volume for container in task.containers or () for mount in container.mount_points}
    return tuple(
        volume.name for volume in task.volumes or () if volume.name in mounted and plan_volume(task, volume) is not None
    )


def bind(task: acs.Task, mount: acs.MountPoint) -> str:
    """Docker's `source:destination[:ro]` of a mount point. Raises KeyError for a volume the task does not define."""
    volume = find_volume(task, mount.source_volume)
    if volume is None:
        raise KeyError(mount.source_volume)
    plan = plan_volume(task, volume)
    if plan is not None:
        source = plan.docker_name
    else:
        assert volume.host is not None
        source = volume.host.source_path or ""
    return f"{source}:{mount.container_path}" + (":ro" if mount.read_only else "")
