"""The service scheduler: keeps every service at its desired count, with tasks of the revision it should run.

Key: a service's ARN. A step looks at all tasks of the service that are not over and done with, does whatever its limits
allow at once, and says when time alone could change something; nothing is remembered between steps but rows. What wakes
a service: its own rows, its tasks, their targets, the container instances they run on, the rules whose traffic it
shifts, and, for services whose tasks could not be placed, whatever frees or adds resources in their cluster. Services
that are spread over Availability Zones also wake when a zone begins or ceases to take tasks.
"""

from collections.abc import Iterable

from homeport.base.log import get_logger
from homeport.control import blue_green, daemon, deployments, external, rolling
from homeport.control.queue import FORGET, Wake
from homeport.control.runner import Reconciler
from homeport.control.served import Served
from homeport.control.service_round import Round, begin_round
from homeport.control.service_tasks import stop_tasks, tell_of_room, tell_of_tasks
from homeport.control.traffic import rules_of
from homeport.model.container_instance import ContainerInstance
from homeport.model.deployment import Deployment, ServiceDeployment
from homeport.model.load_balancer import Listener, Rule, Target, default_rule_arn
from homeport.model.service import Service, TaskSet
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.scheduler.fleet import Fleet
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("service")
MOST_WOKEN = 20
"""How many services that lack room are woken by one change; the others look again by themselves."""


class ServiceReconciler(Reconciler):
    """`read` are the store's tables, for finding which services a change concerns.

    `served`: how far the data plane has come (None: there is none to wait for).
    """

    name = "service"

    def __init__(
        self, read: Tables, fleet: Fleet, inactive_retention: float = 3600.0, served: Served | None = None
    ) -> None:
        self._read = read
        self._fleet = fleet
        self._inactive_retention = inactive_retention
        self._served = served
        self._lacking_room: dict[str, dict[str, None]] = {}
        self._zones: dict[str, frozenset[str | None]] = {}
        self.wakes = {
            "service": _own_arn,
            "deployment": _service_of,
            "service_deployment": _service_of,
            "task_set": _service_of,
            "task": self._services_of_task,
            "target": self._services_of_target,
            "container_instance": self._services_of_instance,
            "rule": self._services_of_rule,
            "listener": self._services_of_rule,
        }

    def _services_of_task(self, task: Task) -> Iterable[str]:
        if task.service_arn is not None and not task.is_settled:
            yield task.service_arn
        if task.is_stopped:
            yield from self._read.services.keys_by(daemon_in=task.cluster_arn)
            yield from self._lacking(task.cluster_arn)

    def _services_of_target(self, target: Target) -> Iterable[str]:
        task = self._read.tasks.get(target.owner) if target.owner is not None else None
        return (task.service_arn,) if task is not None and task.service_arn is not None else ()

    def _services_of_rule(self, row: Rule | Listener) -> Iterable[str]:
        """Those that shift its traffic at present, and want it as they have written it."""
        arns = {row.arn, default_rule_arn(row.arn)} if isinstance(row, Listener) else {row.arn}
        for attempt in self._read.service_deployments.by(shifting=True):
            revision = self._read.service_revisions.get(attempt.target_revision_arn)
            if revision is not None and arns.intersection(rules_of(revision.load_balancers)):
                yield attempt.service_arn

    def _services_of_instance(self, instance: ContainerInstance) -> Iterable[str]:
        for task in self._read.tasks.by(live_on=instance.arn):
            if task.service_arn is not None:
                yield task.service_arn
        yield from self._read.services.keys_by(daemon_in=instance.cluster_arn)
        yield from self._rebalanced(instance.cluster_arn)
        yield from self._lacking(instance.cluster_arn)

    def _rebalanced(self, cluster_arn: str) -> Iterable[str]:
        """Services to spread anew: those that rebalance, if the zones that take tasks are others than before."""
        rows = self._read.container_instances.by(cluster_arn=cluster_arn)
        zones = frozenset(row.availability_zone for row in rows if row.is_placeable)
        if zones == self._zones.get(cluster_arn, frozenset()):
            return ()
        self._zones[cluster_arn] = zones
        return self._read.services.keys_by(rebalanced_in=cluster_arn)

    def _lacking(self, cluster_arn: str) -> list[str]:
        """Some services that wait for room; those that find none go to the end of the line."""
        return list(self._lacking_room.get(cluster_arn, {}))[:MOST_WOKEN]

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        service = tx.services.get(key)
        if service is None:
            return FORGET
        if service.status == "INACTIVE":
            return self._forget_inactive(tx, service, now)
        round_ = begin_round(tx, self._fleet, service, now)
        attempts = deployments.attempts(round_)
        deployments.follow_requests(round_)
        rolling.settle_ended(round_)
        self._advance(round_)
        tell_of_tasks(round_)
        tell_of_room(round_)
        round_.end()
        deployments.keep_history(round_, attempts)
        return self._wake(round_)

    def _advance(self, round_: Round) -> None:
        if round_.service.status == "DRAINING":
            drain(round_)
            return
        if round_.service.deployment_controller == "EXTERNAL":
            external.advance(round_)
            return
        if round_.service.scheduling_strategy == "DAEMON":
            daemon.advance(round_)
            return
        attempt = deployments.current_attempt(round_)
        if attempt is not None and attempt.shifts_traffic:
            blue_green.advance(round_, attempt, self._served)
            return
        blue_green.inherit_target_groups(round_, attempt)
        rolling.replica(round_, blue_green.set_aside(round_, self._served))

    def _wake(self, round_: Round) -> Wake:
        waiting = self._lacking_room.setdefault(round_.service.cluster_arn, {})
        waiting.pop(round_.service.arn, None)
        if round_.lacks_room:
            waiting[round_.service.arn] = None
        if not waiting:
            del self._lacking_room[round_.service.cluster_arn]
        return Wake(at=round_.wakes_at, backoff=round_.lacks_room)

    def _forget_inactive(self, tx: Tx, service: Service, now: float) -> Wake:
        """A deleted service can be described for a while."""
        gone_at = (service.deleted_at or now) + self._inactive_retention
        if now < gone_at:
            return Wake(at=gone_at)
        forget_children(tx, service.arn)
        for key in list(tx.service_events.keys_by(service_arn=service.arn)):
            tx.service_events.delete(key)
        tx.services.delete(service.arn)
        return FORGET


def drain(round_: Round) -> None:
    """A deleted service stops all its tasks; it is INACTIVE once the last of them is at least STOPPING."""
    stop_tasks(round_, round_.kept)
    if all(_is_as_good_as_stopped(task) for task in round_.live):
        forget_children(round_.tx, round_.service.arn)
        round_.deployments.clear()
        round_.change(status="INACTIVE", steady_since=None)
        log.info("service_deleted", service=round_.service.arn)


def forget_children(tx: Tx, service_arn: str) -> None:
    """Deployments, their history and task sets go with the service. Source: DG, "View service history"."""
    tables = (tx.deployments, tx.service_deployments, tx.service_revisions, tx.task_sets)
    for table in tables:
        for key in list(table.keys_by(service_arn=service_arn)):
            table.delete(key)


def _is_as_good_as_stopped(task: Task) -> bool:
    return task.desired_status is DesiredStatus.STOPPED and task.last_status.rank >= TaskStatus.STOPPING.rank


def _own_arn(service: Service) -> Iterable[str]:
    return (service.arn,)


def _service_of(row: Deployment | ServiceDeployment | TaskSet) -> Iterable[str]:
    return (row.service_arn,)
