"""One look at one service: the rows it goes by, what it has found out so far, and what it has said.

A round is made anew for each step and thrown away with it, so nothing here outlives a transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from homeport.model.deployment import Deployment
from homeport.model.service import Service, TaskSet
from homeport.model.service_events import announce
from homeport.model.status import DesiredStatus
from homeport.model.task import Task
from homeport.scheduler.fleet import Fleet
from homeport.shapes import ecs as shapes
from homeport.store.store import Tx

TELL_AGAIN_AFTER = 6 * 3600.0
"""Seconds after which a trouble that goes on is told of once more."""


@dataclass
class Round:
    """`live` are the tasks that are not STOPPED, `ended` those whose end has not been taken into account yet.
    `deployments` and `task_sets` by id.

    `wakes_at`: when time alone may change something. `lacks_room`: tasks could not be placed, so whatever frees or adds
    resources matters; `room_failures` are the reasons that placement gave. `started` and `stopped` by this round,
    `stopped` as they were before; `replaced` of the started ones take the places of unhealthy tasks. `forgotten`
    deployments were deleted by it.
    """

    tx: Tx
    fleet: Fleet
    service: Service
    now: float
    live: list[Task]
    ended: list[Task]
    deployments: dict[str, Deployment]
    task_sets: dict[str, TaskSet]
    wakes_at: float | None = None
    lacks_room: bool = False
    room_failures: tuple[shapes.Failure, ...] = ()
    is_rebalancing: bool = False
    forgotten: dict[str, Deployment] = field(default_factory=dict)
    replaced: int = 0
    started: list[Task] = field(default_factory=list)
    stopped: list[Task] = field(default_factory=list)
    conclusions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def kept(self) -> list[Task]:
        """Tasks that are to run."""
        return [task for task in self.live if task.desired_status is DesiredStatus.RUNNING]

    def stopping(self) -> int:
        """How many tasks are to stop and have not STOPPED, so their resources are not free yet."""
        return sum(task.desired_status is DesiredStatus.STOPPED for task in self.live)

    def outgoing(self, deployment_id: str | None = None) -> int:
        """How many of those (of one deployment or task set) may still have processes that run."""
        return sum(
            task.desired_status is DesiredStatus.STOPPED
            and task.execution_stopped_at is None
            and deployment_id in (None, task.started_by)
            for task in self.live
        )

    @property
    def primary(self) -> Deployment | None:
        return self.deployments.get(self.service.primary_deployment_id or "")

    def older(self) -> list[Deployment]:
        """ACTIVE deployments besides the primary one, oldest first."""
        return [
            each
            for each in self.deployments.values()
            if each.status != "INACTIVE" and each.id != self.service.primary_deployment_id
        ]

    def look_again(self, at: float | None) -> None:
        if at is not None and (self.wakes_at is None or at < self.wakes_at):
            self.wakes_at = at

    def change(self, **members: Any) -> None:
        """Change the service's row; nothing is written if it says so already."""
        changed = replace(self.service, **members)
        if changed != self.service:
            self.service = changed
            self.tx.services.put(changed)

    def change_deployment(self, deployment_id: str, **members: Any) -> Deployment:
        row = self.deployments[deployment_id]
        changed = replace(row, **members)
        if changed != row:
            changed = replace(changed, updated_at=self.now)
            self.deployments[deployment_id] = changed
            self.tx.deployments.put(changed)
        return self.deployments[deployment_id]

    def change_task_set(self, task_set_id: str, **members: Any) -> TaskSet:
        row = self.task_sets[task_set_id]
        changed = replace(row, **members)
        if changed != row:
            changed = replace(changed, updated_at=self.now)
            self.task_sets[task_set_id] = changed
            self.tx.task_sets.put(changed)
        return self.task_sets[task_set_id]

    def forget_deployment(self, deployment_id: str) -> None:
        self.forgotten[deployment_id] = self.deployments.pop(deployment_id)
        self.tx.deployments.delete(deployment_id)

    def say(self, message: str, task_set_id: str = "") -> None:
        announce(self.tx, self.service, message, task_set_id)

    def say_at_last(self, message: str, task_set_id: str = "") -> None:
        """For where the round has led to: it comes after what the round has started and stopped."""
        self.conclusions.append((message, task_set_id))

    def end(self) -> None:
        for message, task_set_id in self.conclusions:
            self.say(message, task_set_id)
        self.conclusions.clear()

    def tell(self, trouble: str, message: str) -> None:
        """Say it unless this kind of trouble was told of in the last six hours and has not been over since."""
        told_at = self.service.told.get(trouble)
        if told_at is not None and self.now < told_at + TELL_AGAIN_AFTER:
            return
        self.change(told=self.service.told | {trouble: self.now})
        self.say(message)

    def over(self, *troubles: str) -> None:
        """These troubles are gone; should they come back they are told of at once."""
        left = {name: at for name, at in self.service.told.items() if name not in troubles}
        if len(left) != len(self.service.told):
            self.change(told=left)

    def task_changed(self, before: Task, after: Task) -> None:
        self.tx.tasks.put(after)
        self.live = [after if task is before else task for task in self.live]


def begin_round(tx: Tx, fleet: Fleet, service: Service, now: float) -> Round:
    """Read what concerns the service; costs as much as it has tasks that are not over and done with."""
    live: list[Task] = []
    ended: list[Task] = []
    for task in tx.tasks.by(unsettled_of=service.arn):
        (ended if task.is_stopped else live).append(task)
    deployments = {each.id: each for each in tx.deployments.by(service_arn=service.arn)}
    task_sets = {each.id: each for each in tx.task_sets.by(service_arn=service.arn)}
    return Round(tx, fleet, service, now, live, ended, deployments, task_sets)


def by_arn(tasks: Iterable[Task]) -> dict[str, Task]:
    return {task.arn: task for task in tasks}
