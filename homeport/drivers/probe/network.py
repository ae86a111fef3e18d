"""Probes over the network: TCP, HTTP/1.1, HTTP/2 and gRPC, with and without TLS, a fresh connection for each.

Requests look like those of Elastic Load Balancing (`ELB-HealthChecker/2.0`, the target as Host); certificates are not
verified, as there. An answer's body is read to its end where it is short, so that servers need not complain of a
connection that broke, but it decides nothing.
"""

import asyncio
import ssl
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from homeport.drivers.probe import Answered, Disturbed, Failed, Outcome, Probe, TimedOut

_AGENT = "ELB-HealthChecker/2.0"
_LONGEST_BODY = 64 * 1024
_BODY_SECONDS = 1.0
_CHUNK = 16 * 1024
#: A time-out that is noticed this many seconds late says more of this process than of the target.
_LATENESS = 0.5
_EMPTY_MESSAGE = b"\0\0\0\0\0"

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NetworkProber:
    """Probes by the host's own network."""

    def __init__(self) -> None:
        self._tls = {alpn: _tls_context(alpn) for alpn in ("http/1.1", "h2")}

    async def probe(self, probe: Probe) -> Outcome:
        loop = asyncio.get_running_loop()
        latest = loop.time() + probe.timeout + _LATENESS
        try:
            async with asyncio.timeout(probe.timeout):
                return await self._ask(probe)
        except TimeoutError:
            return TimedOut() if loop.time() < latest else Disturbed()
        except (OSError, EOFError, ValueError, ProtocolError) as error:
            return Failed(f"{type(error).__name__}: {error}")

    async def _ask(self, probe: Probe) -> Outcome:
        reader, writer = await self._connect(probe)
        try:
            if probe.protocol == "TCP":
                return Answered()
            if probe.version == "HTTP1":
                return await _http1(probe, reader, writer)
            return await _Http2(probe, reader, writer).outcome()
        finally:
            writer.close()

    async def _connect(self, probe: Probe) -> _Connection:
        if probe.protocol != "HTTPS":
            return await asyncio.open_connection(probe.host, probe.port)
        context = self._tls["http/1.1" if probe.version == "HTTP1" else "h2"]
        return await asyncio.open_connection(probe.host, probe.port, ssl=context, ssl_shutdown_timeout=1)


def _tls_context(alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context


def _authority(probe: Probe) -> str:
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"{host}:{probe.port}"


async def _http1(probe: Probe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Outcome:
    lines = (
        f"GET {probe.path} HTTP/1.1",
        f"Host: {_authority(probe)}",
        "Connection: close",
        f"User-Agent: {_AGENT}",
        "Accept-Encoding: gzip, compressed",
        "",
        "",
    )
    writer.write("\r\n".join(lines).encode())
    status = 100
    while status < 200:
        status = _status(await reader.readline())
        while (await reader.readline()).strip():
            pass
    await _read_rest(reader)
    return Answered(status)


def _status(line: bytes) -> int:
    """Of `HTTP/1.1 200 OK`. Raises ValueError for anything else."""
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or not 100 <= int(code) <= 599:
        raise ValueError(f"no HTTP answer: {line[:64]!r}")
    return int(code)


async def _read_rest(reader: asyncio.StreamReader) -> None:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            left = _LONGEST_BODY
            while left > 0 and (chunk := await reader.read(_CHUNK)):
                left -= len(chunk)


class _Http2:
    """One request on one HTTP/2 connection, with prior knowledge where there is no TLS."""

    def __init__(self, probe: Probe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._probe = probe
        self._reader = reader
        self._writer = writer
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._status: int | None = None
        self._grpc_status: int | None = None

    async def outcome(self) -> Outcome:
        self._send()
        while True:
            self._writer.write(self._connection.data_to_send())
            received = await self._reader.read(_CHUNK)
            if not received:
                raise EOFError("the connection was closed before the answer had ended")
            has_ended = False
            for event in self._connection.receive_data(received):
                has_ended |= self._take(event)
            if has_ended:
                return self._verdict()

    def _send(self) -> None:
        probe, connection = self._probe, self._connection
        is_grpc = probe.version == "GRPC"
        headers = [
            (":method", "POST" if is_grpc else "GET"),
            (":scheme", probe.protocol.lower()),
            (":authority", _authority(probe)),
            (":path", probe.path),
            ("user-agent", _AGENT),
        ]
        if is_grpc:
            headers += [("te", "trailers"), ("content-type", "application/grpc")]
        connection.initiate_connection()
        connection.send_headers(1, headers, end_stream=not is_grpc)
        if is_grpc:
            connection.send_data(1, _EMPTY_MESSAGE, end_stream=True)

    def _take(self, event: Event) -> bool:
        """Whether the answer has ended."""
        if isinstance(event, ResponseReceived | TrailersReceived):
            for name, value in event.headers or ():
                if name == b":status":
                    self._status = int(value)
                elif name == b"grpc-status":
                    self._grpc_status = int(value)
        elif isinstance(event, DataReceived):
            self._connection.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 1)
        return isinstance(event, StreamEnded | StreamReset | ConnectionTerminated)

    def _verdict(self) -> Outcome:
        code = self._grpc_status if self._probe.version == "GRPC" else self._status
        return Failed("the answer has no status") if code is None else Answered(code)
