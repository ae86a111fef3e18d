"""Where tasks go: `place` chooses a container instance for each of a number of identical tasks.

Candidates are the instances that satisfy resources, attributes and constraints (`constraints`), in the order of the
strategies (`strategies`), kept ready between calls (`pool`). Each choice is entered into the fleet at once, so that the
next one sees it, and all are taken out again at the end: the caller puts the rows, and only rows count. Nothing here
costs time proportional to the number of instances or tasks for each task placed.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from homeport.model.resources import Resources
from homeport.scheduler.constraints import Constraint, Needs, obstacles
from homeport.scheduler.fleet import Fleet, Host
from homeport.scheduler.pool import pool_for
from homeport.shapes import ecs as shapes

MAX_FAILURES = 100
"""Instances for which a reason is given when something was not placed, oldest first."""


class Wanted(Struct, frozen=True, kw_only=True):
    """`count` identical tasks. `group` is `family:NAME`, `service:NAME` or the caller's.

    `constraints` are those of the request and of the task definition together; they and the strategies must have been
    checked by the caller (an expression that cannot be parsed raises ExpressionError). Without strategies any candidate
    is as good as another.
    """

    cluster_arn: str
    count: int
    resources: Resources
    group: str
    constraints: tuple[Constraint, ...] = ()
    strategies: tuple[shapes.PlacementStrategy, ...] = ()
    required_attributes: tuple[shapes.Attribute, ...] = ()


class Placed(Struct, frozen=True):
    """One instance ARN per task placed (fewer than wanted if they ran out), and why for each considered instance."""

    instances: tuple[str, ...]
    failures: tuple[shapes.Failure, ...]


def place(fleet: Fleet, wanted: Wanted, rng: random.Random) -> Placed:
    """Choose instances; the fleet is afterwards as before. Failures only when something was not placed."""
    with tried(fleet, wanted, rng) as (chosen, needs):
        failures = failures_of(fleet, wanted.cluster_arn, needs) if len(chosen) < wanted.count else ()
    return Placed(tuple([host.arn for host in chosen]), failures)


@contextmanager
def tried(fleet: Fleet, wanted: Wanted, rng: random.Random) -> Iterator[tuple[list[Host], Needs]]:
    """The hosts chosen, one per task, while the fleet counts the tasks as if they were there."""
    cluster = fleet.cluster(wanted.cluster_arn)
    pool = pool_for(
        cluster, wanted.resources, wanted.constraints, wanted.required_attributes, wanted.strategies, wanted.group
    )
    chosen: list[Host] = []
    try:
        while len(chosen) < wanted.count and (host := pool.pick(rng)) is not None:
            host.add(wanted.resources, 1)
            host.add_group(wanted.group, 1)
            chosen.append(host)
            pool.look_at(host)
        yield chosen, pool.needs
    finally:
        for host in chosen:
            host.add(wanted.resources, -1)
            host.add_group(wanted.group, -1)
        for host in dict.fromkeys(chosen):
            cluster.touch(host)


def failures_of(fleet: Fleet, cluster_arn: str, needs: Needs) -> tuple[shapes.Failure, ...]:
    """The first obstacle of each ACTIVE instance, at most MAX_FAILURES. Draining instances are not considered."""
    failures: list[shapes.Failure] = []
    for instance in fleet.instances(cluster_arn):
        host = fleet.host(instance.arn)
        if host is None or instance.status != "ACTIVE":
            continue
        obstacle = next(obstacles(needs, host), None)
        if obstacle is not None:
            failures.append(shapes.Failure(arn=instance.arn, reason=obstacle.reason, detail=obstacle.detail))
            if len(failures) == MAX_FAILURES:
                break
    return tuple(failures)
