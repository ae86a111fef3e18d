"""The arithmetic of a rolling deployment, and of a steady service: which tasks to start and which to stop next (pure).

Every round looks at what is there and makes as much progress as the limits allow; nothing is remembered between
rounds. The limits (Developer Guide, "Deploy Amazon ECS services by replacing tasks"):

    floor   = ceil(desired x minimumHealthyPercent)    healthy tasks never fall below it by our own stops
    ceiling = floor(desired x maximumPercent)          tasks that may run never rise above it by our starts

Worked example, desired 3, 100 % / 200 %: ceiling 6, floor 3. Three old healthy tasks: start 3 new ones. As each new
one becomes healthy there is one healthy task above the floor, and one old task stops. Desired 4, 50 % / 100 %:
ceiling 4, floor 2. No room to start, so two old tasks stop, two new ones start, and so on.

A task that is stopping takes its place under the ceiling until none of its processes runs: with 0 % / 100 % there are
never two copies of a task, however long one takes to end.
"""

import math
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from homeport.shapes import ecs as shapes


class Condition(Enum):
    """A live task as a deployment sees it. STARTING: not RUNNING yet; WAITING: RUNNING, its health not yet known."""

    STARTING = "starting"
    WAITING = "waiting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class LiveTask(NamedTuple):
    """A task whose desired status is RUNNING. `is_leaving`: on a container instance that drains.

    `is_protected` tasks are not stopped for scale-in or deployments.
    """

    arn: str
    deployment_id: str
    condition: Condition
    is_leaving: bool = False
    is_protected: bool = False


class Limits(NamedTuple):
    """What the service asks for; percents of `desired_count`."""

    desired_count: int
    minimum_healthy_percent: int
    maximum_percent: int

    @property
    def floor(self) -> int:
        return math.ceil(self.desired_count * self.minimum_healthy_percent / 100)

    @property
    def ceiling(self) -> int:
        return math.floor(self.desired_count * self.maximum_percent / 100)


def limits_of(configuration: shapes.DeploymentConfiguration, desired_count: int) -> Limits:
    minimum, maximum = configuration.minimum_healthy_percent, configuration.maximum_percent
    return Limits(desired_count, 100 if minimum is None else minimum, 200 if maximum is None else maximum)


def spare_of(limits: Limits, tasks: Iterable[LiveTask]) -> int:
    """How many of the healthy tasks are above the floor."""
    return max(0, _count(tasks, Condition.HEALTHY) - limits.floor)


class Blocked(Enum):
    """Why a round can do nothing although the service is not where it should be."""

    CONFIGURATION = "configuration"
    PROTECTED = "protected"


class RolloutPlan(NamedTuple):
    """`start` tasks of the primary deployment, `restart` of older ones (by deployment id), stop these (ARNs).

    `missing` of those to start are not there yet; the others take the places of unhealthy tasks.
    """

    start: int
    restart: dict[str, int]
    stop: tuple[str, ...]
    blocked: Blocked | None
    is_complete: bool
    missing: int = 0


STOP_FIRST = (Condition.UNHEALTHY, Condition.STARTING, Condition.WAITING, Condition.HEALTHY)


def plan_rollout(
    limits: Limits,
    primary_id: str | None,
    older: dict[str, int],
    tasks: Sequence[LiveTask],
    *,
    may_start: bool = True,
    outgoing: int = 0,
) -> RolloutPlan:
    """One round. `tasks` in the order in which they should be given up (scale-in order); `older` maps each older
    deployment to the number of tasks it still ought to have (one that may not start any is left out); `may_start` False
    while starts of the primary deployment are throttled or frozen. `outgoing` tasks are on their way out: what may
    start once they are gone is no reason to stop more.
    """
    new = [task for task in tasks if task.deployment_id == primary_id and not task.is_leaving]
    leaving = [task for task in tasks if task.deployment_id != primary_id or task.is_leaving]
    room = max(0, limits.ceiling - len(tasks))
    restart = _restarts(limits, older, tasks, room)
    wanted = _wanted(limits, new) if primary_id is not None else 0
    start = min(wanted, room - sum(restart.values())) if may_start else 0
    shortage = wanted - start if may_start else 0
    stop = _stops(
        limits, new, leaving, shortage=shortage, healthy=_count(tasks, Condition.HEALTHY), is_stopping=outgoing > 0
    )
    if not (room or stop):
        stop = _room_for_restarts(limits, older, tasks)
    is_complete = (
        not leaving and len(new) == limits.desired_count and all(task.condition is Condition.HEALTHY for task in new)
    )
    blocked = None
    if may_start and not (start or restart or stop or is_complete):
        blocked = _blocked(wanted, tasks, leaving, new, limits)
    restart, start = _fitting(restart, start, room=max(0, limits.ceiling - len(tasks) - outgoing))
    missing = min(start, max(0, limits.desired_count - len(new)))
    return RolloutPlan(start, restart, stop, blocked, is_complete, missing)


def _fitting(restart: dict[str, int], start: int, *, room: int) -> tuple[dict[str, int], int]:
    """As many of the starts as there is room for now, those of older deployments first."""
    fitting: dict[str, int] = {}
    for deployment_id, count in restart.items():
        number = min(count, room)
        if number > 0:
            fitting[deployment_id] = number
            room -= number
    return fitting, min(start, room)


def _count(tasks: Iterable[LiveTask], condition: Condition) -> int:
    return sum(task.condition is condition for task in tasks)


def _wanted(limits: Limits, new: Sequence[LiveTask]) -> int:
    """Missing tasks, plus one replacement for each unhealthy one that has none yet: replacements start before stops."""
    surplus = max(0, len(new) - limits.desired_count)
    return max(0, limits.desired_count - len(new)) + max(
        0, min(_count(new, Condition.UNHEALTHY), limits.desired_count) - surplus
    )


def _restarts(limits: Limits, older: dict[str, int], tasks: Sequence[LiveTask], room: int) -> dict[str, int]:
    """A task of an older deployment that died or is unhealthy during a rollout is replaced by its own revision while
    health is below the floor: a broken new revision must not eat the old one away.
    """
    missing_health = _missing_health(limits, older, tasks)
    restarts: dict[str, int] = {}
    for deployment_id, count in older.items():
        sound = sum(task.deployment_id == deployment_id and _is_sound(task) for task in tasks)
        number = min(count - sound, missing_health, room)
        if number > 0:
            restarts[deployment_id] = number
            missing_health -= number
            room -= number
    return restarts


def _missing_health(limits: Limits, older: dict[str, int], tasks: Sequence[LiveTask]) -> int:
    """By how much the healthy tasks, and those of older deployments that may become healthy, are below the floor."""
    return limits.floor - sum(
        task.condition is Condition.HEALTHY or (task.deployment_id in older and _is_sound(task)) for task in tasks
    )


def _is_sound(task: LiveTask) -> bool:
    return task.condition is not Condition.UNHEALTHY and not task.is_leaving


def _room_for_restarts(limits: Limits, older: dict[str, int], tasks: Sequence[LiveTask]) -> tuple[str, ...]:
    """Where the ceiling leaves no room for a replacement, one unhealthy task at a time makes it."""
    if _missing_health(limits, older, tasks) <= 0:
        return ()
    unhealthy = [task for task in tasks if task.deployment_id in older and task.condition is Condition.UNHEALTHY]
    return tuple(take(unhealthy, 1, 0)[0])


def _stops(
    limits: Limits,
    new: Sequence[LiveTask],
    leaving: Sequence[LiveTask],
    *,
    shortage: int,
    healthy: int,
    is_stopping: bool,
) -> tuple[str, ...]:
    """What to give up now: leaving tasks that the new ones have made superfluous or whose room is needed, then surplus.

    Unhealthy tasks that have to make room for their replacements go one at a time.
    """
    budget = max(0, healthy - limits.floor)
    kept = max(0, limits.desired_count - _count(new, Condition.HEALTHY))
    superfluous = max(0, len(leaving) - kept, min(shortage, len(leaving)))
    stops, budget = take(leaving, superfluous, budget)
    surplus = len(new) - limits.desired_count
    unhealthy = _count(new, Condition.UNHEALTHY)
    if surplus > 0:
        # A replacement on its way decides first whether the unhealthy task it replaces may go.
        undecided = _count(new, Condition.STARTING) + _count(new, Condition.WAITING)
        number = surplus if not unhealthy else max(0, surplus - min(undecided, unhealthy))
        more, budget = take(new, number, budget)
        stops += more
    elif unhealthy and shortage > 0 and not (stops or is_stopping):
        stops += take(new, 1, 0)[0]
    return tuple(stops)


def take(tasks: Sequence[LiveTask], number: int, budget: int) -> tuple[list[str], int]:
    """Up to `number` unprotected tasks, the least useful first, at most `budget` healthy ones; and what is left of that."""
    taken: list[str] = []
    for condition in STOP_FIRST:
        for task in tasks:
            if task.condition is not condition or task.is_protected or len(taken) >= number:
                continue
            if condition is Condition.HEALTHY:
                if budget <= 0:
                    continue
                budget -= 1
            taken.append(task.arn)
    return taken, budget


def _blocked(
    wanted: int, tasks: Sequence[LiveTask], leaving: Sequence[LiveTask], new: Sequence[LiveTask], limits: Limits
) -> Blocked | None:
    """Nothing can move and nothing is under way that could change that."""
    if any(task.condition in (Condition.STARTING, Condition.WAITING) for task in tasks):
        return None
    if any(task.is_protected for task in leaving) or (
        len(new) > limits.desired_count and any(task.is_protected for task in new)
    ):
        return Blocked.PROTECTED
    return Blocked.CONFIGURATION if wanted or leaving else None
