"""What Fargate refuses. A definition that requires FARGATE must pass; one that does not is merely not compatible.

Source: Developer Guide, "Amazon ECS task definition differences for Fargate".
"""

from collections.abc import Callable

from homeport.model.rules.logging import FARGATE_DRIVERS
from homeport.model.rules.sizes import check_fargate_size
from homeport.model.rules.volumes import kind_of
from homeport.shapes import ecs as shapes

Definition = shapes.RegisterTaskDefinitionRequest

#: Settings of a container that Fargate has not, by the name a caller knows.
_NOT_SUPPORTED: tuple[tuple[str, Callable[[shapes.ContainerDefinition], object]], ...] = (
    ("disableNetworking", lambda container: container.disable_networking),
    ("dnsSearchDomains", lambda container: container.dns_search_domains),
    ("dnsServers", lambda container: container.dns_servers),
    ("dockerSecurityOptions", lambda container: container.docker_security_options),
    ("extraHosts", lambda container: container.extra_hosts),
    ("links", lambda container: container.links),
    ("privileged", lambda container: container.privileged),
    ("resourceRequirements", lambda container: container.resource_requirements),
)
_NO_LINUX: tuple[tuple[str, Callable[[shapes.LinuxParameters], object]], ...] = (
    ("devices", lambda linux: linux.devices),
    ("sharedMemorySize", lambda linux: linux.shared_memory_size is not None),
    ("tmpfs", lambda linux: linux.tmpfs),
    ("maxSwap", lambda linux: linux.max_swap is not None),
    ("swappiness", lambda linux: linux.swappiness is not None),
)


def check_fargate(wanted: Definition, cpu: int | None, memory: int | None) -> None:
    """Raises the ClientException that ECS gives for the first thing Fargate cannot do. CPU units and MiB."""
    if wanted.network_mode != "awsvpc":
        raise shapes.ClientException("Fargate only supports network mode ‘awsvpc’.")
    check_fargate_size(cpu, memory)
    _check_task(wanted)
    for volume in wanted.volumes or ():
        _check_volume(volume)
    for container in wanted.container_definitions:
        _check_container(container)
    _check_execution_role(wanted)


def _check_task(wanted: Definition) -> None:
    if wanted.ipc_mode is not None:
        raise shapes.ClientException("Tasks using the Fargate launch type do not support ipcMode.")
    if wanted.pid_mode == "host":
        raise shapes.ClientException("Tasks using the Fargate launch type do not support pidMode host.")
    if wanted.placement_constraints:
        raise _unsupported("placementConstraints")
    if wanted.inference_accelerators:
        raise _unsupported("inferenceAccelerators")
    storage = wanted.ephemeral_storage
    if storage is not None and not 21 <= storage.size_in_gi_b <= 200:
        raise shapes.ClientException(
            "Invalid 'ephemeralStorage' setting for task. The size must be between 21 and 200 GiB."
        )


def _unsupported(setting: str) -> shapes.ClientException:
    return shapes.ClientException(f"Fargate compatible task definitions do not support {setting}")


def _check_volume(volume: shapes.Volume) -> None:
    if volume.host is not None and volume.host.source_path:
        raise _unsupported("sourcePath")
    kind = kind_of(volume)
    if kind == "docker_volume_configuration":
        raise _unsupported("dockerVolumeConfiguration")
    if kind == "fsx_windows_file_server_volume_configuration":
        raise _unsupported("fsxWindowsFileServerVolumeConfiguration")


def _check_container(container: shapes.ContainerDefinition) -> None:
    for setting, value_of in _NOT_SUPPORTED:
        if value_of(container):
            raise _unsupported(setting)
    for setting, value in (("startTimeout", container.start_timeout), ("stopTimeout", container.stop_timeout)):
        if value is not None and not 2 <= value <= 120:
            raise shapes.ClientException(
                f"Invalid '{setting}' setting for container '{container.name}'. The value must be between 2 and 120."
            )
    log = container.log_configuration
    if log is not None and log.log_driver not in FARGATE_DRIVERS:
        raise shapes.ClientException(f"Fargate compatible task definitions do not support log driver {log.log_driver}")
    if log is not None and log.log_driver == "awslogs" and "awslogs-stream-prefix" not in (log.options or {}):
        raise shapes.ClientException("Log driver awslogs requires options: awslogs-stream-prefix.")
    if container.linux_parameters is not None:
        _check_linux(container.linux_parameters)


def _check_linux(linux: shapes.LinuxParameters) -> None:
    for setting, value_of in _NO_LINUX:
        if value_of(linux):
            raise _unsupported(setting)
    added = (linux.capabilities.add or ()) if linux.capabilities else ()
    if any(capability != "SYS_PTRACE" for capability in added):
        raise shapes.ClientException(
            "Fargate compatible task definitions only support adding the capability SYS_PTRACE"
        )


def _check_execution_role(wanted: Definition) -> None:
    if wanted.execution_role_arn:
        return
    for container in wanted.container_definitions:
        log = container.log_configuration
        if log is not None and log.log_driver == "awslogs":
            raise shapes.ClientException(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )
        if ".dkr.ecr." in (container.image or ""):
            raise shapes.ClientException(
                "Fargate requires task definition to have execution role ARN to support ECR images."
            )
