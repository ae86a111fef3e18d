"""One actor per task: the only writer of its record.

`step` settles the record, publishes what changed, and starts every action that is due and whose container is idle; an
action's outcome is folded and leads to the next step. Steps are synchronous, so nothing can come in between; actions of
different containers run at the same time. A failure that may pass is tried again after a pause.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from homeport.agent import lifecycle
from homeport.agent.hands import Change, Hands
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.errors import NotFound, Transient
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor

log = get_logger("worker")
_TOLD_WITHIN = 5.0
"""Seconds from the end of a process in which the engine's event is due; then it is asked."""
_CGROUP_KEY = "\0cgroup"


class TaskWorker:
    """Drives one task. `published(before, after)` is called once for every change of the record."""

    def __init__(
        self,
        record: TaskRecord,
        *,
        hands: Hands,
        clock: Clock,
        supervisor: Supervisor,
        published: Callable[[TaskRecord, TaskRecord], None],
    ) -> None:
        self.record = record
        self.is_admitted = False
        self._hands = hands
        self._clock = clock
        self._supervisor = supervisor
        self._published = published
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, tuple[int, asyncio.Task[None]]] = {}  # the process by container name
        self._unseen: set[str] = set()
        self._failures: dict[str, int] = {}
        self._pausing: set[str] = set()
        self._alarm: tuple[float, asyncio.Task[None]] | None = None
        self._closed = False

    # ---- what others may do to a task

    def stop(self) -> None:
        """The control plane wants the task stopped."""
        self.fold(lifecycle.stopping)

    def look_at(self, name: str) -> None:
        """Something happened to a container: ask the engine as soon as the container is idle."""
        if self.record.container(name) is not None:
            self._unseen.add(name)
            self.step()

    def fold(self, change: Change) -> None:
        """Change the record, and draw the consequences."""
        self.amend(change)
        self.step()

    def amend(self, change: Change) -> None:
        """Change and publish the record without starting anything (before the agent has adopted what runs)."""
        before = self.record
        self.record = lifecycle.settle(change(before), self._clock.now())
        assert self.record.known >= before.known, (before.known, self.record.known)
        if self.record != before:
            self._published(before, self.record)

    def close(self) -> None:
        """Forget the task; nothing is done to its containers."""
        self._closed = True
        for child in (*self._busy.values(), *(child for _, child in self._watched.values())):
            child.cancel()
        if self._alarm is not None:
            self._alarm[1].cancel()

    @property
    def is_idle(self) -> bool:
        return not self._busy

    # ---- the actor

    def step(self) -> None:
        """Settle, and start what is due."""
        if self._closed:
            return
        self.amend(lambda task: task)
        if not self.is_admitted and self.record.desired is not ContainerStatus.STOPPED:
            return
        self._drop_useless_pulls()
        for name in tuple(self._unseen):
            if name not in self._busy and name not in self._pausing:
                self._unseen.discard(name)
                self._launch(name, None)
        for action in lifecycle.next_actions(self.record, self._clock.now()):
            key = _key(action)
            if key not in self._busy and key not in self._pausing and key not in self._unseen:
                self._launch(key, action)
        self._watch_processes()
        self._set_alarm()

    def _drop_useless_pulls(self) -> None:
        for container in self.record.containers:
            if container.known is ContainerStatus.STOPPED and container.created_at is None:
                pull = self._busy.get(container.name)
                if pull is not None and pull.get_name().startswith("pull"):
                    pull.cancel()

    def _launch(self, key: str, action: lifecycle.Action | None) -> None:
        match action:
            case lifecycle.Start(container=name):
                self.amend(lambda task: _applied_running(task, name))
            case lifecycle.Pull() if self.record.pull_started_at is None:
                now = self._clock.now()
                self.amend(lambda task: replace(task, pull_started_at=now))
        verb = "look" if action is None else type(action).__name__.lower()
        self._busy[key] = self._supervisor.spawn(f"{verb} {self.record.id} {key}", self._act(key, action))

    async def _act(self, key: str, action: lifecycle.Action | None) -> None:
        change: Change | None = None
        is_told = False
        try:
            change = await self._perform(key, action)
            is_told = True
        except asyncio.CancelledError:
            raise
        except Transient as error:
            log.warning("action_failed", task=self.record.arn, what=_describe(key, action), error=str(error))
        except Exception as error:
            log.exception("action_crashed", task=self.record.arn, what=_describe(key, action))
            change = _crashed(key, error)
        finally:
            self._busy.pop(key, None)
        if self._closed:
            return
        before = self.record
        if change is not None:
            self.amend(change)
        self._after(key, action, succeeded=is_told, advanced=self.record != before)
        self.step()

    async def _perform(self, key: str, action: lifecycle.Action | None) -> Change:
        if action is not None:
            return await self._hands.perform(self.record, action)
        container = self.record.container(key)
        assert container is not None, key
        return await self._hands.look(container)

    def _after(self, key: str, action: lifecycle.Action | None, *, succeeded: bool, advanced: bool) -> None:
        """What to look at, or to wait for, after an action."""
        if isinstance(action, lifecycle.Start):
            if succeeded and self.record.known is not ContainerStatus.STOPPED:
                self._unseen.add(key)  # Its addresses; or that it has exited already.
            elif not succeeded:
                self._after_unclear_start(key)
        if action is None and not succeeded:
            self._unseen.add(key)
        if succeeded and (advanced or action is None):
            self._failures.pop(key, None)
            return
        self._pause(key)

    def _after_unclear_start(self, name: str) -> None:
        """A first start may have happened: look before trying again. A restart is simply asked for again."""
        container = self.record.container(name)
        if container is not None and container.restart_count:
            self.amend(lambda task: _applied_created(task, name))
        else:
            self._unseen.add(name)

    def _pause(self, key: str) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._pausing.add(key)
        seconds = backoff_seconds(failures, first=0.25, factor=2, most=10)
        self._supervisor.spawn(f"pause {self.record.id} {key}", self._resume(key, seconds))

    async def _resume(self, key: str, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._pausing.discard(key)
        self.step()

    def _watch_processes(self) -> None:
        for container in self.record.containers:
            pid, watch = self._watched.get(container.name, (0, None))
            if container.pid in (0, pid):
                continue
            if watch is not None:
                watch.cancel()  # of the process before a restart
            name = f"process {self.record.id} {container.name}"
            self._watched[container.name] = container.pid, self._supervisor.spawn(name, self._await_end(container))

    async def _await_end(self, container: ContainerRecord) -> None:
        """Only sooner than the engine's event, which comes in any case."""
        with suppress(NotFound):
            self.fold(await self._hands.process_end(container))
            await self._clock.sleep(_TOLD_WITHIN)
            record = self.record.container(container.name)
            if record is not None and record.ended_at is not None and record.known is not ContainerStatus.STOPPED:
                self.look_at(container.name)

    def _set_alarm(self) -> None:
        deadline = lifecycle.next_deadline(self.record, self._clock.now())
        if self._alarm is not None and self._alarm[0] != deadline:
            self._alarm[1].cancel()
            self._alarm = None
        if deadline is not None and self._alarm is None:
            self._alarm = deadline, self._supervisor.spawn(f"alarm {self.record.id}", self._ring(deadline))

    async def _ring(self, deadline: float) -> None:
        await self._clock.sleep(deadline - self._clock.now())
        self._alarm = None
        self.step()


def _key(action: lifecycle.Action) -> str:
    """Actions with the same key never overlap: a container's name, or a resource's."""
    match action:
        case lifecycle.ProvisionCgroup():
            return _CGROUP_KEY
        case lifecycle.ProvisionVolume(volume=volume):
            return f"\0volume {volume}"
    return action.container


def _describe(key: str, action: lifecycle.Action | None) -> str:
    return f"{'Look' if action is None else type(action).__name__} {key.lstrip(chr(0))}"


def _container(task: TaskRecord, name: str) -> ContainerRecord:
    container = task.container(name)
    assert container is not None, name
    return container


def _applied_running(task: TaskRecord, name: str) -> TaskRecord:
    return lifecycle.with_container(task, replace(_container(task, name), applied=ContainerStatus.RUNNING))


def _applied_created(task: TaskRecord, name: str) -> TaskRecord:
    return lifecycle.with_container(task, replace(_container(task, name), applied=ContainerStatus.CREATED))


def _crashed(key: str, error: Exception) -> Change:
    """A fault of ours in an action stops the task, with the fault as its reason, instead of hanging it."""
    reason = f"DockerStateError: {type(error).__name__}: {error}"[:1024]

    def change(task: TaskRecord) -> TaskRecord:
        container = task.container(key)
        if container is not None and container.reason is None:
            task = lifecycle.with_container(task, replace(container, reason=reason))
        return lifecycle.stopping(replace(task, reason=task.reason or reason))

    return change
