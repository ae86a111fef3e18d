"""Items in order of a key that changes often: the least key in O(log n), one of its items at random in O(1).

Items with equal keys share a bucket (a list with swap-removal), and the distinct keys stand in a heap. A bucket that
runs empty stays until the heap brings it to the top, so that a key is never in the heap twice and most moves touch
no heap at all.
"""

import random
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

Key = tuple[Any, ...]


class Item:
    """What can stand on one shelf at a time. `key` is None while it stands on none."""

    __slots__ = ("index", "key")

    def __init__(self) -> None:
        self.key: Key | None = None
        self.index = 0


ItemT = TypeVar("ItemT", bound=Item)


class Shelf(Generic[ItemT]):
    __slots__ = ("_buckets", "_keys", "_size")

    def __init__(self) -> None:
        self._buckets: dict[Key, list[ItemT]] = {}
        self._keys: list[Key] = []
        self._size = 0

    def twin(self, twins: Mapping[Item, Any]) -> "Shelf[ItemT]":
        """The same order of the items' twins."""
        shelf: Shelf[ItemT] = Shelf()
        shelf._buckets = {key: [twins[item] for item in bucket] for key, bucket in self._buckets.items()}
        shelf._keys = list(self._keys)
        shelf._size = self._size
        return shelf

    def put(self, item: ItemT, key: Key | None) -> None:
        """Place or move an item; None takes it away."""
        if item.key == key:
            return
        if item.key is not None:
            bucket = self._buckets[item.key]
            last = bucket.pop()
            if last is not item:
                bucket[item.index] = last
                last.index = item.index
            self._size -= 1
        item.key = key
        if key is not None:
            self._add(item, key)

    def _add(self, item: ItemT, key: Key) -> None:
        self._size += 1
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = []
            heappush(self._keys, key)
            if len(self._keys) > 2 * self._size + 64:
                self._drop_empty(key)
        item.index = len(bucket)
        bucket.append(item)

    def _drop_empty(self, keep: Key) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket or key == keep}
        self._keys = list(self._buckets)
        heapify(self._keys)

    def least(self) -> Key | None:
        """The least key of any item; None on an empty shelf."""
        keys = self._keys
        while keys:
            key = keys[0]
            if self._buckets[key]:
                return key
            heappop(keys)
            del self._buckets[key]
        return None

    def pick(self, rng: random.Random) -> ItemT:
        """One of the items with the least key, each as likely as the others. The shelf must not be empty."""
        bucket = self._buckets[self._keys[0]] if self._keys else []
        if not bucket:
            key = self.least()
            assert key is not None, "picked from an empty shelf"
            bucket = self._buckets[key]
        return bucket[0] if len(bucket) == 1 else bucket[int(rng.random() * len(bucket))]
