"""The link to the control plane: the ACS websocket, for ever connected again.

The read loop never waits for a task or for a slow peer: messages are handled at once (`inbox`), answers go through a
queue. Silence for one to two minutes means a dead link. A connection that worked is replaced at once, one that could
not be made after 250 ms, growing by half to 15 s. Tasks go on meanwhile.
"""

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from homeport.agent.backend import Backend, Refused
from homeport.agent.inbox import Inbox
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.log import get_logger
from homeport.base.socket import Socket
from homeport.base.supervise import Supervisor
from homeport.shapes import acs, ecs

log = get_logger("session")
ENDPOINT_KEPT_SECONDS = 12 * 3600.0
LEAST_SILENCE_SECONDS = 60.0
HEALTHY_AFTER_SECONDS = 1.0
AGENT_VERSION = "1.105.1"
AGENT_HASH = "homeport"
INACTIVE = "InactiveInstanceException"


class InstanceInactive(Exception):  # noqa: N818 - a fate
    """The control plane has deregistered this instance: register as a new one."""


class Instance(NamedTuple):
    """Who this agent is registered as. `cluster` is the configured value, which may be a bare name."""

    cluster: str
    arn: str
    docker_version: str


class PollEndpoints:
    """DiscoverPollEndpoint, remembered for 12 hours; when asking fails an older answer still serves."""

    def __init__(self, backend: Backend, clock: Clock, instance: Instance) -> None:
        self._backend = backend
        self._clock = clock
        self._instance = instance
        self._answer: ecs.DiscoverPollEndpointResponse | None = None
        self._asked_at = 0.0

    async def acs(self) -> str:
        return (await self._discover()).endpoint or ""

    async def telemetry(self) -> str:
        answer = await self._discover()
        return answer.telemetry_endpoint or answer.endpoint or ""

    def forget(self) -> None:
        """Ask anew next time: the endpoint did not answer."""
        self._asked_at = 0.0

    async def _discover(self) -> ecs.DiscoverPollEndpointResponse:
        if self._answer is not None and self._clock.now() - self._asked_at < ENDPOINT_KEPT_SECONDS:
            return self._answer
        request = ecs.DiscoverPollEndpointRequest(cluster=self._instance.cluster, container_instance=self._instance.arn)
        try:
            self._answer = await self._backend.call("DiscoverPollEndpoint", request)
            self._asked_at = self._clock.now()
        except (Transient, Refused):
            if self._answer is None:
                raise
        assert self._answer is not None
        return self._answer


class Session:
    """`run` keeps the link; `new_inbox` makes the handler of one connection."""

    def __init__(
        self,
        *,
        backend: Backend,
        clock: Clock,
        rng: random.Random,
        supervisor: Supervisor,
        instance: Instance,
        endpoints: PollEndpoints,
        new_inbox: Callable[[], Inbox],
        needs_credentials: bool = True,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._rng = rng
        self._supervisor = supervisor
        self._instance = instance
        self._endpoints = endpoints
        self._new_inbox = new_inbox
        self.needs_credentials = needs_credentials
        self.is_connected = False
        self._connected_at: float | None = None
        self._socket: Socket | None = None

    async def reconnect(self) -> None:
        """Close the connection, if there is one; a new one is made at once."""
        if self._socket is not None:
            await self._socket.close()

    async def run(self) -> None:
        """Connect, serve, and again. Raises InstanceInactive."""
        failures = 0
        while True:
            self._connected_at = None
            try:
                await self._connect_and_serve()
            except Refused as error:
                if error.code == INACTIVE:
                    raise InstanceInactive(error.message) from error
                log.warning("connection_refused", error=str(error))
            except Transient as error:
                log.info("disconnected", error=str(error))
            self._endpoints.forget()
            if self._was_healthy():
                failures = 0
                continue
            await self._clock.sleep(backoff_seconds(failures, first=0.25, factor=1.5, most=15, rng=self._rng))
            failures += 1

    def _was_healthy(self) -> bool:
        return self._connected_at is not None and self._clock.monotonic() - self._connected_at > HEALTHY_AFTER_SECONDS

    async def _connect_and_serve(self) -> None:
        url = await self._endpoints.acs()
        socket = await self._backend.connect(url, self._query())
        log.info("connected", endpoint=url)
        self.needs_credentials = False
        self.is_connected = True
        self._socket = socket
        self._connected_at = self._clock.monotonic()
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        writer = self._supervisor.spawn("acs writer", _write(socket, answers))
        try:
            await self._read(socket, answers)
        finally:
            self.is_connected = False
            self._socket = None
            writer.cancel()
            await socket.close()

    def _query(self) -> dict[str, str]:
        return {
            "agentHash": AGENT_HASH,
            "agentVersion": AGENT_VERSION,
            "clusterArn": self._instance.cluster,
            "containerInstanceArn": self._instance.arn,
            "dockerVersion": f"DockerVersion: {self._instance.docker_version}",
            "protocolVersion": "2",
            "sendCredentials": "true" if self.needs_credentials else "false",
            "seqNum": "1",
        }

    async def _read(self, socket: Socket, answers: asyncio.Queue[bytes]) -> None:
        inbox = self._new_inbox()
        while True:
            silence = LEAST_SILENCE_SECONDS * (1 + self._rng.random())
            try:
                async with asyncio.timeout(silence):
                    frame = await socket.receive()
            except TimeoutError:
                raise Transient(f"nothing was received for {silence:.0f} s") from None
            if frame is None:
                raise Transient("the connection was closed")
            for answer in _handle(inbox, frame):
                answers.put_nowait(acs.encode_frame(answer))


def _handle(inbox: Inbox, frame: bytes) -> tuple[msgspec.Struct, ...]:
    try:
        message = acs.decode_frame(frame, acs.TO_AGENT)
    except msgspec.DecodeError as error:
        log.warning("frame_malformed", error=str(error), frame=frame[:200])
        return ()
    return () if message is None else inbox.handle(message)


async def _write(socket: Socket, answers: asyncio.Queue[bytes]) -> None:
    """Until the socket is closed; the reader notices that too."""
    try:
        while True:
            await socket.send(await answers.get())
    except Transient as error:
        log.info("answer_undelivered", error=str(error))
