"""Network modes and port mappings: what goes with what, and the ports that ECS fills in.

Source: API reference of PortMapping, ContainerDefinition and RegisterTaskDefinition.
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from homeport.model.rules.names import check_port_name
from homeport.shapes import ecs as shapes

MOST_PORT_RANGES = 100
#: Host ports that a container instance may have reserved, its own five included.
MOST_RESERVED_PORTS = 100
_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})\Z")
_LINK = re.compile(r"([a-zA-Z0-9\-_]{1,255})(?::([a-zA-Z0-9\-_]{1,255}))?\Z")


def network_mode(mode: str | None) -> str:
    """The mode in force: `bridge` where a definition names none."""
    return mode or "bridge"


def port_range(text: str) -> tuple[int, int] | None:
    """First and last port of `8080-8090`, or None if it is no range of ports in rising order."""
    found = _RANGE.match(text)
    if not found:
        return None
    first, last = int(found[1]), int(found[2])
    return (first, last) if 1 <= first < last <= 65_535 else None


def check_network(wanted: shapes.RegisterTaskDefinitionRequest) -> None:
    """Everything that depends on the network mode, and every container's ports."""
    mode = network_mode(wanted.network_mode)
    for container in wanted.container_definitions:
        check_ports(container, mode)
        _check_mode(container, mode)
    _check_ports_of_task(wanted.container_definitions, mode)


def _check_mode(container: shapes.ContainerDefinition, mode: str) -> None:
    """Settings of a container that a network mode excludes."""
    name = container.name
    if container.links and mode != "bridge":
        raise shapes.ClientException(f"Links are not supported when networkMode={mode}.")
    if mode == "awsvpc":
        for setting, value in (("hostname", container.hostname), ("extraHosts", container.extra_hosts)):
            if value:
                raise shapes.ClientException(
                    f"'{setting}' is not supported on container '{name}' when networkMode=awsvpc."
                )
        if container.dns_servers or container.dns_search_domains:
            raise shapes.ClientException(
                f"DNS servers and search domains are not supported on container '{name}' when networkMode=awsvpc."
            )
    if mode == "host" and container.disable_networking:
        raise shapes.ClientException(
            f"'disableNetworking' is not supported on container '{name}' when networkMode=host."
        )


def check_ports(container: shapes.ContainerDefinition, mode: str) -> None:
    """A container's port mappings: numbers, ranges, no port twice, host ports as the mode allows."""
    mappings = container.port_mappings or ()
    if mappings and mode == "none":
        raise shapes.ClientException("Port mappings are not supported when networkMode=none.")
    if sum(1 for mapping in mappings if mapping.container_port_range) > MOST_PORT_RANGES:
        raise shapes.ClientException(f"Too many container port ranges for container '{container.name}'.")
    for mapping in mappings:
        if mapping.name is not None:
            check_port_name(container.name or "", mapping.name)
        if mapping.container_port_range is not None:
            _check_range(container, mapping, mode)
        else:
            _check_single(container, mapping, mode)
    _check_overlap(container, mappings)


def _check_range(container: shapes.ContainerDefinition, mapping: shapes.PortMapping, mode: str) -> None:
    if mapping.container_port is not None or mapping.host_port is not None:
        raise shapes.ClientException(
            f"Invalid port mapping for container '{container.name}'."
            " 'containerPortRange' cannot be specified with 'containerPort' or 'hostPort'."
        )
    if mode == "host":
        raise shapes.ClientException("'containerPortRange' is not supported when networkMode=host.")
    if port_range(mapping.container_port_range or "") is None:
        raise shapes.ClientException(f"Invalid 'containerPortRange' setting for container '{container.name}'.")


def _check_single(container: shapes.ContainerDefinition, mapping: shapes.PortMapping, mode: str) -> None:
    port, host_port = mapping.container_port, mapping.host_port
    if port is None or not 1 <= port <= 65_535:
        raise shapes.ClientException(f"Invalid 'containerPort' setting for container '{container.name}'.")
    if host_port is not None and not 0 <= host_port <= 65_535:
        raise shapes.ClientException(f"Invalid 'hostPort' setting for container '{container.name}'.")
    if mode in ("awsvpc", "host") and host_port not in (None, 0, port):
        raise shapes.ClientException(
            f"When networkMode={mode}, the host ports and container ports in port mappings must match."
        )


def _check_overlap(container: shapes.ContainerDefinition, mappings: Iterable[shapes.PortMapping]) -> None:
    """Ranges overlap nothing of their protocol; a single port may be mapped to several host ports, as Docker allows.

    TCP and UDP each have ports of their own: a name server is on 53 of both. The API reference says that this is an
    error; ECS registers it all the same, and refuses only a load balancer on such a port (issue 3428 of its agent).
    """
    ranges: list[tuple[int, int, str, bool]] = []
    for mapping in mappings:
        single = mapping.container_port
        first, last = (
            (single, single) if single is not None else port_range(mapping.container_port_range or "") or (0, 0)
        )
        protocol = mapping.protocol or "tcp"
        for other_first, other_last, other_protocol, other_is_range in ranges:
            if protocol != other_protocol or first > other_last or other_first > last:
                continue
            if single is None or other_is_range:
                raise shapes.ClientException(
                    f"The container port {max(first, other_first)} of container '{container.name}'"
                    " is in more than one port mapping."
                )
        ranges.append((first, last, protocol, single is None))


def _check_ports_of_task(containers: tuple[shapes.ContainerDefinition, ...], mode: str) -> None:
    """Containers of a task share its host: one host port and protocol goes to one mapping."""
    taken: dict[tuple[int, str], str] = {}
    names: set[str] = set()
    for container in containers:
        for mapping in filled_ports(container.port_mappings or (), mode):
            if mapping.name is not None:
                if mapping.name in names:
                    raise shapes.ClientException(f"The port mapping name '{mapping.name}' is used more than once.")
                names.add(mapping.name)
            if not mapping.host_port:
                continue
            key = (mapping.host_port, mapping.protocol or "tcp")
            if key in taken:
                raise shapes.ClientException(
                    f"The host port {mapping.host_port} is used by containers '{taken[key]}' and '{container.name}'."
                )
            taken[key] = container.name or ""
    if mode == "bridge" and len({port for port, _ in taken}) > MOST_RESERVED_PORTS:
        raise shapes.ClientException(f"A task cannot reserve more than {MOST_RESERVED_PORTS} host ports.")


def filled_ports(mappings: Iterable[shapes.PortMapping], mode: str) -> tuple[shapes.PortMapping, ...]:
    """The mappings with what ECS fills in: protocol tcp; host port 0 (bridge) or the container's own (awsvpc, host)."""
    filled = []
    for mapping in mappings:
        host_port = mapping.host_port
        if mapping.container_port_range is None:
            default = mapping.container_port if mode in ("awsvpc", "host") else 0
            host_port = host_port or default
        filled.append(replace(mapping, host_port=host_port, protocol=mapping.protocol or "tcp"))
    return tuple(filled)


def link_target(link: str) -> str | None:
    """The container that `name:alias` or `name` points to, or None if it is not of that form."""
    found = _LINK.match(link)
    return found[1] if found else None
