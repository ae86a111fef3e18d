"""Moving tasks of a steady service from full Availability Zones to empty ones.

A distribution is balanced if no zone has two tasks more than another. Otherwise replacements are started in the zones
with too few, above the desired count; once all of them are healthy, scale-in takes as many from the fullest zones. Only
a service that is steady begins, and a deployment ends it. No container instances are launched: where the zones with too
few have no room it is told and tried again later. Source: Developer Guide, "Balancing an Amazon ECS service across
Availability Zones".
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from homeport.control.rollout import Condition, Limits, LiveTask
from homeport.control.scale_in import ZONE
from homeport.control.service_round import Round
from homeport.model import service_events
from homeport.model.service import Service
from homeport.scheduler.constraints import Constraint
from homeport.shapes import ecs as shapes

TRIED = "rebalancing"
BEGUN, NO_ROOM = "unbalanced", "rebalancing room"
TRY_AGAIN_AFTER = 600.0
"""Seconds between attempts that found no room."""


class Surplus(NamedTuple):
    """How many tasks above the desired count are wanted just now, and in which zones new ones may go."""

    extra: int = 0
    constraints: tuple[Constraint, ...] = ()
    zones: tuple[str, ...] = ()


def surplus(round_: Round, tasks: Sequence[LiveTask], limits: Limits) -> Surplus:
    """Called once a round, before it is planned."""
    primary = round_.primary
    is_settled = primary is not None and primary.rollout_state == "COMPLETED" and not round_.older()
    if not is_settled or not is_eligible(round_.service, limits):
        if round_.service.rebalancing_since is not None:
            round_.say(service_events.stopped_rebalancing())
            round_.change(rebalancing_since=None)
        return Surplus()
    # Tasks that leave a draining instance, or are unhealthy, are replaced anyway: taken for a surplus they would beget
    # ever more. And what is stopping still takes its place under the maximum percent.
    sound = _sound(tasks)
    unsure = sum(task.condition is not Condition.HEALTHY for task in sound)
    is_at_rest = not (unsure or round_.outgoing()) and len(sound) == len(tasks) == limits.desired_count
    if round_.service.rebalancing_since is None:
        return _judge(round_, limits) if is_at_rest and round_.service.steady_since is not None else Surplus()
    return _judge(round_, limits) if is_at_rest else Surplus(max(0, min(unsure, len(sound) - limits.desired_count)))


def is_moving(round_: Round, tasks: Sequence[LiveTask], wanted: Surplus, desired_count: int) -> bool:
    """Whether what this round starts and stops is the move; other tasks may go meanwhile, such as from a drained host."""
    return round_.service.rebalancing_since is not None and (wanted.extra > 0 or len(_sound(tasks)) > desired_count)


def _sound(tasks: Sequence[LiveTask]) -> list[LiveTask]:
    return [task for task in tasks if not task.is_leaving and task.condition is not Condition.UNHEALTHY]


def is_eligible(service: Service, limits: Limits) -> bool:
    """Enabled, and nothing in the way: see the considerations of the guide."""
    strategies = service.placement_strategy
    return (
        service.availability_zone_rebalancing == "ENABLED"
        and service.launch_type != "EXTERNAL"
        and limits.ceiling > limits.desired_count > 0
        and (not strategies or (strategies[0].type == "spread" and strategies[0].field == ZONE))
        and not any("ecs.availability-zone" in (each.expression or "") for each in service.placement_constraints)
    )


def _judge(round_: Round, limits: Limits) -> Surplus:
    """Begin another move, or find that there is nothing to move."""
    counts = zone_counts(round_)
    moves = min(moves_needed(list(counts.values()), limits.desired_count), limits.ceiling - limits.desired_count)
    if moves <= 0:
        if round_.service.rebalancing_since is not None:
            round_.say(service_events.balanced(counts))
            round_.change(rebalancing_since=None)
        round_.over(TRIED, BEGUN, NO_ROOM)
        return Surplus()
    tried_at = round_.service.told.get(TRIED)
    if tried_at is not None and round_.now < tried_at + TRY_AGAIN_AFTER:
        round_.look_again(tried_at + TRY_AGAIN_AFTER)
        return Surplus()
    if round_.service.rebalancing_since is None:
        round_.tell(BEGUN, service_events.not_balanced(counts))
        round_.change(rebalancing_since=round_.now)
    share = limits.desired_count / len(counts)
    short = sorted(zone for zone, count in counts.items() if count < share)
    expression = f"{ZONE} in [{', '.join(short)}]"
    return Surplus(moves, (shapes.PlacementConstraint(type="memberOf", expression=expression),), tuple(short))


def after_starts(round_: Round, wanted: Surplus) -> None:
    """Give up for a while if the zones with too few tasks have no room. That is no lack of room for the service."""
    if not wanted.constraints:
        return
    round_.room_failures = ()
    round_.lacks_room = False
    if not round_.started:
        round_.tell(NO_ROOM, service_events.no_room_to_rebalance(wanted.zones))
        round_.change(rebalancing_since=None, told=round_.service.told | {TRIED: round_.now})
        round_.look_again(round_.now + TRY_AGAIN_AFTER)


def zone_counts(round_: Round) -> dict[str, int]:
    """Tasks of the service by zone, over all zones in which the cluster has a container instance that can take tasks."""
    counts = {
        row.availability_zone: 0
        for row in round_.fleet.instances(round_.service.cluster_arn)
        if row.is_placeable and row.availability_zone
    }
    for task in round_.kept:
        if task.availability_zone:
            counts[task.availability_zone] = counts.get(task.availability_zone, 0) + 1
    return dict(sorted(counts.items()))


def moves_needed(counts: Sequence[int], desired_count: int) -> int:
    """How many tasks must change their zone until no zone has two more than another."""
    if not counts or max(counts) - min(counts) < 2:
        return 0
    most, least = math.ceil(desired_count / len(counts)), desired_count // len(counts)
    return max(sum(max(0, count - most) for count in counts), sum(max(0, least - count) for count in counts))
