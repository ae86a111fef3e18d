"""An aggregated discovery service (ADS) for one Envoy: state of the world over one gRPC stream.

What a response carried is remembered under its nonce, so an answer tells exactly what Envoy has taken or refused: by
identity of the encoded bytes, not by counting. Endpoints and routes are asked for by name and sent only where they
changed; clusters and listeners always come all at once, as the protocol wants it. A type is not sent at all before it
was published once: an Envoy that outlived the former process must not be told that there is nothing.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

# Read as it is loaded. What we start as processes (`ip`, say) speaks no gRPC, and each would be a line among ours in the log.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio

from homeport.base.errors import Transient
from homeport.base.supervise import Supervisor
from homeport.drivers.balancer import Rejected
from homeport.drivers.balancer.resources import Resources
from homeport.drivers.balancer.transition import steps
from homeport.drivers.balancer.wire import DiscoveryRequest, encode_resource, encode_response, parse_request, type_urls

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_ANSWER_SECONDS = 10.0
Json = dict[str, Any]
Rendered = dict[str, dict[str, Json]]
Encoded = dict[str, bytes]


class Discovery:
    """What Envoy shall know, and what it has said of it. One `publish` at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._rendered: Rendered = {}
        self._encoded: dict[str, Encoded] = {}
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._session: _Session | None = None
        self._server: grpc.aio.Server | None = None
        self._on_connected: Callable[[], None] = lambda: None

    @property
    def is_connected(self) -> bool:
        return self._session is not None

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._on_connected = callback

    async def publish(self, resources: Resources) -> None:
        """Offer a new state of the world and wait until Envoy took it. Raises Rejected, going back to the former state.

        Raises Transient when Envoy is away or says nothing; it gets the new state when it is back.
        """
        former = dict(self._rendered)
        urls = dict(zip(Resources._fields, type_urls(), strict=True))
        for step in steps(Resources(*(former.get(url, {}) for url in type_urls())), resources):
            refusal = await self._offer({urls[name]: items for name, items in step.items()})
            if refusal is not None:
                with suppress(Transient):
                    await self._offer(former)
                raise Rejected(refusal.text, refusal.names)

    async def _offer(self, wanted: Rendered) -> "_Refusal | None":
        """Set what differs and wait for Envoy's answers; its refusal, or None."""
        for url, items in wanted.items():
            if items != self._rendered.get(url):
                encoded = await asyncio.to_thread(self._encode, url, items)
                self._rendered[url], self._encoded[url] = items, encoded
        self._changed.set()
        self._changed = asyncio.Event()
        return await self._wait(wanted.keys())

    def _encode(self, url: str, items: dict[str, Json]) -> Encoded:
        old_rendered, old_encoded = self._rendered.get(url, {}), self._encoded.get(url, {})
        return {
            name: old_encoded[name] if old_rendered.get(name) == item else _encode(url, name, item)
            for name, item in items.items()
        }

    async def _wait(self, urls: Iterable[str]) -> "_Refusal | None":
        """Until all of these types were accepted, or one was refused."""
        waiting = tuple(urls)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                while True:
                    session = self._session
                    if session is None:
                        raise Transient("Envoy is not connected")
                    for url in waiting:
                        refusal = session.refusal(url, self._encoded[url])
                        if refusal is not None:
                            return refusal
                    if all(session.has_taken(url, self._encoded[url]) for url in waiting):
                        return None
                    await self._answered.wait()
        raise Transient(f"Envoy did not answer within {_ANSWER_SECONDS:.0f} s")

    # ---- the gRPC side ----------------------------------------------------------------------------------------------

    async def serve(self, address: str) -> None:
        """Listen on a gRPC address (`unix:PATH`)."""
        handler = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=parse_request, response_serializer=bytes
        )
        methods = grpc.method_handlers_generic_handler(_SERVICE, {"StreamAggregatedResources": handler})
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((methods,))
        self._server.add_insecure_port(address)
        await self._server.start()

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def _stream(self, requests: AsyncIterator[DiscoveryRequest], _context: object) -> AsyncIterator[bytes]:
        """One Envoy's stream. A newer one takes the older one's place: there is one Envoy."""
        inbox: asyncio.Queue[DiscoveryRequest | None] = asyncio.Queue()
        reader = self._supervisor.spawn("xds-reader", self._read(requests, inbox))
        session = self._session = _Session()
        self._on_connected()
        try:
            while True:
                changed = self._changed
                for response in self._due(session):
                    yield response
                if not await self._next(session, inbox, changed):
                    return
        finally:
            if self._session is session:
                self._session = None
            self._notify()
            reader.cancel()

    @staticmethod
    async def _read(requests: AsyncIterator[DiscoveryRequest], inbox: asyncio.Queue[DiscoveryRequest | None]) -> None:
        with suppress(Exception):  # however the stream ends, it has ended
            async for request in requests:
                inbox.put_nowait(request)
        inbox.put_nowait(None)

    async def _next(
        self, session: "_Session", inbox: asyncio.Queue[DiscoveryRequest | None], changed: asyncio.Event
    ) -> bool:
        """Wait for a request or a change; False when the stream is over."""
        get = self._supervisor.spawn("xds-inbox", inbox.get())
        wait = self._supervisor.spawn("xds-changed", changed.wait())
        try:
            await asyncio.wait({get, wait}, return_when=asyncio.FIRST_COMPLETED)
            if not get.done():
                return True
            request = get.result()
            if request is None:
                return False
            session.note(request)
            self._notify()
            return True
        finally:
            get.cancel()
            wait.cancel()

    def _notify(self) -> None:
        self._answered.set()
        self._answered = asyncio.Event()

    def _in_order(self) -> list[tuple[str, Encoded]]:
        return [(url, self._encoded[url]) for url in type_urls() if url in self._encoded]

    def _due(self, session: "_Session") -> list[bytes]:
        responses = []
        for url, encoded in self._in_order():
            content = session.due(url, encoded)
            if content is not None:
                nonce = session.sending(url, content)
                responses.append(encode_response(url, nonce, nonce, list(content.values())))
        return responses


def _encode(url: str, name: str, item: Json) -> bytes:
    """A resource that cannot even be expressed is that resource's fault, as if Envoy had refused it."""
    try:
        return encode_resource(url, item)
    except Exception as error:
        raise Rejected(f"{type(error).__name__}: {error}", (name,)) from error


class _Refusal(NamedTuple):
    """Envoy's text, and the resources that it may be about: those it names, or all that it was sent."""

    text: str
    names: tuple[str, ...]


class _Session:
    """One stream: what it subscribed to, what was sent to it, and what it said to that."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, ...]] = {}
        self._sent: dict[str, Encoded] = {}
        self._taken: dict[str, Encoded] = {}
        self._refused: dict[str, tuple[Encoded, str]] = {}
        self._in_flight: dict[str, tuple[str, Encoded]] = {}
        self._count = 0

    def due(self, url: str, encoded: Encoded) -> Encoded | None:
        """What to send now of a type: of a wildcard type all as soon as anything differs, of others what differs."""
        if url not in self._names:
            return None
        sent = self._sent.get(url)
        if _is_wildcard(url):
            return None if sent is not None and _is_same(sent, encoded) else dict(encoded)
        known, wanted = sent or {}, [name for name in self._names[url] if name in encoded]
        return {name: encoded[name] for name in wanted if known.get(name) is not encoded[name]} or None

    def sending(self, url: str, content: Encoded) -> str:
        """Note what is sent; the nonce."""
        self._count += 1
        nonce = str(self._count)
        self._in_flight[nonce] = (url, content)
        if url == type_urls()[0]:
            self._forget_endpoints(content)
        self._sent[url] = content if _is_wildcard(url) else {**self._sent.get(url, {}), **content}
        return nonce

    def _forget_endpoints(self, clusters: Encoded) -> None:
        """A cluster that is new or changed warms up until it is told its endpoints, even if they are what they were."""
        former = self._sent.get(type_urls()[0], {})
        changed = [name for name, item in clusters.items() if former.get(name) is not item]
        for known in (self._sent, self._taken):
            for name in changed:
                known.get(type_urls()[1], {}).pop(name, None)

    def note(self, request: DiscoveryRequest) -> None:
        """Take an answer or a subscription. What is no longer subscribed to is no longer known there."""
        url = request.type_url
        answered = self._in_flight.pop(request.nonce, None)
        if answered is not None and request.error:
            self._refused[url] = (answered[1], request.error)
        elif answered is not None:
            content = answered[1]
            self._taken[url] = content if _is_wildcard(url) else {**self._taken.get(url, {}), **content}
        self._names[url] = request.names
        if not _is_wildcard(url):
            for known in (self._sent, self._taken):
                known[url] = {name: item for name, item in known.get(url, {}).items() if name in request.names}

    def refusal(self, url: str, encoded: Encoded) -> _Refusal | None:
        """What Envoy said when it refused these very resources (of a type asked for by name: any of them)."""
        content, text = self._refused.get(url, ({}, ""))
        if _is_wildcard(url):
            is_of_these = _is_same(content, encoded)
        else:
            is_of_these = any(encoded.get(name) is item for name, item in content.items())
        if not text or not is_of_these:
            return None
        mentioned = tuple(name for name in content if name in text)
        return _Refusal(text, mentioned or tuple(content))

    def has_taken(self, url: str, encoded: Encoded) -> bool:
        """Whether Envoy serves these. Types asked for by name count what is wanted, whatever else it holds."""
        taken = self._taken.get(url)
        if _is_wildcard(url):
            return taken is not None and _is_same(taken, encoded)
        return all((taken or {}).get(name) is item for name, item in encoded.items())


def _is_wildcard(url: str) -> bool:
    """Clusters and listeners are not asked for by name."""
    return url in type_urls()[::2]


def _is_same(one: Encoded, other: Encoded) -> bool:
    return one.keys() == other.keys() and all(other[name] is item for name, item in one.items())
