"""An aggregated discovery service (ADS) for one Envoy: state of the world over one gRPC stream.

Versions and nonces count up; each type is sent again only when one of its resources changed. Envoy's answer to each
nonce (accepted, or refused with a text) resolves the wait of whoever applied that change. Order within one change is
clusters, endpoints, listeners, routes, so that nothing refers to what is not there yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from homeport.base.supervise import Supervisor
from homeport.drivers.balancer import Rejected
from homeport.drivers.balancer.resources import Resources
from homeport.drivers.balancer.wire import DiscoveryRequest, encode_resource, encode_response, parse_request, type_urls

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
Json = dict[str, Any]


class Discovery:
    """What Envoy shall know, and what it has said of it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._rendered: dict[str, dict[str, Json]] = {url: {} for url in type_urls()}
        self._encoded: dict[str, dict[str, bytes]] = {url: {} for url in type_urls()}
        self._version = dict.fromkeys(type_urls(), 0)
        self._accepted = dict.fromkeys(type_urls(), 0)
        self._refusals: dict[str, tuple[int, str]] = {}
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self.streams = 0
        self._server: grpc.aio.Server | None = None

    async def publish(self, resources: Resources) -> None:
        """Offer a new state of the world and wait until Envoy took it. Raises Rejected, leaving all as it was.

        Make before break: what goes away goes in a second step, when nothing accepted refers to it any more.
        """
        wanted = dict(zip(type_urls(), resources, strict=True))
        widened = {
            url: self._rendered[url] | items if url in type_urls()[:2] else items for url, items in wanted.items()
        }
        former = dict(self._rendered)
        refusal = await self._offer(widened)
        if refusal:
            await self._offer(former)
            raise Rejected(refusal)
        await self._offer(wanted)

    async def _offer(self, wanted: dict[str, dict[str, Json]]) -> str | None:
        """Set what differs and wait for Envoy's answers; a refusal's text, or None."""
        changed = {url: items for url, items in wanted.items() if items != self._rendered[url]}
        encoded = {url: await asyncio.to_thread(self._encode, url, items) for url, items in changed.items()}
        for url, items in changed.items():
            self._set(url, items, encoded[url])
        return await self._wait(encoded)

    def _encode(self, url: str, items: dict[str, Json]) -> dict[str, bytes]:
        old_rendered, old_encoded = self._rendered[url], self._encoded[url]
        return {
            name: old_encoded[name] if old_rendered.get(name) == item else encode_resource(url, item)
            for name, item in items.items()
        }

    def _set(self, url: str, rendered: dict[str, Json], encoded: dict[str, bytes]) -> None:
        self._rendered[url], self._encoded[url] = rendered, encoded
        self._version[url] += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, changes: dict[str, dict[str, bytes]]) -> str | None:
        """Until every changed type that Envoy has subscribed to was accepted, or one was refused (then its text)."""
        goal = {url: self._version[url] for url in changes if changes[url] or self._accepted[url]}
        while self.streams:
            for url, version in goal.items():
                refused = self._refusals.get(url)
                if refused and refused[0] >= version:
                    return refused[1]
            if all(self._accepted[url] >= version for url, version in goal.items()):
                return None
            answered = self._answered
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await answered.wait()
                    continue
            return None  # a type nobody subscribed to (no listener refers to it): it is taken when somebody does
        return None

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
        inbox: asyncio.Queue[DiscoveryRequest | None] = asyncio.Queue()
        reader = self._supervisor.spawn("xds-reader", self._read(requests, inbox))
        session = _Session()
        self.streams += 1
        try:
            while True:
                changed = self._changed
                for response in self._due(session):
                    yield response
                if not await self._next(session, inbox, changed):
                    return
        finally:
            self.streams -= 1
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
            self._note(session, request)
            return True
        finally:
            get.cancel()
            wait.cancel()

    def _note(self, session: "_Session", request: DiscoveryRequest) -> None:
        """Take an answer or a subscription. Names that changed make the type due again."""
        sent = session.nonces.get(request.nonce)
        if sent and request.error:
            self._refusals[sent[0]] = (sent[1], request.error)
        elif sent:
            self._accepted[sent[0]] = max(self._accepted[sent[0]], sent[1])
        if session.names.get(request.type_url) != request.names:
            session.names[request.type_url] = request.names
            session.sent.pop(request.type_url, None)
        self._notify()

    def _notify(self) -> None:
        self._answered.set()
        self._answered = asyncio.Event()

    def _due(self, session: "_Session") -> list[bytes]:
        responses = []
        for url in type_urls():
            if url not in session.names or session.sent.get(url) == self._version[url]:
                continue
            names = session.names[url] or tuple(self._encoded[url])
            resources = [self._encoded[url][name] for name in names if name in self._encoded[url]]
            session.sent[url] = self._version[url]
            session.count += 1
            session.nonces[str(session.count)] = (url, self._version[url])
            responses.append(encode_response(url, str(self._version[url]), str(session.count), resources))
        return responses


class _Session:
    """One stream: what it subscribed to, and what was sent to it."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, ...]] = {}
        self.sent: dict[str, int] = {}
        self.nonces: dict[str, tuple[str, int]] = {}
        self.count = 0
