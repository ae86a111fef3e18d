"""Blue/green, linear and canary deployments of a service: what `stages` decides, carried out.

In such an attempt every revision keeps its own number of tasks: blue (in production) and green (new) both have the
service's desired count while traffic moves from one to the other, anything else goes. So each deployment is a rolling
deployment of one revision of its own; the stage says how many tasks that is. After a success green is what the service
runs; after a rollback blue is again, and the service has blue's settings.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from homeport.control import deployments, rolling
from homeport.control.giving_up import in_order, make_room
from homeport.control.health import View
from homeport.control.rollout import Condition, LiveTask, RolloutPlan, limits_of, plan_rollout, spare_of, take
from homeport.control.served import Served
from homeport.control.service_round import Round
from homeport.control.service_tasks import launch_of, stop_tasks
from homeport.control.stages import LONGEST_SETTLE, SETTLE, Facts, plan_blue_green, wanted
from homeport.control.traffic import last_written, load_balancers_behind, missing_rule, rules_of, write_traffic
from homeport.model import service_events
from homeport.model.deployment import ENDED, Deployment, ServiceDeployment
from homeport.model.traffic import groups_as, groups_beside, groups_of, in_production, other_group
from homeport.shapes import ecs as shapes

_ASK_AGAIN = 0.25
"""Seconds between looks at whether the data plane serves what was shifted."""


def advance(round_: Round, attempt: ServiceDeployment, served: Served | None = None) -> None:
    """One round of an attempt that goes by stages; `served` None: there is no data plane to wait for."""
    green = round_.deployments.get(attempt.target_deployment_id)
    if green is None:
        deployments.change_attempt(
            round_, attempt, status="ROLLBACK_FAILED", finished_at=round_.now, status_reason="The deployment is gone."
        )
        return
    entries = load_balancers_of(round_, green)
    view = rolling.look(round_)
    rolling.count_successes(round_, view)
    if attempt.stage in (None, "RECONCILE_SERVICE") and attempt.source_deployment_id is None:
        attempt = _begin(round_, attempt, green.id, entries)
    sides = Sides(round_.deployments[green.id], round_.deployments.get(attempt.source_deployment_id or ""))
    facts = _facts(round_, sides, attempt, view.tasks, entries)
    outcome = plan_blue_green(
        attempt, facts._replace(is_served=_is_served(round_, entries, served)), round_.tx.ids.hex32, round_.now
    )
    round_.look_again(outcome.at)
    if outcome.attempt != attempt:
        round_.tx.service_deployments.put(outcome.attempt)
    _follow(round_, attempt, outcome.attempt, sides, entries)
    if outcome.attempt.status in ENDED:
        _end(round_, outcome.attempt, sides)
    else:
        round_.change(steady_since=None, announced_at=None)
        is_back_by = (outcome.attempt.rollback_started_at or math.inf) + LONGEST_SETTLE
        _scale(round_, outcome.attempt, sides, view, has_settled=_has_settled(round_, entries, served, is_back_by))


class Sides(NamedTuple):
    """The two deployments of an attempt."""

    green: Deployment
    blue: Deployment | None


def load_balancers_of(round_: Round, deployment: Deployment) -> tuple[shapes.LoadBalancer, ...]:
    revision = round_.tx.service_revisions.get(deployment.revision_arn)
    return round_.service.load_balancers if revision is None else revision.load_balancers


def inherit_target_groups(round_: Round, attempt: ServiceDeployment | None) -> None:
    """A rolling deployment after one that shifted traffic replaces tasks where production traffic goes; should that
    have been interrupted half-way, all traffic goes there.
    """
    primary = round_.primary
    if attempt is None or primary is None or attempt.stage is not None or attempt.rollback_deployment_id is not None:
        return
    source = in_production(round_.older())
    if source is None or any(task.started_by == primary.id for task in round_.live):
        return
    entries = load_balancers_of(round_, primary)
    if not any(each.target_groups or each.traffic_percent for each in round_.older()):
        return
    groups = groups_as(groups_of(source, load_balancers_of(round_, source)), entries)
    primary = round_.change_deployment(
        primary.id, target_groups=groups, traffic_percent=100.0, test_traffic_percent=100.0
    )
    write_traffic(round_.tx, entries, primary, 100.0, 100.0)


def set_aside(round_: Round, served: Served | None) -> frozenset[str]:
    """Ids of the deployments that an interrupted shift has left in target groups without traffic.

    What they run is no help to a rolling deployment, which does without it: they are stopped, once the data plane sends
    nothing there any more.
    """
    primary = round_.primary
    if primary is None:
        return frozenset()
    entries = load_balancers_of(round_, primary)
    without_traffic = {other_group(primary, entry) for entry in entries}
    aside = [
        each.id
        for each in round_.older()
        if without_traffic.intersection(groups_of(each, load_balancers_of(round_, each)))
    ]
    for deployment_id in aside:
        round_.change_deployment(deployment_id, desired_count=0)
    if aside and _has_settled(round_, entries, served, last_written(round_.tx, entries).at + LONGEST_SETTLE):
        own = [task for task in round_.kept if task.started_by in aside]
        stop_tasks(round_, [task for task in own if not rolling.is_protected(round_, task)])
    return frozenset(aside)


# ---- the beginning --------------------------------------------------------------------------------------------------


def _begin(
    round_: Round, attempt: ServiceDeployment, green_id: str, entries: Sequence[shapes.LoadBalancer]
) -> ServiceDeployment:
    """Choose blue, and the target groups that green registers in: those that blue does not use.

    Where nothing has been well yet it may still become so, until green is scaled up.
    """
    blue = in_production(each for each in round_.older() if _has_been_well(each))
    if blue is None:
        return attempt
    used = groups_of(blue, load_balancers_of(round_, blue))
    round_.change_deployment(green_id, target_groups=groups_beside(used, entries))
    return deployments.change_attempt(round_, attempt, source_deployment_id=blue.id)


def _has_been_well(deployment: Deployment) -> bool:
    """Whether there is anything to go back to: a deployment that never got a task that passes its checks is none."""
    return deployment.completed_at is not None or deployment.has_been_well


# ---- facts ----------------------------------------------------------------------------------------------------------


def _facts(
    round_: Round,
    sides: Sides,
    attempt: ServiceDeployment,
    tasks: Sequence[LiveTask],
    entries: Sequence[shapes.LoadBalancer],
) -> Facts:
    green = [task for task in tasks if task.deployment_id == sides.green.id]
    blue = [task for task in tasks if sides.blue is not None and task.deployment_id == sides.blue.id]
    return Facts(
        desired_count=round_.service.desired_count,
        has_blue=sides.blue is not None,
        green_live=len(green),
        green_healthy=sum(task.condition is Condition.HEALTHY for task in green),
        blue_live=len(blue),
        blue_healthy=sum(task.condition is Condition.HEALTHY for task in blue),
        others_live=len(tasks) - len(green) - len(blue),
        has_traffic=bool(rules_of(entries)),
        fault=_fault(round_, round_.deployments[sides.green.id], attempt, entries),
    )


def _fault(round_: Round, green: Deployment, attempt: ServiceDeployment, entries: Sequence[shapes.LoadBalancer]) -> str:
    configuration = attempt.configuration
    missing = missing_rule(round_.tx, entries)
    if missing is not None:
        return f"The listener rule {missing} does not exist."
    if rolling.has_tripped(round_, green, configuration):
        return deployments.BREAKER_ROLLED_BACK
    return ""


# ---- carrying out ---------------------------------------------------------------------------------------------------


def _follow(
    round_: Round,
    before: ServiceDeployment,
    after: ServiceDeployment,
    sides: Sides,
    entries: Sequence[shapes.LoadBalancer],
) -> None:
    """Write the traffic that the attempt says, and hand the service over to blue when it turns back."""
    green = round_.change_deployment(
        sides.green.id, traffic_percent=after.traffic_percent, test_traffic_percent=after.test_traffic_percent
    )
    if sides.blue is not None:
        round_.change_deployment(
            sides.blue.id,
            traffic_percent=round(100.0 - after.traffic_percent, 1),
            test_traffic_percent=round(100.0 - after.test_traffic_percent, 1),
        )
    write_traffic(round_.tx, entries, green, after.traffic_percent, after.test_traffic_percent)
    if after.rollback_started_at is not None and before.rollback_started_at is None:
        _turn_back(round_, after, sides)


def _turn_back(round_: Round, attempt: ServiceDeployment, sides: Sides) -> None:
    reason = attempt.rollback_reason or ""
    is_breaker = reason == deployments.BREAKER_ROLLED_BACK
    if is_breaker:  # in the words that a rolling deployment has for it
        event, reason = service_events.failed(sides.green.id), deployments.TASKS_FAILED
    else:
        event = service_events.failed(sides.green.id, reason.rstrip("."))
    round_.change_deployment(sides.green.id, rollout_state="FAILED", rollout_state_reason=reason)
    round_.say(event)
    if sides.blue is None:
        return
    round_.change_deployment(sides.green.id, status="ACTIVE")
    deployments.take_over(round_, round_.deployments[sides.blue.id], is_breaker=is_breaker)
    deployments.change_attempt(round_, attempt, rollback_revision_arn=sides.blue.revision_arn)
    round_.say(service_events.rolling_back(sides.blue.id))


def _is_served(round_: Round, entries: Sequence[shapes.LoadBalancer], served: Served | None) -> bool:
    """Whether the data plane follows the rules as they were last written."""
    if served is None:
        return True
    is_served = served.version_of(load_balancers_behind(round_.tx, entries)) >= last_written(round_.tx, entries).version
    if not is_served:
        round_.look_again(round_.now + _ASK_AGAIN)
    return is_served


def _has_settled(
    round_: Round, entries: Sequence[shapes.LoadBalancer], served: Served | None, gives_up_at: float
) -> bool:
    """Whether what the rules give no traffic gets none any more; assumed from `gives_up_at` on."""
    settles_at = last_written(round_.tx, entries).at + SETTLE
    if round_.now < settles_at:
        round_.look_again(settles_at)
    return round_.now >= gives_up_at or (round_.now >= settles_at and _is_served(round_, entries, served))


def _scale(round_: Round, attempt: ServiceDeployment, sides: Sides, view: View, *, has_settled: bool) -> None:
    """Give every deployment the number of tasks it should have at this stage; what should have none goes last."""
    counts = wanted(attempt, round_.service.desired_count)
    needed = {sides.green.id: counts.green} | ({sides.blue.id: counts.blue} if sides.blue is not None else {})
    superfluous = _superfluous(round_, attempt, sides, view, needed) if has_settled else []
    for deployment_id in [each.id for each in round_.deployments.values() if each.status != "INACTIVE"]:
        count = needed.get(deployment_id, 0)
        deployment = round_.change_deployment(deployment_id, desired_count=count)
        own = [task for task in view.tasks if task.deployment_id == deployment_id]
        if count:
            _keep_up(round_, deployment, view, own)
        else:
            stop = tuple(task.arn for task in own if task.arn in superfluous)
            rolling.carry_out(round_, view, RolloutPlan(0, {}, stop, None, False))
        round_.change_deployment(deployment_id, desired_count=count)


def _keep_up(round_: Round, deployment: Deployment, view: View, own: list[LiveTask]) -> None:
    """A rolling deployment of one revision by itself."""
    limits = limits_of(round_.service.deployment_configuration, deployment.desired_count)
    plan = plan_rollout(
        limits,
        deployment.id,
        {},
        in_order(round_, own, deployment.desired_count),
        may_start=rolling.may_start(round_, deployment),
        outgoing=round_.outgoing(deployment.id),
    )
    unplaced = rolling.carry_out(round_, view, plan._replace(start=0, restart={deployment.id: plan.start}))
    missing = unplaced.get(deployment.id, 0)
    make_room(round_, view, launch_of(round_, deployment), missing, own, spare_of(limits, own))
    rolling.count_unplaced(round_, deployment.id, missing)


def _superfluous(
    round_: Round, attempt: ServiceDeployment, sides: Sides, view: View, needed: dict[str, int]
) -> list[str]:
    """The tasks to stop of deployments that should have none.

    Those of neither side may be in the target group that gets all traffic: there they stay until what should be there
    is healthy.
    """
    idle = [task for task in view.tasks if not needed.get(task.deployment_id)]
    front = sides.green if attempt.traffic_percent else sides.blue
    if front is None:
        return take(idle, len(idle), len(idle))[0]
    groups = groups_of(front, load_balancers_of(round_, front))
    helping = {
        each.id
        for each in round_.deployments.values()
        if each.id not in needed and groups_of(each, load_balancers_of(round_, each)) == groups
    }
    in_front = [task for task in view.tasks if task.deployment_id in (front.id, *helping)]
    floor = limits_of(round_.service.deployment_configuration, round_.service.desired_count).floor
    spare = max(0, sum(task.condition is Condition.HEALTHY for task in in_front) - floor)
    helpers = [task for task in idle if task.deployment_id in helping]
    others = [task for task in idle if task.deployment_id not in helping]
    return take(helpers, len(helpers), spare)[0] + take(others, len(others), len(others))[0]


def _end(round_: Round, attempt: ServiceDeployment, sides: Sides) -> None:
    """The attempt is over: its outcome is the service's only deployment."""
    if attempt.status == "SUCCESSFUL":
        deployments.complete(round_, round_.deployments[sides.green.id])
    elif attempt.status == "ROLLBACK_SUCCESSFUL" and sides.blue is not None:
        deployments.complete(round_, round_.deployments[sides.blue.id])
    deployments.retire(round_, is_replaced=True)
