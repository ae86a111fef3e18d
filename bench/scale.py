"""Many services at once: 1,000 services of 50 tasks on 1,000 container instances, without engines and without waiting.

The region's own reconcilers run on the store in virtual time: nothing waits, and the clock jumps to what is due next.
Agents are stand-ins that acknowledge what they are sent and report each task RUNNING one second later, through the same
rules as the API. There is no journal and no HTTP, so processor time is the control plane's own (with that of the
stand-ins' reports). Virtual seconds are what an operator would see if processor time were nothing: the greater of both
is the least that a real region needs. A task counts towards a steady state once it has run for 40 s. Then 100 instances
fall silent at once: they count as lost after 30 s, and all their tasks are replaced. At last nothing happens for ten
virtual minutes; heartbeats of agents are not in that figure.
"""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bench.figure import Figure, number
from bench.placement import ARNS, CLUSTER, NoJournal, instance
from homeport.base.config import DEFAULT_INSTANCE_LOST_AFTER, ServerConfig
from homeport.base.ids import Ids
from homeport.base.log import configure_logging
from homeport.base.seal import Sealer
from homeport.base.supervise import Supervisor
from homeport.control.reconcilers import standard_reconcilers
from homeport.control.runner import Controller
from homeport.model.cluster import Cluster
from homeport.model.service import Service
from homeport.model.service_changes import begin_deployment, put_all
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_report import apply_report
from homeport.scheduler.fleet import Fleet
from homeport.shapes import acs
from homeport.shapes import ecs as shapes
from homeport.store.store import Store, Tx
from tests.sim.loop import VirtualClock, run_virtually

SERVICES, TASKS, INSTANCES, LOST = 1_000, 50, 1_000, 100
_START_SECONDS = 1.0
_LOST_AFTER = DEFAULT_INSTANCE_LOST_AFTER
_REST_SECONDS = 600.0
_LOOK_EVERY = 0.5
_MOST_VIRTUAL_SECONDS = 3_600.0
_IMAGE = "busybox@sha256:" + "d" * 64


class Link(Struct, frozen=True):
    """An agent's connection."""

    session_id: str
    wants_credentials: bool = False
    endpoint: str = ""


class StandIns:
    """All agents (`control.sessions.Sessions`): they run nothing, and report what they were told to run as RUNNING."""

    def __init__(self) -> None:
        self._store: Store
        self._links: dict[str, Link] = {}
        self._acknowledged: list[Callable[[str, str], None]] = []

    def connect(self, store: Store, arns: list[str]) -> None:
        """Before the controllers start: nobody is told."""
        self._store = store
        self._links = {arn: Link(f"session-{number}") for number, arn in enumerate(arns)}

    def lose(self, arn: str) -> None:
        """What the server notices of a host that is gone: a connection that ends."""
        del self._links[arn]

    def is_connected(self, container_instance_arn: str) -> bool:
        return container_instance_arn in self._links

    def session_id(self, container_instance_arn: str) -> str | None:
        link = self.link(container_instance_arn)
        return None if link is None else link.session_id

    def link(self, container_instance_arn: str) -> Link | None:
        return self._links.get(container_instance_arn)

    async def send(self, container_instance_arn: str, message: Struct) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(self._acknowledge, container_instance_arn, message)
        if isinstance(message, acs.PayloadMessage):
            loop.call_later(_START_SECONDS, self._report, container_instance_arn, message.tasks)

    async def disconnect(self, container_instance_arn: str, reason: str) -> None:  # noqa: ARG002 - whatever the reason
        self._links.pop(container_instance_arn, None)

    def on_connected(self, listener: Callable[[str], None]) -> None:
        """Nobody connects while the controllers run."""

    def on_acknowledged(self, listener: Callable[[str, str], None]) -> None:
        self._acknowledged.append(listener)

    def _acknowledge(self, arn: str, message: Any) -> None:
        for listener in self._acknowledged:
            listener(arn, message.message_id)

    def _report(self, arn: str, tasks: tuple[acs.Task, ...]) -> None:
        """One transaction a task, as one SubmitTaskStateChange each would make."""
        for task in tasks if arn in self._links else ():
            self._store.update(_report_of(task))


def _report_of(told: acs.Task) -> Callable[[Tx], None]:
    status = told.desired_status
    code = 0 if status == "STOPPED" else None
    containers = (shapes.ContainerStateChange(container_name="main", status=status, runtime_id="0", exit_code=code),)
    report = shapes.SubmitTaskStateChangeRequest(task=told.arn, status=status, containers=containers)

    def change(tx: Tx) -> None:
        task = tx.tasks.get(told.arn)
        if task is not None and (updated := apply_report(task, report, tx.now)) is not task:
            tx.tasks.put(updated)

    return change


class Spent(NamedTuple):
    """What a phase took: seconds that the region's clock showed, and of processor time."""

    virtual: float
    cpu: float

    def __str__(self) -> str:
        return f"{number(self.virtual)} s on the region's clock, {number(self.cpu)} s of processor time"


class Region:
    """A store with instances, and the controllers on it."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        ids = Ids(random.Random(1))
        self.store = Store(NoJournal(), clock, ids)
        fleet = Fleet(self.store.read)
        self.store.load()
        self.store.update(_put_instances)
        self.agents = StandIns()
        self.agents.connect(self.store, [row.arn for row in self.store.read.container_instances])
        reconcilers = standard_reconcilers(
            store=self.store,
            clock=clock,
            arns=ARNS,
            sealer=Sealer(b"0" * 32),
            ids=ids,
            sessions=self.agents,
            config=ServerConfig(data_dir=Path("/nonexistent"), instance_lost_after=_LOST_AFTER),
            logs=None,
            fleet=fleet,
        )
        self.supervisor = Supervisor(clock)
        self.controller = Controller(self.store, clock, self.supervisor, reconcilers)
        self.controller.start()

    async def until_steady(self, act: Callable[[], None]) -> Spent:
        """Do it, and let time pass until every service is steady with all its tasks running on instances there are."""
        started, cpu = self.clock.monotonic(), time.process_time()
        act()
        while not self._is_steady():
            if self.supervisor.failed.done():
                self.supervisor.failed.result()
            if self.clock.monotonic() - started > _MOST_VIRTUAL_SECONDS:
                raise RuntimeError("the services do not become steady")
            await self.clock.sleep(_LOOK_EVERY)
        return Spent(self.clock.monotonic() - started, time.process_time() - cpu)

    def _is_steady(self) -> bool:
        read = self.store.read
        if any(not row.agent_connected and row.status == "ACTIVE" for row in read.container_instances):
            return False
        return all(row.steady_since is not None for row in read.services) and self.running() == SERVICES * TASKS

    def create(self) -> None:
        """What CreateService does, for all of them."""
        for each in range(SERVICES):
            self.store.update(_create(each))

    def lose(self) -> None:
        """The last instances fall silent."""
        for row in list(self.store.read.container_instances)[-LOST:]:
            self.agents.lose(row.arn)
            away = replace(row, agent_connected=False, disconnected_at=self.clock.now())
            self.store.update(lambda tx, away=away: tx.container_instances.put(away))

    async def rest(self) -> Spent:
        """Nothing happens."""
        cpu = time.process_time()
        await self.clock.sleep(_REST_SECONDS)
        return Spent(_REST_SECONDS, time.process_time() - cpu)

    def running(self) -> int:
        return sum(task.last_status.value == "RUNNING" for task in self.store.read.tasks)


def _put_instances(tx: Tx) -> None:
    tx.clusters.put(Cluster(arn=CLUSTER, name="bench"))
    for each in range(INSTANCES):
        tx.container_instances.put(instance(each))
    container = shapes.ContainerDefinition(name="main", image=_IMAGE, cpu=256, memory=512, essential=True)
    arn = ARNS.task_definition("web", 1)
    definition = shapes.TaskDefinition(
        task_definition_arn=arn, family="web", revision=1, container_definitions=(container,)
    )
    tx.task_definitions.put(TaskDefinition(arn=arn, family="web", revision=1, definition=definition))


def _create(each: int) -> Callable[[Tx], None]:
    def change(tx: Tx) -> None:
        service = Service(
            arn=ARNS.service("bench", f"web-{each}"),
            name=f"web-{each}",
            cluster_arn=CLUSTER,
            task_definition_arn=ARNS.task_definition("web", 1),
            desired_count=TASKS,
            deployment_configuration=shapes.DeploymentConfiguration(minimum_healthy_percent=100, maximum_percent=200),
            placement_strategy=(
                shapes.PlacementStrategy(type="spread", field="attribute:ecs.availability-zone"),
                shapes.PlacementStrategy(type="spread", field="instanceId"),
            ),
            created_at=tx.now,
        )
        put_all(tx, begin_deployment(service, tx.ids, tx.now, deployments=(), attempts=(), tasks=()))

    return change


async def _story(clock: VirtualClock) -> list[Figure]:
    region = Region(clock)
    await clock.sleep(1.0)
    made = await region.until_steady(region.create)
    await clock.sleep(60.0)
    before = sum(1 for _ in region.store.read.tasks)
    replaced = await region.until_steady(region.lose)
    lost = sum(1 for _ in region.store.read.tasks) - before
    await clock.sleep(60.0)
    idle = await region.rest()
    await region.controller.stop()
    return _figures(made, replaced, lost, idle)


def _figures(made: Spent, replaced: Spent, lost: int, idle: Spent) -> list[Figure]:
    what = f"{SERVICES:,} services × {TASKS} tasks on {INSTANCES:,} simulated instances"
    per_task = f"{made.cpu / (SERVICES * TASKS) * 1e3:.2f} ms a task"
    return [
        Figure(f"{what}: processor time to steady state", made.cpu, "s", how=f"{per_task}; {made}"),
        Figure(
            f"the same: processor time to replace {lost:,} tasks of {LOST} instances lost at once",
            replaced.cpu,
            "s",
            how=f"{replaced}, of which {number(_LOST_AFTER)} s until silence counts as loss",
        ),
        Figure(
            "the same at rest, of one processor",
            idle.cpu / idle.virtual * 100,
            "%",
            how=f"{idle.cpu * 1e3:.1f} ms of processor time in {number(idle.virtual)} s, without agents' heartbeats",
        ),
    ]


def measure() -> list[Figure]:
    """All of it, in the processor time that it tells."""
    configure_logging(level="error")
    figures: list[Figure] = run_virtually(_story)
    return figures


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
