"""The one port with a real socket: aiohttp's edge cases, websockets, health and metrics."""

import asyncio
import gzip
import http.client
import threading

import boto3
import msgspec
import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from homeport.base.errors import Transient
from homeport.server.http import HttpServer
from tests.builders import REGION, ROOT_KEY_ID, ROOT_SECRET, a_region

TARGET = "AmazonEC2ContainerServiceV20141113.ListClusters"


class EchoSockets:
    """Refuses whoever asks for it, and repeats to everybody else what they say."""

    def __init__(self) -> None:
        self.queries = []
        self.send_after_close = None
        self.ended = threading.Event()

    def refuse(self, kind, query):
        return (400, b'{"InvalidInstanceException":"no"}') if "refuse" in query else None

    async def accept(self, kind, query, socket, endpoint):
        self.queries.append((kind, query))
        while (frame := await socket.receive()) is not None:
            if frame == b"bye":
                await socket.close(1000, "as asked")
                break
            await socket.send(kind.encode() + b" " + frame)
        try:
            await socket.send(b"late")
        except Transient as error:
            self.send_after_close = error
        self.ended.set()


@pytest.fixture
def server():
    """(port, sockets) of a server on its own thread; the test is the client."""
    region = a_region()
    loop = asyncio.new_event_loop()
    sockets = EchoSockets()
    started = threading.Event()
    port = []

    async def serve():
        made = HttpServer(region.gateway, sockets)
        port.append(await made.start("127.0.0.1", 0))
        stop = loop.create_future()
        port.append(stop)
        started.set()
        await stop
        await made.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    yield port[0], sockets
    loop.call_soon_threadsafe(port[1].set_result, None)
    thread.join(20)
    assert not thread.is_alive()
    loop.close()
    region.close()


def signed_headers(method: str, url: str, body: bytes = b"", **headers: str) -> dict[str, str]:
    request = AWSRequest(
        method, url, headers={name.replace("_", "-"): text for name, text in headers.items()}, data=body
    )
    SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), "ecs", REGION).add_auth(request)
    return dict(request.headers)


def post(port: int, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    """One signed request over http.client, which adds nothing of its own."""
    url = f"http://127.0.0.1:{port}/"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    names = signed_headers("POST", url, body, X_Amz_Target=TARGET, Content_Type="application/x-amz-json-1.1", **headers)
    connection.request("POST", "/", body, names)
    response = connection.getresponse()
    answer = response.status, msgspec.json.decode(response.read())
    connection.close()
    return answer


def test_boto3_when_it_calls_over_a_socket_then_served(server):
    config = Config(retries={"total_max_attempts": 1})
    session = boto3.session.Session(ROOT_KEY_ID, ROOT_SECRET, None, REGION)
    client = session.client("ecs", endpoint_url=f"http://127.0.0.1:{server[0]}", config=config)
    assert client.list_clusters()["clusterArns"] == ["arn:aws:ecs:us-east-1:123456789012:cluster/default"]
    client.close()


def test_body_when_gzipped_then_verified_as_sent_and_read(server):
    assert post(server[0], gzip.compress(b'{"maxResults":1}'), Content_Encoding="gzip")[0] == 200


def test_body_when_above_ten_mebibytes_then_413(server):
    status, error = post(server[0], b" " * (10 * 1024 * 1024 + 1))
    assert (status, error["__type"]) == (413, "RequestEntityTooLargeException")


def test_body_when_just_ten_mebibytes_then_read(server):
    assert post(server[0], b"{}" + b" " * (10 * 1024 * 1024 - 2))[0] == 200


def test_client_when_it_expects_100_continue_then_it_gets_it(server):
    url = f"http://127.0.0.1:{server[0]}/"
    names = signed_headers("POST", url, b"{}", X_Amz_Target=TARGET) | {"Expect": "100-continue", "Content-Length": "2"}

    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
        lines = "".join(f"{name}: {text}\r\n" for name, text in names.items())
        writer.write(f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{server[0]}\r\n{lines}\r\n".encode())
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{}")
        second = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return first, second

    first, second = asyncio.run(main())
    assert first.startswith(b"HTTP/1.1 100")
    assert second.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /% HTTP/1.1",
        b"PATCH / HTTP/1.1",
        b"nonsense",
        b"GET / HTTP/1.1\r\nX-Amz-Target: \xff",
    ],
)
def test_request_when_it_is_strange_then_a_client_error(server, line):
    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
        writer.write(line + b"\r\nHost: x\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return status

    assert asyncio.run(main()).split()[1][:1] == b"4"


def test_health_and_metrics_when_asked_without_signature_then_told(server):
    async def main():
        async with ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{server[0]}/_homeport/health") as answer:
                health = await answer.json()
            async with client.get(f"http://127.0.0.1:{server[0]}/_homeport/metrics") as answer:
                metrics = await answer.text()
            async with client.get(f"http://127.0.0.1:{server[0]}/_homeport/other") as answer:
                return health, metrics, answer.status

    health, metrics, status = asyncio.run(main())
    assert health["status"] == "running"
    assert set(health["services"]) >= {"ecs", "logs", "sts"}
    assert "homeport_api_requests_total" in metrics
    assert status == 404


async def connect(client, port, path, *, signed=True):
    url = f"http://127.0.0.1:{port}{path}"
    return await client.ws_connect(url, headers=signed_headers("GET", url) if signed else {})


def test_socket_when_signed_then_frames_go_both_ways_until_closed(server):
    port, sockets = server

    async def main():
        async with ClientSession() as client:
            socket = await connect(
                client, port, "/acs/ws?clusterArn=default&dockerVersion=DockerVersion%3A%2020.10%2Bx&empty="
            )
            await socket.send_str("é\r\n\r\n{}")
            frame = await socket.receive()
            await socket.send_str("bye")
            end = await socket.receive()
            await socket.close()
            return frame, end

    frame, end = asyncio.run(main())
    assert (frame.type, frame.data) == (WSMsgType.TEXT, "acs é\r\n\r\n{}")
    assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 1000, "as asked")
    assert sockets.queries == [
        ("acs", {"clusterArn": "default", "dockerVersion": "DockerVersion: 20.10+x", "empty": ""})
    ]
    assert sockets.ended.wait(10)
    assert isinstance(sockets.send_after_close, Transient)


def test_socket_when_unsigned_or_refused_then_no_upgrade(server):
    async def main():
        statuses = []
        async with ClientSession() as client:
            for path, signed in (("/acs/ws", False), ("/tcs/ws?refuse=1", True), ("/other/ws", True)):
                try:
                    await connect(client, server[0], path, signed=signed)
                except WSServerHandshakeError as error:
                    statuses.append(error.status)
        return statuses

    assert asyncio.run(main()) == [403, 400, 404]


def test_server_when_it_closes_then_sockets_are_told_to_come_back():
    async def main():
        region = a_region()
        made = HttpServer(region.gateway, EchoSockets())
        port = await made.start("127.0.0.1", 0)
        async with ClientSession() as client:
            socket = await connect(client, port, "/tcs/ws")
            closing = asyncio.ensure_future(made.close())
            message = await socket.receive()
            await closing
        return region, message

    region, message = asyncio.run(main())
    region.close()
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
