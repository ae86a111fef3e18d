"""Blue/green, linear and canary deployments as a machine of stages. Pure: rows and counts in, rows out.

Everything that such an attempt is stands in its row: the stage, how often the shift stages have been repeated (`step`),
what share of traffic the new revision (green) gets, and the hooks of the present stage. So it can be interrupted
anywhere. What follows from the row is never stored twice: how many tasks either revision should have is `wanted`.

    forward     RECONCILE_SERVICE (only if something besides blue still runs), PRE_SCALE_UP, SCALE_UP, POST_SCALE_UP,
                TEST_TRAFFIC_SHIFT, POST_TEST_TRAFFIC_SHIFT, then for each step PRE_PRODUCTION_TRAFFIC_SHIFT and
                PRODUCTION_TRAFFIC_SHIFT, then POST_PRODUCTION_TRAFFIC_SHIFT, BAKE_TIME, CLEAN_UP
    rollback    PRODUCTION_TRAFFIC_SHIFT and TEST_TRAFFIC_SHIFT as far as traffic was shifted, CLEAN_UP

Traffic moves as a stage is entered; its hooks run after that. Until CLEAN_UP any fault leads to the rollback; from then
on blue is going and the attempt can only succeed. Hooks cannot hold up a rollback. With these strategies a failure
always rolls back, whatever the circuit breaker's `rollback` says, and so does a request to stop: half-shifted traffic
is no state to stay in. An attempt that a newer one interrupts just ends; the newer one begins with what it finds.

An attempt without blue (the service's first) shifts all traffic at once, bakes not, and has nowhere to go back to.
Sources: Developer Guide, "Amazon ECS blue/green service deployments workflow", "Amazon ECS linear deployments", "Amazon
ECS canary deployments", "Lifecycle hooks for Amazon ECS service deployments".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from homeport.model import lifecycle_hooks as hooks
from homeport.model.deployment import ServiceDeployment
from homeport.model.rules.deployment_configuration import bake_time, step_bake
from homeport.shapes import ecs as shapes

STAGE_LIMIT = 24 * 3600.0
"""Seconds that a stage may last; hooks have time-outs of their own."""

DEPLOYMENT_LIMIT = 30 * 86400.0
"""Seconds that a whole deployment may last."""

SETTLE = 2.0
"""Seconds between a shift and anything that relies on it: requests that chose by the old weights end in the meantime."""

LONGEST_SETTLE = 600.0
"""Seconds that a roll-back waits for a data plane that does not take up the old weights."""

PATIENCE = 60.0
"""Seconds that a roll-back waits for a healthy task of blue while green has one."""

_FORWARD = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
_LIMITED = (
    "RECONCILE_SERVICE",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
)
_BACKWARD = {"PRODUCTION_TRAFFIC_SHIFT": "TEST_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT": "CLEAN_UP"}
NOWHERE = "There is no earlier service revision to roll back to."


class Facts(NamedTuple):
    """What the attempt goes by besides its row. Counts are of tasks that are to run; `others`: neither blue nor green.

    `has_traffic`: there are listener rules to shift; `is_served`: the data plane follows them as they are. `fault`: a
    reason to roll back ("" none).
    """

    desired_count: int
    has_blue: bool
    green_live: int = 0
    green_healthy: int = 0
    blue_live: int = 0
    blue_healthy: int = 0
    others_live: int = 0
    has_traffic: bool = True
    is_served: bool = True
    fault: str = ""


class Outcome(NamedTuple):
    """The row as it should be now, and when time alone will change it (None: never)."""

    attempt: ServiceDeployment
    at: float | None


class Wanted(NamedTuple):
    """How many tasks green and blue should have."""

    green: int
    blue: int


Moved = ServiceDeployment | float | None
"""One transition: the changed row, or when to look again (None: when something else changes)."""


def plan_blue_green(attempt: ServiceDeployment, facts: Facts, new_id: Callable[[], str], now: float) -> Outcome:
    """The attempt moved on as far as it can now. `new_id` gives the identifiers of hooks."""
    while True:
        moved = next_stage(attempt, facts, new_id, now)
        if not isinstance(moved, ServiceDeployment):
            return Outcome(attempt, moved)
        attempt = moved


def next_stage(attempt: ServiceDeployment, facts: Facts, new_id: Callable[[], str], now: float) -> Moved:
    """One transition of the attempt, or when to look again."""
    match attempt.status:
        case "PENDING" | "IN_PROGRESS" if attempt.stage is None:
            first = "RECONCILE_SERVICE" if facts.others_live else "PRE_SCALE_UP"
            begun = replace(attempt, status="IN_PROGRESS", started_at=attempt.started_at or now)
            return _enter(begun, first, new_id, now)
        case "IN_PROGRESS":
            return _forward(attempt, facts, new_id, now)
        case "ROLLBACK_REQUESTED" | "STOP_REQUESTED":
            if attempt.stage == "CLEAN_UP":
                return replace(attempt, status="IN_PROGRESS", status_reason=None, updated_at=now)
            reason = attempt.status_reason or "Service deployment was rolled back by a user request."
            return roll_back(attempt, facts, reason, new_id, now)
        case "ROLLBACK_IN_PROGRESS":
            return _backward(attempt, facts, new_id, now)
    return None


def wanted(attempt: ServiceDeployment, desired_count: int) -> Wanted:
    """How many tasks either revision should have at this point of the attempt."""
    if attempt.status in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"):
        is_over = attempt.status == "ROLLBACK_SUCCESSFUL" or attempt.stage == "CLEAN_UP"
        return Wanted(0 if is_over else desired_count, desired_count)
    if attempt.stage in (None, "RECONCILE_SERVICE", "PRE_SCALE_UP"):
        return Wanted(0, desired_count)
    return Wanted(desired_count, 0 if attempt.stage == "CLEAN_UP" or attempt.status == "SUCCESSFUL" else desired_count)


def steps_of(configuration: shapes.DeploymentConfiguration, has_blue: bool) -> tuple[float, ...]:
    """Green's share of production traffic, in percent, after each shift; the last is 100."""
    if configuration.strategy == "LINEAR" and has_blue:
        linear = configuration.linear_configuration
        size = 10.0 if linear is None or linear.step_percent is None else linear.step_percent
        count = -(-1000 // max(1, round(size * 10)))
        return (*(round(size * number, 1) for number in range(1, count)), 100.0)
    if configuration.strategy == "CANARY" and has_blue:
        canary = configuration.canary_configuration
        share = 5.0 if canary is None or canary.canary_percent is None else canary.canary_percent
        return (share, 100.0) if share < 100.0 else (100.0,)
    return (100.0,)


def roll_back(
    attempt: ServiceDeployment, facts: Facts, reason: str, new_id: Callable[[], str], now: float
) -> ServiceDeployment:
    """The attempt on its way back: production traffic first, then test traffic, then green's tasks."""
    is_breaker = bool(facts.fault) and attempt.breaker_status == "MONITORING"
    attempt = replace(
        attempt,
        rollback_reason=reason,
        rollback_started_at=now,
        status_reason=reason,
        breaker_status="TRIGGERED" if is_breaker else _watched(attempt),
        updated_at=now,
    )
    if not facts.has_blue:
        return replace(
            attempt, status="ROLLBACK_FAILED", status_reason=f"{reason} {NOWHERE}", hooks=(), finished_at=now,
            traffic_percent=100.0, test_traffic_percent=100.0,
        )  # fmt: skip
    attempt = replace(attempt, status="ROLLBACK_IN_PROGRESS", rollback_deployment_id=attempt.source_deployment_id)
    if attempt.traffic_percent > 0:
        return _enter(attempt, "PRODUCTION_TRAFFIC_SHIFT", new_id, now)
    return _enter(attempt, "TEST_TRAFFIC_SHIFT" if attempt.test_traffic_percent > 0 else "CLEAN_UP", new_id, now)


# ---- transitions ----------------------------------------------------------------------------------------------------


def _enter(
    attempt: ServiceDeployment, stage: str, new_id: Callable[[], str], now: float, *, step: int | None = None
) -> ServiceDeployment:
    """The attempt at the beginning of a stage: its traffic shifted, its hooks waiting."""
    moved = replace(
        attempt, stage=stage, stage_started_at=now, step=attempt.step if step is None else step, updated_at=now
    )
    return replace(moved, hooks=hooks.hooks_at(moved, new_id, now))


def _forward(attempt: ServiceDeployment, facts: Facts, new_id: Callable[[], str], now: float) -> Moved:
    if attempt.stage == "CLEAN_UP":
        return _clean_up(attempt, facts, now)
    reason = facts.fault or hooks.failure(attempt, now) or _overdue(attempt, now)
    if reason:
        return roll_back(attempt, facts, reason, new_id, now)
    expired = hooks.expired(attempt, now)
    if expired is not None:
        return expired
    open_until = hooks.open_until(attempt)
    if open_until is not None:
        return min(open_until, _limit(attempt))
    steps = steps_of(attempt.configuration, facts.has_blue)
    waits_until = _waits_until(attempt, facts, steps)
    if waits_until is None:
        return _limit(attempt)
    if now < waits_until:
        return waits_until
    return _onward(attempt, steps, new_id, now)


def _onward(
    attempt: ServiceDeployment, steps: tuple[float, ...], new_id: Callable[[], str], now: float
) -> ServiceDeployment:
    """Into the stage after this one."""
    stage, step = attempt.stage or "", attempt.step
    if stage == "PRODUCTION_TRAFFIC_SHIFT" and step + 1 < len(steps):
        return _enter(attempt, "PRE_PRODUCTION_TRAFFIC_SHIFT", new_id, now, step=step + 1)
    following = _FORWARD[_FORWARD.index(stage) + 1]
    if following == "TEST_TRAFFIC_SHIFT":
        attempt = replace(attempt, test_traffic_percent=100.0)
    elif following == "PRODUCTION_TRAFFIC_SHIFT":
        attempt = replace(attempt, traffic_percent=steps[min(step, len(steps) - 1)])
    return _enter(attempt, following, new_id, now)


def _waits_until(attempt: ServiceDeployment, facts: Facts, steps: tuple[float, ...]) -> float | None:
    """When the stage is done as far as it is not up to hooks; None while it is up to others."""
    began = attempt.stage_started_at or 0.0
    settled = began + (SETTLE if facts.has_traffic else 0.0)
    match attempt.stage:
        case "RECONCILE_SERVICE" | "TEST_TRAFFIC_SHIFT" | "PRODUCTION_TRAFFIC_SHIFT" if not facts.is_served:
            return None
        case "RECONCILE_SERVICE":
            return None if facts.others_live else settled
        case "SCALE_UP" | "POST_SCALE_UP" | "PRE_PRODUCTION_TRAFFIC_SHIFT":
            # A hook may have taken hours since green was scaled up: no traffic goes to what is not well.
            return began if facts.green_healthy >= facts.desired_count else None
        case "TEST_TRAFFIC_SHIFT":
            return settled
        case "PRODUCTION_TRAFFIC_SHIFT":
            is_last = attempt.step + 1 >= len(steps)
            return settled if is_last else max(settled, began + step_bake(attempt.configuration))
        case "BAKE_TIME" if facts.has_blue:
            return began + bake_time(attempt.configuration)
    return began


def _clean_up(attempt: ServiceDeployment, facts: Facts, now: float) -> Moved:
    """Protected tasks of blue cannot be stopped; after a day the attempt is over whether they are gone or not."""
    gives_up_at = (attempt.stage_started_at or 0.0) + STAGE_LIMIT
    if facts.blue_live + facts.others_live > 0 and now < gives_up_at:
        return gives_up_at
    return replace(
        attempt, status="SUCCESSFUL", hooks=(), finished_at=now, breaker_status=_watched(attempt), updated_at=now
    )


def _backward(attempt: ServiceDeployment, facts: Facts, new_id: Callable[[], str], now: float) -> Moved:
    began = attempt.stage_started_at or 0.0
    if attempt.traffic_percent and _only_green_is_well(facts) and now < began + PATIENCE:
        return began + PATIENCE
    returned = _returned(attempt)
    if returned != attempt:
        return returned
    if attempt.stage == "CLEAN_UP":
        if facts.green_live + facts.others_live > 0 and now < began + STAGE_LIMIT:
            return began + STAGE_LIMIT
        return replace(attempt, status="ROLLBACK_SUCCESSFUL", hooks=(), finished_at=now, updated_at=now)
    open_until = hooks.open_until(attempt)
    if open_until is not None and now < min(open_until, began + STAGE_LIMIT):
        return min(open_until, began + STAGE_LIMIT)
    settled = began + (SETTLE if facts.has_traffic else 0.0)
    done_at = settled if facts.is_served else max(settled, began + LONGEST_SETTLE)
    if now < done_at:
        return done_at
    following = _BACKWARD[attempt.stage or ""]
    if following == "TEST_TRAFFIC_SHIFT" and not attempt.test_traffic_percent:
        following = "CLEAN_UP"
    return _enter(attempt, following, new_id, now)


def _only_green_is_well(facts: Facts) -> bool:
    return facts.desired_count > 0 and not facts.blue_healthy and facts.green_healthy > 0


def _returned(attempt: ServiceDeployment) -> ServiceDeployment:
    if attempt.stage == "PRODUCTION_TRAFFIC_SHIFT":
        return replace(attempt, traffic_percent=0.0)
    return replace(attempt, traffic_percent=0.0, test_traffic_percent=0.0)


def _overdue(attempt: ServiceDeployment, now: float) -> str:
    """Why the attempt has lasted too long ("" it has not)."""
    if now >= (attempt.started_at or now) + DEPLOYMENT_LIMIT:
        return "The service deployment did not complete within 30 days."
    if now >= _limit(attempt):
        return f"The lifecycle stage {attempt.stage} did not complete within 24 hours."
    return ""


def _limit(attempt: ServiceDeployment) -> float:
    """When the attempt will have lasted too long: the stage, where it is up to tasks or the data plane, or all of it."""
    began = attempt.stage_started_at or 0.0
    whole = (attempt.started_at or began) + DEPLOYMENT_LIMIT
    if attempt.stage in _LIMITED:
        # A step may bake for a whole day, too; that is no reason to give up.
        limit = began + max(STAGE_LIMIT, step_bake(attempt.configuration) + 2 * LONGEST_SETTLE)
        return min(whole, max(limit, *(state.expires_at for state in attempt.hooks), limit))
    return whole


def _watched(attempt: ServiceDeployment) -> Any:
    return "MONITORING_COMPLETE" if attempt.breaker_status == "MONITORING" else attempt.breaker_status
