"""A table: rows by key, secondary indexes, and observers that keep derived views up to date.

Everything is a plain dict, so iteration is in insertion order and therefore deterministic. Rows are frozen structs.
Writes are legal only inside `Store.update`, which owns the undo list.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from homeport.base.errors import Bug

R = TypeVar("R", bound=msgspec.Struct)
Observer = Callable[[R | None, R | None], None]


class Table(Generic[R]):
    """`key` gives a row's primary key; `indexes` map an index's name to the value a row is found by (None: not at all)."""

    def __init__(
        self,
        kind: str,
        row_type: type[R],
        key: Callable[[R], str],
        indexes: Mapping[str, Callable[[R], Hashable]] | None = None,
    ) -> None:
        self.kind = kind
        self.row_type = row_type
        self.key = key
        self._rows: dict[str, R] = {}
        self._indexes: dict[str, dict[Hashable, dict[str, None]]] = {name: {} for name in indexes or {}}
        self._maintained = [(self._indexes[name], value_of) for name, value_of in (indexes or {}).items()]
        self.observers: list[Observer[R]] = []
        self.undo: list[tuple[Table[Any], str, Any, Any]] | None = None

    def get(self, key: str) -> R | None:
        return self._rows.get(key)

    def __getitem__(self, key: str) -> R:
        return self._rows[key]

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._rows.values()))

    def by(self, **wanted: Hashable) -> list[R]:
        """Rows whose index (exactly one is named) has the value, oldest first. A copy: writing while iterating is safe."""
        rows = self._rows
        return [rows[key] for key in self.keys_by(**wanted)]

    def keys_by(self, **wanted: Hashable) -> Mapping[str, None]:
        """Keys instead of rows; a live view, not to be kept over a write."""
        ((name, value),) = wanted.items()
        return self._indexes[name].get(value, {})

    def count(self, **wanted: Hashable) -> int:
        return len(self.keys_by(**wanted))

    def put(self, row: R) -> R | None:
        """Insert or replace; returns the row that was there."""
        if self.undo is None:
            raise Bug(f"{self.kind}: write outside of a transaction")
        key = self.key(row)
        before = self._rows.get(key)
        if before is not row:
            self.undo.append((self, key, before, row))
            self.apply(key, row)
        return before

    def delete(self, key: str) -> R | None:
        """Remove; returns the row that was there, or None if there was none."""
        if self.undo is None:
            raise Bug(f"{self.kind}: write outside of a transaction")
        before = self._rows.get(key)
        if before is not None:
            self.undo.append((self, key, before, None))
            self.apply(key, None)
        return before

    def apply(self, key: str, after: R | None) -> None:
        """Set or remove a row without recording it: loading, undoing and following a journal."""
        before = self._rows.get(key)
        if after is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = after
        for index, value_of in self._maintained:
            old = None if before is None else value_of(before)
            new = None if after is None else value_of(after)
            if old != new:
                self._reindex(index, key, old, new)
        for observer in self.observers:
            observer(before, after)

    @staticmethod
    def _reindex(index: dict[Hashable, dict[str, None]], key: str, old: Hashable, new: Hashable) -> None:
        if old is not None:
            bucket = index[old]
            del bucket[key]
            if not bucket:
                del index[old]
        if new is not None:
            index.setdefault(new, {})[key] = None
