"""The one loop behind every controller.

A change of a row wakes keys; for each key: one transaction (`step`), then, only once that is durable, effects
(`act`), then their results (`record`). At start every key of every table is looked at once, so there is no separate
start-up path, and an overflowing watch queue is handled the same way.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from homeport.base.clock import Clock
from homeport.base.errors import Bug
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.control.queue import FORGET, Wake, WorkQueue
from homeport.store.schema import Tables
from homeport.store.store import Store, Tx

log = get_logger("control")
_LONGEST_WAIT = 60.0

Waker = Callable[[str], None]
Wakes = Mapping[str, Callable[[Any], Iterable[str]]]


class Reconciler:
    """Brings one key at a time closer to what it should be. Only `step` has to be written.

    `wakes` maps a table's kind to the keys that a row (before or after its change) concerns. `workers` is how many
    keys are worked on at a time.
    """

    name: str
    wakes: Wakes
    workers: int = 1

    def seeds(self) -> Iterable[str]:
        """Keys to look at once at the start, besides those of the tables in `wakes`."""
        return ()

    def listen(self, wake: Waker) -> None:
        """Called once at start: `wake(key)` has a key looked at for a reason that is not in the store."""

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        """One bounded, idempotent transaction."""
        raise NotImplementedError

    def actions(self, read: Tables, key: str) -> Sequence[Any]:  # noqa: ARG002 - most have none
        """The effects that are due, as data; called right after `step`, before anything else can change."""
        return ()

    async def act(self, action: Any) -> Any:
        """Perform one effect. Raising has the key tried again with backoff."""

    def record(self, tx: Tx, key: str, results: Sequence[Any]) -> None:
        """Fold the results of `act` into the store; None results are not passed on."""


class _Runner:
    """One reconciler with its queue and its workers."""

    def __init__(self, reconciler: Reconciler, store: Store, clock: Clock) -> None:
        self._reconciler = reconciler
        self._store = store
        self._clock = clock
        self._queue = WorkQueue()
        self._work_to_do = asyncio.Event()
        self.subscription = store.subscribe(reconciler.wakes)

    def wake(self, key: str) -> None:
        self._queue.add(key)
        self._work_to_do.set()

    def queue_all(self) -> None:
        """Look at every key there is: at start, and after changes were missed."""
        for key in self._reconciler.seeds():
            self.wake(key)
        tables = self._store.read.by_kind()
        for kind, keys_of in self._reconciler.wakes.items():
            for row in tables[kind]:
                for key in keys_of(row):
                    self.wake(key)

    async def watch(self) -> None:
        wakes, wake = self._reconciler.wakes, self.wake
        async for batch in self.subscription:
            if batch.resync:
                self.queue_all()
                continue
            for kind, _, before, after in batch.changes:
                keys_of = wakes[kind]
                for row in (before, after):
                    for key in () if row is None else keys_of(row):
                        wake(key)

    async def work(self) -> None:
        while True:
            key = self._queue.take(self._clock.now())
            if key is None:
                await self._wait()
                continue
            try:
                wake = await self._look_at(key)
            except Bug:
                raise
            except Exception as error:  # noqa: BLE001 - any failure of one key must leave the others alone
                log.warning(
                    "step_failed", controller=self._reconciler.name, key=key, error=f"{type(error).__name__}: {error}"
                )
                self._queue.failed(key, self._clock.now())
            else:
                self._queue.done(key, wake, self._clock.now())
            self._work_to_do.set()

    async def _wait(self) -> None:
        due = self._queue.next_at()
        seconds = _LONGEST_WAIT if due is None else min(_LONGEST_WAIT, max(0.0, due - self._clock.now()))
        self._work_to_do.clear()
        try:
            async with asyncio.timeout(seconds if due is not None else None):
                await self._work_to_do.wait()
        except TimeoutError:
            return

    async def _look_at(self, key: str) -> Wake:
        reconciler = self._reconciler
        wake, version = self._store.update(lambda tx: reconciler.step(tx, key, tx.now))
        actions = reconciler.actions(self._store.read, key)
        if actions:
            await self._durable(version)
            results = [result for result in [await reconciler.act(action) for action in actions] if result is not None]
            if results:
                self._store.update(lambda tx: reconciler.record(tx, key, results))
        return wake

    async def _durable(self, version: int) -> None:
        try:
            await self._store.durable(version)
        except Exception as error:
            raise Bug(f"the journal failed: {error}") from error


class Controller:
    """All reconcilers of a control plane. `start` after the store was loaded; `stop` before it is closed."""

    def __init__(self, store: Store, clock: Clock, supervisor: Supervisor, reconcilers: Iterable[Reconciler]) -> None:
        self._store = store
        self._clock = clock
        self._supervisor = supervisor
        self._reconcilers = tuple(reconcilers)
        self._runners: list[_Runner] = []
        self._children: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        for reconciler in self._reconcilers:
            runner = _Runner(reconciler, self._store, self._clock)
            self._runners.append(runner)
            reconciler.listen(runner.wake)
            runner.queue_all()
            spawn = self._supervisor.spawn
            self._children.append(spawn(f"{reconciler.name}-watch", runner.watch()))
            self._children += [
                spawn(f"{reconciler.name}-{number}", runner.work()) for number in range(reconciler.workers)
            ]

    async def stop(self) -> None:
        """Ends between two looks or in the middle of an effect; nothing is lost, since the next start looks at all."""
        for child in self._children:
            child.cancel()
        await asyncio.gather(*self._children, return_exceptions=True)
        for runner in self._runners:
            self._store.unsubscribe(runner.subscription)
        self._children.clear()
        self._runners.clear()


__all__ = ["FORGET", "Controller", "Reconciler", "Wake", "Waker", "Wakes"]
