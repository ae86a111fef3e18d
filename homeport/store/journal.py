"""Where accepted changes become durable.

A journal stores each transaction under its version, in order, and the newest body of every row. Loading gives back
the rows; `durable` says when a version can no longer be lost.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import msgspec

from homeport.store.watch import Change


class Stored(NamedTuple):
    """A row as the journal holds it."""

    kind: str
    key: str
    body: bytes


class Journal(Protocol):
    """Durable storage of transactions. `append` must not block; it is called in version order."""

    def load(self) -> tuple[int, Iterable[Stored]]:
        """The last version and all rows."""
        ...

    def append(self, version: int, at: float, changes: list[Change]) -> None: ...
    async def durable(self, version: int) -> None: ...
    async def close(self) -> None: ...


class MemoryJournal:
    """Keeps rows in memory; can hold back its tail, and lose it, as a crash of a real one would.

    With `held` True nothing becomes durable until `flush`; `crash` forgets what was not flushed and returns what a
    restarted process would load.
    """

    def __init__(self) -> None:
        self.held = False
        self._rows: dict[tuple[str, str], bytes] = {}
        self._durable_version = 0
        self._tail: list[tuple[int, list[Change]]] = []

    def load(self) -> tuple[int, Iterable[Stored]]:
        return self._durable_version, [Stored(kind, key, body) for (kind, key), body in self._rows.items()]

    def append(self, version: int, at: float, changes: list[Change]) -> None:  # noqa: ARG002 - the real ones record it
        self._tail.append((version, changes))
        if not self.held:
            self.flush()

    def flush(self) -> None:
        """Make everything appended so far durable."""
        for version, changes in self._tail:
            for change in changes:
                if change.after is None:
                    self._rows.pop((change.kind, change.key), None)
                else:
                    self._rows[(change.kind, change.key)] = msgspec.json.encode(change.after)
            self._durable_version = version
        self._tail.clear()

    def crash(self) -> None:
        """Lose the tail that was never flushed."""
        self._tail.clear()
        self.held = False

    async def durable(self, version: int) -> None:
        if version > self._durable_version:
            self.flush()

    async def close(self) -> None:
        self.flush()
