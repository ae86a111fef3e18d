"""Services under faults: who asks for them, and what must be true of them.

`floor_and_ceiling` looks at every transaction: what the service scheduler starts fits under the maximum percent, what
it stops leaves the minimum healthy percent. In the end every service that was not deleted is steady, unless it lacks
room.
"""

import random
from collections.abc import Collection, Iterator
from typing import Any

from homeport.base.clock import Clock
from homeport.control.health import judge
from homeport.control.rollout import Condition, limits_of
from homeport.control.targets import load_balancers_of
from homeport.model.service import Service
from homeport.model.status import DesiredStatus, StopCode
from homeport.model.task import Task
from homeport.shapes import ecs
from homeport.store.schema import Tables
from homeport.store.watch import Change
from tests.sim.caller import Caller
from tests.sim.clients import Doing, Operator, Promises
from tests.sim.traffic import left_over_deployments

FAMILIES = ("steady", "checked", "slow", "failing", "missing", "instant", "broken", "dynamic-port")
NO_BREAKER = ecs.DeploymentCircuitBreaker(enable=False, rollback=False)


class ServiceOperator(Operator):
    """Creates, updates and deletes a few services. `finish` leaves them all with a task definition that can run."""

    def __init__(
        self, name: str, caller: Caller, clock: Clock, rng: random.Random, promises: Promises, most: int = 2
    ) -> None:
        super().__init__(name, caller, clock, rng, promises)
        self.names = [f"{name}-{number}" for number in range(most)]

    def doings(self) -> list[Doing]:
        doings = [self._create] * 3 + [self._scale] * 3 + [self._deploy] * 3
        return [*doings, self._delete, self._look, self._stop_one, self._protect_one]

    async def _create(self) -> None:
        minimum, maximum = self._rng.choice([(100, 200), (50, 100), (0, 150), (50, 200)])
        request = ecs.CreateServiceRequest(
            service_name=self._rng.choice(self.names),
            task_definition=self._rng.choice(["steady", "checked", "dynamic-port"]),
            desired_count=self._rng.randint(1, 4),
            deployment_configuration=ecs.DeploymentConfiguration(
                minimum_healthy_percent=minimum,
                maximum_percent=maximum,
                deployment_circuit_breaker=ecs.DeploymentCircuitBreaker(
                    enable=self._rng.random() < 0.5, rollback=self._rng.random() < 0.7
                ),
            ),
        )
        answer = await self._try("CreateService", request)
        if answer is not None:
            self._promises.services.add(answer.service.service_arn)

    async def _update(self, **members: Any) -> Any:
        return await self._try(
            "UpdateService", ecs.UpdateServiceRequest(service=self._rng.choice(self.names), **members)
        )

    async def _scale(self) -> None:
        await self._update(desired_count=self._rng.randint(0, 4))

    async def _deploy(self) -> None:
        if self._rng.random() < 0.3:
            await self._update(force_new_deployment=True)
        else:
            await self._update(task_definition=self._rng.choice(FAMILIES))

    async def _delete(self) -> None:
        name = self._rng.choice(self.names)
        await self._try("DeleteService", ecs.DeleteServiceRequest(service=name, force=True))

    async def _look(self) -> None:
        await self._try("DescribeServices", ecs.DescribeServicesRequest(services=tuple(self.names)))

    async def _stop_one(self) -> None:
        """A user stops a task of a service, which replaces it."""
        arn = await self._some_task()
        if arn is not None:
            await self._try("StopTask", ecs.StopTaskRequest(task=arn, reason="see what happens"))

    async def _protect_one(self) -> None:
        """A task is kept from scale-in and deployments, for a minute."""
        arn = await self._some_task()
        if arn is not None:
            request = ecs.UpdateTaskProtectionRequest(
                cluster="default", tasks=(arn,), protection_enabled=True, expires_in_minutes=1
            )
            await self._try("UpdateTaskProtection", request)

    async def _some_task(self) -> str | None:
        answer = await self._try("ListTasks", ecs.ListTasksRequest(service_name=self._rng.choice(self.names)))
        arns = list((answer and answer.task_arns) or ())
        return self._rng.choice(arns) if arns else None

    async def finish(self) -> None:
        """However long it takes, every service that is there runs something that can run."""
        for name in self.names:
            while not await self._leave_steady(name):
                await self._clock.sleep(1)

    async def _leave_steady(self, name: str) -> bool:
        described = await self._try("DescribeServices", ecs.DescribeServicesRequest(services=(name,)))
        if described is None:
            return False
        active = [each for each in described.services or () if each.status == "ACTIVE"]
        answer = await self._try("UpdateService", self._last_update(active[0])) if active else None
        if answer is not None:
            self._promises.revisions[answer.service.service_arn] = answer.service.task_definition
        return answer is not None or not active

    def _last_update(self, service: ecs.Service) -> ecs.UpdateServiceRequest:
        """Without a circuit breaker: a cluster without room would have it roll back, perhaps to what cannot run."""
        return ecs.UpdateServiceRequest(
            service=service.service_name or "",
            task_definition="steady",
            desired_count=2,
            deployment_configuration=ecs.DeploymentConfiguration(
                minimum_healthy_percent=50,
                maximum_percent=200,
                deployment_circuit_breaker=NO_BREAKER,
            ),
            force_new_deployment=True,
        )


def floor_and_ceiling(tables: Tables, changes: list[Change], now: float) -> Iterator[str]:
    """What a transaction that started or stopped tasks of a service did beyond its limits."""
    touched: dict[str, _Touched] = {}
    for kind, _, before, after in changes:
        if kind != "task" or not isinstance(after, Task) or after.service_arn is None:
            continue
        if before is None:
            touched.setdefault(after.service_arn, _Touched()).started.append(after)
        elif isinstance(before, Task) and _was_given_up(tables, before, after, now):
            touched.setdefault(after.service_arn, _Touched()).stopped.append(after)
    for arn, tasks in touched.items():
        service = tables.services.get(arn)
        if service is not None and service.status == "ACTIVE":
            yield from _of_service(tables, service, tasks, now)


class _Touched:
    """The tasks of a service that a transaction started, and the healthy ones that it stopped."""

    def __init__(self) -> None:
        self.started: list[Task] = []
        self.stopped: list[Task] = []

    def of(self, owners: Collection[str]) -> "_Touched":
        """Those of these deployments."""
        own = _Touched()
        own.started = [task for task in self.started if task.started_by in owners]
        own.stopped = [task for task in self.stopped if task.started_by in owners]
        return own


def _was_given_up(tables: Tables, before: Task, after: Task, now: float) -> bool:
    return (
        before.desired_status is DesiredStatus.RUNNING
        and after.desired_status is DesiredStatus.STOPPED
        and after.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED
        and _is_healthy(tables, before, now)
    )


def _is_healthy(tables: Tables, task: Task, now: float) -> bool:
    """The grace period has no say: it does not make a task healthy."""
    expected = sum(1 for entry in load_balancers_of(tables, task) if entry.target_group_arn)
    targets = tables.targets.by(owner=task.arn) if expected else ()
    return judge(task, targets, expected, 0.0, now).condition is Condition.HEALTHY


def _of_service(tables: Tables, service: Service, tasks: _Touched, now: float) -> Iterator[str]:
    """While a deployment shifts traffic each deployment has limits of its own, or (without a count) is to go. What an
    interrupted one has left where no traffic goes is no part of a rolling deployment.
    """
    rows = tables.deployments.by(service_arn=service.arn)
    if any(attempt.shifts_traffic for attempt in tables.service_deployments.by(open_of=service.arn)):
        parts = [(row.desired_count, {row.id}) for row in rows if row.desired_count]
    else:
        parts = [(service.desired_count, {row.id for row in rows} - left_over_deployments(tables, service))]
    for count, owners in parts:
        live = [
            task
            for task in tables.tasks.by(unsettled_of=service.arn)
            if task.started_by in owners and not task.is_stopped
        ]
        yield from _within_limits(tables, service, count, live, tasks.of(owners), now)


def _within_limits(
    tables: Tables, service: Service, count: int, live: list[Task], tasks: _Touched, now: float
) -> Iterator[str]:
    limits = limits_of(service.deployment_configuration, count)
    kept = [task for task in live if task.desired_status is DesiredStatus.RUNNING]
    may_run = [task for task in live if task in kept or task.execution_stopped_at is None]
    if tasks.started and len(may_run) > limits.ceiling:
        yield f"{service.arn}: {len(may_run)} tasks were started or may still run, {limits.ceiling} may be"
    healthy = sum(_is_healthy(tables, task, now) for task in kept)
    if tasks.stopped and healthy < limits.floor:
        yield f"{service.arn}: {len(tasks.stopped)} healthy tasks were stopped, {healthy} are left, {limits.floor} must be"


def unsettled_services(tables: Tables) -> Iterator[str]:
    """Services that are neither deleted, nor steady, nor waiting for room."""
    for service in tables.services:
        if service.status == "INACTIVE":
            continue
        if service.status == "DRAINING":
            yield f"{service.arn} is still DRAINING"
        elif service.steady_since is None and "placement" not in service.told:
            events = [row.message for row in tables.service_events.by(service_arn=service.arn)][-3:]
            yield f"{service.arn} is not steady: {events}"
    for attempt in tables.service_deployments:
        service_row = tables.services.get(attempt.service_arn)
        if not attempt.is_over and service_row is not None and service_row.steady_since is not None:
            yield f"{attempt.arn} is {attempt.status} although its service is steady"


def lost_services(tables: Tables, promises: Promises) -> Iterator[str]:
    yield from (f"{arn} was acknowledged and is lost" for arn in promises.services if arn not in tables.services)
