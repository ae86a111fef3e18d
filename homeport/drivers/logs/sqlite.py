"""Log events on an SQLite file of their own.

Events lie clustered by stream and time, so that reading a stream is one sequential walk; an index by group and time
serves searches over a whole group. Deleting a group or stream only unlinks it: its events are purged by `expire`, in
small transactions, so that no caller waits for millions of deletions. Groups and streams are on disk when a verb
returns; events survive the end of the process at once and the loss of power within the next checkpoint.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from homeport.base.errors import NotFound, Permanent
from homeport.drivers.logs import LogEvent, LogGroup, LogStream

EVENT_OVERHEAD_BYTES = 26
"""What CloudWatch Logs counts per event in addition to its UTF-8 text."""

_DAY_MS = 86_400_000
_PURGED_AT_ONCE = 5_000
_PAGES_AT_ONCE = 1_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, created INTEGER, retention INTEGER, class TEXT, tags TEXT);
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, group_id INTEGER, name TEXT, created INTEGER,
    first INTEGER, last INTEGER, ingested INTEGER, bytes INTEGER DEFAULT 0, UNIQUE (group_id, name));
CREATE TABLE IF NOT EXISTS events (
    stream_id INTEGER, timestamp INTEGER, id INTEGER, group_id INTEGER, ingested INTEGER, message TEXT,
    PRIMARY KEY (stream_id, timestamp, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_group ON events (group_id, timestamp, id);
CREATE TABLE IF NOT EXISTS unlinked (stream_id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), last_id INTEGER);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""
_SELECT_GROUPS = """SELECT g.name, g.created, g.retention, g.class, g.tags,
    COALESCE((SELECT SUM(s.bytes) FROM streams s WHERE s.group_id = g.id), 0) FROM groups g """
_SELECT_STREAMS = "SELECT name, created, first, last, ingested, bytes FROM streams WHERE group_id = ? "


class SqliteLogStore:
    """`LogStore` on the file `path` (`:memory:` for a throw-away one). One connection behind a lock: any thread may call."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None, timeout=5)
        self._connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self, *, durably: bool) -> Iterator[sqlite3.Connection]:
        """One transaction; with `durably`, on disk when it ends."""
        with self._lock:
            execute = self._connection.execute
            execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")
            execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                execute("ROLLBACK")
                raise
            execute("COMMIT")

    def create_group(self, group: LogGroup) -> None:
        with self._writing(durably=True) as connection:
            try:
                connection.execute(
                    "INSERT INTO groups (name, created, retention, class, tags) VALUES (?, ?, ?, ?, ?)",
                    (group.name, group.created_at_ms, *_settings(group)),
                )
            except sqlite3.IntegrityError as error:
                raise Permanent(f"log group {group.name} exists") from error

    def delete_group(self, name: str) -> None:
        with self._writing(durably=True) as connection:
            group_id = _group_id(connection, name)
            connection.execute("INSERT INTO unlinked SELECT id FROM streams WHERE group_id = ?", (group_id,))
            connection.execute("DELETE FROM streams WHERE group_id = ?", (group_id,))
            connection.execute("DELETE FROM groups WHERE id = ?", (group_id,))

    def group(self, name: str) -> LogGroup | None:
        with self._lock:
            row = self._connection.execute(_SELECT_GROUPS + "WHERE name = ?", (name,)).fetchone()
        return None if row is None else _group(row)

    def groups(self) -> Sequence[LogGroup]:
        """All groups, by name."""
        with self._lock:
            rows = self._connection.execute(_SELECT_GROUPS + "ORDER BY g.name").fetchall()
        return tuple(_group(row) for row in rows)

    def replace_group(self, group: LogGroup) -> None:
        """Take over the group's settings: retention, class, tags."""
        with self._writing(durably=True) as connection:
            group_id = _group_id(connection, group.name)
            connection.execute(
                "UPDATE groups SET retention = ?, class = ?, tags = ? WHERE id = ?", (*_settings(group), group_id)
            )

    def create_stream(self, stream: LogStream) -> None:
        with self._writing(durably=True) as connection:
            group_id = _group_id(connection, stream.group)
            try:
                connection.execute(
                    "INSERT INTO streams (group_id, name, created) VALUES (?, ?, ?)",
                    (group_id, stream.name, stream.created_at_ms),
                )
            except sqlite3.IntegrityError as error:
                raise Permanent(f"log stream {stream.group} {stream.name} exists") from error

    def delete_stream(self, group: str, name: str) -> None:
        with self._writing(durably=True) as connection:
            stream_id = _stream_id(connection, _group_id(connection, group), name)
            connection.execute("INSERT INTO unlinked VALUES (?)", (stream_id,))
            connection.execute("DELETE FROM streams WHERE id = ?", (stream_id,))

    def stream(self, group: str, name: str) -> LogStream | None:
        with self._lock:
            group_id = _group_id(self._connection, group)
            row = self._connection.execute(_SELECT_STREAMS + "AND name = ?", (group_id, name)).fetchone()
        return None if row is None else _stream(group, row)

    def streams(self, group: str) -> Sequence[LogStream]:
        """The group's streams, by name."""
        with self._lock:
            group_id = _group_id(self._connection, group)
            rows = self._connection.execute(_SELECT_STREAMS + "ORDER BY name", (group_id,)).fetchall()
        return tuple(_stream(group, row) for row in rows)

    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]], now_ms: int) -> None:
        """Append `(timestamp_ms, message)` pairs."""
        if not events:
            return
        with self._writing(durably=False) as connection:
            group_id = _group_id(connection, group)
            stream_id = _stream_id(connection, group_id, stream)
            (last_id,) = connection.execute("SELECT last_id FROM counter").fetchone()
            connection.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (stream_id, timestamp, last_id + number, group_id, now_ms, message)
                    for number, (timestamp, message) in enumerate(events, 1)
                ],
            )
            connection.execute("UPDATE counter SET last_id = ?", (last_id + len(events),))
            size = sum(len(message.encode()) + EVENT_OVERHEAD_BYTES for _, message in events)
            times = [timestamp for timestamp, _ in events]
            connection.execute(
                "UPDATE streams SET first = MIN(COALESCE(first, ?1), ?1), last = MAX(COALESCE(last, ?2), ?2),"
                " ingested = ?3, bytes = bytes + ?4 WHERE id = ?5",
                (min(times), max(times), now_ms, size, stream_id),
            )

    def read(
        self,
        group: str,
        streams: Sequence[str] | None,
        *,
        start_ms: int | None,
        end_ms: int | None,
        after: tuple[int, int] | None,
        limit: int,
        newest_first: bool,
    ) -> Sequence[LogEvent]:
        """See `LogStore`. Several streams are merged lazily, so no more is read than is given back."""
        bounds, values = _bounds(start_ms, end_ms, after, newest_first=newest_first)
        with self._lock:
            group_id = _group_id(self._connection, group)
            if streams is None:
                rows = self._scan("e.group_id", group_id, bounds, values, limit, newest_first=newest_first)
                return [LogEvent(*row) for row in rows]
            ids = [_stream_id(self._connection, group_id, name) for name in dict.fromkeys(streams)]
            cursors = [
                self._scan("e.stream_id", stream_id, bounds, values, limit, newest_first=newest_first)
                for stream_id in ids
            ]
            merged = merge(*cursors, key=lambda row: (row[2], row[0]), reverse=newest_first)
            return [LogEvent(*row) for row in islice(merged, limit)]

    def _scan(
        self, column: str, key: int, bounds: str, values: Sequence[int], limit: int, *, newest_first: bool
    ) -> Iterator[Any]:
        order = "DESC" if newest_first else "ASC"
        return self._connection.execute(
            "SELECT e.id, s.name, e.timestamp, e.ingested, e.message FROM events e CROSS JOIN streams s"  # noqa: S608
            f" ON s.id = e.stream_id WHERE {column} = ?{bounds} ORDER BY e.timestamp {order}, e.id {order} LIMIT ?",
            (key, *values, limit),
        )

    def expire(self, now_ms: int) -> int:
        """Delete what is older than its group's retention, and what was unlinked; returns how many events went."""
        with self._lock:
            kept = self._connection.execute("SELECT id, retention FROM groups WHERE retention IS NOT NULL").fetchall()
            unlinked = self._connection.execute("SELECT stream_id FROM unlinked").fetchall()
        gone = sum(self._repeat(self._expire_some, group_id, now_ms - days * _DAY_MS) for group_id, days in kept)
        for (stream_id,) in unlinked:
            gone += self._repeat(self._purge_some, stream_id, 0)
            with self._writing(durably=False) as connection:
                connection.execute("DELETE FROM unlinked WHERE stream_id = ?", (stream_id,))
        if gone:
            self._give_back_space()
        return gone

    def _give_back_space(self) -> None:
        """Return free pages to the file system, a few at a time."""
        before = -1
        while True:
            with self._lock:
                (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
                if free in (0, before):
                    return
                before = free
                self._connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()

    @staticmethod
    def _repeat(step: Any, key: int, before_ms: int) -> int:
        """Run `step` until it finds less than a full portion; the lock is free in between."""
        gone = 0
        while True:
            found: int = step(key, before_ms)
            gone += found
            if found < _PURGED_AT_ONCE:
                return gone

    def _expire_some(self, group_id: int, before_ms: int) -> int:
        with self._writing(durably=False) as connection:
            rows = connection.execute(
                "SELECT stream_id, timestamp, id, LENGTH(CAST(message AS BLOB)) FROM events"
                " WHERE group_id = ? AND timestamp < ? ORDER BY timestamp, id LIMIT ?",
                (group_id, before_ms, _PURGED_AT_ONCE),
            ).fetchall()
            connection.executemany(
                "DELETE FROM events WHERE stream_id = ? AND timestamp = ? AND id = ?", [row[:3] for row in rows]
            )
            sizes: dict[int, int] = {}
            for stream_id, _, _, length in rows:
                sizes[stream_id] = sizes.get(stream_id, 0) + length + EVENT_OVERHEAD_BYTES
            connection.executemany(
                "UPDATE streams SET bytes = bytes - ?2,"
                " first = (SELECT MIN(timestamp) FROM events WHERE stream_id = ?1) WHERE id = ?1",
                list(sizes.items()),
            )
        return len(rows)

    def _purge_some(self, stream_id: int, _before_ms: int) -> int:
        with self._writing(durably=False) as connection:
            return connection.execute(
                "DELETE FROM events WHERE (stream_id, timestamp, id) IN"
                " (SELECT stream_id, timestamp, id FROM events WHERE stream_id = ? LIMIT ?)",
                (stream_id, _PURGED_AT_ONCE),
            ).rowcount


def _bounds(
    start_ms: int | None, end_ms: int | None, after: tuple[int, int] | None, *, newest_first: bool
) -> tuple[str, list[int]]:
    """The conditions on time and position as SQL, and their values."""
    conditions, values = "", []
    if start_ms is not None:
        conditions += " AND e.timestamp >= ?"
        values.append(start_ms)
    if end_ms is not None:
        conditions += " AND e.timestamp < ?"
        values.append(end_ms)
    if after is not None:
        conditions += f" AND (e.timestamp, e.id) {'<' if newest_first else '>'} (?, ?)"
        values += after
    return conditions, values


def _settings(group: LogGroup) -> tuple[int | None, str, str]:
    return group.retention_days, group.log_group_class, msgspec.json.encode(group.tags).decode()


def _group_id(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT id FROM groups WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound(f"log group {name}")
    return int(row[0])


def _stream_id(connection: sqlite3.Connection, group_id: int, name: str) -> int:
    row = connection.execute("SELECT id FROM streams WHERE group_id = ? AND name = ?", (group_id, name)).fetchone()
    if row is None:
        raise NotFound(f"log stream {name}")
    return int(row[0])


def _group(row: Sequence[Any]) -> LogGroup:
    name, created, retention, log_group_class, tags, stored = row
    return LogGroup(
        name=name,
        created_at_ms=created,
        retention_days=retention,
        log_group_class=log_group_class,
        tags=msgspec.json.decode(tags, type=dict[str, str]),
        stored_bytes=stored,
    )


def _stream(group: str, row: Sequence[Any]) -> LogStream:
    name, created, first, last, ingested, stored = row
    return LogStream(
        group=group,
        name=name,
        created_at_ms=created,
        first_event_ms=first,
        last_event_ms=last,
        last_ingestion_ms=ingested,
        stored_bytes=stored,
    )
