"""A container instance, from what an agent registers.

The Amazon ECS agent stops for good if one of its attributes does not come back as it sent it, so the sent ones always
win. On a later registration it repeats its capabilities but not the attributes an operator gave it: those that are
not ECS's own are therefore kept. Source: agent protocol, A1.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes

_OWN_PREFIXES = ("ecs.", "com.amazonaws.ecs.")
#: Attributes that are read from the identity document: name -> member of the document.
_DOCUMENTED = {
    "ecs.availability-zone": "availabilityZone",
    "ecs.instance-type": "instanceType",
    "ecs.ami-id": "imageId",
    "ecs.cpu-architecture": "architecture",
    "homeport.address": "privateIp",
}
_PORT_HIGHEST = 65535


def identity_document(text: str | None) -> dict[str, Any]:
    """The EC2 instance identity document; empty for a host that is not on EC2. Raises ClientException if malformed."""
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise shapes.ClientException("The instance identity document is not valid.") from None


def registered_resources(request: shapes.RegisterContainerInstanceRequest) -> Resources:
    """CPU, MEMORY, reserved PORTS and PORTS_UDP, GPUs; raises InvalidParameterException for a missing or bad one."""
    by_name = {resource.name: resource for resource in request.total_resources or ()}
    return Resources(
        cpu_units=_amount(by_name, "CPU"),
        memory_mib=_amount(by_name, "MEMORY"),
        ports=_ports(by_name, "PORTS"),
        ports_udp=_ports(by_name, "PORTS_UDP"),
        gpu_count=len(gpu_ids_of(request)),
    )


def gpu_ids_of(request: shapes.RegisterContainerInstanceRequest) -> tuple[str, ...]:
    """The ids of the host's GPUs: its platform devices, else the resource GPU."""
    if request.platform_devices:
        return tuple(dict.fromkeys(device.id for device in request.platform_devices if device.type == "GPU"))
    for resource in request.total_resources or ():
        if resource.name == "GPU":
            return tuple(dict.fromkeys(resource.string_set_value or ()))
    return ()


def _amount(by_name: dict[str | None, shapes.Resource], name: str) -> int:
    resource = by_name.get(name)
    if resource is None or resource.integer_value is None or resource.integer_value < 0:
        raise shapes.InvalidParameterException(f"totalResources must hold {name} as an INTEGER of at least 0.")
    return resource.integer_value


def _ports(by_name: dict[str | None, shapes.Resource], name: str) -> tuple[int, ...]:
    resource = by_name.get(name)
    ports = set()
    for text in (resource.string_set_value or ()) if resource else ():
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _PORT_HIGHEST):
            raise shapes.InvalidParameterException(f"totalResources holds an invalid port in {name}: {text[:64]}")
        ports.add(int(text))
    return tuple(sorted(ports))


def merged_attributes(
    sent: Iterable[shapes.Attribute],
    document: dict[str, Any],
    region: str,
    earlier: Iterable[shapes.Attribute] = (),
) -> tuple[shapes.Attribute, ...]:
    """Operators' earlier attributes, what the identity document says, and over both what the agent sent.

    A host without a document is in the zone `REGION` + `a`. Attributes of an instance carry no target.
    """
    merged = {each.name: each for each in earlier if not each.name.startswith(_OWN_PREFIXES)}
    for name, member in _DOCUMENTED.items():
        value = document.get(member)
        if isinstance(value, str) and value:
            merged[name] = shapes.Attribute(name=name, value=value)
    zone = "ecs.availability-zone"
    before = next((each for each in earlier if each.name == zone), shapes.Attribute(name=zone, value=f"{region}a"))
    merged.setdefault(zone, before)
    merged.update((each.name, shapes.Attribute(name=each.name, value=each.value)) for each in sent)
    return tuple(merged.values())


def re_registered(
    instance: ContainerInstance,
    *,
    registered: Resources,
    attributes: tuple[shapes.Attribute, ...],
    gpu_ids: tuple[str, ...],
    tags: tuple[shapes.Tag, ...],
    version_info: shapes.VersionInfo | None,
    now: float,
) -> ContainerInstance:
    """The instance after its agent has started again; one that had been given up as lost is ACTIVE again.

    An agent that is about to connect is not away: the time after which it counts as lost starts anew.
    """
    versions = version_info or shapes.VersionInfo()
    return replace(
        instance,
        agent_version=versions.agent_version or instance.agent_version,
        agent_hash=versions.agent_hash or instance.agent_hash,
        docker_version=versions.docker_version or instance.docker_version,
        version=instance.version + 1,
        registered=registered,
        attributes=attributes,
        gpu_ids=gpu_ids,
        tags=tags,
        disconnected_at=instance.disconnected_at if instance.agent_connected else now,
        status="ACTIVE" if instance.status == "INACTIVE" else instance.status,
        status_reason=None if instance.status == "INACTIVE" else instance.status_reason,
    )
