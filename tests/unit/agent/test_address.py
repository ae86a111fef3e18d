"""The address at which a host is reached, and that its agent tells it."""

import socket
from pathlib import Path

import pytest

from homeport.agent.address import interface_address, reachable_address
from homeport.agent.host import registration
from homeport.base.config import AgentConfig
from homeport.drivers.engine import EngineInfo

INFO = EngineInfo(
    version="20.10",
    api_version="1.41",
    cpu_count=1,
    memory_mib=1024,
    architecture="x86_64",
    cgroup_version="2",
    cgroup_driver="systemd",
)


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:4566", "http://localhost:4566", "http://ecs.localhost", "http://[::1]:80", "", "http:"],
)
def test_address_when_endpoint_is_on_this_host_and_there_is_no_bridge_then_loopback(endpoint):
    assert reachable_address(endpoint, bridge="no-such-bridge") == "127.0.0.1"


def test_address_when_endpoint_is_on_this_host_then_that_of_the_bridge():
    assert interface_address("lo") == "127.0.0.1"
    assert interface_address("no-such-bridge") is None
    for _, name in socket.if_nameindex():
        assert reachable_address("http://localhost", bridge=name) == (interface_address(name) or "127.0.0.1")


def test_address_when_there_is_no_route_or_another_address_of_the_host_then_an_ipv4_address():
    socket.inet_aton(reachable_address("http://0.0.0.0:4566"))
    socket.inet_aton(reachable_address("http://255.255.255.255:4566"))


@pytest.mark.parametrize("address", [None, "10.0.0.7"])
def test_registration_when_address_is_known_then_told(address):
    config = AgentConfig(data_dir=Path("/nowhere"), endpoint="http://localhost", address=address)
    request = registration(INFO, config, task_limits=False)
    told = {each.name: each.value for each in request.attributes}
    assert told.get("homeport.address") == address
