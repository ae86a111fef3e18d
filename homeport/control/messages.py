"""A plan as messages of the agent protocol: payloads of a bounded size, credentials, the manifest."""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct

from homeport.base.arn import Arns
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.control.payload import Rendering, render_stop, render_task
from homeport.control.plan import Plan, as_told
from homeport.control.roles import EXECUTION_ROLE, TASK_ROLE, RoleCredentialsMaker
from homeport.control.sessions import Link
from homeport.control.task_definitions import definition_of
from homeport.model.container_instance import ContainerInstance
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.shapes import acs
from homeport.store.schema import Tables

_MOST_TASKS = 10
_MOST_BYTES = 256 * 1024
_SEQUENCE_PER_VERSION = 1000
_encode = msgspec.json.Encoder().encode
_LOG_MODE_SETTING = "defaultLogDriverMode"


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message and what it tells: tasks with their desired status, tasks whose credentials it carries."""

    container_instance_arn: str
    session_id: str
    message: Struct
    message_id: str
    at: float
    tasks: tuple[tuple[str, DesiredStatus], ...] = ()
    renewed: tuple[str, ...] = ()
    is_manifest: bool = False


class Occasion(Struct, frozen=True):
    """To whom messages are made, when, and from which rows."""

    read: Tables
    instance: ContainerInstance
    link: Link
    now: float


class Composer:
    """Makes messages. `version` reads the store's version; `logs_endpoint` serves agents that reach us by an unknown URL."""

    def __init__(
        self,
        arns: Arns,
        sealer: Sealer,
        ids: Ids,
        version: Callable[[], int],
        *,
        credentials_lifetime: float,
        logs_endpoint: str = "",
    ) -> None:
        self._arns = arns
        self._ids = ids
        self._roles = RoleCredentialsMaker(arns, sealer, ids, credentials_lifetime)
        self._version = version
        self._logs_endpoint = logs_endpoint
        self._last_sequence_number = 0
        self.renew_after = credentials_lifetime / 2

    def compose(self, todo: Plan, to: Occasion) -> list[Outgoing]:
        """In the order in which they are to be sent: payloads, credentials, manifest."""
        told = [(task, self._task(task, to)) for task in (*todo.stop, *todo.run)]
        messages = [self._payload(batch, to) for batch in in_batches(told)]
        messages += [self._payload([(task, self._task(task, to))], to) for task in todo.again]
        messages += [message for task in todo.renew for message in self._credentials(task, to)]
        if todo.manifest:
            messages.append(self._manifest(to))
        return messages

    def _sequence_number(self) -> int:
        """Rises with every message, and over restarts because versions do: an agent drops a manifest that is not newer."""
        floor = self._version() * _SEQUENCE_PER_VERSION
        self._last_sequence_number = max(self._last_sequence_number + 1, floor)
        return self._last_sequence_number

    def _task(self, task: Task, to: Occasion) -> acs.Task:
        """A stop of a task that the agent may never have heard of carries the whole task, so that it can report it."""
        definition = definition_of(to.read, task)
        is_known = task.last_status.rank >= TaskStatus.RUNNING.rank
        if definition is None or (is_known and task.desired_status is DesiredStatus.STOPPED):
            return render_stop(task)
        credentials = self._roles.make_all(task, definition, to.now)
        rendering = Rendering(
            region=self._arns.region,
            logs_endpoint=to.link.endpoint or self._logs_endpoint,
            log_mode=log_mode(to.read, self._arns.root()),
            role_credentials=credentials.get(TASK_ROLE),
            execution_role_credentials=credentials.get(EXECUTION_ROLE),
        )
        return render_task(task, definition, rendering)

    def _payload(self, told: list[tuple[Task, acs.Task]], to: Occasion) -> Outgoing:
        message = acs.PayloadMessage(
            message_id=self._ids.uuid(),
            cluster_arn=to.instance.cluster_arn,
            container_instance_arn=to.instance.arn,
            tasks=tuple(rendered for _, rendered in told),
            generated_at=int(to.now * 1000),
            seq_num=self._sequence_number(),
        )
        return Outgoing(
            container_instance_arn=to.instance.arn,
            session_id=to.link.session_id,
            message=message,
            message_id=message.message_id,
            at=to.now,
            tasks=tuple((task.arn, task.desired_status) for task, _ in told),
            renewed=tuple(
                rendered.arn
                for _, rendered in told
                if rendered.role_credentials is not None or rendered.execution_role_credentials is not None
            ),
        )

    def _credentials(self, task: Task, to: Occasion) -> Iterator[Outgoing]:
        definition = definition_of(to.read, task)
        credentials_by_type = {} if definition is None else self._roles.make_all(task, definition, to.now)
        for role_type, credentials in credentials_by_type.items():
            message = acs.IAMRoleCredentialsMessage(
                message_id=self._ids.uuid(), task_arn=task.arn, role_type=role_type, role_credentials=credentials
            )
            yield Outgoing(
                container_instance_arn=to.instance.arn,
                session_id=to.link.session_id,
                message=message,
                message_id=message.message_id,
                at=to.now,
                renewed=(task.arn,),
            )

    def _manifest(self, to: Occasion) -> Outgoing:
        message = acs.TaskManifestMessage(
            message_id=self._ids.uuid(),
            cluster_arn=to.instance.cluster_arn,
            container_instance_arn=to.instance.arn,
            generated_at=int(to.now * 1000),
            timeline=self._sequence_number(),
            tasks=tuple(
                acs.ManifestTask(
                    task_arn=task.arn, task_cluster_arn=task.cluster_arn, desired_status=task.desired_status.value
                )
                for task in (as_told(to.read, each) for each in to.read.tasks.by(live_on=to.instance.arn))
            ),
        )
        return Outgoing(
            container_instance_arn=to.instance.arn,
            session_id=to.link.session_id,
            message=message,
            message_id=message.message_id,
            at=to.now,
            is_manifest=True,
        )


def in_batches(told: Iterable[tuple[Task, acs.Task]]) -> Iterator[list[tuple[Task, acs.Task]]]:
    """At most 10 tasks and 256 KiB to a payload; a larger task goes alone."""
    batch: list[tuple[Task, acs.Task]] = []
    size = 0
    for pair in told:
        length = len(_encode(pair[1]))
        if batch and (len(batch) == _MOST_TASKS or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(pair)
        size += length
    if batch:
        yield batch


def log_mode(read: Tables, root_arn: str) -> str:
    """The account's `defaultLogDriverMode`: the default for all, else the root user's own, else ECS's non-blocking."""
    for principal in ("", root_arn):
        setting = read.account_settings.get(f"{principal}|{_LOG_MODE_SETTING}")
        if setting is not None:
            return setting.value
    return "non-blocking"
