"""Volumes of a task and where its containers mount them.

Source: API reference of Volume, DockerVolumeConfiguration, EFSVolumeConfiguration and MountPoint.
"""

from msgspec.structs import replace

from homeport.model.rules.names import check_volume_name
from homeport.shapes import ecs as shapes

#: Member of Volume -> its wire name; a volume has one of them.
KINDS: dict[str, str] = {
    "host": "host",
    "docker_volume_configuration": "dockerVolumeConfiguration",
    "efs_volume_configuration": "efsVolumeConfiguration",
    "s3files_volume_configuration": "s3filesVolumeConfiguration",
    "fsx_windows_file_server_volume_configuration": "fsxWindowsFileServerVolumeConfiguration",
    "configured_at_launch": "configuredAtLaunch",
}


def kind_of(volume: shapes.Volume) -> str:
    """The member of Volume that says what it is; `host` where none does.

    `configuredAtLaunch` false says nothing, nor does an empty `host` beside another kind.
    """
    named = [kind for kind in KINDS if getattr(volume, kind) not in (None, False)]
    return named[-1] if named else "host"


def check_volumes(wanted: shapes.RegisterTaskDefinitionRequest) -> None:
    """Names unique, one kind each, and nothing mounted that is not there or over something else."""
    names: set[str] = set()
    volumes = wanted.volumes or ()
    for volume in volumes:
        name = check_volume_name(volume.name)
        if name in names:
            raise shapes.ClientException(f"Duplicate volume name '{name}'.")
        names.add(name)
        _check_kind(volume)
    if sum(1 for volume in volumes if volume.configured_at_launch) > 1:
        raise shapes.ClientException("Only one volume can be configured at launch.")
    if any(volume.s3files_volume_configuration for volume in volumes) and not wanted.task_role_arn:
        raise shapes.ClientException("A task role is required for S3 Files volumes.")
    for container in wanted.container_definitions:
        _check_mounts(container, names)


def _check_kind(volume: shapes.Volume) -> None:
    given = [wire for kind, wire in KINDS.items() if getattr(volume, kind) not in (None, False)]
    # An empty host beside another kind says nothing: SDKs send it, and ECS gives it back so.
    if len(given) > 1 and volume.host == shapes.HostVolumeProperties():
        given.remove("host")
    if len(given) > 1:
        raise shapes.ClientException(f"Volume '{volume.name}' can have only one of {' and '.join(given)}.")
    docker = volume.docker_volume_configuration
    if docker is not None and docker.autoprovision is not None and docker.scope != "shared":
        raise shapes.ClientException(
            f"Invalid 'autoprovision' setting for volume '{volume.name}'. It can only be used with the scope shared."
        )
    if volume.efs_volume_configuration is not None:
        _check_efs(volume.name or "", volume.efs_volume_configuration)


def _check_efs(name: str, efs: shapes.EFSVolumeConfiguration) -> None:
    authorization = efs.authorization_config
    if not efs.file_system_id:
        raise shapes.ClientException(f"Invalid 'fileSystemId' setting for volume '{name}'.")
    if authorization is not None:
        encrypted = efs.transit_encryption == "ENABLED"
        if (authorization.iam == "ENABLED" or authorization.access_point_id) and not encrypted:
            raise shapes.ClientException(
                f"Transit encryption must be enabled for volume '{name}' to use an access point or IAM authorization."
            )
        if authorization.access_point_id and efs.root_directory not in (None, "", "/"):
            raise shapes.ClientException(
                f"The root directory of volume '{name}' must be omitted or set to / when an access point is used."
            )
    if efs.transit_encryption_port is not None and not 0 <= efs.transit_encryption_port <= 65_535:
        raise shapes.ClientException(f"Invalid 'transitEncryptionPort' setting for volume '{name}'.")


def _check_mounts(container: shapes.ContainerDefinition, volumes: set[str]) -> None:
    paths: set[str] = set()
    for mount in container.mount_points or ():
        if mount.source_volume is None or mount.source_volume not in volumes:
            raise shapes.ClientException(f"Unknown volume '{mount.source_volume or 'null'}'.")
        if not mount.container_path:
            raise shapes.ClientException(f"Invalid 'containerPath' setting for container '{container.name}'.")
        if mount.container_path in paths:
            raise shapes.ClientException(
                f"Duplicate mount point '{mount.container_path}' for container '{container.name}'."
            )
        paths.add(mount.container_path)


def filled_volumes(volumes: tuple[shapes.Volume, ...] | None) -> tuple[shapes.Volume, ...]:
    """The volumes as ECS gives them back: one without any configuration is a host volume."""
    return tuple(
        replace(volume, host=shapes.HostVolumeProperties())
        if all(getattr(volume, kind) is None for kind in KINDS)
        else volume
        for volume in volumes or ()
    )
