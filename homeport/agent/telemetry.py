"""Metrics and health of containers to the control plane, over the telemetry (TCS) websocket.

Counters are sampled each second and published every 20 s, ten tasks to a frame. Health goes with them, and at once
when it changes: the control plane replaces unhealthy tasks by it, and 20 s is long to be unhealthy. The connection is
replaced after one to two minutes of silence (the server acknowledges or sends heartbeats), and every half hour.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from homeport.agent.backend import Backend, Refused
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskBook, TaskRecord
from homeport.agent.session import AGENT_HASH, AGENT_VERSION
from homeport.agent.stats import HostReader, Reader, Series
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import Permanent, Transient
from homeport.base.ids import Ids
from homeport.base.log import get_logger
from homeport.base.socket import Socket
from homeport.drivers.engine import Engine
from homeport.shapes import acs, tcs

log = get_logger("telemetry")
T = TypeVar("T")

SAMPLE_SECONDS = 1.0
TASKS_PER_FRAME = 10
LEAST_SILENCE_SECONDS = 60.0
LEAST_AGE_SECONDS = 1800.0
AGE_SPREAD_SECONDS = 300.0
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


class Telemetry:
    """Run both loops under a supervisor: `supervisor.keep("telemetry", telemetry.run)` and `…keep("stats", telemetry.sample)`."""

    def __init__(
        self,
        backend: Backend,
        book: TaskBook,
        engine: Engine,
        clock: Clock,
        rng: random.Random,
        config: AgentConfig,
        *,
        container_instance_arn: str,
        endpoint: Callable[[], Awaitable[str]],
        reader: Reader | None = None,
    ) -> None:
        """`endpoint` gives the base URL for telemetry (`telemetryEndpoint` of DiscoverPollEndpoint)."""
        self._backend = backend
        self._book = book
        self._engine = engine
        self._clock = clock
        self._rng = rng
        self._ids = Ids(rng)
        self._config = config
        self._arn = container_instance_arn
        self._endpoint = endpoint
        self._reader = reader
        self._series: dict[str, Series] = {}
        self._runtime: tcs.InstanceStatus | None = None

    async def run(self) -> None:
        """Connect, publish every `metrics_interval`, reconnect with backoff; never returns."""
        attempt = 0
        while True:
            began = self._clock.monotonic()
            try:
                await self._session()
            except (Transient, Refused) as error:
                log.info("telemetry_disconnected", error=str(error), attempt=attempt)
            attempt = 0 if self._clock.monotonic() - began > LEAST_SILENCE_SECONDS else attempt + 1
            if attempt:
                await self._clock.sleep(backoff_seconds(attempt - 1, first=1, factor=2, most=60, rng=self._rng))

    async def sample(self) -> None:
        """Read every running container's counters once a second; never returns."""
        cpu_count = (await self._engine.info()).cpu_count
        reader = self._reader or HostReader()
        while True:
            now, seen = self._clock.monotonic(), set()
            for task in self._book.all():
                for container in task.containers:
                    if container.docker_id is None or not _is_running(container):
                        continue
                    seen.add(container.docker_id)
                    reading = reader(container.pid, has_network=container.network_mode not in ("host", "none"))
                    if reading is not None:
                        self._series.setdefault(container.docker_id, Series(cpu_count)).add(now, reading)
            self._series = {key: series for key, series in self._series.items() if key in seen}
            await self._clock.sleep(SAMPLE_SECONDS)

    # ---- one connection -----------------------------------------------------------------------------------------

    async def _session(self) -> None:
        """Until it breaks (Transient, Refused), falls silent or grows old (returns)."""
        info = await self._engine.info()
        query = {
            "agentHash": AGENT_HASH,
            "agentVersion": AGENT_VERSION,
            "cluster": self._config.cluster,
            "containerInstance": self._arn,
            "dockerVersion": info.version,
        }
        socket = await self._backend.connect(await self._endpoint(), query)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(socket))
                publishing = group.create_task(self._publish(socket))
                await asyncio.wait({listening, publishing}, return_when=asyncio.FIRST_COMPLETED)
                listening.cancel()
                publishing.cancel()
        except* (Transient, Refused) as errors:
            raise Transient(str(errors.exceptions[0])) from errors
        finally:
            await socket.close()

    async def _listen(self, socket: Socket) -> None:
        """Until the server is silent for one to two minutes. Every message it sends is a sign of life, nothing more."""
        while True:
            try:
                async with asyncio.timeout(LEAST_SILENCE_SECONDS * (1 + self._rng.random())):
                    frame = await socket.receive()
            except TimeoutError:
                log.info("telemetry_silent")
                return
            if frame is None:
                raise Transient("telemetry connection closed by the server")

    async def _publish(self, socket: Socket) -> None:
        """Everything every interval; health also within a second of its change. Returns when the connection is old."""
        old = self._clock.monotonic() + LEAST_AGE_SECONDS + AGE_SPREAD_SECONDS * self._rng.random()
        due, told = self._clock.monotonic(), frozenset[tuple[str, str, str]]()
        while self._clock.monotonic() < old:
            health = task_healths(self._book.all())
            is_due = self._clock.monotonic() >= due
            verdicts = frozenset((t.task_arn, c.container_name, c.health_status) for t in health for c in t.containers)
            if health and (is_due or verdicts != told):
                await self._send(socket, self._health_frames(health))
            told = verdicts
            if is_due:
                due += self._config.metrics_interval
                await self._send(socket, self._metric_frames())
                await self._send(socket, [await self._status_frame()])
            await self._clock.sleep(min(SAMPLE_SECONDS, self._config.metrics_interval))

    async def _send(self, socket: Socket, messages: Iterable[msgspec.Struct]) -> None:
        for message in messages:
            await socket.send(tcs.with_headers({"Host": "telemetry"}, acs.encode_frame(message)))

    # ---- messages -----------------------------------------------------------------------------------------------

    def _metric_frames(self) -> Iterator[tcs.PublishMetricsRequest]:
        metrics = tuple(self._metrics())
        is_idle = not any(_is_running(container) for task in self._book.all() for container in task.containers)
        for page, fin, message_id in self._pages(metrics):
            yield tcs.PublishMetricsRequest(
                metadata=self._metadata(message_id, fin=fin, idle=is_idle),
                timestamp=self._clock.now(),
                task_metrics=page or None,
            )

    def _metrics(self) -> Iterator[tcs.TaskMetric]:
        for task in self._book.all():
            metrics = tuple(metric for container in task.containers if (metric := self._metric(container)) is not None)
            if metrics:
                yield tcs.TaskMetric(
                    task_arn=task.arn,
                    task_definition_family=task.spec.family or "",
                    task_definition_version=task.spec.version or "",
                    cluster_arn=task.spec.task_cluster_arn,
                    container_metrics=metrics,
                )

    def _metric(self, container: ContainerRecord) -> tcs.ContainerMetric | None:
        series = self._series.get(container.docker_id or "")
        if series is None:
            return None
        policy = container.spec.restart_policy
        restarts = container.restart_count if policy is not None and policy.enabled else None
        return series.drain(container.name, container_arn=container.spec.container_arn, restart_count=restarts)

    def _health_frames(self, health: tuple[tcs.TaskHealth, ...]) -> Iterator[tcs.PublishHealthRequest]:
        for page, fin, message_id in self._pages(health):
            yield tcs.PublishHealthRequest(
                metadata=self._metadata(message_id, fin=fin), timestamp=self._clock.now(), tasks=page
            )

    async def _status_frame(self) -> tcs.PublishInstanceStatusRequest:
        self._runtime = await self._check_runtime()
        metadata = tcs.Metadata(cluster=self._config.cluster, container_instance=self._arn, request_id=self._ids.uuid())
        return tcs.PublishInstanceStatusRequest(
            metadata=metadata, timestamp=self._clock.now(), statuses=(self._runtime,)
        )

    async def _check_runtime(self) -> tcs.InstanceStatus:
        try:
            await self._engine.ping()
            status, reason = "OK", None
        except (Transient, Permanent) as error:
            status, reason = "IMPAIRED", str(error)
        before, now = self._runtime, self._clock.now()
        changed_at = before.last_status_change if before is not None and before.status == status else now
        return tcs.InstanceStatus(
            type="ContainerRuntime",
            status=status,
            status_reason=reason,
            last_updated=now,
            last_status_change=changed_at,
        )

    def _metadata(self, message_id: str, *, fin: bool, idle: bool | None = None) -> tcs.Metadata:
        return tcs.Metadata(
            cluster=self._config.cluster, container_instance=self._arn, message_id=message_id, fin=fin, idle=idle
        )

    def _pages(self, items: tuple[T, ...]) -> Iterator[tuple[tuple[T, ...], bool, str]]:
        """Pages of one cycle under one message id; the last is marked. Without items one empty page."""
        message_id = self._ids.uuid()
        for start in range(0, max(1, len(items)), TASKS_PER_FRAME):
            yield items[start : start + TASKS_PER_FRAME], start + TASKS_PER_FRAME >= len(items), message_id


def task_healths(tasks: Iterable[TaskRecord]) -> tuple[tcs.TaskHealth, ...]:
    """The health of every running container that has a health check."""
    found = (
        tcs.TaskHealth(
            task_arn=task.arn,
            task_definition_family=task.spec.family or "",
            task_definition_version=task.spec.version or "",
            cluster_arn=task.spec.task_cluster_arn,
            containers=tuple(
                tcs.HealthContainer(
                    container_name=container.name,
                    health_status=_HEALTH.get(container.health, "UNKNOWN"),
                    status_since=container.health_since,
                    status_message=container.health_output[:1024] or None,
                )
                for container in task.containers
                if container.spec.health_check_type and _is_running(container)
            ),
        )
        for task in tasks
    )
    return tuple(health for health in found if health.containers)


def _is_running(container: ContainerRecord) -> bool:
    return ContainerStatus.RUNNING <= container.known < ContainerStatus.STOPPED
