"""Tasks and containers as the metadata endpoints show them. Pure.

Field names and their presence follow the Amazon ECS agent, versions 3 and 4 of the endpoint: a member that Go would
leave out when empty is left out here. Instants are RFC 3339 in UTC with as many digits as they need. Source: ECS
Developer Guide, "Task metadata endpoint version 4"; agent protocol, C1.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord

View = dict[str, Any]
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


class Surroundings(Struct, frozen=True, kw_only=True):
    """What all tasks of a host share. `cluster` is as configured (a name or an ARN)."""

    cluster: str
    availability_zone: str | None = None


def instant(at: float | None) -> str | None:
    """`2026-11-23T01:58:07.123456Z`, without trailing zeros of the fraction."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def task_view(task: TaskRecord, around: Surroundings, version: int) -> View:
    """A task for `/v3/ID/task` or `/v4/ID/task`."""
    spec, is_v4 = task.spec, version >= 4
    return _present(
        Cluster=around.cluster,
        TaskARN=task.arn,
        Family=spec.family or "",
        Revision=spec.version or "",
        ServiceName=(spec.service_name or None) if is_v4 else None,
        DesiredStatus=task.desired.name,
        KnownStatus=task.known.name,
        Limits=_present(CPU=_number(spec.cpu), Memory=spec.memory or None) or None,
        PullStartedAt=instant(task.pull_started_at),
        PullStoppedAt=instant(task.pull_stopped_at),
        ExecutionStoppedAt=instant(task.execution_stopped_at),
        AvailabilityZone=around.availability_zone,
        LaunchType=(spec.launch_type or "EC2") if is_v4 else None,
        Containers=[container_view(task, each, version) for each in task.containers if each.docker_id],
        FaultInjectionEnabled=spec.enable_fault_injection if is_v4 else None,
    )


def container_view(task: TaskRecord, container: ContainerRecord, version: int) -> View:
    """A container for `/v3/ID` or `/v4/ID`."""
    spec, is_v4 = container.spec, version >= 4
    driver, options = log_settings(container)
    stopping = task.desired is ContainerStatus.STOPPED
    return _present(
        DockerId=container.docker_id or "",
        Name=spec.name,
        DockerName=container.docker_name,
        Image=spec.image,
        ImageID=container.image_id or "",
        Ports=_ports(container, with_address=is_v4) or None,
        Labels=container.labels or None,
        DesiredStatus=ContainerStatus.STOPPED.name if stopping else ContainerStatus.RUNNING.name,
        KnownStatus=container.known.name,
        ExitCode=container.exit_code,
        Limits={"CPU": spec.cpu, "Memory": spec.memory},
        CreatedAt=instant(container.created_at),
        StartedAt=instant(container.started_at),
        FinishedAt=instant(container.finished_at),
        Type="NORMAL",
        LogDriver=driver if is_v4 else None,
        LogOptions=options if is_v4 else None,
        ContainerARN=spec.container_arn if is_v4 else None,
        Health=_health(container),
        Volumes=_volumes(container) or None,
        Networks=_networks(container) or None,
        RestartCount=container.restart_count if is_v4 and spec.restart_policy is not None else None,
    )


def introspection_view(task: TaskRecord) -> View:
    """A task for the introspection endpoint (`/v1/tasks`)."""
    return {
        "Arn": task.arn,
        "DesiredStatus": task.desired.name,
        "KnownStatus": task.known.name,
        "Family": task.spec.family or "",
        "Version": task.spec.version or "",
        "Containers": [_introspected(each) for each in task.containers if each.docker_id],
    }


def _introspected(container: ContainerRecord) -> View:
    return _present(
        DockerId=container.docker_id,
        DockerName=container.docker_name,
        Name=container.name,
        Image=container.spec.image,
        ImageID=container.image_id or "",
        CreatedAt=instant(container.created_at),
        StartedAt=instant(container.started_at),
        Ports=_ports(container, with_address=True) or None,
        Networks=_networks(container) or None,
        Volumes=_volumes(container) or None,
        RestartCount=container.restart_count if container.spec.restart_policy is not None else None,
    )


def log_settings(container: ContainerRecord) -> tuple[str | None, dict[str, str] | None]:
    """Log driver and options as the task definition has them.

    What the engine was given is not shown: it names the host's log intake and the id of its credentials.
    """
    try:
        host = msgspec.json.decode(container.spec.docker_config.host_config, type=dict[str, Any])
    except msgspec.DecodeError:
        return None, None
    config = host.get("LogConfig")
    if not isinstance(config, dict) or not config.get("Type"):
        return None, None
    options = {name: value for name, value in (config.get("Config") or {}).items() if name != "awslogs-endpoint"}
    return config["Type"], options or None


def _present(**members: Any) -> View:
    return {name: value for name, value in members.items() if value is not None}


def _number(value: float | None) -> float | int | None:
    """Whole numbers without a fraction, as Go writes them; nothing for nothing."""
    if not value:
        return None
    return int(value) if value == int(value) else value


def _ports(container: ContainerRecord, *, with_address: bool) -> list[View]:
    return [
        _present(
            ContainerPort=port.container_port,
            Protocol=port.protocol,
            HostPort=port.host_port or None,
            HostIp=(port.host_ip or None) if with_address else None,
        )
        for port in container.ports
    ]


def _networks(container: ContainerRecord) -> list[View]:
    """A container without an address of its own (host mode, stopped) lists an empty one, as Docker does."""
    if not container.network_mode:
        return []
    if container.network_mode == "none":
        return [{"NetworkMode": "none"}]
    return [{"NetworkMode": container.network_mode, "IPv4Addresses": list(container.ip_addresses) or [""]}]


def _volumes(container: ContainerRecord) -> list[View]:
    return [
        _present(DockerName=name or None, Source=source or None, Destination=destination)
        for name, source, destination in container.volumes
    ]


def _health(container: ContainerRecord) -> View | None:
    """Present with a health check of the task definition (one of the image is not ECS's affair); empty while the first
    verdict is awaited.
    """
    if container.spec.health_check_type != "docker":
        return None
    status = _HEALTH.get(container.health)
    if status is None:
        return {}
    return _present(
        status=status,
        statusSince=instant(container.health_since),
        exitCode=(container.health_exit_code or None) if status == "UNHEALTHY" else None,
        output=container.health_output or None,
    )
