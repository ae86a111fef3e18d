"""Candidate pools: the instances that could take one kind of task, in the order of its strategies, ready to use.

A pool belongs to everything that decides where a task may and should go: resources, constraints, required attributes,
strategies and (where it matters) the task group. It is kept between calls. Before use it looks again at the hosts that
changed since its last use, and at no other; so the first use costs one look at every instance, and each later one
only what has happened in between.
"""

import random

from homeport.model.resources import Resources
from homeport.scheduler.constraints import Constraint, Needs, fits, needs_of, suits_row, suits_tasks
from homeport.scheduler.fleet import ClusterHosts, Host
from homeport.scheduler.strategies import Order, Seat, Tree
from homeport.shapes import ecs as shapes

_MAX_SEATS = 500_000
"""Instances times pools that are kept per cluster, least recently used pools first to go; a seat is some 300 bytes."""
_MIN_POOLS = 16


class Pool:
    def __init__(self, cluster: ClusterHosts, needs: Needs, order: Order, group: str) -> None:
        self.needs = needs
        self._cluster = cluster
        self._group = group
        self._tree = Tree(order)
        self._counts_tasks = order.counts_tasks
        self._seats: dict[Host, Seat] = {}
        self._seen = 0

    def catch_up(self) -> None:
        for host in self._cluster.changed_since(self._seen):
            self.look_at(host)
        self._seen = self._cluster.changes

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
        count = host.groups.get(self._group, 0) if self._counts_tasks else 0
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
    uses_group = any(each.type == "spread" for each in strategies) or any(
        each.type == "distinctInstance" for each in constraints
    )
    key = (resources, constraints, required_attributes, strategies, group if uses_group else None)
    pools = cluster.readers
    pool: Pool | None = pools.pop(key, None)
    if pool is None:
        needs = needs_of(resources, constraints, required_attributes, group)
        pool = Pool(cluster, needs, Order(strategies), group)
        if len(pools) >= most_pools(len(cluster.recent)):
            del pools[next(iter(pools))]
    pools[key] = pool
    pool.catch_up()
    return pool


def most_pools(instances: int) -> int:
    """Pools that a cluster of so many instances keeps."""
    return max(_MIN_POOLS, _MAX_SEATS // max(1, instances))
