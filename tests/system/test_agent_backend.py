"""The agent's HTTP client against a server on loopback: calls, error classes, websockets, refusals."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from homeport.agent.aws import AwsBackend
from homeport.agent.backend import Refused
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.errors import Transient
from homeport.shapes import acs, ecs, logs


class Server:
    """Answers POST / with `answer`; upgrades, or refuses with `refusal`."""

    def __init__(self) -> None:
        self.answer: tuple[int, object] = (200, {})
        self.refusal: tuple[int, object] | None = None
        self.requests: list[web.Request] = []
        self.frames: list[str] = []

    async def post(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        await request.read()
        return web.json_response(self.answer[1], status=self.answer[0])

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refusal:
            return web.json_response(self.refusal[1], status=self.refusal[0])
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str('{"type":"HeartbeatMessage","message":{"messageId":"1","healthy":true}}')
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                self.frames.append(message.data)
                await websocket.close(code=1000)
        return websocket


@asynccontextmanager
async def serving(**config: object) -> AsyncIterator[tuple[Server, AwsBackend, str]]:
    server = Server()
    app = web.Application()
    app.router.add_post("/", server.post)
    app.router.add_get("/acs/ws", server.upgrade)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    settings = AgentConfig(
        data_dir=Path("/nowhere"), endpoint=url, access_key_id="AK", secret_access_key="SK", **config
    )
    try:
        async with AwsBackend(settings, SystemClock()) as backend:
            yield server, backend, url
    finally:
        await runner.cleanup()


def test_call_is_signed_json_and_its_answer_typed() -> None:
    async def body() -> None:
        async with serving(session_token="token") as (server, backend, _):
            server.answer = 200, {"endpoint": "http://acs"}
            answer = await backend.call("DiscoverPollEndpoint", ecs.DiscoverPollEndpointRequest(cluster="default"))
            assert answer == ecs.DiscoverPollEndpointResponse(endpoint="http://acs")
            headers = server.requests[0].headers
            assert headers["X-Amz-Target"] == "AmazonEC2ContainerServiceV20141113.DiscoverPollEndpoint"
            assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")
            assert headers["X-Amz-Security-Token"] == "token"
            await backend.call_logs("CreateLogGroup", logs.CreateLogGroupRequest(log_group_name="g"))
            assert "/logs/aws4_request" in server.requests[1].headers["Authorization"]

    asyncio.run(body())


def test_call_as_a_task_role_uses_its_keys() -> None:
    async def body() -> None:
        async with serving() as (server, backend, _):
            role = acs.RoleCredentials(
                credentials_id="c",
                role_arn="r",
                access_key_id="ROLE",
                secret_access_key="s",
                session_token="t",
                expiration="",
            )
            request = ecs.GetTaskProtectionRequest(cluster="default")
            await backend.call("GetTaskProtection", request, credentials=role)
            assert "Credential=ROLE/" in server.requests[0].headers["Authorization"]

    asyncio.run(body())


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (400, {"__type": "ClientException", "message": "no"}, Refused),
        (400, {"__type": "com.amazon#ClusterNotFoundException", "message": "no"}, Refused),
        (400, {"__type": "ThrottlingException", "message": "slow"}, Transient),
        (500, {"__type": "ServerException"}, Transient),
        (503, "gone", Transient),
        (200, {"endpoint": 3}, Transient),
    ],
)
def test_errors_have_their_fate(status, answer, error) -> None:
    async def body() -> None:
        async with serving() as (server, backend, _):
            server.answer = status, answer
            with pytest.raises(error) as caught:
                await backend.call("DiscoverPollEndpoint", ecs.DiscoverPollEndpointRequest())
            if error is Refused:
                assert "#" not in caught.value.code
                assert caught.value.message == "no"

    asyncio.run(body())


def test_nobody_listening_is_transient() -> None:
    async def body() -> None:
        config = AgentConfig(data_dir=Path("/nowhere"), endpoint="http://127.0.0.1:1")
        async with AwsBackend(config, SystemClock()) as backend:
            with pytest.raises(Transient):
                await backend.call("DiscoverPollEndpoint", ecs.DiscoverPollEndpointRequest())
            with pytest.raises(Transient):
                await backend.connect("http://127.0.0.1:1", {})

    asyncio.run(body())


def test_websocket_carries_frames_both_ways_and_ends() -> None:
    async def body() -> None:
        async with serving() as (server, backend, url):
            socket = await backend.connect(f"{url}/acs", {"clusterArn": "a b", "seqNum": "1"})
            assert server.requests[0].query == {"clusterArn": "a b", "seqNum": "1"}
            frame = await socket.receive()
            assert acs.decode_frame(frame, acs.TO_AGENT) == acs.HeartbeatMessage(message_id="1", healthy=True)
            await socket.send(acs.encode_frame(acs.HeartbeatAckRequest(message_id="1")))
            assert await socket.receive() is None
            assert json.loads(server.frames[0]) == {"type": "HeartbeatAckRequest", "message": {"messageId": "1"}}
            with pytest.raises(Transient):
                await socket.send(b"late")

    asyncio.run(body())


@pytest.mark.parametrize(
    "told",
    [
        {"InactiveInstanceException": "gone"},
        {"type": "InactiveInstanceException", "message": {"message": "gone"}},
        {"__type": "InactiveInstanceException", "message": "gone"},
    ],
)
def test_refused_websocket_names_the_reason(told) -> None:
    async def body() -> None:
        async with serving() as (server, backend, url):
            server.refusal = 400, told
            with pytest.raises(Refused) as caught:
                await backend.connect(f"{url}/acs", {})
            assert (caught.value.code, caught.value.message) == ("InactiveInstanceException", "gone")
            server.refusal = 503, {}
            with pytest.raises(Transient):
                await backend.connect(f"{url}/acs", {})

    asyncio.run(body())
