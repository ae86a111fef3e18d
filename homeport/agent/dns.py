"""Names of load balancers inside tasks: a small resolver at 169.254.169.253, where a VPC's resolver is too.

A load balancer's name carries its address as a number (`NAME-2887712778.REGION.elb.homeport.internal` is 172.31.0.10),
so it is answered without asking anybody and goes on to be while the control plane is away. Everything else goes as it
came to the host's own resolvers. Containers get these as further resolvers, so an agent that is away costs no more than
the load balancers' names. Of several agents on a host one listens and all their tasks are served.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from homeport.base.clock import Clock
from homeport.base.log import get_logger

log = get_logger("dns")
WELL_KNOWN_PORT = 53
_SUFFIX = ".elb.homeport.internal."
_NAME = re.compile(r"^(?:.+\.)?[a-z0-9-]+-(\d{10})\.[a-z0-9-]+\.elb\.homeport\.internal\.$", re.IGNORECASE)
_TTL_SECONDS = 60
_UPSTREAM_SECONDS = 2.0
_RETRY_SECONDS = 2.0
_MOST_IN_FLIGHT = 512
_PROBE = "agent-0000000000.local" + _SUFFIX


def address_of(name: str) -> str | None:
    """The address that a load balancer's name (with its final dot) says, or None if it is no such name."""
    found = _NAME.match(name)
    if found is None or int(found[1]) > 0xFFFFFFFF:
        return None
    return str(IPv4Address(int(found[1])))


def own_answer(query: dns.message.Message) -> dns.message.Message | None:
    """The answer to a question about a load balancer's name; None for everybody else's."""
    if len(query.question) != 1:
        return None
    question = query.question[0]
    name = question.name.to_text()
    if not name.lower().endswith(_SUFFIX):
        return None
    answer = dns.message.make_response(query, recursion_available=True)
    answer.flags |= dns.flags.AA
    address = address_of(name)
    if address is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif question.rdtype == dns.rdatatype.A and question.rdclass == dns.rdataclass.IN:
        answer.answer.append(dns.rrset.from_text(question.name, _TTL_SECONDS, "IN", "A", address))
    return answer


def failure(query: dns.message.Message) -> bytes:
    """No resolver answered."""
    answer = dns.message.make_response(query, recursion_available=True)
    answer.set_rcode(dns.rcode.SERVFAIL)
    return answer.to_wire()


class HostResolvers:
    """The name servers of the host's `resolv.conf`, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = -1.0
        self._servers: tuple[str, ...] = ()

    def servers(self) -> tuple[str, ...]:
        """Addresses in order; at most three, as the C library does it."""
        with suppress(OSError):
            stamp = self._path.stat().st_mtime
            if stamp != self._stamp:
                self._servers, self._stamp = nameservers(self._path.read_text(errors="replace")), stamp
        return self._servers


def nameservers(text: str) -> tuple[str, ...]:
    """The `nameserver` lines of a `resolv.conf`; what is no address is left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                ip_address(words[1].split("%")[0])
                found.append(words[1])
    return tuple(found[:3])


class DnsServer:
    """UDP and TCP on one address. `upstream_port` is 53 but in tests."""

    def __init__(
        self,
        address: str,
        port: int,
        clock: Clock,
        resolvers: HostResolvers,
        *,
        add_address: Callable[[str], Awaitable[None]] | None = None,
        upstream_port: int = WELL_KNOWN_PORT,
    ) -> None:
        self._address = address
        self._port = port
        self._clock = clock
        self._resolvers = resolvers
        self._add_address = add_address
        self._upstream_port = upstream_port
        self._in_flight: set[asyncio.Task[None]] = set()
        self._is_answering = False

    def for_containers(self) -> tuple[str, ...]:
        """Resolvers of a container: ours, then those of the host that it can reach. None where nobody answers ours."""
        if not self._is_answering or self._port != WELL_KNOWN_PORT:
            return ()
        others = [server for server in self._upstream() if not ip_address(server.split("%")[0]).is_loopback]
        return (self._address, *others)

    def _upstream(self) -> list[str]:
        return [server for server in self._resolvers.servers() if server != self._address]

    async def serve(self) -> None:
        """Until cancelled. Where the port cannot be had, see whether another agent answers there, and try again."""
        while True:
            try:
                if self._add_address is not None:
                    await self._add_address(self._address)
                await self._serve_once()
            except OSError as error:
                was_answering, self._is_answering = self._is_answering, await self._somebody_answers()
                if self._is_answering and not was_answering:
                    log.info("dns_shared", address=self._address, port=self._port)
                if not self._is_answering:
                    log.warning(
                        "dns_unavailable",
                        address=self._address,
                        port=self._port,
                        error=str(error),
                        effect="names of load balancers do not resolve inside tasks",
                    )
            await self._clock.sleep(_RETRY_SECONDS)

    async def _serve_once(self) -> None:
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._take), local_addr=(self._address, self._port)
        )
        try:
            server = await asyncio.start_server(self._converse, self._address, self._port)
            log.info("dns_listening", address=self._address, port=self._port)
            self._is_answering = True
            async with server:
                await server.serve_forever()
        finally:
            self._is_answering = False
            datagrams.close()

    async def _somebody_answers(self) -> bool:
        query = dns.message.make_query(_PROBE, "A")
        try:
            answer = await _ask_udp(query.to_wire(), self._address, self._port, 1.0)
        except (OSError, TimeoutError):
            return False
        return answer[:2] == query.to_wire()[:2]

    # ---- answering

    def _take(self, transport: asyncio.DatagramTransport, data: bytes, client: tuple[str, int]) -> None:
        if len(self._in_flight) >= _MOST_IN_FLIGHT:
            return  # a client that gets no answer asks again

        async def reply() -> None:
            answer = await self.answer(data, tcp=False)
            if answer is not None and not transport.is_closing():
                transport.sendto(answer, client)

        task = asyncio.get_running_loop().create_task(reply())
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, TimeoutError):
            while True:
                async with asyncio.timeout(10):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(size)
                answer = await self.answer(data, tcp=True)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        writer.close()

    async def answer(self, data: bytes, *, tcp: bool) -> bytes | None:
        """The wire form of the answer; None for what is no query at all."""
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        own = own_answer(query)
        if own is not None:
            return own.to_wire()
        return await self._forward(data, tcp=tcp) or failure(query)

    async def _forward(self, data: bytes, *, tcp: bool) -> bytes | None:
        """The first resolver's answer, unchanged, whatever it says."""
        ask = _ask_tcp if tcp else _ask_udp
        for server in self._upstream():
            with suppress(OSError, EOFError, TimeoutError):
                answer = await ask(data, server, self._upstream_port, _UPSTREAM_SECONDS)
                if answer[:2] == data[:2]:
                    return answer
        return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[asyncio.DatagramTransport, bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(self._transport, data, addr)


class _OneAnswer(asyncio.DatagramProtocol):
    """Sends one datagram and resolves with the first that comes back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.sendto(self._data)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - the socket is connected
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_udp(data: bytes, server: str, port: int, seconds: float) -> bytes:
    """From a port of its own, so that answers cannot be mixed up or guessed. Raises OSError, TimeoutError."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _OneAnswer(data), remote_addr=(server, port), family=family
    )
    try:
        async with asyncio.timeout(seconds):
            return await protocol.answer
    finally:
        transport.close()


async def _ask_tcp(data: bytes, server: str, port: int, seconds: float) -> bytes:
    """Raises OSError, EOFError, TimeoutError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(server, port)
        try:
            writer.write(len(data).to_bytes(2, "big") + data)
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
