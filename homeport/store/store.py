"""The store: transactions are plain synchronous functions.

Code without `await` cannot be interleaved, so isolation is free. An exception inside `update` replays the undo list
backwards. `update` applies in memory and appends to the journal; nothing may leave the process before
`await durable(version)` (the output-commit rule: gateway, agent sessions and control runner keep it).
"""

import gc
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from homeport.base.clock import Clock
from homeport.base.errors import Bug, Permanent
from homeport.base.ids import Ids, derived_random
from homeport.store.journal import Journal
from homeport.store.schema import Tables
from homeport.store.watch import Change, Subscription

T = TypeVar("T")
_WATCH_LIMIT = 10_000


class UnreadableRow(Permanent):
    """The journal holds a row that this version does not know."""


class Tx(Tables):
    """The tables inside one transaction, and what the transaction may know: one instant, and chance that replays."""

    def __init__(self, tables: Tables, now: float, version: int, seed: int, ids: Ids) -> None:
        self.__dict__.update(tables.__dict__)
        self.now = now
        self.version = version
        self.ids = ids
        self._seed = seed

    def rng(self, key: str) -> random.Random:
        """Chance that depends on region seed, key and version: the same step at the same version chooses the same."""
        return derived_random(self._seed, key, self.version)


class Store:
    """All state of one region. `read` is for looking only: a write through it is a Bug."""

    def __init__(self, journal: Journal, clock: Clock, ids: Ids, *, seed: int = 0) -> None:
        self.read = Tables()
        self.version = 0
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._seed = seed
        self._subscriptions: list[Subscription] = []
        self._updating = False

    def load(self) -> int:
        """Fill the tables from the journal; returns the number of rows. Call once, before anything else.

        Raises UnreadableRow.
        """
        self.version, stored = self._journal.load()
        tables = self.read.by_kind()
        decoders = {kind: msgspec.json.Decoder(table.row_type) for kind, table in tables.items()}
        count = 0
        # Everything that is read stays, so looking for garbage on the way would only cost (half of) the time.
        gc.disable()
        try:
            for kind, key, body in stored:
                tables[kind].apply(key, decoders[kind].decode(body))
                count += 1
        except (KeyError, msgspec.DecodeError) as error:
            raise UnreadableRow(f"{kind} {key!r}: {error if kind in tables else 'no such kind of row'}") from error
        finally:
            gc.enable()
        return count

    def update(self, change: Callable[[Tx], T]) -> tuple[T, int]:
        """Run `change` as one transaction: all of it or, if it raises, none. Returns its result and the version to await."""
        if self._updating:
            raise Bug("a transaction inside a transaction")
        undo: list[tuple[Any, str, Any, Any]] = []
        tables = self.read.all_tables
        self._updating = True
        for table in tables:
            table.undo = undo
        try:
            result = change(Tx(self.read, self._clock.now(), self.version + 1, self._seed, self._ids))
        except BaseException:
            for table, key, before, _ in reversed(undo):
                table.apply(key, before)
            raise
        finally:
            self._updating = False
            for table in tables:
                table.undo = None
        if undo:
            self._commit(undo)
        return result, self.version

    def _commit(self, undo: list[tuple[Any, str, Any, Any]]) -> None:
        net: dict[tuple[str, str], Change] = {}
        for table, key, before, after in undo:
            earlier = net.get((table.kind, key))
            net[(table.kind, key)] = Change(table.kind, key, earlier.before if earlier else before, after)
        changes = [change for change in net.values() if change.before is not change.after]
        if not changes:
            return
        self.version += 1
        self._journal.append(self.version, self._clock.now(), changes)
        for subscription in self._subscriptions:
            subscription.offer(self.version, changes)

    def look(self) -> Tx:
        """The tables as a read-only operation gets them: with an instant, but a write is a Bug."""
        return Tx(self.read, self._clock.now(), self.version, self._seed, self._ids)

    async def durable(self, version: int) -> None:
        """Return once `version` can no longer be lost; raises if the journal failed, which must end the process."""
        await self._journal.durable(version)

    def subscribe(self, kinds: Iterable[str], *, limit: int = _WATCH_LIMIT) -> Subscription:
        """Batches of later changes to rows of these kinds."""
        subscription = Subscription(kinds, limit)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)

    async def close(self) -> None:
        await self._journal.close()
