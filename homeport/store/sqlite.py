"""The default journal: SQLite in WAL mode, `synchronous=FULL`, one writer thread with group commit.

Two tables: `objects` (newest body of each row) and `journal` (the last versions, readable with `sqlite3`). Whatever
queued up while the previous commit was being synced goes into the next one, so throughput grows with load while a
lone writer waits for one sync only. If a commit fails the journal fails for good: nobody outside has seen the lost
tail, so the process must stop and load again.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from homeport.store.journal import Stored
from homeport.store.watch import Change

_KEPT_VERSIONS = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (kind TEXT, key TEXT, version INTEGER, body BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (version INTEGER PRIMARY KEY, at REAL, epoch INTEGER, changes BLOB);
"""


class _Entry(msgspec.Struct, frozen=True):
    version: int
    at: float
    changes: list[Change]


class SqliteJournal:
    """Must be made inside a running event loop; one process at a time (an exclusive lock refuses a second)."""

    def __init__(self, path: Path, *, epoch: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoch = epoch
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._durable_version = self._last_version()
        self._prune_at = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._write_for_ever, name="journal", daemon=True)
        self._thread.start()

    def _last_version(self) -> int:
        (version,) = self._connection.execute("SELECT COALESCE(MAX(version), 0) FROM journal").fetchone()
        return int(version)

    def load(self) -> tuple[int, Iterable[Stored]]:
        rows = self._connection.execute("SELECT kind, key, body FROM objects ORDER BY version, kind, key")
        return self._durable_version, (Stored(*row) for row in rows)

    def append(self, version: int, at: float, changes: list[Change]) -> None:
        self._queue.put(_Entry(version, at, changes))

    async def durable(self, version: int) -> None:
        if version <= self._durable_version:
            return
        if self.failed.done():
            await self.failed
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((version, waiter))
        await waiter

    async def close(self) -> None:
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._connection.close()

    def _write_for_ever(self) -> None:
        closing = False
        while not closing:
            entries = [self._queue.get()]
            while not self._queue.empty():
                entries.append(self._queue.get())
            closing = None in entries
            batch = [entry for entry in entries if entry is not None]
            try:
                self._commit(batch)
            except Exception as error:  # noqa: BLE001 - any failure here ends the process
                self._tell(self._on_failed, error)
                return
            if batch:
                self._tell(self._on_durable, batch[-1].version)

    def _tell(self, callback: object, argument: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, argument)  # type: ignore[arg-type]
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _commit(self, batch: list[_Entry]) -> None:
        encode = msgspec.json.encode
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for version, at, changes in ((entry.version, entry.at, entry.changes) for entry in batch):
            bodies = [
                (change.kind, change.key, None if change.after is None else encode(change.after)) for change in changes
            ]
            record = encode([(kind, key, None if body is None else msgspec.Raw(body)) for kind, key, body in bodies])
            execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (version, at, self._epoch, record))
            self._connection.executemany(
                "INSERT INTO objects VALUES (?1, ?2, ?3, ?4) ON CONFLICT (kind, key) DO UPDATE SET version = ?3, body = ?4",
                [(kind, key, version, body) for kind, key, body in bodies if body is not None],
            )
            self._connection.executemany(
                "DELETE FROM objects WHERE kind = ? AND key = ?",
                [(kind, key) for kind, key, body in bodies if body is None],
            )
        if batch and batch[-1].version >= self._prune_at:
            self._prune_at = batch[-1].version + _KEPT_VERSIONS // 10
            execute("DELETE FROM journal WHERE version <= ?", (batch[-1].version - _KEPT_VERSIONS,))
        execute("COMMIT")

    def _on_durable(self, version: int) -> None:
        self._durable_version = version
        still_waiting = []
        for wanted, waiter in self._waiters:
            if wanted > version:
                still_waiting.append((wanted, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiters = still_waiting

    def _on_failed(self, error: Exception) -> None:
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
        if not self.failed.done():
            self.failed.set_exception(error)
