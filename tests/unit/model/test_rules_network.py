"""Network modes and ports."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model.rules import network
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container, a_request


def port(container_port=None, host_port=None, **more):
    return shapes.PortMapping(container_port=container_port, host_port=host_port, **more)


def spread(text):
    return shapes.PortMapping(container_port_range=text)


def check(mode, *containers):
    network.check_network(a_request(*containers, network_mode=mode))


@pytest.mark.parametrize(
    ("mode", "mappings"),
    [
        (None, (port(80),)),
        ("bridge", (port(80, 8080), port(81, 0), port(53, protocol="udp"))),
        ("bridge", (port(80, 8080), port(80, 8081))),
        ("bridge", (port(53, 53), port(53, 53, protocol="udp"))),
        ("bridge", (spread("80-90"), port(85, protocol="udp"))),
        ("bridge", (spread("8000-8010"), port(80))),
        ("host", (port(80), port(81, 81), port(82, 0))),
        ("awsvpc", (port(80), port(81, 81), spread("8000-8001"))),
        ("none", ()),
    ],
)
def test_ports_when_mode_allows_then_pass(mode, mappings):
    check(mode, a_container(port_mappings=mappings))


@pytest.mark.parametrize(
    ("mode", "mappings", "sentence"),
    [
        ("none", (port(80),), "Port mappings are not supported when networkMode=none."),
        ("awsvpc", (port(80, 81),), "When networkMode=awsvpc, the host ports and container ports in port mappings must match."),
        ("host", (port(80, 81),), "When networkMode=host, the host ports and container ports in port mappings must match."),
        ("host", (spread("80-90"),), "'containerPortRange' is not supported when networkMode=host."),
        ("bridge", (port(None, 80),), "Invalid 'containerPort' setting for container 'app'."),
        ("bridge", (port(0),), "Invalid 'containerPort' setting for container 'app'."),
        ("bridge", (port(65_536),), "Invalid 'containerPort' setting for container 'app'."),
        ("bridge", (port(80, 65_536),), "Invalid 'hostPort' setting for container 'app'."),
        ("bridge", (port(80, -1),), "Invalid 'hostPort' setting for container 'app'."),
        ("bridge", (spread("80-90"), port(85)), "The container port 85 of container 'app' is in more than one port mapping."),
        ("bridge", (spread("80-90"), spread("90-95")),
         "The container port 90 of container 'app' is in more than one port mapping."),
        ("bridge", (port(80, 8080), port(81, 8080)), "The host port 8080 is used by containers 'app' and 'app'."),
        ("bridge", (port(80, name="a"), port(81, name="a")), "The port mapping name 'a' is used more than once."),
    ],
)  # fmt: skip
def test_ports_when_wrong_then_refused_with_the_sentence(mode, mappings, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        check(mode, a_container(port_mappings=mappings))
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    "text", ["", "80", "90-80", "80-80", "0-10", "80-65536", "a-b", "80-90-100", " 80-90", "80-90\n"]
)
def test_port_range_when_malformed_then_refused(text):
    assert network.port_range(text) is None
    with pytest.raises(shapes.ClientException, match="Invalid 'containerPortRange' setting for container 'app'"):
        check("bridge", a_container(port_mappings=(spread(text),)))


def test_port_range_when_beside_a_port_then_refused():
    with pytest.raises(shapes.ClientException, match="'containerPortRange' cannot be specified with"):
        check("bridge", a_container(port_mappings=(port(80, container_port_range="90-95"),)))


@pytest.mark.parametrize(("count", "is_allowed"), [(100, True), (101, False)])
def test_port_ranges_when_over_a_hundred_then_refused(count, is_allowed):
    ranges = tuple(spread(f"{first}-{first + 1}") for first in range(1000, 1000 + 3 * count, 3))
    if is_allowed:
        check("bridge", a_container(port_mappings=ranges))
    else:
        with pytest.raises(shapes.ClientException, match="Too many container port ranges"):
            check("bridge", a_container(port_mappings=ranges))


def test_host_port_when_two_containers_want_it_then_refused_unless_protocols_differ():
    first = a_container("a", port_mappings=(port(53, 53),))
    check("bridge", first, a_container("b", port_mappings=(port(53, 53, protocol="udp"),)))
    with pytest.raises(shapes.ClientException, match="The host port 53 is used by containers 'a' and 'b'"):
        check("bridge", first, a_container("b", port_mappings=(port(53, 53),)))


def test_container_port_when_two_containers_of_an_awsvpc_task_have_it_then_refused():
    pair = [a_container(name, port_mappings=(port(80),)) for name in "ab"]
    check("bridge", *pair)
    with pytest.raises(shapes.ClientException, match="The host port 80"):
        check("awsvpc", *pair)


@pytest.mark.parametrize("mode", ["awsvpc", "host", "none"])
def test_links_when_not_bridge_then_refused(mode):
    with pytest.raises(shapes.ClientException, match=f"Links are not supported when networkMode={mode}"):
        check(mode, a_container(links=("db",)))


@pytest.mark.parametrize(
    "setting",
    [{"hostname": "h"}, {"extra_hosts": (shapes.HostEntry(hostname="a", ip_address="10.0.0.1"),)},
     {"dns_servers": ("10.0.0.2",)}, {"dns_search_domains": ("local",)}],
)  # fmt: skip
def test_container_network_settings_when_awsvpc_then_refused(setting):
    check("bridge", a_container(**setting))
    with pytest.raises(shapes.ClientException, match="networkMode=awsvpc"):
        check("awsvpc", a_container(**setting))


@given(
    mode=st.sampled_from(["bridge", "host", "awsvpc"]),
    ports=st.lists(st.tuples(st.integers(1, 65_535), st.sampled_from([None, "tcp", "udp"])), max_size=5),
)
@settings(max_examples=50)
def test_filled_ports_when_filled_twice_then_the_same_and_given_values_stay(mode, ports):
    mappings = tuple(port(number, protocol=protocol) for number, protocol in ports)
    once = network.filled_ports(mappings, mode)
    assert network.filled_ports(once, mode) == once
    for given_mapping, filled in zip(mappings, once, strict=True):
        assert filled.container_port == given_mapping.container_port
        assert filled.protocol == (given_mapping.protocol or "tcp")
        assert filled.host_port == (0 if mode == "bridge" else given_mapping.container_port)


def test_filled_ports_when_range_then_no_host_port():
    assert network.filled_ports((spread("80-90"),), "bridge") == (
        shapes.PortMapping(container_port_range="80-90", protocol="tcp"),
    )
