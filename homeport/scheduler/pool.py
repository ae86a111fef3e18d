"""Candidate pools: the instances that could take one kind of task, in the order of its strategies, ready to use.

A pool belongs to everything that decides where a task may and should go: resources, constraints, required attributes,
strategies. It is kept between calls. Before use it looks again at the hosts that changed since its last use, and at no
other; so the first use costs one look at every instance, and each later one only what has happened in between.

Where the task group matters too (spreads count its tasks, distinctInstance avoids them), each group has a pool of its
own. But groups differ only on hosts that have tasks of theirs: a group's pool begins as a copy of the one that all
groups share, and looks at these hosts alone. So a thousand services of one kind cost one look at every instance, not a
thousand. One that has fallen far behind is copied anew.
"""

import random
from itertools import islice

from homeport.model.resources import Resources
from homeport.scheduler.constraints import Constraint, Needs, fits, needs_of, suits_row, suits_tasks
from homeport.scheduler.fleet import ClusterHosts, Host
from homeport.scheduler.strategies import Order, Seat, Tree
from homeport.shapes import ecs as shapes

_MAX_SEATS = 100_000
"""Instances times pools that are kept per cluster, least recently used pools first to go; a seat is some 300 bytes."""
_MIN_POOLS = 16
_COPY_COST = 10
"""How many seats can be copied in the time of one look."""


class Pool:
    """`group` None: as a group without tasks sees the cluster."""

    def __init__(self, cluster: ClusterHosts, needs: Needs, order: Order, group: str | None = None) -> None:
        self.needs = needs
        self._cluster = cluster
        self._group = group
        self._tree = Tree(order)
        self._seats: dict[Host, Seat] = {}
        self._seen = 0

    def for_group(self, group: str, *, is_distinct: bool) -> "Pool":
        """A copy as the group sees it. `is_distinct`: its tasks must all be on different hosts."""
        needs = self.needs._replace(distinct_group=group) if is_distinct else self.needs
        pool = Pool(self._cluster, needs, self._tree.order, group)
        pool._tree, pool._seats = self._tree.twin(self._seats)
        pool._seen = self._seen
        for host in self._cluster.groups.get(group, ()):
            pool.look_at(host)
        return pool

    def catch_up(self) -> None:
        for host in self._cluster.changed_since(self._seen):
            self.look_at(host)
        self._seen = self._cluster.changes

    def is_far_behind(self) -> bool:
        """Whether copying is less work than catching up."""
        most = len(self._seats) // _COPY_COST
        return next(islice(self._cluster.changed_since(self._seen), most, None), None) is not None

    def pick(self, rng: random.Random) -> Host | None:
        """The best candidate; None if no instance can take the task."""
        seat = self._tree.pick(rng)
        return seat.host if seat else None

    def look_at(self, host: Host) -> None:
        """Bring the pool in line with a host that changed."""
        seat = self._seats.get(host)
        if seat is None or seat.row is not host.row:
            seat = self._reseat(host, seat)
            if seat is None:
                return
        count = host.groups.get(self._group, 0) if self._group is not None else 0
        needs = self.needs
        is_candidate = (
            seat.is_suitable and fits(needs, host) and (not needs.depends_on_tasks or suits_tasks(needs, host))
        )
        self._tree.update(seat, self._tree.order.key(host, count) if is_candidate else None, count)

    def _reseat(self, host: Host, seat: Seat | None) -> Seat | None:
        """The host's row is new: its attributes may have changed, and with them its place in the tree."""
        if seat is not None:
            self._tree.update(seat, None, 0)
            del self._seats[host]
        row = host.row
        if row is None:
            return None
        seat = self._seats[host] = Seat(host, row, self._tree.node(self._tree.order.values(row)))
        seat.is_suitable = suits_row(self.needs, row)
        return seat


def pool_for(
    cluster: ClusterHosts,
    resources: Resources,
    constraints: tuple[Constraint, ...],
    required_attributes: tuple[shapes.Attribute, ...],
    strategies: tuple[shapes.PlacementStrategy, ...],
    group: str,
) -> Pool:
    """The pool of this kind of task, up to date. Raises ExpressionError for an expression that cannot be parsed."""
    kind = (resources, constraints, required_attributes, strategies)
    is_distinct = any(each.type == "distinctInstance" for each in constraints)
    if not is_distinct and not any(each.type == "spread" for each in strategies):
        return _shared_pool(cluster, kind)
    pool: Pool | None = cluster.readers.pop((*kind, group), None)
    if pool is None or pool.is_far_behind():
        pool = _shared_pool(cluster, kind).for_group(group, is_distinct=is_distinct)
    else:
        pool.catch_up()
    _keep(cluster, (*kind, group), pool)
    return pool


_Kind = tuple[Resources, tuple[Constraint, ...], tuple[shapes.Attribute, ...], tuple[shapes.PlacementStrategy, ...]]


def _shared_pool(cluster: ClusterHosts, kind: _Kind) -> Pool:
    """The pool of a kind of task whatever its group, up to date."""
    pool: Pool | None = cluster.readers.pop(kind, None)
    if pool is None:
        resources, constraints, required_attributes, strategies = kind
        pool = Pool(cluster, needs_of(resources, constraints, required_attributes), Order(strategies))
    _keep(cluster, kind, pool)
    pool.catch_up()
    return pool


def _keep(cluster: ClusterHosts, key: tuple[object, ...], pool: Pool) -> None:
    """As the one used last; the one used longest ago has to go when there are too many."""
    pools = cluster.readers
    if len(pools) >= most_pools(len(cluster.recent)):
        del pools[next(iter(pools))]
    pools[key] = pool


def most_pools(instances: int) -> int:
    """Pools that a cluster of so many instances keeps."""
    return max(_MIN_POOLS, _MAX_SEATS // max(1, instances))
