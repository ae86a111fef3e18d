"""Which key a controller looks at next: a queue that never hands out one key twice at the same time.

A key is *ready* (to be taken), *processing*, *dirty* (changed while processing: ready again afterwards) or *delayed*
until an instant. Adding a key that is already ready does nothing, so a burst of changes costs one look. Failures
delay a key by an exponential backoff of its own. Pure: the present is an argument, waiting is the runner's business.
"""

import heapq
from collections import OrderedDict

from msgspec import Struct

from homeport.base.backoff import backoff_seconds

_FIRST_BACKOFF = 0.1
_MOST_BACKOFF = 30.0
_LEAST_WAIT = 0.05
"""Seconds between two looks at a key that nothing has changed: one that is due again at once would leave nobody a turn."""


class Wake(Struct, frozen=True):
    """When to look at a key again: `at` (epoch seconds; None: when something changes), sooner by `backoff`."""

    at: float | None = None
    backoff: bool = False


FORGET = Wake()


class WorkQueue:
    """Keys in order of arrival. All instants in epoch seconds."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._processing: set[str] = set()
        self._dirty: set[str] = set()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._attempts: dict[str, int] = {}

    def add(self, key: str) -> None:
        """Look at `key` as soon as possible, whatever it was waiting for."""
        self._due.pop(key, None)
        if key in self._processing:
            self._dirty.add(key)
        else:
            self._ready[key] = None

    def add_at(self, key: str, at: float) -> None:
        """Look at `key` at the instant `at`, or sooner if it is already due sooner."""
        if key in self._ready or key in self._dirty or self._due.get(key, float("inf")) <= at:
            return
        self._due[key] = at
        heapq.heappush(self._heap, (at, key))

    def take(self, now: float) -> str | None:
        """The next key, now processing until `done` or `failed`; None if nothing is ready."""
        self._move_due(now)
        if not self._ready:
            return None
        key, _ = self._ready.popitem(last=False)
        self._processing.add(key)
        return key

    def _move_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                self.add(key)

    def done(self, key: str, wake: Wake, now: float) -> None:
        """`key` was looked at and says when it wants to be looked at again."""
        if wake.backoff:
            self._later(key, wake.at, now)
        else:
            self._attempts.pop(key, None)
            if wake.at is not None:
                self.add_at(key, max(wake.at, now + _LEAST_WAIT))
        self._settle(key)

    def failed(self, key: str, now: float) -> None:
        """Looking at `key` failed: again after its backoff (0.1 s, doubling to 30 s), or at once if it changed since."""
        self._later(key, None, now)
        self._settle(key)

    def _later(self, key: str, at: float | None, now: float) -> None:
        attempt = self._attempts.get(key, 0)
        self._attempts[key] = attempt + 1
        retry = now + backoff_seconds(attempt, first=_FIRST_BACKOFF, factor=2, most=_MOST_BACKOFF)
        self.add_at(key, retry if at is None else min(at, retry))

    def _settle(self, key: str) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def next_at(self) -> float | None:
        """When the earliest delayed key falls due; None if there is none."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
