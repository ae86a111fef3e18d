"""A network that delays, loses, duplicates and reorders, and the one server behind it.

A call is a request and an answer, each of which may be lost; a lost one costs the caller its patience, while a server
that is not there refuses at once. A websocket is ordered unless this seed says otherwise, until it breaks: cleanly,
noticed by both ends at once, or half-open, when each end only hears nothing any more.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from homeport.api.request import Request, Response
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from tests.sim.process import Process

CALL_SECONDS = 30.0


class Weather(Struct, frozen=True, kw_only=True):
    """Chances between 0 and 1; latencies in seconds, one way."""

    latency: float = 0.002
    lose_request: float = 0.0
    lose_answer: float = 0.0
    repeat_request: float = 0.0
    repeat_frame: float = 0.0
    overtake_frame: float = 0.0
    drop_connection: float = 0.0


FAIR = Weather()


class Link:
    """One host's way to the server. `is_cut`: nothing arrives; nobody is told."""

    def __init__(self) -> None:
        self.is_cut = False
        self.sockets: list[Wire] = []


class Network:
    """`server` is the process that listens now, with its gateway and its sockets; None while it is down."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.clock = clock
        self.rng = rng
        self.weather = FAIR
        self.server: Any = None
        self._links: dict[str, Link] = {}
        self.answered: Callable[[Request, Response], None] = lambda request, response: None

    def link(self, host: str) -> Link:
        return self._links.setdefault(host, Link())

    def latency(self) -> float:
        return self.weather.latency * (0.5 + 2 * self.rng.random() ** 4)

    async def call(self, host: str, request: Request) -> Response:
        """The server's answer. Raises Transient, whatever has or has not happened there."""
        started = self.clock.monotonic()
        link = self.link(host)
        await self.clock.sleep(self.latency())
        if link.is_cut or self.rng.random() < self.weather.lose_request:
            await self._lose_patience(started)
        if self.server is None:
            raise Transient("connection refused")
        served = self._serve(request)
        if self.rng.random() < self.weather.repeat_request:
            self._serve(request, after=self.rng.random() * 3)
        response = await self._answer(served)
        await self.clock.sleep(self.latency())
        if link.is_cut or self.rng.random() < self.weather.lose_answer:
            await self._lose_patience(started)
        return response

    async def _lose_patience(self, started: float) -> None:
        await self.clock.sleep(started + CALL_SECONDS - self.clock.monotonic())
        raise Transient("timed out")

    def _serve(self, request: Request, after: float = 0.0) -> asyncio.Task[Response]:
        server = self.server

        async def serve() -> Response:
            await self.clock.sleep(after)
            response = await server.gateway.handle(request)
            self.answered(request, response)
            return response

        task: asyncio.Task[Response] = server.process.spawn(serve(), "request")
        return task

    async def _answer(self, served: asyncio.Task[Response]) -> Response:
        """The server's answer, or the reset connection of one that died over it."""
        await asyncio.wait([served], timeout=CALL_SECONDS)
        if not served.done():
            raise Transient("timed out")
        if served.cancelled():
            raise Transient("connection reset")
        return served.result()

    async def connect(
        self, host: str, process: Process, admit: Callable[[Any], Response | None], query: dict[str, str]
    ) -> "Wire | Response | tuple[int, bytes]":
        """An agent's websocket, or what refused it."""
        started = self.clock.monotonic()
        link = self.link(host)
        await self.clock.sleep(2 * self.latency())
        if link.is_cut:
            await self._lose_patience(started)
        server = self.server
        if server is None:
            raise Transient("connection refused")
        refused = admit(server) or server.sockets.refuse("acs", query)
        if refused is not None:
            return refused
        near, far = Wire(self, link), Wire(self, link)
        near.peer, far.peer = far, near
        link.sockets = [each for each in link.sockets if not each.is_closed] + [near]
        process.on_death(near.vanish)
        server.process.on_death(far.vanish)
        server.process.spawn(server.sockets.accept("acs", query, far, "http://homeport:4566"), "socket")
        return near

    def break_connections(self, host: str) -> None:
        """Every connection of the host is reset: both ends notice."""
        for wire in self.link(host).sockets:
            wire.vanish()

    def freeze_connections(self, host: str) -> None:
        """Every connection of the host is half-open from now on: neither end notices."""
        for wire in self.link(host).sockets:
            wire.is_frozen = wire.peer.is_frozen = True


class Wire:
    """One end of a websocket (`base.socket.Socket`)."""

    peer: "Wire"

    def __init__(self, network: Network, link: Link) -> None:
        self._network = network
        self._link = link
        self._inbox: deque[bytes | None] = deque()
        self._arrived = asyncio.Event()
        self._last_at = 0.0
        self.is_closed = False
        self.is_frozen = False

    async def send(self, frame: bytes) -> None:
        if self.is_closed:
            raise Transient("the socket is closed")
        weather, rng = self._network.weather, self._network.rng
        if rng.random() < weather.drop_connection:
            self.vanish()
            raise Transient("connection reset")
        copies = 2 if rng.random() < weather.repeat_frame else 1
        for _ in range(copies):
            self._post(frame, overtakes=rng.random() < weather.overtake_frame)

    def _post(self, frame: bytes | None, *, overtakes: bool = False) -> None:
        """Deliver to the other end after the latency; in order, unless this frame overtakes or is overtaken."""
        loop = asyncio.get_running_loop()
        at = loop.time() + self._network.latency() * (10 if overtakes else 1)
        if not overtakes:
            at = self._last_at = max(at, self._last_at + 1e-6)
        loop.call_at(at, self._deliver, frame)

    def _deliver(self, frame: bytes | None) -> None:
        if self._link.is_cut:
            self.is_frozen = self.peer.is_frozen = True
        if self.is_frozen or (self.peer.is_closed and frame is not None):
            return
        self.peer.take(frame)

    def take(self, frame: bytes | None) -> None:
        if frame is None:
            self.is_closed = True
        self._inbox.append(frame)
        self._arrived.set()

    async def receive(self) -> bytes | None:
        while not self._inbox:
            if self.is_closed:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.is_closed:
            self.is_closed = True
            self._arrived.set()
            self._post(None)

    def vanish(self) -> None:
        """The connection is gone for both ends, unless it was half-open: then the other end never hears of it."""
        self.is_closed = True
        self._arrived.set()
        if not self.is_frozen and not self._link.is_cut and not self.peer.is_closed:
            self.peer.take(None)


Call = Callable[[str, Request], Awaitable[Response]]
