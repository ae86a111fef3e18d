"""Which targets get requests, with a real Envoy: the healthy ones while there are enough of them, else all but draining ones."""

import asyncio
import contextlib
import os
from collections import Counter

import pytest
from msgspec.structs import replace

from tests.balancing import a_listener, a_load_balancer, a_target, a_target_group, forward
from tests.system.data_plane import curl, http_target, scenario, tcp_target, under_load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.22")
NETWORK = a_load_balancer("net", kind="network", address="172.31.240.23")
FAIL_OPEN = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
STATES = ("healthy", "healthy", "unhealthy", "initial", "draining")
CASES = [
    ({}, STATES, (0, 1)),
    ({f"{FAIL_OPEN}.count": "2"}, STATES, (0, 1)),
    ({f"{FAIL_OPEN}.count": "3"}, STATES, (0, 1, 2, 3)),
    ({f"{FAIL_OPEN}.percentage": "50"}, STATES, (0, 1)),
    ({f"{FAIL_OPEN}.percentage": "51"}, STATES, (0, 1, 2, 3)),
    ({f"{FAIL_OPEN}.count": "1", f"{FAIL_OPEN}.percentage": "100"}, STATES, (0, 1, 2, 3)),
    (
        {f"{FAIL_OPEN}.count": "1"},
        ("unhealthy.draining", "unhealthy", "unhealthy", "initial", "draining"),
        (0, 1, 2, 3),
    ),
]


async def asked_of_network():
    reader, writer = await asyncio.open_connection(NETWORK.address, 80)
    writer.write(b"x")
    answer = await asyncio.wait_for(reader.read(100), 5)
    writer.close()
    return answer.decode().partition(":")[0]


@pytest.mark.parametrize(
    ("balancer", "protocol", "target"), [(BALANCER, "HTTP", http_target), (NETWORK, "TCP", tcp_target)]
)
def test_requests_when_too_few_targets_are_healthy_then_all_but_draining_ones_get_them(balancer, protocol, target):
    @scenario
    async def run(plane):
        group = a_target_group(protocol=protocol)
        ask = asked_of_network if protocol == "TCP" else lambda: curl(f"http://{balancer.address}/")
        async with contextlib.AsyncExitStack() as stack:
            ports = [await stack.enter_async_context(target(str(number))) for number in range(5)]
            await plane.serving(balancer, group, a_listener(balancer, forward(group), protocol=protocol))
            for attributes, states, expected in CASES:
                targets = [a_target(group, port, state=state) for port, state in zip(ports, states, strict=True)]
                plane.put(replace(group, attributes=attributes), *targets)
                await plane.applied()
                seen = Counter([await ask() for _ in range(40)])
                assert {int(name) for name in seen} == set(expected), (attributes, states)

    run()


@scenario
async def test_minimum_when_it_changes_under_load_then_no_request_fails(plane):
    group = a_target_group()
    async with http_target("one") as one, http_target("two") as two:
        targets = (a_target(group, one), a_target(group, two, state="unhealthy"))
        await plane.serving(BALANCER, group, *targets, a_listener(BALANCER, forward(group)))
        async with under_load(BALANCER) as load:
            for count in ("2", "1", "2", "1"):
                plane.put(replace(group, attributes={f"{FAIL_OPEN}.count": count}))
                await plane.applied()
                await asyncio.sleep(0.1)
        assert set(load.result["bodies"]) == {"one", "two"}
