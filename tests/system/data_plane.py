"""A data plane for tests: the reconciler and a real Envoy, fed with rows instead of API calls; targets in this process."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from homeport.base.clock import SystemClock
from homeport.base.ids import Ids
from homeport.base.supervise import Supervisor
from homeport.cli.supervisor import Keeper
from homeport.control.balancer import BalancerReconciler
from homeport.control.balancer_configuration import Surroundings
from homeport.control.runner import Controller
from homeport.control.served import Served
from homeport.drivers.balancer.envoy import EnvoyBalancer
from homeport.drivers.network.addresses import LoopbackAddresses, release
from homeport.drivers.network.fake import FakeHostNames
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.system.load import LoadProcess

TABLES = {
    "LoadBalancer": "load_balancers",
    "TargetGroup": "target_groups",
    "Target": "targets",
    "Listener": "listeners",
    "Rule": "rules",
    "Certificate": "certificates",
}


class ControlPlane:
    """Store, reconciler and discovery service: what dies with a server."""

    def __init__(self, data_dir, store):
        clock = SystemClock()
        self.store = store
        self._supervisor = Supervisor(clock)
        self.balancer = EnvoyBalancer(data_dir, self._supervisor)
        around = Surroundings(open_key=lambda sealed: sealed, log_dir=data_dir / "access-logs")
        self.served = Served()
        reconciler = BalancerReconciler(
            self.balancer, LoopbackAddresses(data_dir), FakeHostNames(), around, self.served
        )
        self._controller = Controller(store, clock, self._supervisor, [reconciler])

    async def start(self):
        await self.balancer.start()
        self._controller.start()

    async def stop(self):
        await self._controller.stop()
        await self.balancer.close()
        await self._supervisor.close()


class DataPlane:
    """One Envoy under a keeper, and the control plane above it."""

    def __init__(self):
        self.data_dir = Path(tempfile.mkdtemp(prefix="hp-lb-"))
        clock = SystemClock()
        self.store = Store(MemoryJournal(), clock, Ids(random.Random(1)))
        self.store.load()
        self._keeper = Keeper(self.data_dir, clock, show_logs=False)

    async def __aenter__(self):
        self._supervisor = Supervisor(SystemClock())
        self.control = ControlPlane(self.data_dir, self.store)
        await self.control.start()
        command = [sys.executable, "-m", "homeport.drivers.balancer.process", str(self.data_dir)]
        self._supervisor.spawn("balancer", self._keeper.keep("balancer", command))
        await until(self.control.balancer.is_connected, 20, "Envoy is there")
        await self.applied()
        return self

    async def __aexit__(self, *_):
        await self._keeper.stop()
        await self.control.stop()
        await self._supervisor.close()
        release(self.data_dir)
        shutil.rmtree(self.data_dir)

    def put(self, *rows):
        self.store.update(lambda tx: [getattr(tx, TABLES[type(row).__name__]).put(row) for row in rows])

    def delete(self, *rows):
        self.store.update(
            lambda tx: [
                getattr(tx, TABLES[type(row).__name__]).delete(getattr(row, "arn", None) or row.key) for row in rows
            ]
        )

    def state(self, balancer):
        row = self.store.read.load_balancers[balancer.arn]
        return row.state, row.state_reason

    async def active(self, balancer, seconds=30):
        await until(lambda: self.state(balancer)[0] == "active", seconds, f"{balancer.name} active")

    async def serving(self, balancer, *rows):
        """These rows, served."""
        self.put(balancer, *rows)
        await self.active(balancer)
        await self.applied()

    async def applied(self):
        """Until Envoy has taken what is in the store; its threads take it up a moment later."""
        wanted = self.store.version

        def is_served():
            arns = [row.arn for row in self.store.read.load_balancers]
            return self.control.served.version_of(arns) >= wanted

        await until(is_served, 15, "applied")
        await asyncio.sleep(0.05)

    def envoy_pid(self):
        from homeport.base.local import read_state

        return read_state(self.data_dir, "balancer").get("pid")

    def kill_envoy(self):
        os.kill(self.envoy_pid(), signal.SIGKILL)

    async def restart_control_plane(self, *, seconds_away=1.0):
        """As after kill -9: the new one knows the rows and nothing else."""
        await self.control.stop()
        await asyncio.sleep(seconds_away)
        self.control = ControlPlane(self.data_dir, self.store)
        await self.control.start()


def scenario(body):
    """A test as a coroutine function of a data plane."""

    def test():
        async def main():
            async with DataPlane() as plane:
                await body(plane)

        asyncio.run(main())

    test.__name__ = body.__name__
    return test


@contextlib.asynccontextmanager
async def under_load(balancer, *, path="/", seconds=0.3):
    """Load around the body; fails unless every request was served. Yields the generator."""
    load = LoadProcess(balancer.address, 80, path=path)
    await asyncio.to_thread(load.__enter__)
    try:
        await asyncio.sleep(seconds)
        yield load
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(load.__exit__)
    print(load.result)
    assert load.result["failed"] == 0, load.result
    assert load.result["served"] > 50


async def until(condition, seconds=10, what="condition"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


async def eventually(ask, wanted, seconds=10):
    """Until `await ask()` gives what is wanted: Envoy's threads take up a change one by one, and tell nobody."""
    deadline = time.monotonic() + seconds
    while (found := await ask()) != wanted:
        assert time.monotonic() < deadline, f"{found!r} for {seconds} s, not {wanted!r}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def http_target(name, host="127.0.0.1"):
    """An HTTP/1.1 server that says its name; gives the port.

    It echoes request headers at /headers and WebSocket messages at /ws, and answers with the query as headers at /with.
    """

    async def handle(request):
        if request.path == "/ws":
            return await _echo(request)
        if request.path == "/headers":
            return web.json_response({key.lower(): value for key, value in request.headers.items()})
        if request.path == "/with":
            return web.Response(text=name, headers=request.query)
        if request.path == "/slow":
            await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text=name)

    runner = web.ServerRunner(web.Server(handle, keepalive_timeout=120), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


@contextlib.asynccontextmanager
async def tcp_target(name, **more):
    """Answers each connection with its name and what it got first (a PROXY header, if there is one)."""
    connections = {}

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(name.encode() + b":" + data)
                await writer.drain()
        writer.close()

    def accept(reader, writer):
        connections[asyncio.create_task(answer(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **more)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in connections.values():
            writer.close()
        await asyncio.gather(*connections)


class UdpEcho(asyncio.DatagramProtocol):
    def __init__(self, name):
        self._name = name.encode()

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        self._transport.sendto(self._name + b":" + data, address)


async def udp_ask(host, port, data):
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    class Client(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            transport.sendto(data)

        def datagram_received(self, received, _):
            if not answer.done():
                answer.set_result(received)

    transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=(host, port))
    try:
        return await asyncio.wait_for(answer, 2)
    finally:
        transport.close()


def self_signed(*names):
    """PEM of a certificate and its key for these server names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


async def curl(*arguments):
    """The output of curl; raises on failure."""
    done = await asyncio.to_thread(
        subprocess.run, ["curl", "-sS", "--max-time", "10", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
