"""What one connection of an agent should be sent now. Pure.

An agent is told about tasks, never given commands: each connection is sent every task that it may not know yet
(RUNNING, not yet reported as running), every stop that is not yet done, the credentials of the roles of the tasks it
holds, and a manifest of all its tasks, until it acknowledges one: it drops a manifest that a later message has
overtaken. What a connection was sent is forgotten with it; repeating is harmless, because an agent moves a task's
desired status forward only. Source: agent protocol, A5.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.target_health import is_held
from homeport.model.task import Task

RESEND_AFTER = 30.0
_MOST_RESEND_AFTER = 300.0


@dataclass
class Sent:
    """A task as it was last sent on this connection, or the manifest (`desired` None)."""

    desired: DesiredStatus | None
    message_id: str
    at: float
    times: int = 1
    is_acknowledged: bool = False

    @property
    def resend_at(self) -> float:
        """30 s after the first time, twice as long after each further one, at most 5 minutes."""
        return self.at + min(_MOST_RESEND_AFTER, RESEND_AFTER * float(1 << (min(self.times, 10) - 1)))

    def is_overdue(self, now: float) -> bool:
        return not self.is_acknowledged and self.resend_at <= now


def sent_again(before: Sent | None, desired: DesiredStatus | None, message_id: str, at: float) -> Sent:
    """What was sent just now; the same as `before` makes it a repetition."""
    times = before.times + 1 if before is not None and before.desired is desired else 1
    return Sent(desired, message_id, at, times)


@dataclass
class Conversation:
    """What was said on one connection. `refresh_at`: when a task's role credentials are to be renewed."""

    session_id: str
    tasks: dict[str, Sent] = field(default_factory=dict)
    refresh_at: dict[str, float] = field(default_factory=dict)
    manifest: Sent | None = None

    def forget_all_but(self, live: set[str]) -> None:
        """Drop what was said about tasks that are STOPPED by now."""
        for said in (self.tasks, self.refresh_at):
            for arn in said.keys() - live:
                del said[arn]

    def acknowledge(self, message_id: str) -> None:
        for sent in (*self.tasks.values(), self.manifest):
            if sent is not None and sent.message_id == message_id:
                sent.is_acknowledged = True


class Plan(Struct, frozen=True, kw_only=True):
    """`run`, `stop`: tasks for payloads; `again`: tasks that went without an answer, each for a payload of its own;
    `renew`: tasks whose roles' credentials are pushed; `manifest`: whether to list all tasks; `at`: when to look again.
    """

    stop: tuple[Task, ...] = ()
    run: tuple[Task, ...] = ()
    again: tuple[Task, ...] = ()
    renew: tuple[Task, ...] = ()
    manifest: bool = False
    at: float | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.stop or self.run or self.again or self.renew or self.manifest)


def plan(tasks: Iterable[Task], conversation: Conversation, with_roles: frozenset[str], now: float) -> Plan:
    """`tasks`: all tasks of the instance that are not STOPPED. `with_roles`: ARNs of those that have a role."""
    stop: list[Task] = []
    run: list[Task] = []
    again: list[Task] = []
    renew: list[Task] = []
    waiting: list[Task] = []
    for task in tasks:
        sent = conversation.tasks.get(task.arn)
        is_first = sent is None or sent.desired is not task.desired_status
        if is_first and task.desired_status is DesiredStatus.STOPPED:
            stop.append(task)
        elif is_first and needs_payload(task):
            run.append(task)
        elif sent is not None and not sent.is_acknowledged and _is_unanswered(task):
            (again if sent.is_overdue(now) else waiting).append(task)
        if task.arn in with_roles and not (is_first and needs_payload(task)):
            refresh_at = conversation.refresh_at.get(task.arn, now)
            if refresh_at <= now:
                renew.append(task)
    needs_manifest = conversation.manifest is None or conversation.manifest.is_overdue(now)
    return Plan(
        stop=tuple(stop),
        run=tuple(run),
        again=tuple(again),
        renew=tuple(renew),
        manifest=needs_manifest,
        at=_next_look(conversation, bool(stop or run or again or needs_manifest), waiting, now),
    )


def as_told(tables: Any, task: Task) -> Task:
    """The task as its agent is to see it: one whose targets still drain goes on running until they are gone."""
    return replace(task, desired_status=DesiredStatus.RUNNING) if is_held(tables, task) else task


def needs_payload(task: Task) -> bool:
    """Whether the agent may not know the task: it has not reported it as running."""
    return task.desired_status is DesiredStatus.RUNNING and task.last_status.rank < TaskStatus.RUNNING.rank


def _is_unanswered(task: Task) -> bool:
    return task.desired_status is DesiredStatus.STOPPED or needs_payload(task)


def _next_look(conversation: Conversation, is_sending: bool, waiting: list[Task], now: float) -> float | None:
    instants = [conversation.tasks[task.arn].resend_at for task in waiting]
    instants += [at for at in conversation.refresh_at.values() if at > now]
    manifest = conversation.manifest
    if manifest is not None and not manifest.is_acknowledged and manifest.resend_at > now:
        instants.append(manifest.resend_at)
    if is_sending:
        instants.append(now + RESEND_AFTER)
    return min(instants, default=None)
