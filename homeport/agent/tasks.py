"""All tasks of this host: their workers, who may look them up, and what follows when one changes.

Every change of a record comes by here once: it is saved, indexed, reported, and its resources are given to whoever
waits for them. A task that does not fit waits alone; the others go on.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from homeport.agent import lifecycle
from homeport.agent.accept import new_record
from homeport.agent.hands import Hands, port_owner
from homeport.agent.host import HostResources
from homeport.agent.ports import PortAllocator
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.reports import Report, acknowledged
from homeport.agent.state import AgentState
from homeport.agent.worker import TaskWorker
from homeport.base.clock import Clock
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.drivers.engine import ContainerState
from homeport.shapes import acs

log = get_logger("tasks")
_STOPPED = ContainerStatus.STOPPED


class Told(Protocol):
    """Told of every change of a record: the reporter."""

    def changed(self, task: TaskRecord) -> None: ...


class Forgetting(Protocol):
    """Role credentials, which go when their task has stopped."""

    def remove(self, task_arn: str) -> None: ...


class Tasks:
    """`TaskBook`, and the workers behind it. `task_limits`: tasks get a control group of their own."""

    def __init__(
        self,
        *,
        state: AgentState,
        hands: Hands,
        clock: Clock,
        supervisor: Supervisor,
        host: HostResources,
        ports: PortAllocator,
        endpoint_seed: str,
        task_limits: bool,
        credentials: Forgetting,
    ) -> None:
        self._state = state
        self._hands = hands
        self._clock = clock
        self._supervisor = supervisor
        self._host = host
        self._ports = ports
        self._endpoint_seed = endpoint_seed
        self._task_limits = task_limits
        self._credentials = credentials
        self._workers: dict[str, TaskWorker] = {}
        self._endpoints: dict[str, tuple[str, str]] = {}
        self._docker_ids: dict[str, tuple[str, str]] = {}
        self._listeners: list[Told] = []

    # ---- looking

    def all(self) -> tuple[TaskRecord, ...]:
        return tuple(worker.record for worker in self._workers.values())

    def by_arn(self, task_arn: str) -> TaskRecord | None:
        worker = self._workers.get(task_arn)
        return worker.record if worker else None

    def by_endpoint_id(self, endpoint_id: str) -> tuple[TaskRecord, ContainerRecord] | None:
        return self._find(self._endpoints.get(endpoint_id))

    def by_docker_id(self, docker_id: str) -> tuple[TaskRecord, ContainerRecord] | None:
        return self._find(self._docker_ids.get(docker_id))

    def _find(self, where: tuple[str, str] | None) -> tuple[TaskRecord, ContainerRecord] | None:
        if where is None or (worker := self._workers.get(where[0])) is None:
            return None
        container = worker.record.container(where[1])
        return None if container is None else (worker.record, container)

    # ---- commands of the control plane

    def accept(self, spec: acs.Task) -> None:
        """A task of a payload. A known one only moves towards STOPPED; an unknown one to be stopped is reported so."""
        worker = self._workers.get(spec.arn)
        if worker is not None:
            if spec.desired_status == "STOPPED":
                worker.stop()
            return
        record = new_record(spec, self._clock.now(), endpoint_seed=self._endpoint_seed, task_limits=self._task_limits)
        log.info("task_accepted", task=record.arn, desired=spec.desired_status, refused=record.reason)
        self._begin(record)

    def stop(self, task_arn: str) -> None:
        worker = self._workers.get(task_arn)
        if worker is not None:
            worker.stop()

    def acknowledge(self, task_arn: str, report: Report) -> None:
        """The control plane has accepted a report."""
        worker = self._workers.get(task_arn)
        if worker is not None:
            worker.amend(lambda task: acknowledged(task, report))

    def forget(self, task_arn: str) -> None:
        """The task's containers are gone, and so is its record."""
        worker = self._workers.pop(task_arn, None)
        if worker is None:
            return
        worker.close()
        for container in worker.record.containers:
            self._endpoints.pop(container.endpoint_id, None)
            self._docker_ids.pop(container.docker_id or "", None)
        self._state.forget(task_arn)

    # ---- starting

    def listen(self, listener: Told) -> None:
        """Tell `listener` of every change from now on, and of every task as it is."""
        self._listeners.append(listener)
        for record in self.all():
            listener.changed(record)

    def restore(self, records: Iterable[TaskRecord]) -> None:
        """Take over the records of an earlier process; nothing is started before `resume`."""
        for record in records:
            self._add(record)
            if record.known is _STOPPED:
                continue
            if any(max(each.known, each.applied) >= ContainerStatus.CREATED for each in record.containers):
                self._host.take_anyway(record.spec)
                self._workers[record.arn].is_admitted = True
            for container in record.containers:
                if container.ports and record.spec.network_mode != "host":
                    self._ports.adopt(port_owner(record.arn, container.name), container.ports)

    def adopt(self, seen: Mapping[tuple[str, str], ContainerState]) -> None:
        """Fold what the engine showed before anything was started, by (task ARN, container name)."""
        for worker in self._workers.values():
            for container in worker.record.containers:
                state = seen.get((worker.record.arn, container.name))
                change = self._hands.missed(container.name) if state is None else self._hands.saw(container.name, state)
                worker.amend(change)

    def adopt_unknown(self, record: TaskRecord) -> None:
        """A task whose containers run although its record is lost."""
        if record.arn not in self._workers:
            self._host.take_anyway(record.spec)
            self._add(record).is_admitted = True
            self._state.save(record)
            self._workers[record.arn].step()

    def resume(self) -> None:
        """Go on with every task."""
        for worker in tuple(self._workers.values()):
            self._admit(worker)
            worker.step()

    def notice(self, task_arn: str, name: str) -> None:
        """Something happened to a container that the engine should be asked about."""
        worker = self._workers.get(task_arn)
        if worker is not None:
            worker.look_at(name)

    def _begin(self, record: TaskRecord) -> None:
        worker = self._add(record)
        self._state.save(record)
        self._admit(worker)
        worker.step()

    def _add(self, record: TaskRecord) -> TaskWorker:
        worker = TaskWorker(
            record, hands=self._hands, clock=self._clock, supervisor=self._supervisor, published=self._published
        )
        self._workers[record.arn] = worker
        for container in record.containers:
            self._endpoints[container.endpoint_id] = (record.arn, container.name)
            if container.docker_id:
                self._docker_ids[container.docker_id] = (record.arn, container.name)
        return worker

    # ---- consequences

    def _admit(self, worker: TaskWorker) -> None:
        if not worker.is_admitted and worker.record.desired is not _STOPPED:
            worker.is_admitted = self._host.take(worker.record.spec)
            if not worker.is_admitted:
                log.info("task_waits", task=worker.record.arn, lacking=self._host.lacking(worker.record.spec))

    def _admit_waiting(self) -> None:
        waiting = [
            worker.record.spec
            for worker in self._workers.values()
            if not worker.is_admitted and worker.record.desired is not _STOPPED
        ]
        for task_arn in self._host.admit(waiting) if waiting else ():
            worker = self._workers[task_arn]
            worker.is_admitted = True
            self._supervisor.spawn(f"admit {worker.record.id}", _step(worker))

    def _published(self, before: TaskRecord, after: TaskRecord) -> None:
        self._state.save(after)
        for container in after.containers:
            if container.docker_id:
                self._docker_ids[container.docker_id] = (after.arn, container.name)
        if after.known is not before.known:
            log.info("task_changed", task=after.arn, known=after.known.name, desired=after.desired.name)
            if after.known is _STOPPED:
                self._let_go(after)
        for listener in self._listeners:
            listener.changed(after)

    def _let_go(self, task: TaskRecord) -> None:
        for container in task.containers:
            self._ports.release(port_owner(task.arn, container.name))
        self._credentials.remove(task.arn)
        self._host.release(task.arn)
        self._admit_waiting()

    def blocked(self, task_arn: str) -> dict[str, str]:
        """Why the task's containers wait, by name; by "" for the task as a whole."""
        worker = self._workers.get(task_arn)
        if worker is None:
            return {}
        if not worker.is_admitted and worker.record.desired is not _STOPPED:
            return {"": "waiting for " + ", ".join(self._host.lacking(worker.record.spec))}
        return lifecycle.blocked(worker.record, self._clock.now())


async def _step(worker: TaskWorker) -> None:
    worker.step()
