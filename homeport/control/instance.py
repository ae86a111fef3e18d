"""Container instances that are gone, and what becomes of their tasks.

An agent that stays away longer than `lost_after` counts as the end of its host: the container instance becomes INACTIVE
and its tasks STOPPED, as ECS does when an EC2 instance is terminated. Should the agent return after all, the instance
is ACTIVE again, without those tasks. After a restart of this process every instance gets the full time again, because
nobody could have connected meanwhile; likewise after the process stood still or the clock was set (a machine without a
battery-backed clock sets it after it has started). A deregistered instance is INACTIVE already; its tasks end the same
way. Decision record: docs/adr/0010-lost-container-instances.md.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from homeport.base.log import get_logger
from homeport.control.runner import FORGET, Reconciler, Wake
from homeport.model.container_instance import ContainerInstance
from homeport.model.status import DesiredStatus, StopCode
from homeport.model.task import Task
from homeport.model.task_report import ended_task
from homeport.store.store import Tx

log = get_logger("instance")
CONNECTIVITY_GRACE = 5.0
_LONGEST_DELAY = 5.0


class Verdict(Struct, frozen=True):
    """`is_lost`: gone for good. `is_disconnected`: away long enough to be shown. `at`: when that may change."""

    is_lost: bool = False
    is_disconnected: bool = False
    at: float | None = None


def judge(instance: ContainerInstance, count_from: float, lost_after: float, now: float) -> Verdict:
    """What to think of an instance's connection; absence before `count_from` does not count. All in seconds."""
    if instance.agent_connected:
        return Verdict()
    away_since = max(instance.disconnected_at or instance.registered_at, count_from)
    lost_at, shown_at = away_since + lost_after, away_since + CONNECTIVITY_GRACE
    if now >= lost_at:
        return Verdict(is_lost=True, is_disconnected=True)
    is_shown = now >= shown_at
    return Verdict(is_disconnected=is_shown, at=lost_at if is_shown else min(shown_at, lost_at))


class InstanceReconciler(Reconciler):
    """Key: a container instance's ARN, whether or not its row still exists."""

    name = "instance"

    def __init__(self, process_start: float, lost_after: float) -> None:
        self.wakes = {"container_instance": _own_arn, "task": _instance_to_look_at}
        self._count_from = process_start
        self._lost_after = lost_after
        self._planned: dict[str, float] = {}

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        self._notice_gap(key, now)
        instance = tx.container_instances.get(key)
        if instance is None or instance.status == "INACTIVE":
            self._end_tasks(tx, key, "Container instance deregistration forced by user", StopCode.USER_INITIATED, now)
            return FORGET
        verdict = judge(instance, self._count_from, self._lost_after, now)
        if verdict.is_lost:
            self._lose(tx, instance, now)
            return FORGET
        self._show_connectivity(tx, instance, verdict, now)
        if verdict.at is not None:
            self._planned[key] = verdict.at
        return Wake(at=verdict.at)

    def _notice_gap(self, key: str, now: float) -> None:
        """A look that comes much later than planned means that time went by in which no agent could connect."""
        planned = self._planned.pop(key, now)
        if planned > self._count_from and now - planned > _LONGEST_DELAY:
            log.warning("clock_gap", seconds=round(now - planned, 1))
            self._count_from = now

    def _lose(self, tx: Tx, instance: ContainerInstance, now: float) -> None:
        self._end_tasks(tx, instance.arn, instance.lost_reason, StopCode.TERMINATION_NOTICE, now)
        gone = replace(instance, status="INACTIVE", status_reason=instance.lost_reason, version=instance.version + 1)
        tx.container_instances.put(gone)
        log.warning("container_instance_lost", container_instance=instance.arn, away_since=instance.disconnected_at)

    def _end_tasks(self, tx: Tx, container_instance_arn: str, reason: str, code: StopCode, now: float) -> None:
        """A task that was being stopped already keeps its own reason."""
        for task in tx.tasks.by(live_on=container_instance_arn):
            tx.tasks.put(ended_task(task, code, reason, now))

    def _show_connectivity(self, tx: Tx, instance: ContainerInstance, verdict: Verdict, now: float) -> None:
        if not instance.agent_connected and not verdict.is_disconnected:
            return
        connectivity = "CONNECTED" if instance.agent_connected else "DISCONNECTED"
        for task in tx.tasks.by(live_on=instance.arn):
            if task.connectivity != connectivity:
                tx.tasks.put(replace(task, connectivity=connectivity, connectivity_at=now, version=task.version + 1))


class UnplacedReconciler(Reconciler):
    """Ends tasks that were to be stopped before they were placed. Key: the task's ARN."""

    name = "unplaced"

    def __init__(self) -> None:
        self.wakes = {"task": _unplaced_and_stopping}

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        task = tx.tasks.get(key)
        if task is not None and _unplaced_and_stopping(task):
            tx.tasks.put(ended_task(task, StopCode.USER_INITIATED, "Task stopped by user", now))
        return FORGET


def _own_arn(instance: ContainerInstance) -> Iterable[str]:
    return (instance.arn,)


def _instance_to_look_at(task: Task) -> Iterable[str]:
    """A task that is to stop waits for its instance's agent, which may be gone for good."""
    is_stopping = task.desired_status is DesiredStatus.STOPPED and not task.is_stopped
    return (task.container_instance_arn,) if is_stopping and task.container_instance_arn is not None else ()


def _unplaced_and_stopping(task: Task) -> Iterable[str]:
    is_unplaced = task.container_instance_arn is None and not task.is_stopped
    return (task.arn,) if is_unplaced and task.desired_status is DesiredStatus.STOPPED else ()
