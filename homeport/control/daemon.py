"""A service with the DAEMON strategy: one task on every container instance that suits it.

Suitable is an ACTIVE instance with the attributes that the task needs and inside the placement constraints, whether or
not there is room; what lacks room waits and says so. An instance has at most one task of the service at a time, so a
new revision stops the old task before it starts its own, as many instances at a time as the minimum healthy percent
lets be without. A draining instance keeps its daemon until the tasks of other services have left. The number of
suitable instances is the service's desired count. Source: Developer Guide, "Amazon ECS services", daemon strategy.
"""

import math
from collections.abc import Iterable

from homeport.control import rolling
from homeport.control.giving_up import give_up
from homeport.control.health import View
from homeport.control.image_digests import startable
from homeport.control.rollout import Blocked, Condition, LiveTask, RolloutPlan
from homeport.control.service_round import Round, by_arn
from homeport.control.service_tasks import (
    PLACEMENT,
    launch_of,
    no_room,
    put_task,
    runnable_definition,
    stop_tasks,
    template_of,
    wanted_of,
)
from homeport.model.container_instance import ContainerInstance
from homeport.model.deployment import Deployment
from homeport.model.expression import Subject, matches
from homeport.model.status import DesiredStatus
from homeport.model.task import Task
from homeport.model.task_definition import TaskDefinition
from homeport.scheduler.constraints import Needs, missing_attributes, needs_of, obstacles
from homeport.shapes import ecs as shapes


def advance(round_: Round) -> None:
    """One round of a daemon service. The circuit breaker comes first: it may have another revision run from now on."""
    view = rolling.look(round_)
    rolling.watch_failures(round_, view)
    primary = round_.primary
    definition = None if primary is None else runnable_definition(round_, launch_of(round_, primary))
    if primary is None or definition is None:
        return
    needs = _needs(round_, primary, definition)
    homes = {row.arn: row for row in round_.fleet.instances(round_.service.cluster_arn) if _suits(needs, row)}
    round_.change(desired_count=len(homes))
    round_.change_deployment(primary.id, desired_count=len(homes))
    _leave_unsuitable(round_, homes)
    kept = by_arn(round_.kept)
    view = view._replace(tasks=[task for task in view.tasks if task.arn in kept])
    _replace_old(round_, view, len(homes))
    _fill(round_, primary, definition, needs, homes.values())
    rolling.conclude(round_, _outcome(round_, view, len(homes)), is_complete=_is_complete(round_, view, len(homes)))


def _needs(round_: Round, primary: Deployment, definition: TaskDefinition) -> Needs:
    template = template_of(round_, launch_of(round_, primary), definition)
    wanted = wanted_of(round_, template, definition, 1)
    # distinctInstance says nothing that the strategy does not.
    constraints = [each for each in wanted.constraints if each.type == "memberOf"]
    return needs_of(wanted.resources, constraints, wanted.required_attributes, wanted.group)


def _suits(needs: Needs, row: ContainerInstance) -> bool:
    return (
        row.status == "ACTIVE"
        and not any(True for _ in missing_attributes(needs, row))
        and all(matches(each, Subject(row)) for each in needs.row_expressions)
    )


def _leave_unsuitable(round_: Round, homes: dict[str, ContainerInstance]) -> None:
    """Stop tasks where none should be: at once if constraints say so, after all others on a draining instance."""
    for task in round_.kept:
        arn = task.container_instance_arn or ""
        if arn in homes:
            continue
        instance = round_.tx.container_instances.get(arn)
        if instance is None or instance.status != "DRAINING" or not _others_of_services(round_, arn):
            stop_tasks(round_, [task])


def _others_of_services(round_: Round, container_instance_arn: str) -> bool:
    """Whether tasks of other services, daemons aside, are still there."""
    for task in round_.tx.tasks.by(live_on=container_instance_arn):
        if task.service_arn in (None, round_.service.arn):
            continue
        other = round_.tx.services.get(task.service_arn or "")
        if other is None or other.scheduling_strategy != "DAEMON":
            return True
    return False


def _replace_old(round_: Round, view: View, count: int) -> None:
    """Stop tasks of older revisions and unhealthy ones; healthy ones only above the floor."""
    primary = round_.primary
    if primary is None or primary.rollout_state == "FAILED":
        return
    rows = by_arn(round_.kept)
    budget = _healthy(view.tasks) - _floor(round_, count)
    for task in view.tasks:
        row = rows.get(task.arn)
        is_unhealthy = task.condition is Condition.UNHEALTHY
        if row is None or task.is_leaving or not (is_unhealthy or task.deployment_id != primary.id):
            continue
        if task.condition is Condition.HEALTHY:
            if budget <= 0 or task.is_protected:
                continue
            budget -= 1
        give_up(round_, row, view.judged[task.arn])


def _floor(round_: Round, count: int) -> int:
    return math.ceil(count * (round_.service.deployment_configuration.minimum_healthy_percent or 0) / 100)


def _healthy(tasks: Iterable[LiveTask]) -> int:
    return sum(task.condition is Condition.HEALTHY for task in tasks)


def _fill(
    round_: Round,
    primary: Deployment,
    definition: TaskDefinition,
    needs: Needs,
    homes: Iterable[ContainerInstance],
) -> None:
    """Start a task on every suitable instance that has none, not even one that is stopping."""
    taken = {task.container_instance_arn for task in round_.live}
    empty = [row for row in homes if row.arn not in taken]
    number = startable(round_, primary, len(empty)) if empty and rolling.may_start(round_, primary) else 0
    if not number:
        return
    template = template_of(round_, launch_of(round_, primary), definition)
    failures: list[shapes.Failure] = []
    for row in empty:
        host = round_.fleet.host(row.arn)
        obstacle = None if host is None else next(obstacles(needs, host), None)
        if obstacle is not None:
            failures.append(shapes.Failure(arn=row.arn, reason=obstacle.reason, detail=obstacle.detail))
        elif number:
            put_task(round_, template, row)
            number -= 1
    if failures:
        no_room(round_, failures)
    else:
        round_.over(PLACEMENT)


def _is_complete(round_: Round, view: View, count: int) -> bool:
    """One healthy task of the primary deployment on each suitable instance, and none elsewhere."""
    primary_id = round_.service.primary_deployment_id
    kept: list[Task] = round_.kept
    return (
        len(kept) == count
        and all(task.desired_status is DesiredStatus.RUNNING and task.started_by == primary_id for task in kept)
        and all(view.judged[task.arn].condition is Condition.HEALTHY for task in kept if task.arn in view.judged)
        and all(task.arn in view.judged for task in kept)
    )


def _outcome(round_: Round, view: View, count: int) -> RolloutPlan:
    """What to tell of: old tasks that may never stop because of the minimum healthy percent, or of protection."""
    primary = round_.primary
    old = [task for task in view.tasks if primary is not None and task.deployment_id != primary.id]
    is_stuck = (
        bool(old)
        and not round_.started
        and not round_.stopped
        and _healthy(view.tasks) == len(view.tasks) == len(round_.live) == count
    )
    blocked = Blocked.PROTECTED if any(task.is_protected for task in old) else Blocked.CONFIGURATION
    return RolloutPlan(0, {}, (), blocked if is_stuck else None, is_complete=False)
