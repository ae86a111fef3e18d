"""What a service is waiting for: one sentence for each thing that stands between it and a steady state (pure).

It reads the rows as the service scheduler left them and decides nothing, so it may be asked as often as one likes. The
most telling comes first: what has ended, what holds starts back, what lacks room, then tasks that are on their way.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from homeport.model.deployment import ENDED, Deployment, ServiceDeployment
from homeport.model.rules.deployment_configuration import bake_time, step_bake
from homeport.model.service import TaskSet
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.target_health import FAILED_STATES
from homeport.model.task import Task
from homeport.scheduler.service_facts import (
    Facts,
    is_draining,
    is_older,
    kept,
    lacking,
    primary_of,
    staged,
    targets_of,
    wanted_counts,
)

#: Seconds of RUNNING after which a task without any health check counts as healthy (API reference, UpdateService).
SETTLING_SECONDS = 40.0
_ALL_TRAFFIC = 100.0
#: Above these, times are told in minutes and in hours.
_MOST_SECONDS, _MOST_MINUTES = 180, 180


def waits_of(facts: Facts) -> tuple[str, ...]:
    """Sentences; none if the service is steady."""
    if facts.service.status == "INACTIVE":
        return ("The service has been deleted.",)
    if facts.service.status == "DRAINING":
        return (f"The service is being deleted: {_tasks(len(facts.tasks))} not STOPPED yet.",)
    waits = (
        *_attempt(facts),
        *_throttle(facts),
        *_missing(facts),
        *_starting(facts),
        *_checks(facts),
        *_surplus(facts),
        *_on_draining_instances(facts),
        *_leaving(facts),
    )
    return (*waits, *_failure(facts)) if waits else ()


def steady_sentence(facts: Facts) -> str:
    """What to say of a service that waits for nothing."""
    count = len(kept(facts.tasks))
    if not count:
        return "The service is steady: it is to run no tasks."
    so_far = _last_heard_of(facts)
    if count == 1:
        return f"The service is steady: its task runs and passes its checks{so_far}."
    return f"The service is steady: its {count} tasks run and pass their checks{so_far}."


def _last_heard_of(facts: Facts) -> str:
    """A remark where that is old news."""
    count = sum(task.container_instance_arn in facts.away for task in kept(facts.tasks))
    if not count:
        return ""
    are = "1 is on a container instance" if count == 1 else f"{count} are on container instances"
    return f", as far as is known: {are} whose agent is not connected"


def _tasks(count: int) -> str:
    return "1 task is" if count == 1 else f"{count} tasks are"


def _of(count: int, total: int, what: str, *, one: str, more: str) -> str:
    return f"{count} of {total} {what} {one if count == 1 else more}"


def _has(count: int) -> str:
    return "1 has" if count == 1 else f"{count} have"


def _targets(count: int) -> str:
    return "1 target is" if count == 1 else f"{count} targets are"


def _seconds(until: float, now: float) -> str:
    """How long from `now` on, as people say it: seconds, then minutes, then hours."""
    seconds = max(0, math.ceil(until - now))
    if seconds <= _MOST_SECONDS:
        return f"{seconds} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes <= _MOST_MINUTES else f"{math.ceil(minutes / 60)} h"


def _attempt(facts: Facts) -> Iterator[str]:
    """A deployment that has failed, is going back, or stands at a stage."""
    primary, attempt = primary_of(facts), facts.attempt
    if primary is not None and primary.rollout_state == "FAILED":
        yield f"Deployment {primary.id} has failed and launches no more tasks: {primary.rollout_state_reason}"
    if attempt is None or attempt.status in ENDED:
        return
    if attempt.rollback_started_at is not None:
        yield f"The deployment is rolling back to {attempt.rollback_deployment_id}: {attempt.rollback_reason}"
    if attempt.stage is not None:
        since = _seconds(math.floor(facts.now - (attempt.stage_started_at or facts.now)), 0.0)
        yield (
            f"The {attempt.configuration.strategy} deployment has been at {attempt.stage} for {since}"
            f" with {attempt.traffic_percent:g} % of the traffic{_baking(attempt, facts.now)}."
        )
    for hook in attempt.hooks:
        if hook.status in ("AWAITING_ACTION", "IN_PROGRESS"):
            waits = "waits for ContinueServiceDeployment" if hook.status == "AWAITING_ACTION" else "is under way"
            yield f"Lifecycle hook {hook.id} {waits}; its time is up in {_seconds(hook.expires_at, facts.now)}."


def _baking(attempt: ServiceDeployment, now: float) -> str:
    """How much longer its stage lasts at least, if that is a matter of time."""
    seconds = 0.0
    if attempt.stage == "BAKE_TIME":
        seconds = bake_time(attempt.configuration)
    elif attempt.stage == "PRODUCTION_TRAFFIC_SHIFT" and attempt.traffic_percent < _ALL_TRAFFIC:
        seconds = step_bake(attempt.configuration)
    ends_at = (attempt.stage_started_at or now) + seconds
    return f"; it bakes for another {_seconds(ends_at, now)}" if ends_at > now else ""


def _throttle(facts: Facts) -> Iterator[str]:
    """Starts that are held back, unless nothing is to be started."""
    if facts.service.steady_since is not None and not lacking(facts):
        return
    for each in facts.deployments:
        if each.rollout_state != "FAILED" and (until := _held_until(each, facts.now)) is not None:
            yield f"Deployment {each.id} starts no tasks for another {_seconds(until, facts.now)}: {_held_by(each)}."
    for task_set in facts.task_sets:
        if (until := _held_until(task_set, facts.now)) is not None:
            why = _held_by(task_set)
            yield f"Task set {task_set.id} starts no tasks for another {_seconds(until, facts.now)}: {why}."


def _held_until(row: Deployment | TaskSet, now: float) -> float | None:
    return row.start_after if row.start_after is not None and row.start_after > now else None


def _held_by(row: Deployment | TaskSet) -> str:
    """What holds back its starts: tasks that never ran, or tasks that exited as soon as they did."""
    if not row.start_failures:
        return "its tasks exit as soon as they run"
    return f"{_times(row.start_failures)} its tasks stopped before they ran"


def _times(count: int) -> str:
    return "the last time" if count == 1 else f"the last {count} times"


def _failure(facts: Facts) -> Iterator[str]:
    """Why it may go on like this: what the task that failed last died of."""
    task = facts.failure
    if task is None:
        return
    codes = [f"{each.name} exited with {each.exit_code}" for each in task.containers if each.exit_code]
    why = "; ".join([(task.stopped_reason or "").rstrip("."), *codes])
    yield f"The task that failed last, {_seconds(facts.now, task.stopped_at or facts.now)} ago, is {task.id}: {why}."


def _missing(facts: Facts) -> Iterator[str]:
    """Tasks that are not there, or are not replaced yet, and whether there is room for them."""
    if facts.service.deployment_controller == "EXTERNAL":
        yield from _missing_of_task_sets(facts)
    elif staged(facts) is not None:
        for owner, count in lacking(facts).items():
            wanted = wanted_counts(facts)[owner]
            yield f"Deployment {owner} wants {_number(wanted)} and lacks {count}.{_room(facts, owner)}"
    else:
        yield from _missing_of_service(facts)


def _number(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _room(facts: Facts, owner: str) -> str:
    """Whether there is room for its tasks, unless something else holds them back."""
    own = [task for task in facts.tasks if task.started_by == owner]
    if owner in facts.resolving and own and all(task.last_status.rank < TaskStatus.RUNNING.rank for task in own):
        return " The others start when the first has found out what the tags of its images stand for."
    placement = facts.placements.get(owner)
    rows: tuple[Deployment | TaskSet, ...] = (*facts.deployments, *facts.task_sets)
    is_held = any(each.id == owner and _held_until(each, facts.now) is not None for each in rows)
    return f" {placement.summary}" if placement is not None and not is_held else ""


def _missing_of_service(facts: Facts) -> Iterator[str]:
    """Of a service that is what it should be or becomes so task by task."""
    wanted = facts.service.desired_count
    missing = max(0, wanted - len(kept(facts.tasks)))
    lack = lacking(facts)
    unreplaced = max(0, sum(lack.values()) - missing)
    if not missing and not unreplaced:
        return
    what = [
        _of(missing, wanted, "tasks", one="is missing", more="are missing"),
        _of(unreplaced, wanted, "tasks", one="has no replacement yet", more="have no replacement yet"),
    ]
    said = ", and ".join(text for text, count in zip(what, (missing, unreplaced), strict=True) if count)
    percent = facts.service.deployment_configuration.maximum_percent or 200
    ceiling, live = math.floor(wanted * percent / 100), len(facts.tasks)
    if facts.service.scheduling_strategy == "DAEMON" and len(kept(facts.tasks)) < live:
        yield f"{said}; an instance gets its task when the one before it has stopped."
    elif facts.service.scheduling_strategy != "DAEMON" and live >= ceiling:
        yield f"{said}; maximumPercent {percent} allows {ceiling} at a time, and {_has(live)} not stopped."
    else:
        yield f"{said}.{''.join(_room(facts, owner) for owner in lack)}"


def _missing_of_task_sets(facts: Facts) -> Iterator[str]:
    if not facts.task_sets:
        yield "The service has no task set that says what to run."
    own = Counter(task.started_by for task in kept(facts.tasks))
    for owner, wanted in wanted_counts(facts).items():
        if lack := lacking(facts).get(owner):
            yield f"Task set {owner} wants {_number(wanted)} and lacks {lack}.{_room(facts, owner)}"
        elif own[owner] > wanted:
            yield f"Task set {owner} wants {_number(wanted)} and has {own[owner]}."


def _starting(facts: Facts) -> Iterator[str]:
    counts = Counter(task.last_status for task in kept(facts.tasks) if task.last_status.rank < TaskStatus.RUNNING.rank)
    for status, count in sorted(counts.items(), key=lambda pair: pair[0].rank):
        oldest = min(task.created_at for task in kept(facts.tasks) if task.last_status is status)
        yield f"{_tasks(count)} {status.value}, the oldest for {_seconds(math.floor(facts.now - oldest), 0.0)}."


def _checks(facts: Facts) -> Iterator[str]:
    """Running tasks whose health is not what it should be."""
    running = [task for task in kept(facts.tasks) if task.last_status is TaskStatus.RUNNING]
    checked = [task for task in running if any(each.essential and each.has_health_check for each in task.containers)]
    for health in ("UNKNOWN", "UNHEALTHY"):
        count = sum(task.health_status() == health for task in checked)
        if count:
            yield f"{_tasks(count)} {health} by the containers' own checks."
    states = Counter(
        (target.target_group_arn, target.state, target.reason)
        for task in running
        for target in facts.targets.get(task.arn, ())
        if target.state not in ("healthy", "unavailable")
    )
    for (group, state, reason), count in sorted(states.items(), key=str):
        why = f" ({reason})" if reason else ""
        what = f"targets in {group.split('/')[-2]}"
        yield f"{_of(count, len(running), what, one='is', more='are')} {state}{why}."
    yield from _grace(facts, [task for task in running if _fails(facts, task)])
    unregistered = sum(targets_of(facts, task) - len(facts.targets.get(task.arn, ())) for task in running)
    if unregistered > 0:
        yield f"{_targets(unregistered)} not registered yet."
    if facts.service.steady_since is None:
        yield from _settling(
            [task for task in running if task not in checked and not targets_of(facts, task)], facts.now
        )


def _fails(facts: Facts, task: Task) -> bool:
    return task.health_status() == "UNHEALTHY" or any(
        target.state in FAILED_STATES for target in facts.targets.get(task.arn, ())
    )


def _grace(facts: Facts, failing: Sequence[Task]) -> Iterator[str]:
    """Why tasks that fail their checks are not replaced yet."""
    period = facts.service.health_check_grace_period_seconds or 0
    ends_at = max(((task.started_at or facts.now) + period for task in failing), default=facts.now)
    if ends_at > facts.now:
        left = _seconds(ends_at, facts.now)
        yield f"For another {left} at most failed checks do not count: healthCheckGracePeriodSeconds is {period}."


def _settling(unchecked: Sequence[Task], now: float) -> Iterator[str]:
    ends = [(task.started_at or now) + SETTLING_SECONDS for task in unchecked]
    waiting = [end for end in ends if end > now]
    if waiting:
        yield f"{_tasks(len(waiting))} to run for {SETTLING_SECONDS:.0f} s before counting as healthy; {_seconds(max(waiting), now)} are left."


def _surplus(facts: Facts) -> Iterator[str]:
    """Tasks of the newest deployment beyond what is wanted: protected ones, or those that are to take others' places."""
    own = [task for task in kept(facts.tasks) if not (is_older(facts, task) or is_draining(facts, task))]
    count = len(own) - facts.service.desired_count
    if count > 0 and facts.service.deployment_controller == "ECS":
        why = "" if facts.service.rebalancing_since is None else " while Availability Zones are rebalanced"
        if any(_fails(facts, task) for task in own):
            why = " until replacements of those that fail their checks are healthy"
        yield f"{_tasks(count)} above the desired count{why}{_guarded(own, facts.now)}."


def _are_protected(tasks: Sequence[Task], now: float) -> bool:
    return all(task.is_protected(now) for task in tasks)


def _protection_ends(tasks: Sequence[Task]) -> str:
    return "its protection ends" if len(tasks) == 1 else "their protection ends"


def _on_draining_instances(facts: Facts) -> Iterator[str]:
    """Tasks that run where none should be any more, and what they wait for."""
    on = [task for task in kept(facts.tasks) if is_draining(facts, task)]
    if not on:
        return
    places = sorted({(task.container_instance_arn or "").rsplit("/", 1)[-1] for task in on})
    where = f"the draining container instance{'s' if len(places) > 1 else ''} {', '.join(places)}"
    if facts.service.scheduling_strategy == "DAEMON":
        until = "the tasks of other services there have left"
    elif _are_protected(on, facts.now):
        until = _protection_ends(on)
    else:
        until = "a replacement is healthy" if len(on) == 1 else "replacements are healthy"
    stay = "stays" if len(on) == 1 else "stay"
    yield f"{_tasks(len(on))} on {where}{_guarded(on, facts.now)} and {stay} until {until}."


def _guarded(tasks: Sequence[Task], now: float) -> str:
    protected = sum(task.is_protected(now) for task in tasks)
    return f" ({protected} protected from scale-in)" if protected else ""


def _leaving(facts: Facts) -> Iterator[str]:
    """Tasks that are in the way of the end: older ones, superfluous ones, and those that are stopping."""
    older = [task for task in kept(facts.tasks) if is_older(facts, task)]
    if older:
        keeper = _keeper(facts)
        if _are_protected(older, facts.now):
            keeper = f"{'it stays' if len(older) == 1 else 'they stay'} until {_protection_ends(older)}"
        yield f"{_tasks(len(older))} of older deployments{_guarded(older, facts.now)}; {keeper}."
    stopping = [task for task in facts.tasks if task.desired_status is DesiredStatus.STOPPED]
    draining = [
        target.drain_until
        for task in stopping
        for target in facts.targets.get(task.arn, ())
        if target.drain_until is not None
    ]
    if draining:
        yield f"{_targets(len(draining))} draining; the last is done in {_seconds(max(draining), facts.now)}."
    if stopping:
        yield f"{_tasks(len(stopping))} stopping."


def _keeper(facts: Facts) -> str:
    """What the tasks of older deployments are there for: a deployment in stages keeps all until it is over."""
    attempt = staged(facts)
    if attempt is not None:
        return f"old tasks stay until the {attempt.configuration.strategy} deployment is over"
    minimum = facts.service.deployment_configuration.minimum_healthy_percent or 0
    return f"minimumHealthyPercent {minimum} keeps {math.ceil(facts.service.desired_count * minimum / 100)} healthy"
