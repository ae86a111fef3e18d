"""The server's end of the agents' ACS connections. It carries messages; what to say is decided in `control.dispatch`.

One connection per container instance: a newer one replaces the older. A connection is alive while frames come in; one
that leaves two heartbeats unanswered is closed. Source: agent protocol, A3 to A5.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from homeport.api.agent_queries import AgentQuery, Refusal, acs_query, refusal
from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.ids import Ids
from homeport.base.log import get_logger
from homeport.base.socket import Socket
from homeport.model.container_instance import ContainerInstance
from homeport.model.status import DesiredStatus
from homeport.model.target_health import is_held
from homeport.shapes import acs
from homeport.store.schema import Tables
from homeport.store.store import Store, Tx

log = get_logger("acs")
GOING_AWAY = 1001
MALFORMED = 1007
REPLACED = 4000
SHUTTING_DOWN = b'{"ServerException":"The server is shutting down."}'
_HEARTBEATS_UNANSWERED = 2


class Session:
    """One connection. Messages go out in the order of `outbox`."""

    def __init__(
        self, arn: str, session_id: str, query: AgentQuery, endpoint: str, socket: Socket, heard_at: float
    ) -> None:
        self.arn = arn
        self.session_id = session_id
        self.wants_credentials = query.wants_credentials
        self.endpoint = endpoint
        self.socket = socket
        self.outbox: asyncio.Queue[Struct] = asyncio.Queue()
        self.heard_at = heard_at
        self.manifest_id: str | None = None


class AcsServer:
    """Implements `control.sessions.Sessions`. `heartbeat_interval` in seconds (agents need one every 60 s)."""

    def __init__(self, store: Store, arns: Arns, clock: Clock, ids: Ids, *, heartbeat_interval: float = 30.0) -> None:
        self._store = store
        self._arns = arns
        self._clock = clock
        self._ids = ids
        self._heartbeat_interval = heartbeat_interval
        self._sessions: dict[str, Session] = {}
        self._connected_listeners: list[Callable[[str], None]] = []
        self._acknowledged_listeners: list[Callable[[str, str], None]] = []
        self._is_closing = False

    # ---- for control ------------------------------------------------------------------------------------------------

    def is_connected(self, container_instance_arn: str) -> bool:
        return container_instance_arn in self._sessions

    def session_id(self, container_instance_arn: str) -> str | None:
        session = self._sessions.get(container_instance_arn)
        return None if session is None else session.session_id

    def link(self, container_instance_arn: str) -> Session | None:
        return self._sessions.get(container_instance_arn)

    async def send(self, container_instance_arn: str, message: Struct) -> None:
        session = self._sessions.get(container_instance_arn)
        if session is None:
            raise Transient(f"no agent is connected for {container_instance_arn}")
        if isinstance(message, acs.TaskManifestMessage):
            session.manifest_id = message.message_id
        session.outbox.put_nowait(message)

    async def disconnect(self, container_instance_arn: str, reason: str) -> None:
        session = self._sessions.get(container_instance_arn)
        if session is not None:
            await session.socket.close(GOING_AWAY, reason)

    def on_connected(self, listener: Callable[[str], None]) -> None:
        self._connected_listeners.append(listener)

    def on_acknowledged(self, listener: Callable[[str, str], None]) -> None:
        self._acknowledged_listeners.append(listener)

    # ---- for the front door -----------------------------------------------------------------------------------------

    def refuse(self, query: Mapping[str, str]) -> Refusal | None:
        """Why the upgrade is refused: status and body; None if the agent may connect."""
        if self._is_closing:
            return 503, SHUTTING_DOWN
        return refusal(self._store.read, self._arns, acs_query(query))

    async def accept(self, query: Mapping[str, str], socket: Socket, endpoint: str = "") -> None:
        """Serve one connection to its end. `endpoint` is our base URL as the agent addressed it."""
        asked = acs_query(query)
        if self.refuse(query) is not None:
            await socket.close(GOING_AWAY, "the container instance is not registered")
            return
        arn = asked.container_instance_arn
        session = Session(arn, self._ids.uuid(), asked, endpoint, socket, self._clock.monotonic())
        older = self._sessions.get(arn)
        self._sessions[arn] = session
        try:
            await self._connected(session, asked)
            await self._serve(session, older)
        finally:
            self._disconnected(session)
            await socket.close(GOING_AWAY, "")

    async def close(self) -> None:
        """Close every connection, so that agents look for the next process at once, and let none in again."""
        self._is_closing = True
        sockets = [session.socket for session in self._sessions.values()]
        await asyncio.gather(*(socket.close(GOING_AWAY, "the server is shutting down") for socket in sockets))

    # ---- one connection ---------------------------------------------------------------------------------------------

    async def _connected(self, session: Session, asked: AgentQuery) -> None:
        _, version = self._store.update(lambda tx: _mark_connected(tx, asked))
        await self._store.durable(version)
        log.info("agent_connected", container_instance=session.arn, agent_version=asked.agent_version)
        for listener in self._connected_listeners:
            listener(session.arn)

    def _disconnected(self, session: Session) -> None:
        """The rows say so only if no newer connection has taken over."""
        if self._sessions.get(session.arn) is not session:
            return
        del self._sessions[session.arn]
        self._store.update(lambda tx: _mark_disconnected(tx, session.arn))
        log.info("agent_disconnected", container_instance=session.arn)

    async def _serve(self, session: Session, older: Session | None) -> None:
        """Reading ends the connection; writing and heartbeats go on beside it and end with it.

        Closing the older connection may take seconds, because its other end may be gone.
        """
        async with asyncio.TaskGroup() as group:
            if older is not None:
                group.create_task(older.socket.close(REPLACED, "the agent has connected again"))
            beside = [group.create_task(self._write(session)), group.create_task(self._beat(session))]
            try:
                await self._read(session)
            finally:
                for task in beside:
                    task.cancel()

    async def _write(self, session: Session) -> None:
        while True:
            message = await session.outbox.get()
            try:
                await session.socket.send(acs.encode_frame(message))
            except Transient:
                await session.socket.close(GOING_AWAY, "")
                return

    async def _beat(self, session: Session) -> None:
        patience = _HEARTBEATS_UNANSWERED * self._heartbeat_interval
        while True:
            session.outbox.put_nowait(acs.HeartbeatMessage(message_id=self._ids.uuid(), healthy=True))
            await self._clock.sleep(self._heartbeat_interval)
            if self._clock.monotonic() - session.heard_at > patience:
                log.warning("agent_silent", container_instance=session.arn, seconds=patience)
                await session.socket.close(GOING_AWAY, "heartbeats were not acknowledged")
                return

    async def _read(self, session: Session) -> None:
        while (frame := await session.socket.receive()) is not None:
            session.heard_at = self._clock.monotonic()
            try:
                message = acs.decode_frame(frame, acs.TO_SERVER)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.warning("agent_frame_malformed", container_instance=session.arn, error=str(error))
                await session.socket.close(MALFORMED, "malformed frame")
                return
            await self._handle(session, message)

    async def _handle(self, session: Session, message: Struct | None) -> None:
        if isinstance(message, acs.AckRequest):
            for listener in self._acknowledged_listeners:
                listener(session.arn, message.message_id)
        elif isinstance(message, acs.TaskStopVerificationMessage):
            await self._verify_stops(session, message)
        elif isinstance(message, acs.NackRequest):
            log.warning("agent_refused", container_instance=session.arn, reason=message.reason)
        elif message is None:
            log.info("agent_frame_unknown", container_instance=session.arn)

    async def _verify_stops(self, session: Session, message: acs.TaskStopVerificationMessage) -> None:
        """Answers the one question that follows a manifest, from rows that are durable."""
        if message.message_id != session.manifest_id:
            return
        session.manifest_id = None
        stops = tuple(
            candidate
            for candidate in message.stop_candidates
            if is_to_stop(self._store.read, session.arn, candidate.task_arn)
        )
        await self._store.durable(self._store.version)
        answer = acs.TaskStopVerificationAck(
            message_id=message.message_id, generated_at=int(self._clock.now() * 1000), stop_tasks=stops
        )
        session.outbox.put_nowait(answer)


def is_to_stop(read: Tables, container_instance_arn: str, task_arn: str) -> bool:
    """Whether an agent has no business running this task: unknown here, over, to be stopped, or another instance's."""
    task = read.tasks.get(task_arn)
    return (
        task is None
        or task.is_stopped
        or (task.desired_status is DesiredStatus.STOPPED and not is_held(read, task))
        or task.container_instance_arn != container_instance_arn
    )


def _mark_connected(tx: Tx, asked: AgentQuery) -> None:
    instance = tx.container_instances.get(asked.container_instance_arn)
    if instance is None:
        return
    connected = replace(
        instance,
        status="ACTIVE" if instance.is_lost else instance.status,
        status_reason=None if instance.is_lost else instance.status_reason,
        agent_connected=True,
        disconnected_at=None,
        agent_version=asked.agent_version or instance.agent_version,
        agent_hash=asked.agent_hash or instance.agent_hash,
        docker_version=asked.docker_version or instance.docker_version,
    )
    if connected != instance:
        tx.container_instances.put(replace(connected, version=instance.version + 1))


def _mark_disconnected(tx: Tx, container_instance_arn: str) -> None:
    instance: ContainerInstance | None = tx.container_instances.get(container_instance_arn)
    if instance is not None and instance.agent_connected:
        tx.container_instances.put(
            replace(instance, agent_connected=False, disconnected_at=tx.now, version=instance.version + 1)
        )
