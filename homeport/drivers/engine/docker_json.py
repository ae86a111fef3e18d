"""Docker's JSON read into this package's value types: pure functions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from homeport.base.errors import NotFound, Permanent
from homeport.drivers.engine import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    ImageState,
    PortBinding,
    PullDenied,
    RegistryUnreachable,
)

_DENIED = ("unauthorized", "no basic auth credentials", "authentication required", "denied", "forbidden")
_MISSING = ("manifest unknown", "not found", "name unknown", "no matching manifest")
_UNREACHABLE = (
    "no such host",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "tls handshake timeout",
    "client.timeout",
    "network is unreachable",
    "no route to host",
    "server misbehaving",
    "temporary failure in name resolution",
    "deadline exceeded",
    "unexpected eof",
    "toomanyrequests",
)


def registry_failure(text: str) -> Exception:
    """What a registry's error, as Docker words it, means for the caller."""
    small = text.lower()
    if any(sign in small for sign in _UNREACHABLE):
        return RegistryUnreachable(text)
    if any(sign in small for sign in _DENIED):
        return PullDenied(text)
    if any(sign in small for sign in _MISSING):
        return NotFound(text)
    return Permanent(text)


def instant(text: str | None) -> float | None:
    """Epoch seconds of an RFC 3339 time; Docker writes year 1 for what has not happened."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).timestamp()


def container_state(raw: Mapping[str, Any]) -> ContainerState:
    """The answer of `GET /containers/ID/json`."""
    state, config, host, network = raw["State"], raw["Config"], raw["HostConfig"], raw.get("NetworkSettings") or {}
    health = state.get("Health") or {}
    probes = health.get("Log") or []
    return ContainerState(
        id=raw["Id"],
        name=raw["Name"].removeprefix("/"),
        image=config["Image"],
        image_id=raw["Image"],
        status=state["Status"],
        labels=config.get("Labels") or {},
        created_at=instant(raw["Created"]) or 0.0,
        # A start that failed leaves "created" with the runtime's code, such as 127.
        exit_code=state["ExitCode"] if state["Status"] in ("exited", "dead") or state["ExitCode"] else None,
        oom_killed=state.get("OOMKilled", False),
        error=state.get("Error", ""),
        pid=state.get("Pid", 0),
        started_at=instant(state.get("StartedAt")),
        finished_at=instant(state.get("FinishedAt")),
        health="" if health.get("Status") == "none" else health.get("Status", ""),
        health_since=instant(probes[-1].get("End")) if probes else None,
        health_output=probes[-1].get("Output", "") if probes else "",
        health_exit_code=probes[-1].get("ExitCode", 0) if probes else 0,
        ports=port_bindings(network.get("Ports") or {}),
        network_mode=host.get("NetworkMode", ""),
        ip_addresses=tuple(
            end["IPAddress"] for end in (network.get("Networks") or {}).values() if end and end.get("IPAddress")
        ),
        volumes=tuple((m.get("Name", ""), m.get("Source", ""), m["Destination"]) for m in raw.get("Mounts") or ()),
        log_driver=(host.get("LogConfig") or {}).get("Type", ""),
        log_options=(host.get("LogConfig") or {}).get("Config") or {},
    )


def port_bindings(ports: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    """Docker's `{"80/tcp": [{"HostIp", "HostPort"}]}`, ordered by container port; unpublished ports are left out."""
    found = [
        PortBinding(
            host_ip=binding["HostIp"],
            host_port=int(binding["HostPort"]),
            container_port=int(key.partition("/")[0]),
            protocol=key.partition("/")[2] or "tcp",
        )
        for key, bindings in ports.items()
        for binding in bindings or ()
    ]
    return tuple(sorted(found, key=lambda b: (b.container_port, b.protocol, b.host_ip)))


def image_state(raw: Mapping[str, Any]) -> ImageState:
    """The answer of `GET /images/NAME/json`, or an element of `GET /images/json`."""
    return ImageState(
        id=raw["Id"],
        names=tuple(name for name in raw.get("RepoTags") or () if name != "<none>:<none>"),
        digests=tuple(name for name in raw.get("RepoDigests") or () if name != "<none>@<none>"),
        size_bytes=raw.get("Size", 0),
    )


def engine_info(raw: Mapping[str, Any], api_version: str) -> EngineInfo:
    """The answer of `GET /info`."""
    plugins = raw.get("Plugins") or {}
    return EngineInfo(
        version=raw["ServerVersion"],
        api_version=api_version,
        cpu_count=raw["NCPU"],
        memory_mib=raw["MemTotal"] // (1024 * 1024),
        architecture=raw["Architecture"],
        cgroup_version=raw.get("CgroupVersion", "1"),
        cgroup_driver=raw.get("CgroupDriver", "cgroupfs"),
        security_options=tuple(raw.get("SecurityOptions") or ()),
        log_drivers=tuple(plugins.get("Log") or ()),
        volume_plugins=tuple(plugins.get("Volume") or ()),
    )


def engine_event(raw: Mapping[str, Any]) -> EngineEvent:
    """One line of `GET /events`."""
    return EngineEvent(
        action=raw["Action"],
        container_id=raw["Actor"]["ID"],
        attributes=raw["Actor"].get("Attributes") or {},
        at=raw["timeNano"] / 1e9,
    )
