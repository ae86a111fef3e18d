"""Targets that take no connections, with a real Envoy: hosts that are gone, and processes that only start again."""

import asyncio
import contextlib
import os
import socket

import pytest
from aiohttp import web

from tests.balancing import a_listener, a_load_balancer, a_target, a_target_group, forward
from tests.system.data_plane import http_target, scenario, tcp_target, under_load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.26")
NETWORK = a_load_balancer("net", kind="network", address="172.31.240.27")


@contextlib.contextmanager
def silent_port():
    """A port that answers no attempt at a connection: its queue is full, and nobody takes any out."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@scenario
async def test_requests_when_a_target_falls_silent_then_none_fails_and_none_waits_long(plane):
    group = a_target_group()
    async with http_target("one") as one, http_target("two") as two:
        targets = (a_target(group, one), a_target(group, two))
        await plane.serving(BALANCER, group, *targets, a_listener(BALANCER, forward(group)))
        with silent_port() as silent:
            async with under_load(BALANCER) as load:
                plane.put(a_target(group, silent))
                await plane.applied()
                await asyncio.sleep(5)
        assert load.result["longest"] < 4, "one attempt of two seconds, and another target"
        assert load.result["served"] > 1000, "few wait for it"


@scenario
async def test_connections_when_a_target_falls_silent_then_all_are_served(plane):
    group = a_target_group(protocol="TCP")
    async with tcp_target("one") as one, tcp_target("two") as two:
        with silent_port() as silent:
            targets = [a_target(group, port) for port in (one, two, silent)]
            await plane.serving(NETWORK, group, *targets, a_listener(NETWORK, forward(group), protocol="TCP"))

            async def ask():
                reader, writer = await asyncio.open_connection(NETWORK.address, 80)
                writer.write(b"x")
                answer = await asyncio.wait_for(reader.read(100), 9)
                writer.close()
                return answer

            answers = [await ask() for _ in range(30)] + await asyncio.gather(*(ask() for _ in range(30)))
            assert set(answers) == {b"one:x", b"two:x"}


@scenario
async def test_target_when_it_is_alone_and_starts_again_then_the_next_request_is_served(plane):
    group = a_target_group()
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        await plane.serving(BALANCER, group, a_target(group, port), a_listener(BALANCER, forward(group)))
        assert [await status() for _ in range(10)] == [502] * 10
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        assert await status() == 200
    finally:
        await runner.cleanup()


async def answer(_):
    return web.Response(text="here")


async def status():
    reader, writer = await asyncio.open_connection(BALANCER.address, 80)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return int(line.split()[1])
