"""Change events: bounded queues, and a marker that says "too much happened, read everything again"."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import msgspec


class Change(NamedTuple):
    """One row's net change in one transaction; `before` None for an insert, `after` None for a delete."""

    kind: str
    key: str
    before: msgspec.Struct | None
    after: msgspec.Struct | None


class Batch(NamedTuple):
    """The changes of one transaction. `resync` set means that earlier batches were dropped: re-read all."""

    version: int
    changes: tuple[Change, ...]
    resync: bool = False


class Subscription:
    """An async iterator of batches that touch the kinds asked for. Holds at most `limit` changes; then resyncs."""

    def __init__(self, kinds: Iterable[str], limit: int) -> None:
        self._kinds = frozenset(kinds)
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._held = 0
        self._ready = asyncio.Event()

    def offer(self, version: int, changes: list[Change]) -> None:
        wanted = tuple(change for change in changes if change.kind in self._kinds)
        if not wanted:
            return
        if self._held + len(wanted) > self._limit:
            self._batches.clear()
            self._batches.append(Batch(version, (), resync=True))
            self._held = 0
        else:
            self._batches.append(Batch(version, wanted))
            self._held += len(wanted)
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Batch]:
        while True:
            while self._batches:
                batch = self._batches.popleft()
                self._held -= len(batch.changes)
                yield batch
            self._ready.clear()
            await self._ready.wait()
