"""What healthy means to the service scheduler. Pure.

A task counts towards the minimum healthy percent (API reference, DeploymentConfiguration):

    without load balancer and container check   once it has been RUNNING for 40 seconds
    container check                             while its essential containers that have one are HEALTHY
    load balancers                              while its target is healthy in each target group
    both                                        while both hold

While `healthCheckGracePeriodSeconds` after the start are not over, a failed check of either kind is not believed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from homeport.control.rollout import Condition, LiveTask
from homeport.model.load_balancer import Target
from homeport.model.status import TaskStatus
from homeport.model.target_health import FAILED_STATES
from homeport.model.task import Task

STEADY_AFTER = 40.0
"""Seconds of RUNNING after which a task without any check counts as healthy."""

CONTAINERS_FAILED = "Task failed container health checks"
_GOOD = ("healthy", "unavailable")


class Judged(NamedTuple):
    """A task's condition, when it may change by the passing of time alone, and what check it failed ("" none).

    `is_well`: it runs, and every check that it has is passed; without checks running is enough.
    """

    condition: Condition
    at: float | None = None
    failure: str = ""
    is_well: bool = False


class View(NamedTuple):
    """The tasks that are to run, as the arithmetic sees them, with what was found out about each (by ARN)."""

    tasks: list[LiveTask]
    judged: dict[str, Judged]


def judge(task: Task, targets: Sequence[Target], expected_targets: int, grace: float, now: float) -> Judged:
    """`targets`: the task's own; `expected_targets`: how many it must have; `grace` in seconds. The task is to run."""
    if task.last_status.rank < TaskStatus.RUNNING.rank:
        return Judged(Condition.STARTING)
    started_at = now if task.started_at is None else task.started_at
    has_container_check = any(each.essential and each.has_health_check for each in task.containers)
    if not has_container_check and not expected_targets:
        healthy_at = started_at + STEADY_AFTER
        if now >= healthy_at:
            return Judged(Condition.HEALTHY, is_well=True)
        return Judged(Condition.WAITING, healthy_at, is_well=True)
    failure = _failure(task, targets, has_container_check)
    if failure:
        believed_at = started_at + grace
        return (
            Judged(Condition.UNHEALTHY, None, failure) if now >= believed_at else Judged(Condition.WAITING, believed_at)
        )
    container_passes = not has_container_check or task.health_status() == "HEALTHY"
    targets_pass = len(targets) >= expected_targets and all(target.state in _GOOD for target in targets)
    if container_passes and targets_pass:
        return Judged(Condition.HEALTHY, is_well=True)
    return Judged(Condition.WAITING)


def _failure(task: Task, targets: Sequence[Target], has_container_check: bool) -> str:
    """The `stoppedReason` of a task that is replaced because of its health; "" while nothing speaks against it."""
    if has_container_check and task.health_status() == "UNHEALTHY":
        return CONTAINERS_FAILED
    for target in targets:
        if target.state in FAILED_STATES:
            return f"Task failed ELB health checks in (target-group {target.target_group_arn})"
    return ""
