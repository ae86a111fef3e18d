"""The part of a container definition that the agent protocol carries as Docker Engine's own JSON.

The agent lays `config` and `hostConfig` over what it builds itself, so neither may name what the agent fills in
(Image, Cmd, Entrypoint, Env, Binds, PortBindings, Memory, CpuShares). Source: agent protocol, B1, B2 and B5.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from homeport.control.payload.linux import linux_parameters
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.shapes import ecs as shapes

if TYPE_CHECKING:
    from homeport.control.payload.task import Rendering

_MIB = 1024 * 1024
_SECOND_NS = 1_000_000_000
_LOG_BUFFER = "10m"


def docker_config(
    task: Task,
    definition: shapes.TaskDefinition,
    container: shapes.ContainerDefinition,
    rendering: "Rendering",
) -> acs.DockerConfig:
    host = _host_config(definition, container)
    log = _log_config(task, container, rendering)
    if log is not None:
        host["LogConfig"] = log
    return acs.DockerConfig(config=_json(_config(container)), host_config=_json(host))


def _json(value: dict[str, Any]) -> str:
    """JSON text without what is not set: None means that Docker's default stands."""
    return msgspec.json.encode({key: item for key, item in value.items() if item is not None}).decode()


def _config(container: shapes.ContainerDefinition) -> dict[str, Any]:
    return {
        "User": container.user,
        "WorkingDir": container.working_directory,
        "Hostname": container.hostname,
        "Labels": container.docker_labels or None,
        "Tty": container.pseudo_terminal,
        "OpenStdin": container.interactive,
        "NetworkDisabled": container.disable_networking,
        "Healthcheck": None if container.health_check is None else health_check(container.health_check),
    }


def health_check(check: shapes.HealthCheck) -> dict[str, Any]:
    """Docker counts in nanoseconds; ECS's defaults are sent along, since Docker's own start period may differ."""
    return {
        "Test": list(check.command),
        "Interval": (check.interval or 30) * _SECOND_NS,
        "Timeout": (check.timeout or 5) * _SECOND_NS,
        "Retries": check.retries or 3,
        "StartPeriod": (check.start_period or 0) * _SECOND_NS,
    }


def _host_config(definition: shapes.TaskDefinition, container: shapes.ContainerDefinition) -> dict[str, Any]:
    reservation = container.memory_reservation
    return {
        # The agent derives Docker's network mode from the task's only for awsvpc.
        "NetworkMode": definition.network_mode or "bridge",
        "MemoryReservation": reservation * _MIB if reservation else None,
        "Privileged": container.privileged,
        "ReadonlyRootfs": container.readonly_root_filesystem,
        "Dns": container.dns_servers or None,
        "DnsSearch": container.dns_search_domains or None,
        "SecurityOpt": container.docker_security_options or None,
        "ExtraHosts": [f"{host.hostname}:{host.ip_address}" for host in container.extra_hosts or ()] or None,
        "Ulimits": [
            {"Name": limit.name, "Soft": limit.soft_limit, "Hard": limit.hard_limit}
            for limit in container.ulimits or ()
        ]
        or None,
        "Sysctls": {control.namespace: control.value for control in container.system_controls or ()} or None,
        **linux_parameters(container.linux_parameters, container.memory),
    }


def _log_config(task: Task, container: shapes.ContainerDefinition, rendering: "Rendering") -> dict[str, Any] | None:
    """None: the agent's default driver. The options of `awslogs` are completed so that dockerd finds Homeport."""
    logs = container.log_configuration
    if logs is None:
        return None
    options = dict(logs.options or {})
    if logs.log_driver == "awslogs":
        prefix = options.pop("awslogs-stream-prefix", None)
        if prefix is not None:
            options["awslogs-stream"] = f"{prefix}/{container.name}/{task.id}"
        options.setdefault("awslogs-region", rendering.region)
        if rendering.logs_endpoint:
            options.setdefault("awslogs-endpoint", rendering.logs_endpoint)
    options.setdefault("mode", rendering.log_mode)
    if options["mode"] == "non-blocking":
        options.setdefault("max-buffer-size", _LOG_BUFFER)
    return {"Type": logs.log_driver, "Config": options}
