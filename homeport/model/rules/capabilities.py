"""What a container instance must be able to do to run a definition: `requiresAttributes`, and what placement adds.

Names are those that the Amazon ECS agent registers as attributes. Which setting asks for which was read from answers
of ECS: for instance memoryReservation wants Docker API 1.21, a start period 1.29, the log option `mode` 1.28.
"""

from collections.abc import Callable, Iterator

from homeport.model.rules.network import network_mode
from homeport.shapes import ecs as shapes

_COM = "com.amazonaws.ecs.capability."
_ECS = "ecs.capability."
_API = f"{_COM}docker-remote-api."
_PORT_RANGE = f"{_ECS}network.container-port-range"
#: Log driver -> the Docker API version that brought it.
_DRIVER_API = {
    "json-file": "1.18",
    "syslog": "1.18",
    "journald": "1.19",
    "gelf": "1.19",
    "fluentd": "1.19",
    "awslogs": "1.19",
    "awsfirelens": "1.19",
    "splunk": "1.22",
}
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


def required_attributes(definition: shapes.TaskDefinition) -> tuple[shapes.Attribute, ...]:
    """The attributes without values, each once, as DescribeTaskDefinition shows them."""
    names = dict.fromkeys(_of_task(definition))
    return tuple(shapes.Attribute(name=name) for name in names)


def placement_attributes(definition: shapes.TaskDefinition) -> tuple[shapes.Attribute, ...]:
    """What an instance must have: the required attributes, and the platform that the definition names, with its value."""
    platform = definition.runtime_platform
    wanted = list(definition.requires_attributes or ())
    if platform is not None and platform.cpu_architecture is not None:
        architecture = _ARCHITECTURES[platform.cpu_architecture]
        wanted.append(shapes.Attribute(name="ecs.cpu-architecture", value=architecture))
    if platform is not None and platform.operating_system_family is not None:
        is_linux = platform.operating_system_family == "LINUX"
        wanted.append(shapes.Attribute(name="ecs.os-type", value="linux" if is_linux else "windows"))
    return tuple(wanted)


def is_ecr_image(image: str | None) -> bool:
    """Whether an image lies in an Amazon ECR private registry."""
    registry = (image or "").partition("/")[0]
    return ".dkr.ecr." in registry and ".amazonaws.com" in registry


def secret_source(value_from: str) -> str:
    """`asm` (Secrets Manager) or `ssm` (Parameter Store), by the form of a secret's `valueFrom`."""
    return "asm" if value_from.startswith("arn:") and ":secretsmanager:" in value_from else "ssm"


def _of_task(definition: shapes.TaskDefinition) -> Iterator[str]:
    containers = definition.container_definitions or ()
    for container in containers:
        yield from _of_logging(container, definition)
        yield from _of_image(container, definition)
        yield from _of_container(container)
        yield from _of_linux(container)
    yield from _of_roles_and_modes(definition)
    for volume in definition.volumes or ():
        yield from _of_volume(volume)


def _of_logging(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> Iterator[str]:
    log, router = container.log_configuration, container.firelens_configuration
    if log is not None:
        yield f"{_COM}logging-driver.{log.log_driver}"
        yield f"{_API}{_DRIVER_API[log.log_driver]}"
        if log.log_driver == "awslogs" and definition.execution_role_arn:
            yield f"{_ECS}execution-role-awslogs"
        yield from _of_log_options(log.log_driver, log.options or {})
        for secret in log.secret_options or ():
            yield f"{_ECS}secrets.{secret_source(secret.value_from)}.bootstrap.log-driver"
    if router is not None:
        yield f"{_ECS}firelens.{router.type}"
        if "config-file-type" in (router.options or {}):
            yield f"{_ECS}firelens.options.config.{(router.options or {})['config-file-type']}"


def _of_log_options(driver: str, options: dict[str, str]) -> Iterator[str]:
    if driver == "awsfirelens":
        if "log-driver-buffer-limit" in options:
            yield f"{_ECS}logging-driver.awsfirelens.log-driver-buffer-limit"
        return
    if "mode" in options or "max-buffer-size" in options:
        yield f"{_API}1.28"
    if options.get("awslogs-create-group") == "true":
        yield f"{_API}1.29"
    if "awslogs-datetime-format" in options or "awslogs-multiline-pattern" in options:
        yield f"{_API}1.30"


def _of_image(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> Iterator[str]:
    if is_ecr_image(container.image):
        yield f"{_COM}ecr-auth"
        if definition.execution_role_arn:
            yield f"{_ECS}execution-role-ecr-pull"
    if container.repository_credentials is not None:
        yield f"{_ECS}private-registry-authentication.secretsmanager"


def _of_container(container: shapes.ContainerDefinition) -> Iterator[str]:
    yield from (name for is_wanted, name in _CONTAINER if is_wanted(container))
    check = container.health_check
    if check is not None:
        yield f"{_API}1.29" if check.start_period is not None else f"{_API}1.24"
    for option in container.docker_security_options or ():
        yield from _of_security_option(option)
    for secret in container.secrets or ():
        yield f"{_ECS}secrets.{secret_source(secret.value_from)}.environment-variables"
    for spec in container.credential_specs or ():
        yield f"{_ECS}gmsa-domainless" if spec.startswith("credentialspecdomainless:") else f"{_ECS}gmsa"


#: What a setting of a container asks for.
_CONTAINER: tuple[tuple[Callable[[shapes.ContainerDefinition], object], str], ...] = (
    (lambda one: one.memory_reservation, f"{_API}1.21"),
    (lambda one: one.docker_labels or one.ulimits, f"{_API}1.18"),
    (lambda one: one.user or one.links or one.readonly_root_filesystem or one.privileged, f"{_API}1.17"),
    (lambda one: one.privileged, f"{_COM}privileged-container"),
    (lambda one: one.depends_on, f"{_ECS}container-ordering"),
    (lambda one: one.start_timeout is not None or one.stop_timeout is not None, f"{_ECS}container-ordering"),
    (lambda one: one.health_check, f"{_ECS}container-health-check"),
    (lambda one: one.restart_policy, f"{_ECS}container-restart-policy"),
    (lambda one: one.environment_files, f"{_ECS}env-files.s3"),
    (lambda one: any(port.container_port_range for port in one.port_mappings or ()), _PORT_RANGE),
)


def _of_security_option(option: str) -> Iterator[str]:
    if option.startswith("apparmor"):
        yield f"{_COM}apparmor"
    elif option.startswith("label"):
        yield f"{_COM}selinux"
    elif option.startswith("credentialspec"):
        yield f"{_ECS}gmsa"


def _of_linux(container: shapes.ContainerDefinition) -> Iterator[str]:
    linux = container.linux_parameters
    if linux is None:
        return
    if linux.init_process_enabled:
        yield f"{_API}1.25"
    if linux.shared_memory_size is not None or linux.tmpfs:
        yield f"{_API}1.22"


def _of_roles_and_modes(definition: shapes.TaskDefinition) -> Iterator[str]:
    mode = network_mode(definition.network_mode)
    if definition.task_role_arn:
        yield f"{_COM}task-iam-role"
        if mode == "host":
            yield f"{_COM}task-iam-role-network-host"
    if mode == "awsvpc":
        yield f"{_API}1.18"
        yield f"{_ECS}task-eni"
    yield from (name for is_wanted, name in _TASK if is_wanted(definition))


#: What a setting of a task asks for.
_TASK: tuple[tuple[Callable[[shapes.TaskDefinition], object], str], ...] = (
    (lambda task: task.pid_mode or task.ipc_mode, f"{_ECS}pid-ipc-namespace-sharing"),
    (lambda task: task.ipc_mode == "none", f"{_API}1.32"),
    (lambda task: task.proxy_configuration, f"{_ECS}aws-appmesh"),
    (lambda task: task.inference_accelerators, f"{_ECS}task-eia"),
    (lambda task: task.enable_fault_injection, f"{_ECS}fault-injection"),
)


def _of_volume(volume: shapes.Volume) -> Iterator[str]:
    docker, efs = volume.docker_volume_configuration, volume.efs_volume_configuration
    if docker is not None:
        yield f"{_ECS}docker-plugin.{docker.driver or 'local'}"
        yield f"{_API}1.25"
    if efs is not None:
        yield f"{_ECS}efs"
        yield f"{_API}1.25"
        if efs.authorization_config is not None or efs.transit_encryption is not None:
            yield f"{_ECS}efsAuth"
    if volume.s3files_volume_configuration is not None:
        yield f"{_ECS}storage.s3-files"
    if volume.fsx_windows_file_server_volume_configuration is not None:
        yield f"{_ECS}fsxWindowsFileServer"
    if volume.configured_at_launch:
        yield f"{_ECS}storage.ebs-task-volume-attach"
