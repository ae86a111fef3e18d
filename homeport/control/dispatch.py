"""Keeps every connected agent told of what its container instance should run.

Key: a container instance's ARN. What an agent was told lives in memory, per connection (`plan.Conversation`); what it
should be told follows from the rows. Nothing remembers commands, so a lost message, a restart of either side or a
replaced connection all heal by the same computation.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from homeport.base.arn import last_part
from homeport.base.log import get_logger
from homeport.control.messages import Composer, Occasion, Outgoing
from homeport.control.plan import Conversation, Plan, as_told, needs_payload, plan, sent_again
from homeport.control.roles import has_role
from homeport.control.runner import FORGET, Reconciler, Wake, Waker
from homeport.control.sessions import Sessions
from homeport.control.task_definitions import definition_of
from homeport.model.container_instance import ContainerInstance
from homeport.model.rules.support import unsupported
from homeport.model.status import StopCode
from homeport.model.task import Task
from homeport.model.task_report import ended_task
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("dispatch")


class Disconnect(Struct, frozen=True):
    """Close the connection of a container instance that is no more."""

    container_instance_arn: str


class Dispatch(Reconciler):
    """Rows to messages. `composer` makes messages, `sessions` carries them."""

    name = "dispatch"
    workers = 4

    def __init__(self, sessions: Sessions, composer: Composer) -> None:
        self.wakes = {"task": self._instance_of_task, "container_instance": self._own_arn}
        self._sessions = sessions
        self._composer = composer
        self._conversations: dict[str, Conversation] = {}
        self._plans: dict[str, tuple[Plan, float]] = {}

    def _instance_of_task(self, task: Task) -> Iterable[str]:
        """Instances without a connection need no look: they get one when they connect."""
        arn = task.container_instance_arn
        return (arn,) if arn is not None and self._sessions.is_connected(arn) else ()

    def _own_arn(self, instance: ContainerInstance) -> Iterable[str]:
        return (instance.arn,) if self._sessions.is_connected(instance.arn) else ()

    def listen(self, wake: Waker) -> None:
        self._sessions.on_connected(wake)
        self._sessions.on_acknowledged(self._acknowledged)

    def _acknowledged(self, container_instance_arn: str, message_id: str) -> None:
        conversation = self._conversations.get(container_instance_arn)
        if conversation is not None:
            conversation.acknowledge(message_id)

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        """Fails the tasks that cannot be sent, and plans what to send of the rest."""
        self._plans.pop(key, None)
        conversation = self._conversation(key)
        if conversation is None:
            return FORGET
        said = conversation.tasks
        tasks = [
            as_told(tx, task)
            for task in tx.tasks.by(live_on=key)
            if task.arn in said or not self._fail_if_unsendable(tx, task, now)
        ]
        conversation.forget_all_but({task.arn for task in tasks})
        with_roles = frozenset(task.arn for task in tasks if has_role(task))
        todo = plan(tasks, conversation, with_roles, now)
        self._plans[key] = (todo, now)
        return Wake(at=self._next_look(todo, conversation, with_roles, now))

    def _next_look(
        self, todo: Plan, conversation: Conversation, with_roles: frozenset[str], now: float
    ) -> float | None:
        """The plan's own deadline, or the renewal of the credentials that it is about to send."""
        if len(with_roles) > len(conversation.refresh_at) or todo.renew:
            renewal = now + self._composer.renew_after
            return renewal if todo.at is None else min(renewal, todo.at)
        return todo.at

    def _conversation(self, key: str) -> Conversation | None:
        """What was said on the live connection; credentials survive a reconnection unless the agent has lost them."""
        link = self._sessions.link(key)
        before = self._conversations.get(key)
        if link is None:
            return None
        if before is None or before.session_id != link.session_id:
            keep = before is not None and not link.wants_credentials
            refresh_at = before.refresh_at if before is not None and keep else {}
            before = self._conversations[key] = Conversation(link.session_id, refresh_at=refresh_at)
        return before

    def _fail_if_unsendable(self, tx: Tx, task: Task, now: float) -> bool:
        if not needs_payload(task):
            return False
        definition = definition_of(tx, task)
        missing = "its task definition" if definition is None else unsupported(definition)
        if missing is None:
            return False
        reason = f"The task cannot be run without {missing}."
        tx.tasks.put(ended_task(task, StopCode.TASK_FAILED_TO_START, reason, now))
        log.warning("task_not_sendable", task=task.arn, reason=reason)
        return True

    def actions(self, read: Tables, key: str) -> Sequence[Any]:
        instance = read.container_instances.get(key)
        link = self._sessions.link(key)
        if link is None:
            return ()
        if instance is None or instance.status == "INACTIVE":
            return (Disconnect(key),)
        todo, now = self._plans.pop(key, (Plan(), 0.0))
        return () if todo.is_empty else self._composer.compose(todo, Occasion(read, instance, link, now))

    async def act(self, action: Outgoing | Disconnect) -> None:
        if isinstance(action, Disconnect):
            await self._sessions.disconnect(action.container_instance_arn, "the container instance is INACTIVE")
            self._conversations.pop(action.container_instance_arn, None)
            return
        if self._sessions.session_id(action.container_instance_arn) != action.session_id:
            return  # a newer connection has taken over, and its arrival has queued this key again
        await self._sessions.send(action.container_instance_arn, action.message)
        self._remember(action)

    def _remember(self, action: Outgoing) -> None:
        conversation = self._conversations[action.container_instance_arn]
        for task_arn, desired in action.tasks:
            earlier = conversation.tasks.get(task_arn)
            conversation.tasks[task_arn] = sent_again(earlier, desired, action.message_id, action.at)
        for task_arn in action.renewed:
            conversation.refresh_at[task_arn] = action.at + self._composer.renew_after
        if action.is_manifest:
            conversation.manifest = sent_again(conversation.manifest, None, action.message_id, action.at)
        log.info(
            "sent",
            message=type(action.message).__name__,
            container_instance=action.container_instance_arn,
            tasks=[f"{last_part(task_arn)} {desired.value}" for task_arn, desired in action.tasks],
        )
