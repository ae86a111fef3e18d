"""What may be registered but cannot be run by this version.

ECS lets such definitions be registered, and so do we: they come back exactly as given. Running one is refused in full
rather than in part, because a task that silently lacks its secrets or its network is worse than none.
"""

from collections.abc import Callable, Iterator

from homeport.model.rules.network import network_mode
from homeport.model.rules.volumes import kind_of
from homeport.shapes import ecs as shapes

_VOLUMES = {
    "efs_volume_configuration": "EFS volumes",
    "s3files_volume_configuration": "S3 Files volumes",
    "fsx_windows_file_server_volume_configuration": "FSx for Windows File Server volumes",
    "configured_at_launch": "volumes configured at launch",
}


def unsupported(definition: shapes.TaskDefinition) -> str | None:
    """The first thing in the definition that this version cannot do, named for the caller; None if it can do all."""
    return next(_unsupported(definition), None)


def _unsupported(definition: shapes.TaskDefinition) -> Iterator[str]:
    yield from (name for is_wanted, name in _TASK if is_wanted(definition))
    platform = definition.runtime_platform
    if platform is not None and (platform.operating_system_family or "LINUX") != "LINUX":
        yield f"the operating system family {platform.operating_system_family}"
    for volume in definition.volumes or ():
        if kind_of(volume) in _VOLUMES:
            yield _VOLUMES[kind_of(volume)]
    for container in definition.container_definitions or ():
        yield from _of_container(container)


_TASK: tuple[tuple[Callable[[shapes.TaskDefinition], object], str], ...] = (
    (lambda task: network_mode(task.network_mode) == "awsvpc", "the network mode awsvpc"),
    (lambda task: task.pid_mode == "task", "the pidMode task"),
    (lambda task: task.ipc_mode == "task", "the ipcMode task"),
    (lambda task: task.proxy_configuration, "a proxy configuration"),
    (lambda task: task.inference_accelerators, "inference accelerators"),
    (lambda task: task.enable_fault_injection, "fault injection"),
    (lambda task: task.trusted_execution_configuration, "trusted execution"),
)


def _of_container(container: shapes.ContainerDefinition) -> Iterator[str]:
    log = container.log_configuration
    if container.secrets or (log is not None and log.secret_options):
        yield "secrets"
    if container.environment_files:
        yield "environment files"
    if container.repository_credentials is not None:
        yield "repository credentials"
    if container.firelens_configuration is not None or (log is not None and log.log_driver == "awsfirelens"):
        yield "FireLens"
    if container.credential_specs:
        yield "credential specifications"
    for requirement in container.resource_requirements or ():
        if requirement.type != "GPU" or requirement.sharing_strategy is not None or requirement.value == "ALL":
            yield f"the resource requirement {requirement.type} {requirement.sharing_strategy or requirement.value or ''}"
