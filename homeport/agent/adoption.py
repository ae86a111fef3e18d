"""What runs on the engine, and what the agent knows of it, brought together.

At start-up the engine's listing is folded into the saved records before anything else happens. Afterwards events tell
what to look at; whenever the event stream breaks, and every five minutes anyway, a fresh listing finds what was missed.
Containers of tasks without a record (the agent's state was lost) become records again, so that they are reported and
stay stoppable; they are stopped only if the control plane says so.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

from homeport.agent import lifecycle
from homeport.agent.docker_config import AGENT_LABEL, CONTAINER_NAME_LABEL, LABEL_PREFIX, TASK_ARN_LABEL
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.tasks import Tasks
from homeport.base.arn import parse_arn
from homeport.base.clock import Clock
from homeport.base.errors import Permanent, Transient
from homeport.base.ids import derived_uuid
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.drivers.engine import ContainerState, Engine, EngineEvent
from homeport.shapes import acs

log = get_logger("adoption")
RELIST_SECONDS = 300.0
STRAY_STOP_SECONDS = 30
_TELLING = ("start", "die", "destroy", "health_status", "pause", "unpause")
_RUNNING_STATES = {"running", "paused", "restarting"}

Seen = Mapping[tuple[str, str], ContainerState]


class EngineWatch:
    """Keeps records true to the engine. `adopted` is set once the first listing has been folded."""

    def __init__(self, engine: Engine, tasks: Tasks, clock: Clock, supervisor: Supervisor) -> None:
        self._engine = engine
        self._tasks = tasks
        self._clock = clock
        self._supervisor = supervisor
        self.adopted = asyncio.Event()

    async def watch(self) -> None:
        """Follow the events until the stream breaks; run it again and again."""
        events = self._engine.events()
        try:
            await self.relist()
            self.adopted.set()
            async for event in events:
                self._notice(event)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        raise Transient("the engine's event stream ended")

    async def relist_regularly(self, take_in: Callable[[Seen], Awaitable[None]]) -> None:
        """`take_in` is shown each listing: a start asked for by an earlier process may take effect very late."""
        while True:
            await self._clock.sleep(RELIST_SECONDS)
            await take_in(await self.relist())

    async def relist(self) -> Seen:
        """List everything and compare. Raises Transient."""
        seen = await self.listing()
        if not self.adopted.is_set():
            self._tasks.adopt(seen)
        else:
            self._compare(seen)
        self._stop_strays(seen)
        return seen

    async def listing(self) -> Seen:
        """Every container of ECS on the engine, by task ARN and container name."""
        states = await self._engine.list({TASK_ARN_LABEL: ""})
        return {
            (state.labels[TASK_ARN_LABEL], state.labels.get(CONTAINER_NAME_LABEL, state.name)): state
            for state in states
        }

    def _compare(self, seen: Seen) -> None:
        """Look again at whatever differs: the listing may be older than the record."""
        for task in self._tasks.all():
            for container in task.containers:
                state = seen.get((task.arn, container.name))
                if container.known is not ContainerStatus.STOPPED and _differs(container, state):
                    self._tasks.notice(task.arn, container.name)

    def _stop_strays(self, seen: Seen) -> None:
        """A container that runs although its record says it stopped (a start that took effect too late), or of which
        its task's record knows nothing (a start that was under way when the agent lost its state), is stopped.
        """
        for (task_arn, name), state in seen.items():
            task = self._tasks.by_arn(task_arn)
            if task is None or state.status not in _RUNNING_STATES:
                continue
            container = task.container(name)
            if container is None or container.known is ContainerStatus.STOPPED:
                log.warning("stray_found", task=task_arn, container=name)
                self._supervisor.spawn(f"stop stray {state.name}", self._stop(state.id))

    async def _stop(self, container_id: str) -> None:
        """Without much ado: its exit code was reported long ago. If it fails the next listing finds it again."""
        try:
            await self._engine.stop(container_id, STRAY_STOP_SECONDS)
        except (Transient, Permanent) as error:
            log.warning("stray_not_stopped", container=container_id, error=str(error))

    def _notice(self, event: EngineEvent) -> None:
        task_arn, name = event.attributes.get(TASK_ARN_LABEL), event.attributes.get(CONTAINER_NAME_LABEL)
        if task_arn is None or name is None or not event.action.startswith(_TELLING):
            return
        task = self._tasks.by_arn(task_arn)
        container = task.container(name) if task else None
        if container is None or container.known is ContainerStatus.STOPPED:
            return
        if event.action == "start" and container.applied is ContainerStatus.RUNNING:
            return  # Our own doing.
        self._tasks.notice(task_arn, name)


def _differs(container: ContainerRecord, state: ContainerState | None) -> bool:
    if state is None:
        return container.known >= ContainerStatus.CREATED
    is_running = state.status in _RUNNING_STATES
    return is_running != (container.known >= ContainerStatus.RUNNING) or state.health != container.health


def lost_tasks(
    seen: Seen, known: Callable[[str], bool], *, instance_arn: str, now: float, endpoint_seed: str, agent_id: str
) -> Iterable[TaskRecord]:
    """Records for running tasks that this agent once started in its cluster, and of which it has none.

    Other agents on the same engine look after their own.

    What only the payload said (dependencies, health checks, limits) is gone; every container counts as essential.
    """
    cluster = _cluster_of(instance_arn)
    running = defaultdict(list)
    for (task_arn, name), state in seen.items():
        is_ours = state.labels.get(AGENT_LABEL) == agent_id and _cluster_of(task_arn) == cluster
        if is_ours and state.status in _RUNNING_STATES and not known(task_arn):
            running[task_arn].append((name, state))
    for task_arn, containers in running.items():
        log.warning("task_adopted_without_record", task=task_arn, containers=[name for name, _ in containers])
        yield _lost_task(task_arn, containers, now, endpoint_seed)


def _lost_task(
    task_arn: str, containers: list[tuple[str, ContainerState]], now: float, endpoint_seed: str
) -> TaskRecord:
    labels = containers[0][1].labels
    specs = tuple(acs.Container(name=name, image=state.image, essential=True) for name, state in containers)
    task = TaskRecord(
        spec=acs.Task(
            arn=task_arn,
            desired_status="RUNNING",
            family=labels.get(f"{LABEL_PREFIX}task-definition-family"),
            version=labels.get(f"{LABEL_PREFIX}task-definition-version"),
            containers=specs,
        ),
        containers=tuple(
            ContainerRecord(
                spec=spec,
                docker_name=state.name,
                endpoint_id=derived_uuid(endpoint_seed, task_arn, spec.name),
                known=ContainerStatus.RUNNING,
                ports=state.ports,
            )
            for spec, (_, state) in zip(specs, containers, strict=True)
        ),
        accepted_at=now,
        cgroup_parent="",
    )
    for name, state in containers:
        container = task.container(name)
        assert container is not None
        task = lifecycle.with_container(task, lifecycle.observed(task, container, state, now))
    return task


def _cluster_of(arn_text: str) -> tuple[str, str, str] | None:
    """Region, account and cluster name in the ARN of a task or container instance."""
    arn = parse_arn(arn_text)
    return (arn.region, arn.account, arn.parts[0]) if arn and len(arn.parts) > 1 else None
