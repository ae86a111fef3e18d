"""Volumes of a task definition as the agent protocol has them. Source: agent protocol, B6."""

from homeport.shapes import acs
from homeport.shapes import ecs as shapes


def render_volume(volume: shapes.Volume) -> acs.Volume:
    """A Docker volume, a path of the host, or (with neither) an empty volume that lives as long as the task."""
    docker = volume.docker_volume_configuration
    if docker is not None:
        return acs.Volume(
            name=volume.name or "",
            type="docker",
            docker_volume_configuration=acs.DockerVolume(
                scope=docker.scope or "task",
                autoprovision=bool(docker.autoprovision),
                driver=docker.driver or "local",
                driver_opts=docker.driver_opts or {},
                labels=docker.labels or {},
            ),
        )
    source_path = volume.host.source_path if volume.host else None
    # The object must be there even when it is empty, or the agent refuses the task.
    return acs.Volume(name=volume.name or "", host=acs.HostVolume(source_path=source_path or None))
