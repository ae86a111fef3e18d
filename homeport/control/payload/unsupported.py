"""What cannot be expressed on the agent link yet.

A task that asks for any of it must not be started without it. The API refuses such tasks; this is the second line of
defence, for tasks that come another way: they end as STOPPED with this sentence as their reason.
"""

from homeport.shapes import ecs as shapes


def unsupported(definition: shapes.TaskDefinition) -> str | None:
    """A sentence naming the first thing that cannot be sent to an agent, or None if all can."""
    for container in definition.container_definitions or ():
        field = _unsupported_field(container)
        if field:
            return f"{field} of container {container.name} is not supported."
    for volume in definition.volumes or ():
        field = _unsupported_volume(volume)
        if field:
            return f"{field} of volume {volume.name} is not supported."
    return _unsupported_task_field(definition)


def _unsupported_task_field(definition: shapes.TaskDefinition) -> str | None:
    if definition.network_mode == "awsvpc":
        return "Network mode awsvpc is not supported."
    if definition.proxy_configuration is not None:
        return "proxyConfiguration is not supported."
    if definition.inference_accelerators:
        return "inferenceAccelerators are not supported."
    return None


def _unsupported_field(container: shapes.ContainerDefinition) -> str | None:
    if container.environment_files:
        return "environmentFiles"
    if container.firelens_configuration is not None:
        return "firelensConfiguration"
    if container.log_configuration is not None and container.log_configuration.log_driver == "awsfirelens":
        return "logConfiguration with logDriver awsfirelens"
    if container.credential_specs:
        return "credentialSpecs"
    kinds = {requirement.type for requirement in container.resource_requirements or ()} - {"GPU"}
    return f"resourceRequirements of type {min(kinds)}" if kinds else None


def _unsupported_volume(volume: shapes.Volume) -> str | None:
    if volume.efs_volume_configuration is not None:
        return "efsVolumeConfiguration"
    if volume.s3files_volume_configuration is not None:
        return "s3filesVolumeConfiguration"
    if volume.fsx_windows_file_server_volume_configuration is not None:
        return "fsxWindowsFileServerVolumeConfiguration"
    return "configuredAtLaunch" if volume.configured_at_launch else None
