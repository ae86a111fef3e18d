"""A service whose deployments somebody else controls: every task set is kept at its share of the desired count.

Task sets know nothing of each other; the share, a percent, is the caller's to change. A task set is in a steady state
when all its tasks run and are healthy and there are neither too many nor too few of them; the service is when all its
task sets are, and not before it has one. Source: ECS API reference, TaskSet (`computedDesiredCount`,
`stabilityStatus`); for the events the describe-services example of aws-cli with an external deployer.
"""

from homeport.control import rolling
from homeport.control.giving_up import give_up, in_order, make_room
from homeport.control.health import View
from homeport.control.rollout import (
    Blocked,
    Condition,
    Limits,
    LiveTask,
    RolloutPlan,
    limits_of,
    plan_rollout,
    spare_of,
)
from homeport.control.service_round import Round, by_arn
from homeport.control.service_tasks import PLACEMENT, launch_of_task_set, start_tasks
from homeport.model import service_events
from homeport.model.rules.task_sets import computed_count
from homeport.model.service import TaskSet

DRAINING = "DRAINING"


def advance(round_: Round) -> None:
    """One round of a service with the EXTERNAL controller."""
    view = rolling.look(round_)
    is_steady = True
    for task_set_id in list(round_.task_sets):
        own = [task for task in view.tasks if task.deployment_id == task_set_id]
        task_set = _count_starts(round_, round_.task_sets[task_set_id], own)
        limits = _limits(round_, task_set)
        task_set = _follow_scale(round_, task_set, limits.desired_count)
        plan = plan_rollout(
            limits,
            task_set.id,
            {},
            in_order(round_, own, limits.desired_count),
            may_start=not rolling.is_held(round_, task_set),
            outgoing=round_.outgoing(task_set.id),
        )
        missing = _carry_out(round_, view, task_set, plan)
        make_room(round_, view, launch_of_task_set(task_set), missing, own, spare_of(limits, own))
        is_steady = _settle(round_, task_set, plan) and is_steady
    _stop_orphans(round_, view)
    if is_steady and round_.task_sets:
        round_.over(rolling.STARTS, PLACEMENT, rolling.PROTECTION)
        rolling.say_steady(round_)
    else:
        round_.change(steady_since=None, announced_at=None)


def _count_starts(round_: Round, task_set: TaskSet, own: list[LiveTask]) -> TaskSet:
    """More tasks that run than before end the hold on starts."""
    running = sum(task.condition is not Condition.STARTING for task in own)
    if running > task_set.running_seen and task_set.start_failures:
        round_.over(rolling.STARTS)
        return round_.change_task_set(task_set.id, running_seen=running, start_failures=0, start_after=None)
    return round_.change_task_set(task_set.id, running_seen=running)


def _follow_scale(round_: Round, task_set: TaskSet, count: int) -> TaskSet:
    """Tell of another number of tasks than before; the first one goes without saying, as does that of a deleted set."""
    if task_set.computed_count not in (None, count) and task_set.status != DRAINING:
        round_.say(service_events.scaled(task_set.id, count))
    return round_.change_task_set(task_set.id, computed_count=count)


def _limits(round_: Round, task_set: TaskSet) -> Limits:
    scale = 0.0 if task_set.status == DRAINING else task_set.scale_percent
    count = computed_count(round_.service.desired_count, scale)
    limits = limits_of(round_.service.deployment_configuration, count)
    # Nothing is rolled out within a task set; there is always room to replace one task.
    return Limits(count, limits.minimum_healthy_percent, max(200, limits.maximum_percent))


def _carry_out(round_: Round, view: View, task_set: TaskSet, plan: RolloutPlan) -> int:
    """Returns how many tasks had no room."""
    rows = by_arn(round_.live)
    for arn in plan.stop:
        give_up(round_, rows[arn], view.judged[arn])
    if plan.blocked is Blocked.PROTECTED:
        protected = sum(task.is_protected for task in view.tasks if task.deployment_id == task_set.id)
        round_.tell(rolling.PROTECTION, service_events.blocked_by_protection(task_set.id, protected))
    return start_tasks(round_, launch_of_task_set(task_set), plan.start)


def _settle(round_: Round, task_set: TaskSet, plan: RolloutPlan) -> bool:
    """Write the stability down; a deleted task set goes with its last task. Gives whether it is steady."""
    if task_set.status == DRAINING:
        if any(task.started_by == task_set.id for task in round_.live):
            return False
        del round_.task_sets[task_set.id]
        round_.tx.task_sets.delete(task_set.arn)
        return True
    status = "STEADY_STATE" if plan.is_complete else "STABILIZING"
    if status != task_set.stability_status:
        round_.change_task_set(task_set.id, stability_status=status, stability_status_at=round_.now)
        if plan.is_complete:
            round_.say_at_last(service_events.task_set_steady(), task_set.id)
    return plan.is_complete


def _stop_orphans(round_: Round, view: View) -> None:
    """Tasks of task sets that were deleted by force."""
    rows = by_arn(round_.live)
    for task in view.tasks:
        if task.deployment_id not in round_.task_sets:
            give_up(round_, rows[task.arn], view.judged[task.arn])
