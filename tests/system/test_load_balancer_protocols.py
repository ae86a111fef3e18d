"""What application load balancers speak, with a real Envoy: HTTPS, HTTP/2, WebSocket, gRPC, and answers that take time."""

import asyncio
import json
import os
import socket
import ssl

import aiohttp
import grpc
import grpc.aio
import pytest
from msgspec.structs import replace

from tests.balancing import a_certificate, a_listener, a_load_balancer, a_rule, a_target, a_target_group, fixed, forward
from tests.system.data_plane import curl, eventually, http_target, scenario, self_signed
from tests.system.test_load_balancer_replies import raw_target

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.30")


@scenario
async def test_https_when_several_certificates_then_chosen_by_name_and_replaced_under_load(plane):
    group = a_target_group()
    default, by_name, renewed = self_signed("default.test"), self_signed("a.test", "*.b.test"), self_signed("a.test")
    rows = [a_certificate("default.test", *default), a_certificate("a.test", *by_name, names=("a.test", "*.b.test"))]
    listener = a_listener(
        BALANCER, forward(group), port=443, protocol="HTTPS", certificates=tuple(row.arn for row in rows)
    )

    async def seen(name):
        return await asyncio.to_thread(_certificate_for, BALANCER.address, name)

    async with http_target("one") as one:
        await plane.serving(
            BALANCER, group, a_target(group, one), *rows, listener, a_listener(BALANCER, forward(group))
        )
        assert await seen("a.test") == by_name[0]
        assert await seen("x.b.test") == by_name[0]
        assert await seen("other.test") == default[0]
        arguments = ("-k", "--resolve", f"a.test:443:{BALANCER.address}", "https://a.test/", "-w", " %{http_version}")
        assert await curl("--http2", *arguments) == "one 2"
        assert await curl("--http1.1", *arguments) == "one 1.1"
        failures = []
        stop = asyncio.Event()

        async def ask():
            connector = aiohttp.TCPConnector(ssl=False)
            async with aiohttp.ClientSession(connector=connector) as session:
                while not stop.is_set():
                    try:
                        async with session.get(f"https://{BALANCER.address}/") as answer:
                            assert answer.status == 200
                            await answer.read()
                    except (aiohttp.ClientError, AssertionError) as error:
                        failures.append(repr(error))

        clients = [asyncio.ensure_future(ask()) for _ in range(4)]
        for pair in (renewed, by_name, renewed):
            plane.put(a_certificate("a.test", *pair, names=("a.test",)))
            await plane.applied()
            await asyncio.sleep(0.2)
        stop.set()
        await asyncio.gather(*clients)
        assert failures == []
        await eventually(lambda: seen("a.test"), renewed[0])


def _certificate_for(address, name):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, 443), 5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


@scenario
async def test_websocket_when_its_target_drains_then_it_stays_open(plane):
    group = a_target_group()
    async with http_target("one") as one, aiohttp.ClientSession() as session:
        target = a_target(group, one)
        await plane.serving(BALANCER, group, target, a_listener(BALANCER, forward(group)))
        async with session.ws_connect(f"http://{BALANCER.address}/ws") as socket:
            for change in (replace(target, state="draining"), None):
                await socket.send_str("still here")
                assert await asyncio.wait_for(socket.receive_str(), 5) == "still here"
                plane.put(change) if change else plane.delete(target)
                await plane.applied()
            await socket.send_str("after removal")
            assert await asyncio.wait_for(socket.receive_str(), 5) == "after removal"


@scenario
async def test_slow_answer_when_its_target_leaves_then_it_still_arrives(plane):
    group = a_target_group()
    async with http_target("one") as one:
        target = a_target(group, one)
        await plane.serving(BALANCER, group, target, a_listener(BALANCER, forward(group)))
        answer = asyncio.ensure_future(curl(f"http://{BALANCER.address}/slow?seconds=1.5"))
        await asyncio.sleep(0.3)
        plane.put(replace(target, state="draining"))
        await plane.applied()
        plane.delete(target)
        await plane.applied()
        assert await answer == "one"


@scenario
async def test_grpc_when_forwarded_over_tls_then_calls_and_streams_work(plane):
    async def echo(request, _context):
        return b"echo " + request

    async def count(request, _context):
        for number in range(int(request)):
            yield str(number).encode()

    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Count": grpc.unary_stream_rpc_method_handler(count),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    group = a_target_group(protocol_version="GRPC")
    pair = self_signed("grpc.test")
    row = a_certificate("grpc.test", *pair)
    listener = a_listener(BALANCER, forward(group), port=443, protocol="HTTPS", certificates=(row.arn,))
    try:
        await plane.serving(BALANCER, group, a_target(group, port), row, listener)
        credentials = grpc.ssl_channel_credentials(pair[0].encode())
        options = [("grpc.ssl_target_name_override", "grpc.test")]
        async with grpc.aio.secure_channel(f"{BALANCER.address}:443", credentials, options) as channel:
            assert await channel.unary_unary("/test.Test/Echo")(b"x", timeout=5) == b"echo x"
            assert [item async for item in channel.unary_stream("/test.Test/Count")(b"3", timeout=5)] == [
                b"0",
                b"1",
                b"2",
            ]
    finally:
        await server.stop(None)


@scenario
async def test_http_1_0_when_asked_without_a_host_then_served_under_the_name_of_the_load_balancer(plane):
    group = a_target_group()

    async def asked(request):
        reader, writer = await asyncio.open_connection(BALANCER.address, 80)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)  # it closes, as HTTP/1.0 does
        writer.close()
        return answer

    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), a_listener(BALANCER, forward(group)))
        head, _, body = (await asked(b"GET /headers HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK")
        assert json.loads(body)["host"] == BALANCER.dns_name
        named = await asked(b"GET /headers HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert json.loads(named.partition(b"\r\n\r\n")[2])["host"] == "a.test"


@scenario
async def test_method_when_it_is_none_of_the_usual_then_rules_may_match_it_and_targets_get_it(plane):
    group = a_target_group()
    async with raw_target(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none") as one:
        listener = a_listener(BALANCER, forward(group))
        method = {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["CUSTOM_METHOD"]}}
        rule = a_rule(listener, 1, fixed(200, "custom"), method)
        await plane.serving(BALANCER, group, a_target(group, one), listener, rule)
        assert await curl("-X", "CUSTOM_METHOD", f"http://{BALANCER.address}/") == "custom"
        assert await curl("-X", "OTHER", f"http://{BALANCER.address}/") == "one"
