"""The telemetry connection against a scripted server, in virtual time."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.stats import Reading
from homeport.agent.telemetry import Telemetry, task_healths
from homeport.base.config import AgentConfig
from homeport.base.errors import Transient
from homeport.drivers.engine.fake import FakeEngine
from homeport.shapes import acs, tcs
from tests.sim.loop import VirtualClock, run_virtually

ACK = acs.encode_frame(tcs.AckPublishMetric(message="ok"))


def a_task(number: int, *, health: str | None = None) -> TaskRecord:
    spec = acs.Container(name="app", image="app", essential=True, health_check_type="docker" if health else None)
    container = ContainerRecord(
        spec=spec,
        docker_name=f"app-{number}",
        endpoint_id=str(number),
        docker_id=f"id-{number}",
        known=ContainerStatus.RUNNING,
        pid=100 + number,
        health=health or "",
    )
    task = acs.Task(arn=f"arn:task/{number}", desired_status="RUNNING", family="web", version="7")
    return TaskRecord(spec=task, containers=(container,))


class Book:
    def __init__(self, *tasks: TaskRecord) -> None:
        self.tasks = list(tasks)

    def all(self) -> tuple[TaskRecord, ...]:
        return tuple(self.tasks)

    def by_arn(self, task_arn: str) -> None: ...
    def by_endpoint_id(self, endpoint_id: str) -> None: ...
    def by_docker_id(self, docker_id: str) -> None: ...


class Server:
    """Both Backend and Socket: keeps what was sent, answers every frame unless `is_silent`."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.connected: list[tuple[float, str, dict[str, str]]] = []
        self.refuse = False
        self.is_silent = False
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def call(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        raise AssertionError(operation)

    async def connect(self, url: str, query: dict[str, str]) -> "Server":
        self.connected.append((asyncio.get_running_loop().time(), url, query))
        if self.refuse:
            raise Transient("connection refused")
        self._answers = asyncio.Queue()
        return self

    async def send(self, frame: bytes) -> None:
        assert not frame.startswith(b"{")
        self.frames.append(acs.decode_frame(tcs.strip_headers(frame), tcs.TO_SERVER))
        if not self.is_silent:
            self._answers.put_nowait(ACK)

    async def receive(self) -> bytes | None:
        return await self._answers.get()

    async def close(self, code: int = 1000, reason: str = "") -> None: ...

    def hang_up(self) -> None:
        self._answers.put_nowait(None)

    def of(self, kind: type[msgspec.Struct]) -> list[Any]:
        return [frame for frame in self.frames if isinstance(frame, kind)]


def play(book: Book, body: Callable[[Server, VirtualClock, Telemetry], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock) -> None:
        server, rng = Server(), random.Random(1)
        used = {"cpu": 0}

        def reader(pid: int, *, has_network: bool) -> Reading | None:
            used["cpu"] += 10_000_000
            return Reading(used["cpu"], 1024 * 1024, 0, 0, None)

        async def endpoint() -> str:
            return "http://tcs"

        telemetry = Telemetry(
            server,
            book,  # type: ignore[arg-type]
            FakeEngine(clock, rng),
            clock,
            rng,
            AgentConfig(data_dir=Path("/nowhere"), endpoint="http://localhost"),
            container_instance_arn="arn:ci",
            endpoint=endpoint,
            reader=reader,
        )
        loops = [asyncio.create_task(telemetry.run()), asyncio.create_task(telemetry.sample())]
        try:
            await body(server, clock, telemetry)
        finally:
            for loop in loops:
                loop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loop

    run_virtually(main)


def test_run_when_idle_then_one_empty_frame_each_cycle_and_the_engines_health() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        await clock.sleep(41)
        frames = server.of(tcs.PublishMetricsRequest)
        assert [(f.metadata.idle, f.metadata.fin, f.task_metrics) for f in frames] == [(True, True, None)] * 3
        assert len({frame.metadata.message_id for frame in frames}) == 3
        ((_, url, query),) = server.connected
        assert (url, query["containerInstance"], query["cluster"]) == ("http://tcs", "arn:ci", "default")
        assert {frame.statuses[0].status for frame in server.of(tcs.PublishInstanceStatusRequest)} == {"OK"}
        assert server.of(tcs.PublishHealthRequest) == []

    play(Book(), body)


def test_run_when_many_tasks_run_then_pages_of_ten_under_one_id() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        await clock.sleep(25)
        server.frames = server.frames[-4:]
        pages = server.of(tcs.PublishMetricsRequest)
        assert [len(page.task_metrics) for page in pages] == [10, 10, 5]
        assert [page.metadata.fin for page in pages] == [False, False, True]
        assert len({page.metadata.message_id for page in pages}) == 1
        assert {page.metadata.idle for page in pages} == {False}
        metric = pages[0].task_metrics[0]
        assert (metric.task_definition_family, metric.task_definition_version) == ("web", "7")
        assert 18 <= metric.container_metrics[0].cpu_stats_set.sample_count <= 21

    play(Book(*(a_task(number) for number in range(25))), body)


def test_run_when_health_changes_then_told_within_a_second() -> None:
    book = Book(a_task(1, health="starting"))

    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        await clock.sleep(5.5)
        task = book.tasks[0]
        book.tasks[0] = replace(task, containers=(replace(task.containers[0], health="unhealthy"),))
        await clock.sleep(1.1)
        told = [frame.tasks[0].containers[0].health_status for frame in server.of(tcs.PublishHealthRequest)]
        assert told == ["UNKNOWN", "UNHEALTHY"]

    play(book, body)


def test_run_when_the_server_is_silent_then_connected_anew_after_one_to_two_minutes() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        server.is_silent = True
        await clock.sleep(130)
        assert len(server.connected) == 2
        assert 60 <= server.connected[1][0] - server.connected[0][0] <= 120

    play(Book(), body)


def test_run_when_refused_then_tried_again_with_growing_pauses() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        server.refuse = True
        await clock.sleep(1000)
        at = [moment for moment, _, _ in server.connected]
        pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert pauses[0] <= 1.01
        assert 47 <= pauses[-1] <= 60.01
        server.refuse = False
        await clock.sleep(61)
        assert server.of(tcs.PublishMetricsRequest)

    play(Book(), body)


def test_run_when_the_server_hangs_up_then_connected_again() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        await clock.sleep(5)
        server.hang_up()
        await clock.sleep(2)
        assert len(server.connected) == 2

    play(Book(), body)


def test_run_when_half_an_hour_old_then_the_connection_is_replaced() -> None:
    async def body(server: Server, clock: VirtualClock, _: Telemetry) -> None:
        await clock.sleep(2150)
        assert len(server.connected) == 2
        assert 1800 <= server.connected[1][0] <= 2110

    play(Book(), body)


@pytest.mark.parametrize("known", [ContainerStatus.CREATED, ContainerStatus.STOPPED])
def test_task_healths_when_not_running_or_without_a_check_then_left_out(known: ContainerStatus) -> None:
    checked = a_task(1, health="healthy")
    stopped = replace(checked, containers=(replace(checked.containers[0], known=known),))
    assert task_healths([stopped, a_task(2)]) == ()
    assert task_healths([checked])[0].containers[0].health_status == "HEALTHY"
