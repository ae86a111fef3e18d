"""A container definition as the agent protocol has it: its own fields where it has them, Docker's elsewhere.

Source: agent protocol, B2 to B5.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from homeport.base.arn import parse_arn
from homeport.control.payload.docker import docker_config
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.shapes import ecs as shapes

if TYPE_CHECKING:
    from homeport.control.payload.task import Rendering

_EXECUTION_ENVIRONMENT = "AWS_ECS_EC2"


def render_container(
    task: Task,
    definition: shapes.TaskDefinition,
    container: shapes.ContainerDefinition,
    rendering: "Rendering",
) -> acs.Container:
    """One container, ready to run."""
    name = container.name or ""
    policy = container.restart_policy
    return acs.Container(
        name=name,
        image=_image(task, container),
        essential=container.essential is not False,
        cpu=container.cpu or 0,
        memory=container.memory or 0,
        command=container.command,
        entry_point=container.entry_point,
        environment=_environment(container),
        port_mappings=tuple(
            render_port_mapping(mapping, definition.network_mode) for mapping in container.port_mappings or ()
        ),
        links=container.links or (),
        mount_points=tuple(_mount_point(mount) for mount in container.mount_points or ()),
        volumes_from=tuple(
            acs.VolumeFrom(source_container=source.source_container or "", read_only=bool(source.read_only))
            for source in container.volumes_from or ()
        ),
        depends_on=tuple(
            acs.ContainerDependency(container_name=dependency.container_name, condition=dependency.condition)
            for dependency in container.depends_on or ()
        ),
        start_timeout=container.start_timeout,
        stop_timeout=container.stop_timeout,
        health_check_type="docker" if container.health_check else None,
        restart_policy=None if policy is None else _restart_policy(policy),
        registry_authentication=_registry_authentication(container, rendering.region),
        logs_auth_strategy=_logs_auth_strategy(container, rendering),
        secrets=tuple(_secrets(container, rendering.region)),
        container_arn=task.container_arn(name),
        docker_config=docker_config(task, definition, container, rendering),
    )


def _image(task: Task, container: shapes.ContainerDefinition) -> str:
    """The task's own: its service may have fixed a tag to the digest that it stood for when the deployment began."""
    own = next((each.image for each in task.containers if each.name == container.name), "")
    return own or container.image or ""


def _environment(container: shapes.ContainerDefinition) -> dict[str, str]:
    """Of several values for one name the last wins, and any wins over the name of the execution environment."""
    own = {pair.name or "": pair.value or "" for pair in container.environment or ()}
    return {"AWS_EXECUTION_ENV": _EXECUTION_ENVIRONMENT} | own


def render_port_mapping(mapping: shapes.PortMapping, network_mode: str | None) -> acs.PortMapping:
    """Port 0 asks for a dynamic one; in host mode the container's port is the host's. A range has no single ports."""
    protocol = mapping.protocol or "tcp"
    if mapping.container_port_range:
        return acs.PortMapping(container_port_range=mapping.container_port_range, protocol=protocol)
    host_port = mapping.container_port if network_mode == "host" else mapping.host_port or 0
    return acs.PortMapping(container_port=mapping.container_port, host_port=host_port, protocol=protocol)


def _mount_point(mount: shapes.MountPoint) -> acs.MountPoint:
    return acs.MountPoint(
        source_volume=mount.source_volume or "",
        container_path=mount.container_path or "",
        read_only=bool(mount.read_only),
    )


def _restart_policy(policy: shapes.ContainerRestartPolicy) -> acs.RestartPolicy:
    return acs.RestartPolicy(
        enabled=policy.enabled,
        ignored_exit_codes=policy.ignored_exit_codes or (),
        restart_attempt_period=policy.restart_attempt_period or (300 if policy.enabled else None),
    )


def _logs_auth_strategy(container: shapes.ContainerDefinition, rendering: "Rendering") -> str | None:
    """Container logs are written with the task's execution role, where there is one (and the driver can)."""
    logs = container.log_configuration
    uses_role = logs is not None and logs.log_driver == "awslogs" and rendering.execution_role_credentials is not None
    return "ExecutionRole" if uses_role else None


def _registry_authentication(container: shapes.ContainerDefinition, region: str) -> dict[str, Any] | None:
    if container.repository_credentials is None:
        return None
    secret = container.repository_credentials.credentials_parameter
    return {"type": "asm", "asmAuthData": {"credentialsParameter": secret, "region": _region_of(secret, region)}}


def _secrets(container: shapes.ContainerDefinition, region: str) -> Iterable[dict[str, Any]]:
    """The agent reads the values itself, with the execution role."""
    for secret in container.secrets or ():
        yield _secret(secret, region, type="ENVIRONMENT_VARIABLE", target="CONTAINER")
    logs = container.log_configuration
    for secret in (logs.secret_options or ()) if logs else ():
        yield _secret(secret, region, type="BOOTSTRAP", target="LOG_DRIVER")


def _secret(secret: shapes.Secret, region: str, **use: str) -> dict[str, Any]:
    arn = parse_arn(secret.value_from)
    provider = "asm" if arn and arn.service == "secretsmanager" else "ssm"
    return {
        "name": secret.name,
        "valueFrom": secret.value_from,
        "region": _region_of(secret.value_from, region),
        "provider": provider,
        **use,
    }


def _region_of(text: str, default: str) -> str:
    arn = parse_arn(text)
    return arn.region if arn and arn.region else default
