"""Datagrams through a network load balancer, with a real Envoy: flows are split by weight and keep their targets."""

import asyncio
import contextlib
import itertools
import os
from collections import Counter

import pytest
from msgspec.structs import replace

from tests.balancing import a_listener, a_load_balancer, a_target, a_target_group, forward
from tests.system.data_plane import UdpEcho, scenario, udp_ask

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
NETWORK = a_load_balancer("net", kind="network", address="172.31.240.24")
FLOWS = 200
PORTS = itertools.count(10000)


class Flow(asyncio.DatagramProtocol):
    """One client's port."""

    def connection_made(self, transport):
        self._transport, self._answers = transport, asyncio.Queue()

    def datagram_received(self, data, _):
        self._answers.put_nowait(data.decode().partition(":")[0])

    async def target(self):
        self._transport.sendto(b"x")
        return await asyncio.wait_for(self._answers.get(), 5)

    def close(self):
        self._transport.close()


@contextlib.asynccontextmanager
async def flows(number=FLOWS, port=53):
    """Clients whose ports nobody has had before: one that is used again within two minutes is the same flow."""
    loop, remote = asyncio.get_running_loop(), (NETWORK.address, port)
    made = []
    for _ in range(number):
        local = ("127.99.0.1", next(PORTS))
        made.append((await loop.create_datagram_endpoint(Flow, local_addr=local, remote_addr=remote))[1])
    try:
        yield made
    finally:
        for flow in made:
            flow.close()
        await asyncio.sleep(0)


async def targets_of(made):
    return [await flow.target() for flow in made]


async def new_targets(port=53):
    async with flows(port=port) as made:
        return Counter(await targets_of(made))


@contextlib.asynccontextmanager
async def udp_target(name):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpEcho(name), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
        await asyncio.sleep(0)


@scenario
async def test_flows_when_groups_have_weights_then_split_by_them_and_unmoved_when_the_weights_change(plane):
    blue, green = a_target_group("blue", protocol="UDP"), a_target_group("green", protocol="UDP")
    async with udp_target("blue") as one, udp_target("green") as two, udp_target("other") as three:
        rows = (blue, green, a_target(blue, one), a_target(green, two))
        listener = a_listener(NETWORK, forward(blue, green, weights=[3, 1]), port=53, protocol="UDP")
        await plane.serving(NETWORK, *rows, listener)
        async with flows() as made:
            before = await targets_of(made)
            assert 120 <= Counter(before)["blue"] <= 180
            for weights, least, most in (([1, 3], 20, 80), ([0, 1], 0, 0), ([1, 0], FLOWS, FLOWS), ([50, 50], 60, 140)):
                plane.put(replace(listener, default_actions=(forward(blue, green, weights=weights),)))
                await plane.applied()
                assert await targets_of(made) == before
                assert least <= (await new_targets())["blue"] <= most, weights
            plane.put(a_target(blue, three))
            await plane.applied()
            assert await targets_of(made) == before
            assert set(await new_targets()) == {"blue", "green", "other"}
            plane.delete(a_target(blue, three))
            plane.put(replace(listener, default_actions=(forward(green),)))
            await plane.applied()
            after = await targets_of(made)
            assert set(after) == {"green"}, "a group that the listener names no more gets nothing"


@scenario
async def test_flows_when_most_targets_of_a_group_are_unhealthy_then_its_weight_is_still_its_weight(plane):
    blue, green = a_target_group("blue", protocol="UDP"), a_target_group("green", protocol="UDP")
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(udp_target(f"blue{number}")) for number in range(4)]
        two = await stack.enter_async_context(udp_target("green"))
        states = ("healthy", "unhealthy", "unhealthy", "unhealthy")
        targets = [a_target(blue, port, state=state) for port, state in zip(ports, states, strict=True)]
        listener = a_listener(NETWORK, forward(blue, green, weights=[1, 1]), port=53, protocol="UDP")
        await plane.serving(NETWORK, blue, green, *targets, a_target(green, two), listener)
        seen = await new_targets()
        assert set(seen) == {"blue0", "green"}
        assert 60 <= seen["blue0"] <= 140
        plane.put(replace(targets[0], state="unhealthy"))
        await plane.applied()
        seen = await new_targets()
        assert set(seen) == {"blue0", "blue1", "blue2", "blue3", "green"}, "it fails open on its own"
        assert 60 <= seen["green"] <= 140


@scenario
async def test_flows_when_a_group_is_sticky_then_a_clients_address_decides(plane):
    group = a_target_group(protocol="UDP", attributes={"stickiness.enabled": "true", "stickiness.type": "source_ip"})
    async with udp_target("one") as one, udp_target("two") as two:
        listener = a_listener(NETWORK, forward(group), port=53, protocol="UDP")
        await plane.serving(NETWORK, group, a_target(group, one), a_target(group, two), listener)
        assert len(await new_targets()) == 1
        plane.put(replace(group, attributes={}))
        await plane.applied()
        assert set(await new_targets()) == {"one", "two"}


@scenario
async def test_listener_when_it_is_of_both_protocols_then_its_flows_follow_the_weights_too(plane):
    blue, green = a_target_group("blue", protocol="TCP_UDP"), a_target_group("green", protocol="TCP_UDP")
    async with udp_target("blue") as one, udp_target("green") as two:
        rows = (a_target(blue, one), a_target(green, two))
        listener = a_listener(NETWORK, forward(blue, green, weights=[1, 0]), port=53, protocol="TCP_UDP")
        await plane.serving(NETWORK, blue, green, *rows, listener)
        assert set(await new_targets()) == {"blue"}
        plane.put(replace(listener, default_actions=(forward(blue, green, weights=[1, 1]),)))
        await plane.applied()
        assert set(await new_targets()) == {"blue", "green"}


@scenario
async def test_listener_when_its_groups_are_gone_or_empty_then_nobody_answers_and_others_go_on(plane):
    group = a_target_group(protocol="UDP")
    async with udp_target("one") as one:
        listener = a_listener(NETWORK, forward(group), port=53, protocol="UDP")
        await plane.serving(NETWORK, group, listener)
        async with flows(1) as (flow,):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await flow.target()
        plane.put(a_target(group, one))
        await plane.applied()
        assert set(await new_targets()) == {"one"}


@scenario
async def test_datagram_when_it_is_as_long_as_a_packet_of_a_vpc_then_there_and_back(plane):
    group = a_target_group(protocol="UDP")
    async with udp_target("one") as one:
        await plane.serving(NETWORK, group, a_target(group, one), a_listener(NETWORK, forward(group), protocol="UDP"))
        longest = b"x" * (9001 - 28 - len("one:"))
        assert await udp_ask(NETWORK.address, 80, longest) == b"one:" + longest
