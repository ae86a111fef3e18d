"""On what kinds of capacity a definition can run: `compatibilities`.

A kind that the caller requires must do; the others are found out. Sources: Developer Guide, "Amazon ECS launch types",
"Amazon ECS Anywhere" and "Task definition differences for Managed Instances"; the order is the one ECS answers with.
"""

from homeport.model.rules.fargate import check_fargate
from homeport.model.rules.network import network_mode
from homeport.model.rules.volumes import kind_of
from homeport.shapes import ecs as shapes

Definition = shapes.RegisterTaskDefinitionRequest
_NOT_EXTERNAL_VOLUMES = (
    "efs_volume_configuration",
    "s3files_volume_configuration",
    "fsx_windows_file_server_volume_configuration",
    "configured_at_launch",
)


def compatibilities(wanted: Definition, cpu: int | None, memory: int | None) -> tuple[shapes.Compatibility, ...]:
    """The kinds that would take the definition; raises ClientException if a required one would not."""
    problems: dict[shapes.Compatibility, shapes.ClientException | None] = {
        "EXTERNAL": _problem(_external_problem(wanted)),
        "EC2": _problem(_ec2_problem(wanted)),
        "MANAGED_INSTANCES": _problem(_managed_problem(wanted, cpu, memory)),
        "FARGATE": _fargate_problem(wanted, cpu, memory),
    }
    for kind in wanted.requires_compatibilities or ():
        problem = problems[kind]
        if problem is not None:
            raise problem
    return tuple(kind for kind, problem in problems.items() if problem is None)


def _problem(sentence: str | None) -> shapes.ClientException | None:
    return None if sentence is None else shapes.ClientException(sentence)


def _fargate_problem(wanted: Definition, cpu: int | None, memory: int | None) -> shapes.ClientException | None:
    try:
        check_fargate(wanted, cpu, memory)
    except shapes.ClientException as error:
        return error
    if wanted.trusted_execution_configuration is not None:
        return shapes.ClientException(
            "Fargate compatible task definitions do not support trustedExecutionConfiguration"
        )
    return None


def _ec2_problem(wanted: Definition) -> str | None:
    if wanted.trusted_execution_configuration is not None:
        return "EC2 compatible task definitions do not support trustedExecutionConfiguration"
    if any(
        need.type == "NeuronDevice" for one in wanted.container_definitions for need in one.resource_requirements or ()
    ):
        return "EC2 compatible task definitions do not support resourceRequirements of type NeuronDevice"
    return None


def _external_problem(wanted: Definition) -> str | None:
    """ECS Anywhere: no ENI, so none of what needs one, and no AWS file systems."""
    if network_mode(wanted.network_mode) == "awsvpc":
        return "External launch type does not support network mode awsvpc."
    if wanted.proxy_configuration is not None:
        return "External launch type does not support proxyConfiguration."
    if wanted.inference_accelerators:
        return "External launch type does not support inferenceAccelerators."
    if any(kind_of(volume) in _NOT_EXTERNAL_VOLUMES for volume in wanted.volumes or ()):
        return "External launch type does not support volumes other than host and docker."
    needs = [need for one in wanted.container_definitions for need in one.resource_requirements or ()]
    if any(need.sharing_strategy is not None for need in needs):
        return "External launch type does not support GPU sharing."
    return _ec2_problem(wanted)


def _managed_problem(wanted: Definition, cpu: int | None, memory: int | None) -> str | None:
    """Managed Instances: awsvpc or host, sized at the task level, Linux."""
    if wanted.network_mode not in ("awsvpc", "host"):
        return "Managed instances only support the network modes awsvpc and host."
    if cpu is None or memory is None:
        return "Managed instances require that 'cpu' and 'memory' be defined at the task level."
    platform = wanted.runtime_platform
    if platform is not None and (platform.operating_system_family or "LINUX") != "LINUX":
        return "Managed instances only support the operating system family LINUX."
    if any(kind_of(volume) == "docker_volume_configuration" for volume in wanted.volumes or ()):
        return "Managed instances do not support dockerVolumeConfiguration."
    for container in wanted.container_definitions:
        log = container.log_configuration
        if log is not None and log.log_driver not in ("awslogs", "splunk", "awsfirelens", "json-file"):
            return f"Managed instances do not support log driver {log.log_driver}."
    return None
