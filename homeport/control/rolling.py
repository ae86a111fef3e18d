"""A replica service from round to round: what its tasks are worth, what to start and stop, and where that leaves it.

The arithmetic is `rollout`, health `health`, who goes first `giving_up`, the hold after failures `throttle`, the count
of them `circuit_breaker`.
"""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from homeport.control import circuit_breaker, deployments, rebalancing, throttle
from homeport.control.giving_up import give_up, in_order, make_room
from homeport.control.health import Judged, View, judge
from homeport.control.image_digests import has_given_up, startable
from homeport.control.rollout import Blocked, Condition, LiveTask, RolloutPlan, limits_of, plan_rollout, spare_of
from homeport.control.service_round import TELL_AGAIN_AFTER, Round, by_arn
from homeport.control.service_tasks import DEFINITION, PLACEMENT, launch_of, start_tasks, stop_tasks
from homeport.model import service_events
from homeport.model.deployment import Deployment
from homeport.model.load_balancer import Target
from homeport.model.service import TaskSet
from homeport.model.service_changes import followed
from homeport.model.status import StopCode, TaskStatus
from homeport.model.task import Task
from homeport.scheduler.constraints import Constraint
from homeport.shapes import ecs as shapes

CONFIGURATION = "configuration"
PROTECTION = "protection"
STARTS = "starts"


def replica(round_: Round, aside: Collection[str] = ()) -> None:
    """One round of a rolling deployment, or of a service that stays as it is. Tasks of deployments `aside` do not count."""
    view = look(round_)
    if round_.primary is None:
        return
    if aside:
        view = view._replace(tasks=[task for task in view.tasks if task.deployment_id not in aside])
    for each in followed(round_.service, round_.deployments.values(), round_.now):
        if each.id not in aside:
            round_.change_deployment(each.id, desired_count=each.desired_count)
    watch_failures(round_, view)
    shrink_older(round_, view)
    limits = limits_of(round_.service.deployment_configuration, round_.service.desired_count)
    moving = rebalancing.surplus(round_, view.tasks, limits)
    round_.is_rebalancing = rebalancing.is_moving(round_, view.tasks, moving, limits.desired_count)
    plan = _plan(round_, view, moving.extra)
    unplaced = carry_out(round_, view, plan, moving.constraints)
    rebalancing.after_starts(round_, moving)
    if not moving.constraints:
        _make_room(round_, view, unplaced)
    count_unplaced(round_, round_.primary.id, unplaced.get(round_.primary.id, 0))
    conclude(round_, plan, is_complete=plan.is_complete and not moving.extra)


def settle_ended(round_: Round) -> None:
    """Count the tasks that stopped before they ran, once; then their rows are of no concern to the service."""
    failures: dict[str, int] = {}
    for task in round_.ended:
        if failed_to_start(task):
            failures[task.started_by or ""] = failures.get(task.started_by or "", 0) + 1
        elif _ended_at_once(task):
            _pause(round_, task.started_by or "")
        round_.tx.tasks.put(replace(task, is_settled=True))
    for owner, count in failures.items():
        _hold_back(round_, owner, count)


def _hold_back(round_: Round, owner: str, failures: int) -> None:
    """`owner`: the deployment or task set whose tasks failed to start."""
    row = round_.deployments.get(owner) or round_.task_sets.get(owner)
    if row is None:
        return
    rounds, start_after = throttle.after_failure(row.start_failures, row.start_after, round_.now)
    if isinstance(row, Deployment):
        round_.change_deployment(
            owner, failed_tasks=row.failed_tasks + failures, start_failures=rounds, start_after=start_after
        )
    else:
        round_.change_task_set(owner, start_failures=rounds, start_after=start_after)
    if rounds >= throttle.TELL_FROM:
        round_.tell(STARTS, service_events.not_starting())


def _pause(round_: Round, owner: str) -> None:
    row = round_.deployments.get(owner) or round_.task_sets.get(owner)
    if row is None or row.start_failures or is_held(round_, row):
        return
    lives, start_after = throttle.after_short_life(row.short_lives, row.short_life_at, round_.now)
    change = round_.change_deployment if isinstance(row, Deployment) else round_.change_task_set
    change(owner, short_lives=lives, short_life_at=round_.now, start_after=start_after)


def _ended_at_once(task: Task) -> bool:
    codes = [each.exit_code for each in task.containers if each.essential]
    return task.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED and throttle.is_short_life(
        task.started_at, task.stopped_at, codes
    )


def failed_to_start(task: Task) -> bool:
    """Whether the task ended by itself without ever having been RUNNING."""
    return task.started_at is None and task.stop_code in (
        StopCode.TASK_FAILED_TO_START,
        StopCode.ESSENTIAL_CONTAINER_EXITED,
    )


def look(round_: Round) -> View:
    """Judge every task; those that are still PENDING on a draining container instance are stopped at once."""
    grace = float(round_.service.health_check_grace_period_seconds or 0)
    expected: dict[str, int] = {}
    tasks: list[LiveTask] = []
    judged: dict[str, Judged] = {}
    for task in round_.kept:
        owner = task.started_by or ""
        if owner not in expected:
            expected[owner] = expected_targets(round_, owner)
        targets: Sequence[Target] = round_.tx.targets.by(owner=task.arn) if expected[owner] else ()
        verdict = judge(task, targets, expected[owner], grace, round_.now)
        leaving = is_leaving(round_, task)
        if leaving and task.last_status.rank < TaskStatus.RUNNING.rank:
            stop_tasks(round_, [task])
            continue
        round_.look_again(verdict.at)
        judged[task.arn] = verdict
        tasks.append(LiveTask(task.arn, owner, verdict.condition, leaving, is_protected(round_, task)))
    return View(tasks, judged)


def expected_targets(round_: Round, owner: str) -> int:
    """In how many target groups a task of the deployment or task set must be healthy."""
    deployment, task_set = round_.deployments.get(owner), round_.task_sets.get(owner)
    revision = None if deployment is None else round_.tx.service_revisions.get(deployment.revision_arn)
    holder = revision or task_set or round_.service
    return sum(1 for each in holder.load_balancers if each.target_group_arn)


def is_leaving(round_: Round, task: Task) -> bool:
    instance = round_.tx.container_instances.get(task.container_instance_arn or "")
    return instance is not None and instance.status == "DRAINING"


def is_protected(round_: Round, task: Task) -> bool:
    """As of now; that it runs out is a reason to look again, that it has run out is none."""
    if not task.is_protected(round_.now):
        return False
    round_.look_again(task.protection_expires_at)
    return True


def watch_failures(round_: Round, view: View) -> None:
    """Successes reset what counts failures; too many failures have the circuit breaker trip."""
    count_successes(round_, view)
    primary = round_.primary
    configuration = round_.service.deployment_configuration
    if primary is None or primary.rollout_state != "IN_PROGRESS":
        return
    if has_tripped(round_, primary, configuration):
        deployments.fail(round_, primary)


def has_tripped(round_: Round, deployment: Deployment, configuration: shapes.DeploymentConfiguration) -> bool:
    """Whether the circuit breaker ends the deployment: too many failures, or images that cannot be had."""
    if not circuit_breaker.is_enabled(configuration):
        return False
    failures, desired_count = deployment.failed_tasks, round_.service.desired_count
    return circuit_breaker.has_tripped(configuration, desired_count, failures) or has_given_up(round_, deployment)


def count_successes(round_: Round, view: View) -> None:
    """Note how many tasks of each deployment run and are well; more of them than before is a success."""
    for deployment in (*round_.older(), round_.primary):
        if deployment is not None:
            _count_successes(round_, deployment, view)


def _count_successes(round_: Round, deployment: Deployment, view: View) -> None:
    own = [task for task in view.tasks if task.deployment_id == deployment.id]
    running = sum(task.condition is not Condition.STARTING for task in own)
    well = sum(view.judged[task.arn].is_well for task in own)
    failed_tasks, start_failures, start_after = (
        deployment.failed_tasks,
        deployment.start_failures,
        deployment.start_after,
    )
    if running > deployment.running_seen and start_failures:
        start_failures, start_after = 0, None
        round_.over(STARTS)
    if well > deployment.well_seen and circuit_breaker.resets(round_.service.deployment_configuration):
        failed_tasks = 0
    round_.change_deployment(
        deployment.id,
        running_seen=running,
        well_seen=well,
        has_been_well=deployment.has_been_well or well > 0,
        failed_tasks=failed_tasks,
        start_failures=start_failures,
        start_after=start_after,
    )


def shrink_older(round_: Round, view: View) -> None:
    """Older deployments ought to have no more tasks than the primary one has still to make good."""
    primary = round_.primary
    if primary is None or primary.rollout_state == "FAILED":
        return
    healthy = sum(task.deployment_id == primary.id and task.condition is Condition.HEALTHY for task in view.tasks)
    room = max(0, round_.service.desired_count - healthy)
    for deployment in reversed(round_.older()):
        count = min(deployment.desired_count, room)
        room -= count
        round_.change_deployment(deployment.id, desired_count=count)


def may_start(round_: Round, deployment: Deployment) -> bool:
    """Whether the deployment may launch tasks: it has not failed, and is not held back after failures."""
    if deployment.rollout_state == "FAILED" and deployment.status == "PRIMARY":
        return False
    return not is_held(round_, deployment)


def is_held(round_: Round, row: Deployment | TaskSet) -> bool:
    """Whether starts are held back just now."""
    if row.start_after is None or round_.now >= row.start_after:
        return False
    round_.look_again(row.start_after)
    return True


def _plan(round_: Round, view: View, extra: int) -> RolloutPlan:
    primary = round_.primary
    assert primary is not None
    older = {each.id: each.desired_count for each in round_.older() if may_start(round_, each)}
    return plan_rollout(
        limits_of(round_.service.deployment_configuration, round_.service.desired_count + extra),
        primary.id,
        older,
        in_order(round_, view.tasks, round_.service.desired_count),
        may_start=may_start(round_, primary),
        outgoing=round_.outgoing(),
    )


def carry_out(round_: Round, view: View, plan: RolloutPlan, constraints: tuple[Constraint, ...] = ()) -> dict[str, int]:
    """Stop, then start: what stops is still in the way, but placement should see that it is going.

    Returns how many tasks had no room, by deployment.
    """
    rows = by_arn(round_.live)
    for arn in plan.stop:
        give_up(round_, rows[arn], view.judged[arn])
    primary = round_.primary
    if primary is None:
        return {}
    unplaced, placed = {}, 0
    for deployment_id, count in ((primary.id, plan.start), *plan.restart.items()):
        deployment = round_.deployments[deployment_id]
        number = startable(round_, deployment, count)
        unplaced[deployment_id] = start_tasks(round_, launch_of(round_, deployment), number, constraints)
        if deployment_id == primary.id:
            placed += number - unplaced[deployment_id]
    round_.replaced += max(0, placed - plan.missing)
    return unplaced


def count_unplaced(round_: Round, deployment_id: str, missing: int) -> None:
    """Tasks that go on lacking room are failures of their deployment, unless something is stopping and may make it."""
    row = round_.deployments[deployment_id]
    if row.rollout_state != "IN_PROGRESS" or (missing and round_.stopping()):
        return
    since, failures = circuit_breaker.after_unplaced(row.unplaced_since, missing, round_.now)
    round_.change_deployment(deployment_id, unplaced_since=since, failed_tasks=row.failed_tasks + failures)
    if since is not None:
        round_.look_again(since + circuit_breaker.PLACEMENT_ROUND)


def _make_room(round_: Round, view: View, unplaced: dict[str, int]) -> None:
    """Tasks that had no room get that of tasks that they are to replace."""
    limits = limits_of(round_.service.deployment_configuration, round_.service.desired_count)
    spare = spare_of(limits, view.tasks)
    primary_id = round_.service.primary_deployment_id
    for deployment_id, missing in unplaced.items():
        replaced = [task for task in view.tasks if deployment_id in (primary_id, task.deployment_id)]
        make_room(round_, view, launch_of(round_, round_.deployments[deployment_id]), missing, replaced, spare)


def conclude(round_: Round, plan: RolloutPlan, *, is_complete: bool) -> None:
    """Deployment states, troubles to tell of, and the steady state."""
    primary = round_.primary
    assert primary is not None
    is_alone = deployments.retire(round_, is_replaced=is_complete)
    if plan.blocked is Blocked.CONFIGURATION:
        round_.tell(CONFIGURATION, service_events.blocked_by_configuration())
    elif plan.blocked is Blocked.PROTECTED:
        round_.tell(PROTECTION, _protected(round_, primary))
    else:
        round_.over(CONFIGURATION, PROTECTION)
    if is_complete:
        round_.over(STARTS, PLACEMENT, DEFINITION)
    if is_complete and is_alone:
        if primary.rollout_state == "IN_PROGRESS":
            deployments.complete(round_, primary)
            deployments.retire(round_, is_replaced=True)
        say_steady(round_)
    else:
        round_.change(steady_since=None, announced_at=None)


def _protected(round_: Round, primary: Deployment) -> str:
    protected = [task for task in round_.kept if is_protected(round_, task)]
    owners = [task.started_by or "" for task in protected if task.started_by != primary.id]
    owner = owners[0] if owners else primary.id
    count = sum(task.started_by == owner for task in protected)
    return service_events.blocked_by_protection(owner, count, is_rebalancing=round_.is_rebalancing)


def say_steady(round_: Round) -> None:
    """Once when it is reached, and every six hours while it lasts."""
    service = round_.service
    if service.announced_at is None or round_.now >= service.announced_at + TELL_AGAIN_AFTER:
        round_.say_at_last(service_events.steady())
        round_.change(steady_since=service.steady_since or round_.now, announced_at=round_.now)
    round_.look_again((round_.service.announced_at or round_.now) + TELL_AGAIN_AFTER)
