"""Tasks of services as targets of load balancers: registered once they run, drained before they are stopped.

Key: a service's ARN, so that one look at many tasks makes one event (a task's ARN has its service looked at). What a
task should be registered as follows from its rows (revision, port bindings, container instance); what it is registered
as are the targets that it owns. A task that shall stop keeps running while its targets drain
(`model.target_health.is_held` is what dispatch asks), and shows DEACTIVATING; then it is STOPPING. A task that has died
loses its targets at once, for nobody answers there any more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from homeport.base.log import get_logger
from homeport.control.runner import FORGET, Reconciler, Wake, Waker
from homeport.model import service_events as events
from homeport.model.load_balancer import Target, TargetGroup, target_key
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.target_health import deregistration_delay, draining, has_died, registering
from homeport.model.task import Container, Task
from homeport.model.traffic import entries_of
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("targets")
_TASK = ":task/"


class ServiceTargets(Reconciler):
    """Brings the targets of a service's tasks in line with the tasks."""

    name = "service-targets"

    def __init__(self) -> None:
        self.wakes = {"task": self._service_of, "target": _owner_of}
        self._wake: Waker = lambda _: None
        self._changed: dict[str, dict[str, None]] = {}
        self._due: dict[str, dict[str, float]] = {}

    def listen(self, wake: Waker) -> None:
        self._wake = wake

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        """Only tasks that have changed, or whose targets have drained, are looked at: a service may have thousands."""
        if _TASK in key:
            task = tx.tasks.get(key)
            for service_arn in () if task is None else self._service_of(task):
                self._wake(service_arn)
            return FORGET
        look, due = _Look(tx, now), self._due.get(key, {})
        changed = self._changed.get(key, {}) | {arn: None for arn, at in due.items() if at <= now}
        for task in [task for arn in changed if (task := tx.tasks.get(arn)) is not None]:
            look.at_task(task)
        look.announce(key)
        due = {arn: at for arn, at in due.items() if arn not in changed} | look.due
        self._due[key] = due
        if not due:
            del self._due[key]
        self._changed.pop(key, None)
        return Wake(at=min(due.values(), default=None))

    def _service_of(self, task: Task) -> Iterable[str]:
        """A task that only is to run, but does not yet, is none of our business."""
        is_starting = task.last_status.rank < TaskStatus.RUNNING.rank and task.desired_status is DesiredStatus.RUNNING
        if task.service_arn is None or is_starting:
            return ()
        self._changed.setdefault(task.service_arn, {})[task.arn] = None
        return (task.service_arn,)


class _Look:
    """One look at a service: what changed, and when targets of a task will have drained (`due`).

    Counted by target group and by what started the tasks, a deployment or a task set.
    """

    def __init__(self, tx: Tx, now: float) -> None:
        self._tx = tx
        self._now = now
        self._balancers: dict[str | None, tuple[shapes.LoadBalancer, ...]] = {}
        self._registered: Counter[tuple[str, str | None]] = Counter()
        self._deregistered: Counter[tuple[str, str | None]] = Counter()
        self._draining: Counter[str | None] = Counter()
        self.due: dict[str, float] = {}

    def at_task(self, task: Task) -> None:
        owned = self._tx.targets.by(owner=task.arn)
        if has_died(task):
            self._lose(task, owned)
        elif task.desired_status is DesiredStatus.STOPPED:
            self._drain(task, owned)
        elif task.last_status is TaskStatus.RUNNING:
            self._keep(task, owned)

    def announce(self, service_arn: str) -> None:
        service = self._tx.services.get(service_arn)
        if service is None:
            return
        is_external = service.deployment_controller == "EXTERNAL"
        for counts, sentence in ((self._registered, events.registered), (self._deregistered, events.deregistered)):
            for (group_arn, task_set_id), count in _told(counts, by_task_set=is_external).items():
                events.announce(self._tx, service, sentence(count, group_arn), task_set_id)
        for owner, count in self._draining.items():
            events.announce(self._tx, service, events.began_draining(count), owner or "")

    def _lose(self, task: Task, owned: list[Target]) -> None:
        for target in owned:
            self._remove(task, target)
        if owned and not task.is_stopped:
            self._tx.tasks.put(_at_least(task, TaskStatus.STOPPING))

    def _drain(self, task: Task, owned: list[Target]) -> None:
        """Targets that drained are gone; the others drain from now on."""
        if not owned and task.last_status is not TaskStatus.DEACTIVATING:
            return
        left = [target for target in owned if not self._drained(task, target)]
        if any(target.drain_until is None for target in left):
            self._draining[task.started_by] += 1
        for target in left:
            if target.drain_until is None:
                self._deregistered[target.target_group_arn, task.started_by] += 1
                until = self._now + deregistration_delay(self._tx.target_groups.get(target.target_group_arn))
                self._tx.targets.put(draining(target, until))
            else:
                until = target.drain_until
            self._look_again(task, until)
        self._tx.tasks.put(_at_least(task, TaskStatus.DEACTIVATING if left else TaskStatus.STOPPING))

    def _look_again(self, task: Task, at: float) -> None:
        self.due[task.arn] = min(at, self.due.get(task.arn, at))

    def _drained(self, task: Task, target: Target) -> bool:
        """Whether the target is gone (now): its delay is over, or nothing could ever reach it."""
        if target.drain_until is not None:
            if target.drain_until <= self._now:
                self._tx.targets.delete(target.key)
                return True
            return False
        if target.state == "unused" or target.target_group_arn not in self._tx.target_groups:
            self._remove(task, target)
            return True
        return False

    def _keep(self, task: Task, owned: list[Target]) -> None:
        """Register what is missing; forget what is no longer true, such as the port of a container that started anew."""
        wanted = wanted_targets(self._tx, task, self._load_balancers(task), self._now)
        for target in owned:
            if target.key not in wanted:
                self._remove(task, target)
            elif target.drain_until is not None and not self._drained(task, target):
                self._look_again(task, target.drain_until)
        for key, target in wanted.items():
            known = self._tx.targets.get(key)
            if known is not None and known.owner == task.arn:
                continue
            is_users = known is not None and known.owner is None and known.drain_until is None
            self._tx.targets.put(replace(known, owner=task.arn) if known is not None and is_users else target)
            self._registered[target.target_group_arn, task.started_by] += 1
            log.info("target_registered", target=key, task=task.arn)

    def _remove(self, task: Task, target: Target) -> None:
        if target.drain_until is None:
            self._deregistered[target.target_group_arn, task.started_by] += 1
        self._tx.targets.delete(target.key)

    def _load_balancers(self, task: Task) -> tuple[shapes.LoadBalancer, ...]:
        known = self._balancers.get(task.started_by)
        if known is None:
            known = self._balancers[task.started_by] = load_balancers_of(self._tx, task)
        return known


def _told(counts: Mapping[tuple[str, str | None], int], *, by_task_set: bool) -> dict[tuple[str, str], int]:
    """The counts by target group and task set; one number a target group ("" as task set) where none is named."""
    told: Counter[tuple[str, str]] = Counter()
    for (group_arn, owner), count in counts.items():
        told[group_arn, (owner or "") if by_task_set else ""] += count
    return dict(told)


class DrainingTargets(Reconciler):
    """Ends targets that nobody else ends: those of users that have drained, of groups and of tasks that are gone.

    Key: a target's key.
    """

    name = "draining-targets"

    def __init__(self) -> None:
        self.wakes = {"target": lambda target: (target.key,)}

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        target = tx.targets.get(key)
        if target is None:
            return FORGET
        if _is_over(tx, target, now):
            tx.targets.delete(key)
            return FORGET
        return Wake(at=target.drain_until if target.owner is None else None)


def _is_over(tx: Tx, target: Target, now: float) -> bool:
    if target.target_group_arn not in tx.target_groups:
        return True
    if target.owner is None:
        return target.drain_until is not None and target.drain_until <= now
    task = tx.tasks.get(target.owner)
    return task is None or task.is_stopped


def load_balancers_of(tables: Tables, task: Task) -> tuple[shapes.LoadBalancer, ...]:
    """The entries of the revision or task set that the task was started for."""
    deployment = tables.deployments.get(task.started_by or "")
    revision = tables.service_revisions.get(deployment.revision_arn) if deployment is not None else None
    if deployment is not None and revision is not None:
        return entries_of(deployment, revision.load_balancers)
    for task_set in tables.task_sets.by(service_arn=task.service_arn):
        if task_set.id == task.started_by:
            return task_set.load_balancers
    service = tables.services.get(task.service_arn or "")
    return service.load_balancers if service is not None else ()


def wanted_targets(
    tables: Tables, task: Task, load_balancers: Iterable[shapes.LoadBalancer], now: float
) -> dict[str, Target]:
    """The targets of a running task, by key: one for each entry whose container runs and whose port is known."""
    containers = {each.name: each for each in task.containers if each.last_status == "RUNNING"}
    wanted = {}
    for entry in load_balancers:
        group = tables.target_groups.get(entry.target_group_arn or "")
        container = containers.get(entry.container_name or "")
        if group is None or container is None or entry.container_port is None:
            continue
        for target_id, port in _places(tables, task, container, entry.container_port, group):
            key = target_key(group.arn, target_id, port)
            wanted[key] = registering(
                Target(
                    key=key,
                    target_group_arn=group.arn,
                    id=target_id,
                    port=port,
                    registered_at=now,
                    availability_zone=task.availability_zone,
                    owner=task.arn,
                )
            )
    return wanted


def _places(
    tables: Tables, task: Task, container: Container, container_port: int, group: TargetGroup
) -> Iterator[tuple[str, int]]:
    """Where the container's port is reached, as (target id, port): at its own address, or at its host's."""
    own_address = _own_address(task)
    if own_address is not None:
        yield own_address, container_port
        return
    instance = tables.container_instances.get(task.container_instance_arn or "")
    port = _host_port(tables, task, container, container_port, "udp" if group.protocol == "UDP" else "tcp")
    if instance is not None and port is not None:
        yield (instance.ec2_instance_id if group.target_type == "instance" else instance.address), port


def _own_address(task: Task) -> str | None:
    """The task's own network interface, in mode `awsvpc`."""
    for attachment in task.attachments:
        for detail in attachment.details or ():
            if detail.name == "privateIPv4Address" and detail.value:
                return detail.value
    return None


def _host_port(tables: Tables, task: Task, container: Container, container_port: int, protocol: str) -> int | None:
    """The host port that the agent reported for the container's; in mode `host` they are the same."""
    for binding in container.network_bindings:
        if binding.container_port == container_port and (binding.protocol or "tcp") == protocol and binding.host_port:
            return binding.host_port
    found = tables.task_definitions.get(task.task_definition_arn)
    is_host = found is not None and found.definition.network_mode == "host"
    return container_port if is_host else None


def _owner_of(target: Target) -> Iterable[str]:
    return (target.owner,) if target.owner is not None else ()


def _at_least(task: Task, status: TaskStatus) -> Task:
    """The task moved on to the status; itself if it is there or beyond."""
    if task.last_status.rank >= status.rank:
        return task
    return replace(task, last_status=status, version=task.version + 1)
