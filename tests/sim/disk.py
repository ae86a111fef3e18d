"""Disks that outlive processes, and what a process has of them: writes that take time and may never have happened."""

import asyncio
import random
from collections.abc import Callable, Iterable

import msgspec

from homeport.agent.record import TaskRecord
from homeport.agent.state import Identity
from homeport.base.clock import Clock
from homeport.store.journal import Stored
from homeport.store.watch import Change
from tests.sim.process import Process

_encode = msgspec.json.encode
Rows = dict[tuple[str, str], bytes]


class Disk:
    """The journal's rows as they lie on disk."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.version = 0


class SimJournal:
    """`Journal` of one process. A commit takes milliseconds, rarely half a second; dying loses the uncommitted tail.

    The batch that is being written when the process dies is on disk or it is not: chance decides, and nobody was told.
    `hook(version, changes)` sees every transaction as it is appended.
    """

    def __init__(
        self, disk: Disk, clock: Clock, rng: random.Random, process: Process, hook: Callable[[int, list[Change]], None]
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._rng = rng
        self._process = process
        self._hook = hook
        self._tail: list[tuple[int, Rows]] = []
        self._writing: list[tuple[int, Rows]] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        process.on_death(self._die)

    def load(self) -> tuple[int, Iterable[Stored]]:
        return self._disk.version, [Stored(kind, key, body) for (kind, key), body in self._disk.rows.items()]

    def append(self, version: int, at: float, changes: list[Change]) -> None:
        if not self._process.is_alive:
            return
        self._hook(version, changes)
        rows = {(kind, key): b"" if after is None else _encode(after) for kind, key, _, after in changes}
        self._tail.append((version, rows))
        if not self._writing and len(self._tail) == 1:
            self._process.spawn(self._commit(), "journal")

    async def _commit(self) -> None:
        while self._tail:
            self._writing, self._tail = self._tail, []
            await self._clock.sleep(0.5 if self._rng.random() < 0.01 else self._rng.uniform(0.0002, 0.004))
            self._land()
            version = self._disk.version
            ready = [waiter for wanted, waiter in self._waiters if wanted <= version]
            self._waiters = [pair for pair in self._waiters if pair[0] > version]
            for waiter in ready:
                if not waiter.done():
                    waiter.set_result(None)

    def _land(self) -> None:
        for version, rows in self._writing:
            apply_rows(self._disk.rows, rows)
            self._disk.version = version
        self._writing = []

    def _die(self) -> None:
        if self._rng.random() < 0.5:
            self._land()

    async def durable(self, version: int) -> None:
        if version > self._disk.version or not self._process.is_alive:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((version, waiter))
            await waiter

    def image(self) -> Rows:
        """What the disk will hold once everything appended is written."""
        rows = dict(self._disk.rows)
        for _, changed in (*self._writing, *self._tail):
            apply_rows(rows, changed)
        return rows

    async def close(self) -> None:
        return


def apply_rows(onto: Rows, rows: Rows) -> None:
    for key, body in rows.items():
        if body:
            onto[key] = body
        else:
            onto.pop(key, None)


class Drive:
    """An agent's saved records. `wipe` is somebody deleting its data directory."""

    def __init__(self) -> None:
        self.identity: bytes | None = None
        self.tasks: dict[str, bytes] = {}

    def wipe(self) -> None:
        self.identity = None
        self.tasks = {}


class SimState:
    """`AgentState` of one agent process: what it wrote in the loop's turn in which it died is lost, as in a file."""

    def __init__(self, drive: Drive, process: Process) -> None:
        self._drive = drive
        self._process = process
        self._dirty: dict[str, bytes | None] = {}
        self._scheduled = False

    def load(self) -> tuple[Identity | None, tuple[TaskRecord, ...]]:
        saved = self._drive.identity
        identity = None if saved is None else msgspec.json.decode(saved, type=Identity)
        return identity, tuple(msgspec.json.decode(body, type=TaskRecord) for body in self._drive.tasks.values())

    def save_identity(self, identity: Identity) -> None:
        self._put("", _encode(identity))

    def save(self, task: TaskRecord) -> None:
        self._put(task.arn, _encode(task))

    def forget(self, task_arn: str) -> None:
        self._put(task_arn, None)

    def _put(self, key: str, body: bytes | None) -> None:
        self._dirty[key] = body
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        if not self._process.is_alive:
            return
        for key, body in dirty.items():
            if not key:
                self._drive.identity = body
            elif body is None:
                self._drive.tasks.pop(key, None)
            else:
                self._drive.tasks[key] = body

    def close(self) -> None:
        self.flush()
