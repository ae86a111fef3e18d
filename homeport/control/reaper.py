"""Forgets what nobody can ask for any more: stopped tasks, used tokens, deleted clusters and task definitions.

Key: a kind of thing, or a protected task. One step removes at most a bounded number, so that no transaction is long.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from homeport.base.clock import Clock
from homeport.base.config import ServerConfig
from homeport.base.log import get_logger
from homeport.control.runner import FORGET, Reconciler, Wake
from homeport.drivers.logs import LogStore
from homeport.model.container_instance import ContainerInstance
from homeport.model.task import Task
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("reaper")
_MOST_AT_ONCE = 1000
_SWEEP_EVERY = 30.0
_LOGS_EVERY = 60.0
_LOGS = "logs"
_PROTECTION = "protection "
# The Amazon ECS agent gives up for good when its saved registration is unknown, so a host may be off for a week.
_LOST_RETENTION = 7 * 86400.0


class Reaper(Reconciler):
    """`logs` None: there are no logs to expire. Retentions come from the server's configuration."""

    name = "reaper"

    def __init__(self, config: ServerConfig, clock: Clock, logs: LogStore | None) -> None:
        self.wakes = {"task": _protection_key}
        self._config = config
        self._clock = clock
        self._logs = logs
        self._inactive_since: dict[str, float] = {}
        self._sweeps: dict[str, Callable[[Tx, float], int]] = {
            "tasks": self._stopped_tasks,
            "client_tokens": self._client_tokens,
            "task_definitions": self._task_definitions,
            "container_instances": self._container_instances,
            "clusters": self._clusters,
        }

    def seeds(self) -> Iterable[str]:
        return (*self._sweeps, *((_LOGS,) if self._logs is not None else ()))

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        if key == _LOGS:
            return Wake(at=now + _LOGS_EVERY)
        if key.startswith(_PROTECTION):
            return self._protection(tx, key.removeprefix(_PROTECTION), now)
        removed = self._sweeps[key](tx, now)
        if removed:
            log.info("reaped", kind=key, count=removed)
        return Wake(at=now if removed >= _MOST_AT_ONCE else now + _SWEEP_EVERY)

    def actions(self, read: Tables, key: str) -> Sequence[Any]:  # noqa: ARG002
        return (self._logs,) if key == _LOGS else ()

    async def act(self, action: LogStore) -> None:
        await asyncio.to_thread(action.expire, int(self._clock.now() * 1000))

    def _stopped_tasks(self, tx: Tx, now: float) -> int:
        """Keys of stopped tasks come in the order of their stopping, so the first one that stays ends the look."""
        expired: list[str] = []
        for key in tx.tasks.keys_by(stopped=True):
            if (tx.tasks[key].stopped_at or 0.0) + self._config.task_retention > now or len(expired) == _MOST_AT_ONCE:
                break
            expired.append(key)
        for key in expired:
            tx.tasks.delete(key)
        return len(expired)

    def _client_tokens(self, tx: Tx, now: float) -> int:
        expired = [row.key for row in tx.client_tokens if row.expires_at <= now][:_MOST_AT_ONCE]
        for key in expired:
            tx.client_tokens.delete(key)
        return len(expired)

    def _task_definitions(self, tx: Tx, now: float) -> int:  # noqa: ARG002
        """A definition that is being deleted goes with the last task that uses it."""
        unused = [
            row.arn
            for row in tx.task_definitions.by(status="DELETE_IN_PROGRESS")
            if all(task.is_stopped for task in tx.tasks.by(task_definition_arn=row.arn))
        ]
        for arn in unused[:_MOST_AT_ONCE]:
            tx.task_definitions.delete(arn)
        return min(len(unused), _MOST_AT_ONCE)

    def _container_instances(self, tx: Tx, now: float) -> int:
        """A deregistered one goes `inactive_retention` after this process first saw it so (the row does not say since
        when); one whose agent may still come back is kept for a week.
        """
        inactive = [row for row in tx.container_instances if row.status == "INACTIVE"]
        self._inactive_since = {row.arn: self._inactive_since.get(row.arn, now) for row in inactive}
        expired = [row.arn for row in inactive if self._inactive_since[row.arn] + self._kept_for(tx, row) <= now]
        for arn in expired[:_MOST_AT_ONCE]:
            tx.container_instances.delete(arn)
        return min(len(expired), _MOST_AT_ONCE)

    def _kept_for(self, tx: Tx, instance: ContainerInstance) -> float:
        cluster = tx.clusters.get(instance.cluster_arn)
        may_return = instance.is_lost and cluster is not None and cluster.status == "ACTIVE"
        return max(self._config.inactive_retention, _LOST_RETENTION) if may_return else self._config.inactive_retention

    def _clusters(self, tx: Tx, now: float) -> int:
        """A cluster stays while container instances or tasks still point to it."""
        expired = [
            row.arn
            for row in tx.clusters
            if row.status == "INACTIVE"
            and (row.deleted_at or 0.0) + self._config.inactive_retention <= now
            and not tx.tasks.count(cluster_arn=row.arn)
            and not tx.container_instances.count(cluster_arn=row.arn)
        ]
        for arn in expired:
            tx.clusters.delete(arn)
        return len(expired)

    def _protection(self, tx: Tx, task_arn: str, now: float) -> Wake:
        task = tx.tasks.get(task_arn)
        if task is None or not task.protection_enabled or task.protection_expires_at is None:
            return FORGET
        if task.protection_expires_at > now:
            return Wake(at=task.protection_expires_at)
        tx.tasks.put(replace(task, protection_enabled=False, protection_expires_at=None))
        return FORGET


def _protection_key(task: Task) -> Iterable[str]:
    return (_PROTECTION + task.arn,) if task.protection_enabled and not task.is_stopped else ()
