"""Where tasks go: `place` chooses a container instance for each of a number of identical tasks."""

import random

from msgspec import Struct

from homeport.model.resources import Resources
from homeport.scheduler.fleet import Fleet
from homeport.shapes import ecs as shapes

Constraint = shapes.PlacementConstraint | shapes.TaskDefinitionPlacementConstraint


class Wanted(Struct, frozen=True, kw_only=True):
    """`count` identical tasks. `group` is `family:NAME`, `service:NAME` or the caller's.

    `constraints` are those of the request and of the task definition together; their expressions must have been
    checked (`validate_constraints`), for `place` raises ExpressionError on one that cannot be parsed.
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
    """Choose instances; changes nothing. Failures are given only when something was not placed."""
    raise NotImplementedError
