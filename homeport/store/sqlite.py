"""The default journal: SQLite in WAL mode, `synchronous=FULL`, one writer thread with group commit.

Two tables: `objects` (newest body of each row) and `journal` (the last versions, readable with `sqlite3`). Whatever
queued up while the previous commit was being synced goes into the next one, so throughput grows with load while a
lone writer waits for one sync only; a row that changed several times meanwhile is written once. If a commit fails the
journal fails for good: nobody outside has seen the lost tail, so the process must stop and load again.

Objects are numbered as they appear and found by a dictionary of those numbers, not by an index on their keys: keys are
random, so an index would touch a page of the file for every row, while numbers append. Rows go in many per statement
because SQLite gives up the interpreter at each one, and a busy event loop is slow to give it back. Both were measured:
14,000 rows/s with a key index and single rows, 240,000 rows/s this way.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from homeport.base.errors import Bug
from homeport.store.journal import Stored
from homeport.store.watch import Change

_KEPT_VERSIONS = 10_000
_ROWS_PER_STATEMENT = 100
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (number INTEGER PRIMARY KEY, kind TEXT, key TEXT, version INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS journal (version INTEGER PRIMARY KEY, at REAL, epoch INTEGER, changes BLOB);
"""
_ENCODE = msgspec.json.Encoder().encode


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
        self._numbers: dict[tuple[str, str], int] = {}
        self._last_number = 0
        self._is_loaded = self._durable_version == 0
        self._prune_at = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._write_for_ever, name="journal", daemon=True)
        self._thread.start()

    def _last_version(self) -> int:
        (version,) = self._connection.execute("SELECT COALESCE(MAX(version), 0) FROM journal").fetchone()
        return int(version)

    def load(self) -> tuple[int, Iterable[Stored]]:
        return self._durable_version, self._rows()

    def _rows(self) -> Iterator[Stored]:
        """All objects in the order in which they first appeared; learns their numbers on the way."""
        for number, kind, key, body in self._connection.execute(
            "SELECT number, kind, key, body FROM objects ORDER BY number"
        ):
            self._numbers[(kind, key)] = number
            self._last_number = number
            yield Stored(kind, key, body)
        self._is_loaded = True

    def append(self, version: int, at: float, changes: list[Change]) -> None:
        if not self._is_loaded:
            raise Bug("a journal must be loaded to its end before it can be appended to")
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
        self._connection.execute("BEGIN IMMEDIATE")
        newest: dict[tuple[str, str], tuple[int, bytes | None]] = {}
        records: list[tuple[Any, ...]] = []
        for entry in batch:
            record = []
            for kind, key, _, after in entry.changes:
                body = None if after is None else _ENCODE(after)
                newest[(kind, key)] = (entry.version, body)
                record.append((kind, key, None if body is None else msgspec.Raw(body)))
            records.append((entry.version, entry.at, self._epoch, _ENCODE(record)))
        self._write("INSERT INTO journal VALUES", records)
        self._write("INSERT OR REPLACE INTO objects VALUES", self._objects(newest))
        gone = [(self._numbers.pop(name, 0),) for name, (_, body) in newest.items() if body is None]
        self._write("DELETE FROM objects WHERE (number) IN (VALUES", gone, end=")")
        if batch and batch[-1].version >= self._prune_at:
            self._prune_at = batch[-1].version + _KEPT_VERSIONS // 10
            self._connection.execute("DELETE FROM journal WHERE version <= ?", (batch[-1].version - _KEPT_VERSIONS,))
        self._connection.execute("COMMIT")

    def _objects(self, newest: dict[tuple[str, str], tuple[int, bytes | None]]) -> list[tuple[Any, ...]]:
        """Rows of `objects` for what was put; a row that is new gets the next number."""
        rows = []
        for name, (version, body) in newest.items():
            if body is None:
                continue
            number = self._numbers.get(name)
            if number is None:
                self._last_number += 1
                number = self._numbers[name] = self._last_number
            rows.append((number, *name, version, body))
        return rows

    def _write(self, statement: str, rows: list[tuple[Any, ...]], *, end: str = "") -> None:
        """Run `statement (…), (…)` for the rows, many at a time."""
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            some = rows[start : start + _ROWS_PER_STATEMENT]
            marks = ", ".join([f"({', '.join('?' * len(some[0]))})"] * len(some))
            self._connection.execute(f"{statement} {marks}{end}", [value for row in some for value in row])

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
