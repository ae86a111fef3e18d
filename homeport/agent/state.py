"""What survives the agent's process: its identity, its tasks. One small SQLite file.

Commits cost microseconds (`synchronous=NORMAL`: a killed process loses nothing, a power cut may lose the last
moments, but it also ends the containers). Writes of one turn of the event loop are grouped; `flush` writes now, and is
called before a payload is acknowledged. Secret keys of roles are never written.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from homeport.agent.record import TaskRecord
from homeport.base.log import get_logger

log = get_logger("state")


class Identity(Struct, frozen=True, kw_only=True):
    """Who this agent is to its control plane.

    `endpoint_seed` makes the ids of task endpoints unguessable, and the same again after a restart.
    """

    cluster: str
    endpoint_seed: str
    container_instance_arn: str | None = None
    availability_zone: str | None = None


class AgentState(Protocol):
    """Loading, and keeping, the agent's records."""

    def load(self) -> tuple[Identity | None, tuple[TaskRecord, ...]]: ...
    def save_identity(self, identity: Identity) -> None: ...
    def save(self, task: TaskRecord) -> None: ...
    def forget(self, task_arn: str) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class MemoryState:
    """`AgentState` for simulation: hand the same one to the next agent to model a restart."""

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._tasks: dict[str, bytes] = {}

    def load(self) -> tuple[Identity | None, tuple[TaskRecord, ...]]:
        return self._identity, tuple(_decode(body) for body in self._tasks.values())

    def save_identity(self, identity: Identity) -> None:
        self._identity = identity

    def save(self, task: TaskRecord) -> None:
        self._tasks[task.arn] = _encode(task)

    def forget(self, task_arn: str) -> None:
        self._tasks.pop(task_arn, None)

    def flush(self) -> None:
        return

    def close(self) -> None:
        return


class SqliteState:
    """`AgentState` in a file; made inside a running event loop.

    A second process on the same file is refused (sqlite3.OperationalError) once it has waited `lock_seconds`.
    """

    def __init__(self, path: Path, *, lock_seconds: float = 5.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=lock_seconds)
        path.chmod(0o600)
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, body BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self._dirty: dict[tuple[str, str], TaskRecord | Identity | None] = {}
        self._scheduled = False

    def load(self) -> tuple[Identity | None, tuple[TaskRecord, ...]]:
        identity: Identity | None = None
        tasks = []
        for kind, key, body in self._connection.execute("SELECT kind, key, body FROM records ORDER BY kind, key"):
            if kind == "identity":
                identity = msgspec.json.decode(body, type=Identity)
                continue
            try:
                tasks.append(_decode(body))
            except msgspec.DecodeError as error:  # of another version; what runs of it is adopted by its labels
                log.warning("record_unreadable", task=key, error=str(error))
        return identity, tuple(sorted(tasks, key=lambda task: task.accepted_at))

    def save_identity(self, identity: Identity) -> None:
        self._put(("identity", ""), identity)

    def save(self, task: TaskRecord) -> None:
        self._put(("task", task.arn), task)

    def forget(self, task_arn: str) -> None:
        self._put(("task", task_arn), None)

    def _put(self, key: tuple[str, str], record: TaskRecord | Identity | None) -> None:
        self._dirty[key] = record
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._scheduled = False
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, {}
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for (kind, key), record in dirty.items():
            if record is None:
                execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))
            else:
                execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (kind, key, _encode(record)))
        execute("COMMIT")

    def close(self) -> None:
        self.flush()
        self._connection.close()


_encode = msgspec.json.Encoder().encode


def _decode(body: bytes) -> TaskRecord:
    return msgspec.json.decode(body, type=TaskRecord)
