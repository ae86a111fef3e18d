"""A container of the payload as the body of Docker's container-create call. Pure.

As the Amazon ECS agent does it: first what the payload's own fields say, then the `dockerConfig` texts laid over it
(scalars and lists replace, objects merge), then what only the agent knows: the task's control group, labels, the
addresses of its endpoints.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from homeport.agent.record import ContainerRecord, TaskRecord
from homeport.agent.volumes import bind
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs

LABEL_PREFIX = "com.amazonaws.ecs."
TASK_ARN_LABEL = f"{LABEL_PREFIX}task-arn"
CONTAINER_NAME_LABEL = f"{LABEL_PREFIX}container-name"
CLUSTER_LABEL = f"{LABEL_PREFIX}cluster"
AGENT_LABEL = "homeport.agent"
WELL_KNOWN_ENDPOINT = "http://169.254.170.2"
LEAST_CPU_SHARES, MOST_CPU_SHARES = 2, 262_144
LEAST_MEMORY_MIB = 4
_MIB = 1024 * 1024


class Surroundings(Struct, frozen=True, kw_only=True):
    """What the host adds. `endpoint` is the base URL of the task endpoints; None: none are offered.

    `agent_id` marks the containers of one agent among those of others on the same engine.
    """

    agent_id: str
    cluster: str
    region: str
    endpoint: str | None = WELL_KNOWN_ENDPOINT


def container_body(
    task: TaskRecord, container: ContainerRecord, ports: tuple[PortBinding, ...], around: Surroundings
) -> dict[str, Any]:
    """The create body. Raises ValueError (with a reason fit for the control plane) for what cannot be expressed."""
    spec = container.spec
    config: dict[str, Any] = {"Image": spec.image, "Env": environment(task, container, around)}
    if spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.entry_point is not None:
        config["Entrypoint"] = list(spec.entry_point)
    if ports:
        config["ExposedPorts"] = {f"{binding.container_port}/{binding.protocol}": {} for binding in ports}
    config = overlaid(config, _decoded("DockerClientConfigError", spec.docker_config.config))
    host = overlaid(_host_config(task, container, ports), _decoded("HostConfigError", spec.docker_config.host_config))
    _apply_task_level(task, host)
    if spec.health_check_type == "docker" and "Healthcheck" not in config:
        raise ValueError(
            "DockerClientConfigError: docker container health check requires a Healthcheck in dockerConfig"
        )
    config["Labels"] = {**config.get("Labels", {}), **labels(task, container, around)}
    config["HostConfig"] = host
    if host.get("NetworkMode") in {"host", "none"} or str(host.get("NetworkMode", "")).startswith("container:"):
        host.pop("PortBindings", None)
        config.pop("ExposedPorts", None)
    return config


def environment(task: TaskRecord, container: ContainerRecord, around: Surroundings) -> list[str]:
    """`NAME=VALUE` lines: what the task definition says, then what ECS injects; the definition wins for the region."""
    values = dict(container.spec.environment)
    if around.endpoint is not None:
        values["ECS_CONTAINER_METADATA_URI"] = f"{around.endpoint}/v3/{container.endpoint_id}"
        values["ECS_CONTAINER_METADATA_URI_V4"] = f"{around.endpoint}/v4/{container.endpoint_id}"
        values["ECS_AGENT_URI"] = f"{around.endpoint}/api/{container.endpoint_id}"
        if task.credentials_id is not None:
            values |= _credentials_address(around.endpoint, f"/v2/credentials/{task.credentials_id}")
    if "AWS_REGION" not in values and "AWS_DEFAULT_REGION" not in values:
        values["AWS_REGION"] = values["AWS_DEFAULT_REGION"] = around.region
    return [f"{name}={value}" for name, value in values.items()]


def _credentials_address(endpoint: str, path: str) -> dict[str, str]:
    """SDKs take a relative address to be on port 80 of 169.254.170.2; an agent on another port needs the full one."""
    if endpoint == WELL_KNOWN_ENDPOINT:
        return {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": path}
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint}{path}"}


def labels(task: TaskRecord, container: ContainerRecord, around: Surroundings) -> dict[str, str]:
    return {
        TASK_ARN_LABEL: task.arn,
        CONTAINER_NAME_LABEL: container.name,
        f"{LABEL_PREFIX}task-definition-family": task.spec.family or "",
        f"{LABEL_PREFIX}task-definition-version": task.spec.version or "",
        CLUSTER_LABEL: around.cluster,
        AGENT_LABEL: around.agent_id,
    }


def _host_config(task: TaskRecord, container: ContainerRecord, ports: tuple[PortBinding, ...]) -> dict[str, Any]:
    spec = container.spec
    host: dict[str, Any] = {"CpuShares": min(max(spec.cpu, LEAST_CPU_SHARES), MOST_CPU_SHARES)}
    if spec.memory:
        host["Memory"] = max(spec.memory, LEAST_MEMORY_MIB) * _MIB
    if ports:
        host["PortBindings"] = _port_bindings(ports)
    if spec.links:
        host["Links"] = [_link(task, link) for link in spec.links]
    if spec.mount_points:
        host["Binds"] = [_bind(task, mount) for mount in spec.mount_points]
    if spec.volumes_from:
        host["VolumesFrom"] = [
            _sibling(task, each.source_container) + (":ro" if each.read_only else "") for each in spec.volumes_from
        ]
    gpus = [each.name for each in task.spec.associations or () if each.type == "gpu" and spec.name in each.containers]
    if gpus:
        host["DeviceRequests"] = [{"DeviceIDs": gpus, "Capabilities": [["gpu"]]}]
    return host


def _apply_task_level(task: TaskRecord, host: dict[str, Any]) -> None:
    """The control group, and the namespaces of the task definition."""
    if task.cgroup_parent:
        host["CgroupParent"] = task.cgroup_parent
    if task.spec.network_mode in {"bridge", "host", "none"}:
        host.setdefault("NetworkMode", task.spec.network_mode)
    if task.spec.pid_mode == "host":
        host["PidMode"] = "host"
    if task.spec.ipc_mode == "host":
        host["IpcMode"] = "host"
    elif task.spec.ipc_mode == "none":
        host["IpcMode"] = "none"


def _port_bindings(ports: tuple[PortBinding, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host_ip = "" if port.host_ip in {"0.0.0.0", "::"} else port.host_ip  # noqa: S104 - Docker's word for "all"
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(
            {"HostIp": host_ip, "HostPort": str(port.host_port)}
        )
    return bindings


def _link(task: TaskRecord, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{_sibling(task, name)}:{alias or name}"


def _bind(task: TaskRecord, mount: acs.MountPoint) -> str:
    try:
        return bind(task.spec, mount)
    except KeyError:
        raise ValueError(f"HostConfigError: volume {mount.source_volume} is not defined in the task") from None


def _sibling(task: TaskRecord, name: str) -> str:
    sibling = task.container(name)
    if sibling is None:
        raise ValueError(f"HostConfigError: container {name} is not defined in the task")
    return sibling.docker_name


def _decoded(error: str, text: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError as failure:
        raise ValueError(f"{error}: unable to decode dockerConfig: {failure}") from failure


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: objects merge, everything else replaces; a null leaves what was there."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = overlaid(merged[key], value)
        elif value is not None:
            merged[key] = value
    return merged
