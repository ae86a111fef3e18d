"""The one port: aiohttp's requests become the gateway's, agents' websockets become sockets.

Nothing of ECS is decided here. aiohttp's low-level server is used: there is nothing to route, and bodies must arrive
as they were signed (not decompressed).
"""

import asyncio
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web
from multidict import CIMultiDictProxy

from homeport.api import errors
from homeport.api.codecs import BODY_LIMIT
from homeport.api.gateway import Gateway
from homeport.api.request import Request, Response
from homeport.base.errors import Transient
from homeport.base.metrics import AGENT_SOCKETS, metrics_text
from homeport.base.socket import Socket

_LARGEST_FRAME = 4 * 1024 * 1024
SocketKind = Literal["acs", "tcs"]


class SocketServer(Protocol):
    """Who talks with agents (`api.sockets`). `refuse` answers an upgrade with a status and a body instead of 101."""

    def refuse(self, kind: SocketKind, query: dict[str, str]) -> tuple[int, bytes] | None: ...
    async def accept(self, kind: SocketKind, query: dict[str, str], socket: Socket, endpoint: str) -> None:
        """Converse until the socket is closed by either end. `endpoint`: our base URL as the agent addressed it."""
        ...


class HttpServer:
    """Listens on one address. `start` gives the port, which the system chooses for port 0."""

    def __init__(self, gateway: Gateway, sockets: SocketServer) -> None:
        self._gateway = gateway
        self._sockets = sockets
        self._open: set[web.WebSocketResponse] = set()
        server = web.Server(self._serve, request_factory=_make_request, auto_decompress=False, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=5)

    async def start(self, host: str, port: int) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Close every socket (1001: agents reconnect at once), finish what is being answered, stop listening."""
        await asyncio.gather(*(socket.close(code=1001, message=b"going away") for socket in list(self._open)))
        await self._runner.cleanup()

    async def _serve(self, incoming: web.BaseRequest) -> web.StreamResponse:
        path = incoming.raw_path.partition("?")[0]
        if path.startswith("/_homeport/"):
            return self._own(path)
        if incoming.headers.get("Upgrade", "").lower() == "websocket" and path in ("/acs/ws", "/tcs/ws"):
            return await self._serve_socket("acs" if path == "/acs/ws" else "tcs", incoming)
        if incoming.headers.get("Expect", "").lower() == "100-continue":
            await incoming.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            incoming.writer.output_size = 0
        try:
            body = await incoming.read()
        except web.HTTPRequestEntityTooLarge:
            error = errors.RequestEntityTooLargeException(f"Request body is larger than {BODY_LIMIT} bytes.")
            response = _to_aiohttp(self._gateway.refusal(error, _to_request(incoming, b""), "-"))
            response.force_close()  # the rest of the body is not worth reading
            return response
        return _to_aiohttp(await self._gateway.handle(_to_request(incoming, body)))

    def _own(self, path: str) -> web.Response:
        """What monitors ask; tells nothing of the account, hence without a signature."""
        if path == "/_homeport/health":
            return web.Response(body=msgspec.json.encode(self._gateway.health()), content_type="application/json")
        if path == "/_homeport/metrics":
            return web.Response(body=metrics_text(), content_type="text/plain", charset="utf-8")
        return web.Response(status=404, text="Not found\n")

    async def _serve_socket(self, kind: SocketKind, incoming: web.BaseRequest) -> web.StreamResponse:
        request = _to_request(incoming, b"")
        refused = self._gateway.admit(request, "Poll" if kind == "acs" else "StartTelemetrySession")
        if refused is not None:
            return _to_aiohttp(refused)
        query = dict(parse_qsl(request.query_string, keep_blank_values=True))
        refusal = self._sockets.refuse(kind, query)
        if refusal is not None:
            return web.Response(status=refusal[0], body=refusal[1], content_type="application/json")
        socket = web.WebSocketResponse(max_msg_size=_LARGEST_FRAME, compress=False, timeout=5, decode_text=False)
        await socket.prepare(incoming)
        self._open.add(socket)
        try:
            with AGENT_SOCKETS.labels(kind).track_inprogress():
                await self._sockets.accept(kind, query, AiohttpSocket(socket), request.endpoint)
        finally:
            self._open.discard(socket)
            await socket.close()
        return socket


class AiohttpSocket:
    """`base.socket.Socket` over aiohttp; either end's websocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, frame: bytes) -> None:
        try:
            await self._socket.send_frame(frame, WSMsgType.TEXT)
        except (ConnectionError, RuntimeError) as error:
            raise Transient(f"the socket is closed: {error}") from error

    async def receive(self) -> bytes | None:
        message = await self._socket.receive()
        return bytes(message.data) if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code=code, message=reason.encode())


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


def _to_request(incoming: web.BaseRequest, body: bytes) -> Request:
    path, _, query = incoming.raw_path.partition("?")
    headers = _headers(incoming.headers)
    # Behind a proxy that ends TLS, the caller's own word for us begins with https.
    scheme = "https" if headers.get("x-forwarded-proto") == "https" else "http"
    return Request(incoming.method, path, query, headers, body, scheme)


def _headers(incoming: CIMultiDictProxy[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in incoming.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    return headers


def _to_aiohttp(response: Response) -> web.Response:
    return web.Response(status=response.status, headers=response.headers, body=response.body)
