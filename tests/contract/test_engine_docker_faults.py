"""The Docker driver against a daemon that hangs, breaks off or talks nonsense (a scripted one on a unix socket)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from homeport.base.clock import SystemClock
from homeport.base.errors import Permanent, Transient
from homeport.drivers.engine import TimedOut
from homeport.drivers.engine.docker import DockerEngine

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def play(tmp_path: Path, handler: Handler, body: Callable[[DockerEngine], Awaitable[None]], api: str = "1.41") -> None:
    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": api, "MinAPIVersion": "1.24"})

    async def scene() -> None:
        app = web.Application()
        app.router.add_get("/version", version)
        app.router.add_route("*", "/{rest:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "docker.sock")).start()
        engine = DockerEngine(f"unix://{tmp_path}/docker.sock", SystemClock(), start_seconds=0.1)
        try:
            await body(engine)
        finally:
            await engine.close()
            await runner.cleanup()

    asyncio.run(scene())


def answer(status: int, text: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"message": text}, status=status)

    return handler


def test_start_when_the_daemon_hangs_then_timed_out_and_the_next_start_gets_its_turn(tmp_path: Path) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    async def body(engine: DockerEngine) -> None:
        results = await asyncio.gather(*(engine.start("x") for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {TimedOut}

    play(tmp_path, hang, body)


def test_call_when_the_connection_breaks_then_transient(tmp_path: Path) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def body(engine: DockerEngine) -> None:
        with pytest.raises(Transient):
            await engine.create("x", {})

    play(tmp_path, break_off, body)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (409, "conflict of another kind", Permanent),
        (400, "invalid reference format", Permanent),
        (500, "connection error: transport is closing", Transient),
        (503, "starting", Transient),
    ],
)
def test_create_when_refused_then_its_fate_with_the_daemons_words(
    tmp_path: Path, status: int, text: str, kind: type[Exception]
) -> None:
    async def body(engine: DockerEngine) -> None:
        with pytest.raises(kind, match=text):
            await engine.create("x", {})

    play(tmp_path, answer(status, text), body)


def test_create_when_its_name_is_still_being_made_then_transient(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response({"message": 'The name "/x" is already in use by container "1"'}, status=409)
        return web.json_response({"message": "No such container: x"}, status=404)

    async def body(engine: DockerEngine) -> None:
        with pytest.raises(Transient, match="already in use"):
            await engine.create("x", {})

    play(tmp_path, handler, body)


@pytest.mark.parametrize("text", ["removal of container x is already in progress", "device or resource busy"])
def test_remove_when_busy_then_transient(tmp_path: Path, text: str) -> None:
    async def body(engine: DockerEngine) -> None:
        with pytest.raises(Transient):
            await engine.remove("x")

    play(tmp_path, answer(409 if "progress" in text else 500, text), body)


def test_events_when_split_over_chunks_and_then_broken_off_then_told_and_ended(tmp_path: Path) -> None:
    event = b'{"Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"0"}},"timeNano":1500000000}\n'

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (event + event[:20], event[20:]):
            await response.write(part)
            await asyncio.sleep(0.02)
        return response

    async def body(engine: DockerEngine) -> None:
        seen = [event async for event in engine.events()]
        assert [(e.action, e.container_id, e.at) for e in seen] == [("die", "c1", 1.5)] * 2

    play(tmp_path, stream, body)


def test_call_when_the_answer_is_garbled_then_transient(tmp_path: Path) -> None:
    async def garble(_: web.Request) -> web.StreamResponse:
        return web.Response(text='{"Id": "x', content_type="application/json")

    async def body(engine: DockerEngine) -> None:
        with pytest.raises(Transient):
            await engine.inspect("x")

    play(tmp_path, garble, body)


def test_call_when_the_daemon_is_older_then_its_api_version(tmp_path: Path) -> None:
    paths = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(text="OK")

    async def body(engine: DockerEngine) -> None:
        await engine.ping()

    play(tmp_path, handler, body, api="1.38")
    assert paths == ["/v1.38/_ping"]


def test_engine_when_the_host_is_of_another_kind_then_refused() -> None:
    with pytest.raises(Permanent, match="npipe"):
        DockerEngine("npipe:////./pipe/docker", SystemClock())
