"""The server's end of the agents' telemetry connections: metrics, container health, health of the instance.

Every message is acknowledged once what it says is kept: metrics in memory, health in the store. An agent closes the
connection when it hears neither acknowledgement nor heartbeat for a minute. Source: agent protocol, A6.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from homeport.api.agent_queries import Refusal, refusal, tcs_query
from homeport.api.telemetry import Telemetry
from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.ids import Ids
from homeport.base.log import get_logger
from homeport.base.socket import Socket
from homeport.model.task import Container, Task
from homeport.shapes import acs, tcs
from homeport.shapes import ecs as shapes
from homeport.store.store import Store, Tx

log = get_logger("tcs")
GOING_AWAY = 1001
MALFORMED = 1007
_STATUS_WRITTEN_EVERY = 300.0


class TcsServer:
    """`heartbeat_interval` in seconds. What was measured is read through `telemetry`."""

    def __init__(
        self,
        store: Store,
        arns: Arns,
        clock: Clock,
        ids: Ids,
        *,
        heartbeat_interval: float = 30.0,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._store = store
        self._arns = arns
        self._clock = clock
        self._ids = ids
        self._heartbeat_interval = heartbeat_interval
        self.telemetry = telemetry or Telemetry()
        self._sockets: set[Socket] = set()

    def refuse(self, query: Mapping[str, str]) -> Refusal | None:
        return refusal(self._store.read, self._arns, tcs_query(query))

    async def accept(self, query: Mapping[str, str], socket: Socket) -> None:
        """Serve one connection to its end."""
        arn = tcs_query(query).container_instance_arn
        if self.refuse(query) is not None:
            await socket.close(GOING_AWAY, "the container instance is not registered")
            return
        self._sockets.add(socket)
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(socket))
                try:
                    await self._read(arn, socket)
                finally:
                    beating.cancel()
        finally:
            self._sockets.discard(socket)
            await socket.close(GOING_AWAY, "")

    async def close(self) -> None:
        sockets = list(self._sockets)
        await asyncio.gather(*(socket.close(GOING_AWAY, "the server is shutting down") for socket in sockets))

    async def _beat(self, socket: Socket) -> None:
        while True:
            try:
                await socket.send(tcs.encode_frame(tcs.HeartbeatMessage(message_id=self._ids.uuid(), healthy=True)))
            except Transient:
                return
            await self._clock.sleep(self._heartbeat_interval)

    async def _read(self, arn: str, socket: Socket) -> None:
        while (frame := await socket.receive()) is not None:
            try:
                message = acs.decode_frame(tcs.strip_headers(frame), tcs.TO_SERVER)
                answer = await self._handle(arn, message)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                log.warning("telemetry_malformed", container_instance=arn, error=str(error))
                await socket.close(MALFORMED, "malformed frame")
                return
            if answer is not None and not await _sent(socket, answer):
                return

    async def _handle(self, arn: str, message: Struct | None) -> Struct | None:
        """Keep what the message says; the acknowledgement to send, or None for a message nobody knows."""
        if isinstance(message, tcs.PublishMetricsRequest):
            self.telemetry.record(message)
            return tcs.AckPublishMetric(message=message.metadata.message_id)
        if isinstance(message, tcs.PublishHealthRequest):
            await self._keep(lambda tx: record_health(tx, arn, message))
            return tcs.AckPublishHealth(message=message.metadata.message_id)
        if isinstance(message, tcs.PublishInstanceStatusRequest):
            await self._keep(lambda tx: record_instance_status(tx, arn, message))
            return tcs.AckPublishInstanceStatus(message=message.metadata.request_id or "")
        return None

    async def _keep(self, change: Callable[[Tx], None]) -> None:
        _, version = self._store.update(change)
        await self._store.durable(version)


async def _sent(socket: Socket, answer: Struct) -> bool:
    try:
        await socket.send(tcs.encode_frame(answer))
    except Transient:
        return False
    return True


def record_health(tx: Tx, container_instance_arn: str, message: tcs.PublishHealthRequest) -> None:
    """Write down what changed; reports about tasks that are over, or not this instance's, are out of date."""
    for report in message.tasks:
        task = tx.tasks.get(report.task_arn)
        if task is None or task.is_stopped or task.container_instance_arn != container_instance_arn:
            continue
        changed = with_health(task, {health.container_name: health.health_status for health in report.containers})
        if changed is not task:
            tx.tasks.put(changed)


def with_health(task: Task, health: Mapping[str, str]) -> Task:
    """The task with its containers' health as reported; the same object if nothing changed."""
    containers = tuple(_container_with_health(container, health.get(container.name)) for container in task.containers)
    if containers == task.containers:
        return task
    return replace(task, containers=containers, version=task.version + 1)


def _container_with_health(container: Container, status: str | None) -> Container:
    if status == "HEALTHY":
        return replace(container, health_status="HEALTHY")
    if status == "UNHEALTHY":
        return replace(container, health_status="UNHEALTHY")
    return replace(container, health_status="UNKNOWN") if status == "UNKNOWN" else container


def record_instance_status(tx: Tx, container_instance_arn: str, message: tcs.PublishInstanceStatusRequest) -> None:
    """Keep the container runtime's health. A repeated status is written every five minutes only: nobody decides by it."""
    instance = tx.container_instances.get(container_instance_arn)
    reported = next((status for status in message.statuses if status.type == "ContainerRuntime"), None)
    if instance is None or reported is None:
        return
    before = instance.runtime_health
    after = runtime_health(reported)
    is_same = before is not None and (before.status, before.status_reason) == (after.status, after.status_reason)
    if before is not None and is_same:
        age = (after.last_updated or 0.0) - (before.last_updated or 0.0)
        if age < _STATUS_WRITTEN_EVERY:
            return
    tx.container_instances.put(
        replace(instance, runtime_health=after, version=instance.version if is_same else instance.version + 1)
    )


def runtime_health(reported: tcs.InstanceStatus) -> shapes.InstanceHealthCheckResult:
    """Raises msgspec.ValidationError for a status that the API does not have."""
    return msgspec.convert(
        {
            "type": "CONTAINER_RUNTIME",
            "status": reported.status,
            "statusReason": reported.status_reason,
            "lastUpdated": reported.last_updated,
            "lastStatusChange": reported.last_status_change,
        },
        shapes.InstanceHealthCheckResult,
    )
