"""Placement strategies as an order of candidates that is cheap to keep.

Each candidate has a key with one part per strategy, in list order, and the least key wins; ties are broken at random:

    spread instanceId      tasks of the group on the instance
    spread attribute:NAME  tasks of the group on all instances with the same value (within the same values of the
                           spreads before it: "evenly across zones, then evenly across racks within each zone")
    binpack cpu | memory   what is free on the instance
    random                 nothing: whatever follows it cannot matter

An attribute's count is shared by many instances and changes with every placement. Therefore the candidates stand in a
tree with one level per attribute spread, one child per value; the count is a part of the *child's* key in its parent.
A placement then changes the keys on one path of the tree only, never those of the other candidates. Worked example,
spread(zone) + binpack(memory): each zone's leaf orders its instances by free memory, (512,) first; the root orders
zones by (count, least free memory): (3, 512) before (3, 768) before (4, 256).
"""

import random
from collections.abc import Mapping
from typing import Any

from homeport.model.container_instance import ContainerInstance
from homeport.scheduler.fleet import Host
from homeport.scheduler.shelf import Item, Key, Shelf
from homeport.shapes import ecs as shapes

Values = tuple[str | None, ...]
_ATTRIBUTE = "attribute:"


class Order:
    """A strategy list made ready. `parts` are the per-instance parts; `spreads` the attributes, each with the position
    at which its count goes into the key of parts."""

    def __init__(self, strategies: tuple[shapes.PlacementStrategy, ...]) -> None:
        self.parts: list[str] = []
        self.spreads: list[tuple[str, int]] = []
        for strategy in strategies:
            if strategy.type == "random":
                break
            field = strategy.field or ""
            if strategy.type == "binpack":
                self.parts.append(field.lower())
            elif field in {"instanceId", "host"}:
                self.parts.append("host")
            else:
                self.spreads.append((field.removeprefix(_ATTRIBUTE), len(self.parts)))

    def key(self, host: Host, count: int) -> Key:
        """The per-instance parts; `count` is how many tasks of the group the instance has."""
        parts = self.parts
        if len(parts) == 1 and parts[0] == "memory":
            return (host.free_memory,)
        return tuple([_part(part, host, count) for part in parts])

    def values(self, row: ContainerInstance) -> Values:
        """The attributes' values; an instance without the attribute is counted with the others that lack it."""
        return tuple(row.attribute(name) for name, _ in self.spreads)


def _part(part: str, host: Host, count: int) -> int:
    if part == "memory":
        return host.free_memory
    return host.free_cpu if part == "cpu" else count


class Seat(Item):
    """An instance's place in the tree of one pool."""

    __slots__ = ("count", "host", "is_suitable", "node", "row")

    def __init__(self, host: Host, row: ContainerInstance, node: "Node") -> None:
        super().__init__()
        self.host = host
        self.row = row
        self.node = node
        self.count = 0
        self.is_suitable = False

    def twin(self, node: "Node") -> "Seat":
        """The same place in another tree."""
        seat = Seat(self.host, self.row, node)
        seat.key, seat.index, seat.count, seat.is_suitable = self.key, self.index, self.count, self.is_suitable
        return seat


class Node(Item):
    """A value of an attribute spread (or the root). `count` is the number of the group's tasks below it."""

    __slots__ = ("children", "count", "parent", "position", "shelf")

    def __init__(self, parent: "Node | None", position: int) -> None:
        super().__init__()
        self.parent = parent
        self.position = position
        self.count = 0
        self.children: dict[str | None, Node] = {}
        self.shelf: Shelf[Node | Seat] = Shelf()

    def child(self, value: str | None, position: int) -> "Node":
        node = self.children.get(value)
        if node is None:
            node = self.children[value] = Node(self, position)
        return node

    def twin(self, parent: "Node | None", twins: dict[Item, Any]) -> "Node":
        """A copy of the node and those below it, entered in `twins`; their shelves are still empty."""
        node = twins[self] = Node(parent, self.position)
        node.key, node.index, node.count = self.key, self.index, self.count
        node.children = {value: child.twin(node, twins) for value, child in self.children.items()}
        return node


class Tree:
    """The candidates of one pool in the order of its strategies."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.root = Node(None, 0)

    def twin(self, seats: Mapping[Host, Seat]) -> tuple["Tree", dict[Host, Seat]]:
        """A copy that goes its own way, with copies of the seats in it: a tenth of the work of seating all hosts."""
        tree = Tree(self.order)
        twins: dict[Any, Any] = {}
        tree.root = self.root.twin(None, twins)
        nodes = list(twins.items())
        copies = {host: seat.twin(twins[seat.node]) for host, seat in seats.items()}
        twins.update(zip(seats.values(), copies.values(), strict=True))
        for node, twin in nodes:
            twin.shelf = node.shelf.twin(twins)
        return tree, copies

    def node(self, values: Values) -> Node:
        """The leaf for instances with these attribute values."""
        node = self.root
        for value, (_, position) in zip(values, self.order.spreads, strict=True):
            node = node.child(value, position)
        return node

    def update(self, seat: Seat, key: Key | None, count: int) -> None:
        """Give a seat its key (None: not a candidate) and its count of tasks, and carry both up to the root."""
        node = seat.node
        node.shelf.put(seat, key)
        added = count - seat.count
        seat.count = count
        while (parent := node.parent) is not None:
            node.count += added
            least = node.shelf.least()
            at = node.position
            parent.shelf.put(node, None if least is None else (*least[:at], node.count, *least[at:]))
            node = parent

    def pick(self, rng: random.Random) -> Seat | None:
        """A candidate with the least key; None if there is no candidate."""
        item: Node | Seat = self.root
        if self.root.shelf.least() is None:
            return None
        while isinstance(item, Node):
            item = item.shelf.pick(rng)
        return item
