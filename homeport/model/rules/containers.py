"""One container definition at a time: health check, limits, Linux parameters, environment, secrets, restart policy.

Times in seconds, sizes in MiB. Source: API reference of ContainerDefinition and of the types it holds.
"""

import re

from homeport.model.rules.logging import check_logging
from homeport.shapes import ecs as shapes

MOST_ENVIRONMENT_FILES = 10
MOST_IGNORED_EXIT_CODES = 50
SECRETS_NEED_ROLE = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
_TMPFS_OPTIONS = frozenset((
    "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync",
    "remount", "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind", "unbindable",
    "runbindable", "private", "rprivate", "shared", "rshared", "slave", "rslave", "relatime", "norelatime",
    "strictatime", "nostrictatime", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol",
))  # fmt: skip
CAPABILITIES = frozenset((
    "ALL", "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH",
    "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN",
    "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT",
    "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
))  # fmt: skip
_ENV_FILE = re.compile(r"arn:[a-z-]+:s3:::[^/]+/.+\.env\Z")


def check_container(container: shapes.ContainerDefinition, execution_role: str | None) -> None:
    """Everything about a container that needs no other container."""
    check_health_check(container)
    check_restart_policy(container)
    check_timeouts(container)
    check_ulimits(container)
    check_environment(container)
    check_secrets(container, execution_role)
    check_linux_parameters(container)
    check_resource_requirements(container)
    check_logging(container)
    for control in container.system_controls or ():
        if not control.namespace or control.value is None:
            raise _invalid(container, "systemControls")
    for host in container.extra_hosts or ():
        if not host.hostname or not host.ip_address:
            raise _invalid(container, "extraHosts")
    if len(container.credential_specs or ()) > 1:
        raise _invalid(container, "credentialSpecs")


def _invalid(container: shapes.ContainerDefinition, setting: str, why: str = "") -> shapes.ClientException:
    return shapes.ClientException(f"Invalid '{setting}' setting for container '{container.name}'.{why}")


def _within(container: shapes.ContainerDefinition, setting: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise _invalid(container, setting, f" The value must be between {least} and {most}.")


def check_health_check(container: shapes.ContainerDefinition) -> None:
    check = container.health_check
    if check is None:
        return
    if not check.command or (len(check.command) == 1 and check.command[0] in ("CMD", "CMD-SHELL", "")):
        raise _invalid(container, "healthCheck.command", " A command must be specified.")
    _within(container, "healthCheck.interval", check.interval, 5, 300)
    _within(container, "healthCheck.timeout", check.timeout, 2, 60)
    _within(container, "healthCheck.retries", check.retries, 1, 10)
    _within(container, "healthCheck.startPeriod", check.start_period, 0, 300)


def check_restart_policy(container: shapes.ContainerDefinition) -> None:
    policy = container.restart_policy
    if policy is None:
        return
    _within(container, "restartPolicy.restartAttemptPeriod", policy.restart_attempt_period, 60, 1800)
    if len(policy.ignored_exit_codes or ()) > MOST_IGNORED_EXIT_CODES:
        raise _invalid(
            container,
            "restartPolicy.ignoredExitCodes",
            f" At most {MOST_IGNORED_EXIT_CODES} exit codes can be specified.",
        )


def check_timeouts(container: shapes.ContainerDefinition) -> None:
    """On EC2 any time from two seconds (start) or zero (stop) will do; Fargate has its own limits."""
    for setting, value, least in (
        ("startTimeout", container.start_timeout, 2),
        ("stopTimeout", container.stop_timeout, 0),
    ):
        if value is not None and value < least:
            raise _invalid(container, setting, f" The value must be at least {least}.")


def check_ulimits(container: shapes.ContainerDefinition) -> None:
    """Names are the model's enumeration; here: each once, soft not over hard (-1 is unlimited)."""
    seen: set[str] = set()
    for limit in container.ulimits or ():
        if limit.name in seen:
            raise _invalid(container, "ulimits", f" The limit '{limit.name}' is set more than once.")
        seen.add(limit.name)
        if limit.soft_limit < -1 or limit.hard_limit < -1:
            raise _invalid(container, "ulimits", f" The limit '{limit.name}' cannot be negative.")
        if limit.hard_limit != -1 and (limit.soft_limit == -1 or limit.soft_limit > limit.hard_limit):
            raise _invalid(container, "ulimits", f" The soft limit of '{limit.name}' is greater than its hard limit.")


def check_environment(container: shapes.ContainerDefinition) -> None:
    for variable in container.environment or ():
        if not variable.name:
            raise _invalid(container, "environment", " The name of an environment variable cannot be empty.")
    files = container.environment_files or ()
    if len(files) > MOST_ENVIRONMENT_FILES:
        raise _invalid(container, "environmentFiles", f" At most {MOST_ENVIRONMENT_FILES} files can be specified.")
    for file in files:
        if not _ENV_FILE.match(file.value):
            raise _invalid(
                container, "environmentFiles", " The value must be the ARN of an S3 object that ends in '.env'."
            )


def check_secrets(container: shapes.ContainerDefinition, execution_role: str | None) -> None:
    """Names are given once and not both as secret and as variable; the agent reads values with the execution role."""
    log_secrets = (container.log_configuration.secret_options or ()) if container.log_configuration else ()
    variables = {variable.name for variable in container.environment or ()}
    seen: set[str] = set()
    for secret in container.secrets or ():
        if not secret.name or not secret.value_from:
            raise _invalid(container, "secrets")
        if secret.name in seen or secret.name in variables:
            raise shapes.ClientException(
                f"The secret name must be unique and not shared with any new or existing environment variables set on"
                f" the container, such as '{secret.name}'."
            )
        seen.add(secret.name)
    if (container.secrets or log_secrets) and not execution_role:
        raise shapes.ClientException(SECRETS_NEED_ROLE)
    if container.repository_credentials is not None and not execution_role:
        raise shapes.ClientException(
            "When you are specifying repository credentials, you must also specify a value for 'executionRoleArn'."
        )


def check_linux_parameters(container: shapes.ContainerDefinition) -> None:
    parameters = container.linux_parameters
    if parameters is None:
        return
    _check_memory_parameters(container, parameters)
    if parameters.capabilities is not None:
        for capability in (*(parameters.capabilities.add or ()), *(parameters.capabilities.drop or ())):
            if capability.removeprefix("CAP_") not in CAPABILITIES:
                raise _invalid(container, "linuxParameters.capabilities", f" Unknown capability '{capability}'.")
    for mount in parameters.tmpfs or ():
        _check_tmpfs(container, mount)
    for device in parameters.devices or ():
        if not device.host_path.startswith("/"):
            raise _invalid(container, "linuxParameters.devices", " 'hostPath' must be an absolute path.")


def _check_memory_parameters(container: shapes.ContainerDefinition, parameters: shapes.LinuxParameters) -> None:
    _within(container, "linuxParameters.swappiness", parameters.swappiness, 0, 100)
    if parameters.max_swap is not None and parameters.max_swap < 0:
        raise _invalid(container, "linuxParameters.maxSwap")
    # Docker's swap limit is memory plus swap, so it means nothing without the container's own memory limit.
    if parameters.max_swap is not None and container.memory is None:
        raise _invalid(container, "linuxParameters.maxSwap", " 'memory' must be specified for the container.")
    if parameters.shared_memory_size is not None and parameters.shared_memory_size < 1:
        raise _invalid(container, "linuxParameters.sharedMemorySize")


def _check_tmpfs(container: shapes.ContainerDefinition, mount: shapes.Tmpfs) -> None:
    if not mount.container_path.startswith("/") or mount.size < 1:
        raise _invalid(container, "linuxParameters.tmpfs")
    for option in mount.mount_options or ():
        if option.partition("=")[0] not in _TMPFS_OPTIONS:
            raise _invalid(container, "linuxParameters.tmpfs", f" Unknown mount option '{option}'.")


def check_resource_requirements(container: shapes.ContainerDefinition) -> None:
    seen: set[str] = set()
    for requirement in container.resource_requirements or ():
        if requirement.type in seen and requirement.type != "InferenceAccelerator":
            raise _invalid(container, "resourceRequirements", f" '{requirement.type}' is required more than once.")
        seen.add(requirement.type)
        if requirement.type == "GPU":
            _check_gpu(container, requirement)
        elif requirement.type == "NeuronDevice" and requirement.value != "ALL":
            raise _invalid(container, "resourceRequirements", " The value of 'NeuronDevice' must be ALL.")
        elif not requirement.value:
            raise _invalid(container, "resourceRequirements")


def _check_gpu(container: shapes.ContainerDefinition, requirement: shapes.ResourceRequirement) -> None:
    value = requirement.value
    if (value is None) == (requirement.sharing_strategy is None):
        raise _invalid(container, "resourceRequirements", " Specify either a value or a sharing strategy for 'GPU'.")
    is_count = value is not None and value.isascii() and value.isdigit() and len(value) <= 4 and int(value) >= 1
    if value is not None and value != "ALL" and not is_count:
        raise _invalid(container, "resourceRequirements", " The value of 'GPU' must be a positive number or ALL.")
