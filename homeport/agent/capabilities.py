"""What this host offers: its size, its reserved ports, and the attributes of what its agent can do.

The attributes are those of the Amazon ECS agent, as far as this agent does what they promise: the control plane places
a task only where every attribute it requires is registered. Not among them, because this agent does not: registry
credentials (ecr-auth, execution-role-ecr-pull, private-registry-authentication), secrets, environment files, FireLens.
"""

from homeport.base.config import AgentConfig
from homeport.base.errors import Permanent
from homeport.drivers.engine import EngineInfo
from homeport.shapes import ecs

_CAPABILITY = "ecs.capability."
_OLD_CAPABILITY = "com.amazonaws.ecs.capability."

# What the agent does on any engine it accepts.
_ALWAYS = (
    "container-health-check",
    "container-ordering",
    "container-restart-policy",
    "execution-role-awslogs",
    "external",
    "full-sync",
    "network.container-port-range",
    "pid-ipc-namespace-sharing",
)
_ALWAYS_OLD = ("privileged-container", "task-iam-role", "task-iam-role-network-host")

# The Amazon ECS agent never advertises 1.26, 1.27, 1.31 or anything after 1.32.
_API_MINORS = (*range(17, 26), 28, 29, 30, 32)
_OWN_DRIVERS = ("json-file", "none")


def cpu_units(info: EngineInfo, config: AgentConfig) -> int:
    """1 024 for each core of the host, or what the operator says."""
    return config.total_cpu_units if config.total_cpu_units is not None else info.cpu_count * 1024


def memory_mib(info: EngineInfo, config: AgentConfig) -> int:
    """The host's memory, or what the operator says, without the reserve. Raises Permanent if nothing is left."""
    total = config.total_memory_mib if config.total_memory_mib is not None else info.memory_mib
    if config.reserved_memory_mib >= total:
        raise Permanent(f"reserved memory of {config.reserved_memory_mib} MiB leaves nothing of the host's {total} MiB")
    return total - config.reserved_memory_mib


def total_resources(info: EngineInfo, config: AgentConfig) -> tuple[ecs.Resource, ...]:
    """`CPU`, `MEMORY`, and the *reserved* ports as `PORTS` and `PORTS_UDP`. GPUs go as platform devices."""
    ports = tuple(str(port) for port in config.reserved_ports)
    udp = tuple(str(port) for port in config.reserved_ports_udp)
    return (
        ecs.Resource(name="CPU", type="INTEGER", integer_value=cpu_units(info, config)),
        ecs.Resource(name="MEMORY", type="INTEGER", integer_value=memory_mib(info, config)),
        ecs.Resource(name="PORTS", type="STRINGSET", string_set_value=ports),
        ecs.Resource(name="PORTS_UDP", type="STRINGSET", string_set_value=udp),
    )


def builtin_attributes(info: EngineInfo, config: AgentConfig, *, task_limits: bool) -> tuple[ecs.Attribute, ...]:
    """Everything but the operator's own attributes, in a fixed order."""
    names = [
        _OLD_CAPABILITY + name for name in (*_ALWAYS_OLD, *_api_versions(info), *_log_drivers(info), *_guards(info))
    ]
    names += [_CAPABILITY + name for name in (*_ALWAYS, *_volume_plugins(info))]
    if task_limits:
        names += [_CAPABILITY + name for name in ("task-cpu-mem-limit", "increased-task-cpu-limit")]
    valued = {
        "ecs.availability-zone": config.availability_zone or f"{config.region}a",
        "ecs.cpu-architecture": architecture(info),
        "ecs.instance-type": config.instance_attributes.get("ecs.instance-type") or instance_type(info, config),
        "ecs.os-family": "LINUX",
        "ecs.os-type": "linux",
    }
    if config.address is not None:
        valued["homeport.address"] = config.address
    return (
        *(ecs.Attribute(name=name) for name in names),
        *(ecs.Attribute(name=name, value=value) for name, value in valued.items()),
    )


def architecture(info: EngineInfo) -> str:
    """`x86_64` or `arm64`, as ECS writes it."""
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(info.architecture, info.architecture)


def instance_type(info: EngineInfo, config: AgentConfig) -> str:
    """A type of our own that tells the size, such as `homeport.2x24` (vCPUs, GiB), in the form of Amazon's names."""
    memory = config.total_memory_mib if config.total_memory_mib is not None else info.memory_mib
    return f"homeport.{max(1, cpu_units(info, config) // 1024)}x{max(1, round(memory / 1024))}"


def _api_versions(info: EngineInfo) -> list[str]:
    _, _, minor = info.api_version.partition(".")
    return [f"docker-remote-api.1.{known}" for known in _API_MINORS if known <= int(minor)]


def _log_drivers(info: EngineInfo) -> list[str]:
    """All of the engine's drivers: options are handed through. `none` is no plugin of the engine's list."""
    return [f"logging-driver.{name}" for name in sorted({*_OWN_DRIVERS, *info.log_drivers})]


def _volume_plugins(info: EngineInfo) -> list[str]:
    return [f"docker-plugin.{name}" for name in sorted(info.volume_plugins)]


def _guards(info: EngineInfo) -> list[str]:
    options = " ".join(info.security_options)
    return [name for name in ("apparmor", "selinux") if f"name={name}" in options]
