"""What application load balancers answer where a target gives no answer, with a real Envoy: ELB's statuses and page."""

import asyncio
import contextlib
import os
import socket

import grpc
import grpc.aio
import pytest

from tests.balancing import (
    a_certificate,
    a_listener,
    a_load_balancer,
    a_rule,
    a_target,
    a_target_group,
    fixed,
    forward,
    path_is,
)
from tests.system.data_plane import curl, scenario, self_signed
from tests.system.test_load_balancer_silence import silent_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.33")
URL = f"http://{BALANCER.address}"


@contextlib.asynccontextmanager
async def raw_target(answer):
    """A server that answers whatever it gets with these bytes and closes, or, with None, not at all; gives the port."""

    async def handle(reader, writer):
        await reader.read(4096)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def refusing_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page(line):
    """As `curl` gives it, which reads lines."""
    return f"<html>\n<head><title>{line}</title></head>\n<body>\n<center><h1>{line}</h1></center>\n</body>\n</html>\n"


async def asked(path):
    """Status, type, server and body."""
    told = await curl("-w", "|%{http_code}|%{content_type}|%header{server}", URL + path)
    body, *rest = told.rsplit("|", 3)
    return [*rest, body]


@scenario
async def test_reply_when_a_target_gives_no_answer_then_elbs_status_and_page(plane):
    async with raw_target(b"") as closing, raw_target(b"nonsense\r\n\r\n") as senseless:
        with silent_port() as silent:
            ports = {"closing": closing, "senseless": senseless, "silent": silent, "refusing": refusing_port()}
            groups = {name: a_target_group(name) for name in (*ports, "empty")}
            listener = a_listener(BALANCER, fixed(503, "in maintenance"))
            rules = [
                a_rule(listener, number, forward(group), path_is(f"/{name}"))
                for number, (name, group) in enumerate(groups.items(), start=1)
            ]
            targets = [a_target(groups[name], port) for name, port in ports.items()]
            await plane.serving(BALANCER, *groups.values(), *targets, listener, *rules)
            for name, line in {
                "closing": "502 Bad Gateway",
                "senseless": "502 Bad Gateway",
                "refusing": "502 Bad Gateway",
                "silent": "504 Gateway Time-out",
                "empty": "503 Service Temporarily Unavailable",
            }.items():
                assert await asked(f"/{name}") == [line[:3], "text/html", "awselb/2.0", page(line)], name
            assert await asked("/") == ["503", "text/plain", "awselb/2.0", "in maintenance"]


@scenario
async def test_reply_when_a_target_takes_longer_than_the_idle_timeout_then_504(plane):
    balancer = a_load_balancer(address=BALANCER.address, attributes={"idle_timeout.timeout_seconds": "1"})
    group = a_target_group()
    async with raw_target(None) as waiting:
        await plane.serving(balancer, group, a_target(group, waiting), a_listener(balancer, forward(group)))
        assert await asked("/") == ["504", "text/html", "awselb/2.0", page("504 Gateway Time-out")]


@scenario
async def test_reply_when_a_request_makes_no_sense_then_400_with_the_page(plane):
    await plane.serving(BALANCER, a_listener(BALANCER, fixed(400, "as the listener says")))
    reader, writer = await asyncio.open_connection(BALANCER.address, 80)
    writer.write(b"nonsense\r\n\r\n")
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert body.decode().replace("\r\n", "\n") == page("400 Bad Request")
    assert await asked("/") == ["400", "text/plain", "awselb/2.0", "as the listener says"]


@scenario
async def test_reply_when_a_grpc_target_refuses_then_unavailable_with_the_status_line(plane):
    group, pair = a_target_group("grpc", protocol_version="GRPC"), self_signed("grpc.test")
    certificate = a_certificate("grpc.test", *pair)
    listener = a_listener(BALANCER, forward(group), port=443, protocol="HTTPS", certificates=(certificate.arn,))
    await plane.serving(BALANCER, group, a_target(group, refusing_port()), certificate, listener)
    credentials = grpc.ssl_channel_credentials(pair[0].encode())
    options = [("grpc.ssl_target_name_override", "grpc.test")]
    async with grpc.aio.secure_channel(f"{BALANCER.address}:443", credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/a.B/C")(b"", timeout=9)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "502 Bad Gateway")
