"""Connections through a network load balancer, with a real Envoy: which of them end with their target, and which do not."""

import asyncio
import contextlib
import os
import ssl
import time

import pytest
from msgspec.structs import replace

from tests.balancing import a_certificate, a_listener, a_load_balancer, a_target, a_target_group, forward
from tests.system.data_plane import eventually, scenario, self_signed, tcp_target, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
NETWORK = a_load_balancer("net", kind="network", address="172.31.240.21")
ON_DEREGISTRATION = "deregistration_delay.connection_termination.enabled"
ON_UNHEALTHY = "target_health_state.unhealthy.connection_termination.enabled"
CUT_SECONDS = 2.5


class Connection:
    """An open connection that can be asked whether it still is."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    async def says(self, text):
        """The answer, or None if the connection has ended."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self._writer.write(text.encode())
            answer = b""
            while piece := await asyncio.wait_for(self._reader.read(4096), 5):
                answer += piece
                if answer.endswith(text.encode()):
                    return answer.decode(errors="replace")
        return None

    async def ended(self, seconds):
        """How long it took to end, None if it did not."""
        started = time.monotonic()
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                assert await asyncio.wait_for(self._reader.read(4096), seconds) == b""
        except TimeoutError:
            return None
        return time.monotonic() - started

    def close(self):
        self._writer.close()


async def connected(port=1000, **more):
    return Connection(*await asyncio.open_connection(NETWORK.address, port, **more))


async def answered_by(port=1000, **more):
    connection = await connected(port, **more)
    answer = await connection.says("x")
    connection.close()
    return answer.partition(":")[0] if answer else None


async def all_that_answer():
    return {await answered_by() for _ in range(20)}


@contextlib.asynccontextmanager
async def connections_under_load(port=1000):
    """Short connections, one after another, around the body; fails unless each was answered. Yields who answered."""
    stop, seen = asyncio.Event(), []

    async def ask():
        while not stop.is_set():
            seen.append(await answered_by(port))
            await asyncio.sleep(0.002)

    clients = [asyncio.ensure_future(ask()) for _ in range(4)]
    try:
        yield seen
        await asyncio.sleep(0.3)
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert None not in seen, f"{seen.count(None)} of {len(seen)}"
    assert len(seen) > 50


@contextlib.asynccontextmanager
async def connection_to_one(plane, group):
    """An open connection to the target `one`, which is served alone; gives its row, that of `two`, and the connection."""
    async with tcp_target("one") as one, tcp_target("two") as two:
        target, other = a_target(group, one), a_target(group, two)
        await plane.serving(NETWORK, group, target, a_listener(NETWORK, forward(group), port=1000, protocol="TCP"))
        connection = await connected()
        assert await connection.says("a") == "one:a"
        yield target, other, connection
        connection.close()


@pytest.mark.parametrize("is_cut", [True, False])
def test_connections_when_their_target_has_drained_then_cut_only_if_the_group_says_so(is_cut):
    @scenario
    async def run(plane):
        group = a_target_group(protocol="TCP", attributes={ON_DEREGISTRATION: str(is_cut).lower()})
        async with connection_to_one(plane, group) as (leaving, staying, connection):
            plane.put(staying, replace(leaving, state="draining"))
            await plane.applied()
            assert {await answered_by() for _ in range(10)} == {"two"}
            other = await connected()
            assert await connection.ended(1.5) is None, "while it drains"
            assert await connection.says("b") == "one:b"
            plane.delete(leaving)
            await plane.applied()
            assert (await connection.ended(CUT_SECONDS) is not None) is is_cut
            assert await connection.says("c") == (None if is_cut else "one:c")
            assert await other.says("d") == "two:d", "those of another target go on"
            other.close()

    run()


@pytest.mark.parametrize("is_cut", [True, False])
def test_connections_when_their_target_is_unhealthy_then_cut_only_if_the_group_says_so(is_cut):
    @scenario
    async def run(plane):
        group = a_target_group(protocol="TCP", attributes={ON_UNHEALTHY: str(is_cut).lower()})
        async with connection_to_one(plane, group) as (sick, well, connection):
            plane.put(well, replace(sick, state="unhealthy"))
            await plane.applied()
            assert {await answered_by() for _ in range(10)} == {"two"}
            assert (await connection.ended(CUT_SECONDS) is not None) is is_cut
            plane.put(sick)
            await plane.applied()
            await eventually(all_that_answer, {"one", "two"})

    run()


@scenario
async def test_connections_when_their_target_drains_while_unhealthy_then_cut_at_the_end_of_that(plane):
    interval = {ON_UNHEALTHY: "false", "target_health_state.unhealthy.draining_interval_seconds": "30"}
    group = a_target_group(protocol="TCP", attributes=interval)
    async with connection_to_one(plane, group) as (sick, well, connection):
        plane.put(well, replace(sick, state="unhealthy.draining"))
        await plane.applied()
        assert {await answered_by() for _ in range(10)} == {"two"}
        assert await connection.ended(CUT_SECONDS) is None
        plane.put(replace(sick, state="unhealthy"))
        await plane.applied()
        assert await connection.ended(CUT_SECONDS) is not None


@scenario
async def test_connections_when_the_last_healthy_target_fails_then_the_group_fails_open_and_cuts_nobody(plane):
    group = a_target_group(protocol="TCP", attributes={ON_UNHEALTHY: "true"})
    async with tcp_target("one") as one, tcp_target("two") as two:
        first, second = a_target(group, one), a_target(group, two)
        listener = a_listener(NETWORK, forward(group), port=1000, protocol="TCP")
        await plane.serving(NETWORK, group, first, replace(second, state="unhealthy"), listener)
        connection = await connected()
        assert await connection.says("a") == "one:a"
        plane.put(replace(first, state="unhealthy"))
        await plane.applied()
        assert await connection.ended(CUT_SECONDS) is None
        assert await connection.says("b") == "one:b"
        assert {await answered_by() for _ in range(20)} == {"one", "two"}
        plane.put(second)
        await plane.applied()
        assert await connection.ended(CUT_SECONDS) is not None, "another is healthy: it no longer fails open"
        connection.close()


@scenario
async def test_connections_when_targets_speak_tls_behind_a_proxy_header_then_they_are_cut_all_the_same(plane):
    pair = self_signed("net.test")
    row = a_certificate("net.test", *pair)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = plane.data_dir / "target.pem"
    certificate.write_text(pair[0] + pair[1])
    context.load_cert_chain(certificate)
    attributes = {ON_DEREGISTRATION: "true", ON_UNHEALTHY: "true"}
    secure = a_target_group("secure", protocol="TLS", attributes=attributes)
    proxied = a_target_group("proxied", protocol="TCP", attributes={**attributes, "proxy_protocol_v2.enabled": "true"})
    trusting = ssl.create_default_context(cadata=pair[0])
    async with tcp_target("tls", ssl=context) as one, tcp_target("plain") as two:
        await plane.serving(
            NETWORK,
            secure, proxied, row, a_target(secure, one), a_target(proxied, two),
            a_listener(NETWORK, forward(secure), port=1001, protocol="TLS", certificates=(row.arn,)),
            a_listener(NETWORK, forward(proxied), port=1002, protocol="TCP"),
        )  # fmt: skip
        connections = [await connected(1001, ssl=trusting, server_hostname="net.test"), await connected(1002)]
        assert await connections[0].says("a") == "tls:a"
        assert (await connections[1].says("a")).startswith("plain:\r\n\r\n")
        assert [await each.ended(1.5) for each in connections] == [None, None]
        plane.delete(a_target(secure, one), a_target(proxied, two))
        await plane.applied()
        for each in connections:
            assert await each.ended(CUT_SECONDS) is not None
            each.close()


@scenario
async def test_connections_when_targets_come_and_go_under_load_then_none_of_those_that_stay_fails(plane):
    group = a_target_group(protocol="TCP", attributes={ON_DEREGISTRATION: "true", ON_UNHEALTHY: "true"})
    async with tcp_target("one") as one, tcp_target("two") as two, tcp_target("three") as three:
        listener = a_listener(NETWORK, forward(group), port=1000, protocol="TCP")
        await plane.serving(NETWORK, group, a_target(group, one), listener)
        lasting = await connected()
        async with connections_under_load() as seen:
            for _ in range(4):
                plane.put(a_target(group, two), a_target(group, three))
                await plane.applied()
                await asyncio.sleep(0.2)
                plane.put(a_target(group, two, state="draining"), a_target(group, three, state="unhealthy"))
                await plane.applied()
                await asyncio.sleep(0.2)
                plane.delete(a_target(group, two), a_target(group, three))
                await plane.applied()
        assert set(seen) == {"one", "two", "three"}
        assert await lasting.says("still") == "one:still"
        lasting.close()


@scenario
async def test_settings_when_they_change_under_load_then_no_connection_fails(plane):
    group = a_target_group(protocol="TCP", attributes={ON_DEREGISTRATION: "true"})
    async with tcp_target("one") as one:
        listener = a_listener(NETWORK, forward(group), port=1000, protocol="TCP")
        await plane.serving(NETWORK, group, a_target(group, one), listener)
        lasting = await connected()
        async with connections_under_load():
            for value in ("false", "true", "false"):
                plane.put(replace(group, attributes={ON_DEREGISTRATION: value, "stickiness.enabled": "false"}))
                await plane.applied()
                await asyncio.sleep(0.3)
        assert await lasting.says("still") == "one:still"
        lasting.close()


@scenario
async def test_control_plane_when_killed_and_back_then_no_connection_is_cut(plane):
    group = a_target_group(protocol="TCP", attributes={ON_DEREGISTRATION: "true", ON_UNHEALTHY: "true"})
    async with tcp_target("one") as one, tcp_target("two") as two:
        listener = a_listener(NETWORK, forward(group), port=1000, protocol="TCP")
        leaving = a_target(group, two)
        await plane.serving(NETWORK, group, a_target(group, one), listener)
        lasting = await connected()
        plane.put(leaving, a_target(group, one, state="draining"))
        await plane.applied()
        other = await connected()
        plane.put(a_target(group, one), replace(leaving, state="draining"))
        await plane.applied()
        async with connections_under_load():
            await plane.control.stop()
            plane.delete(leaving)
            assert await other.ended(2) is None
            await plane.restart_control_plane(seconds_away=0.5)
            await until(plane.control.balancer.is_connected, 10, "Envoy is back")
            await plane.applied()
            assert await other.ended(CUT_SECONDS) is not None, "its target went meanwhile"
        assert await lasting.says("still") == "one:still"
        lasting.close()
        other.close()


@scenario
async def test_envoy_when_killed_then_connections_are_taken_again_within_a_second(plane):
    group = a_target_group(protocol="TCP", attributes={ON_UNHEALTHY: "true"})
    async with tcp_target("one") as one:
        listener = a_listener(NETWORK, forward(group), port=1000, protocol="TCP")
        await plane.serving(NETWORK, group, a_target(group, one), listener)
        await asyncio.sleep(1)
        plane.kill_envoy()
        started = time.monotonic()
        while True:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                if await answered_by() == "one":
                    break
            await asyncio.sleep(0.02)
        away = time.monotonic() - started
        print(f"away for {away:.2f} s")
        assert away < 2, "0.7 s on an idle machine"
