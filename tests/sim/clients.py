"""What people and scripts ask of a region, at random, and what they were promised.

A promise is an answer of success. `Promises` keeps what must be true from then on; whoever is not answered may assume
nothing, but may ask again with the same client token.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from homeport.agent.backend import Refused
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.drivers.engine.fake_parts import Behaviour
from homeport.model.status import TaskStatus
from homeport.shapes import ecs
from tests.sim.caller import Caller

BEHAVIOURS = {
    "steady": Behaviour(teardown_takes=0.1),
    "stubborn": Behaviour(stop_takes=None),
    "short": Behaviour(exit_after=4.0, exit_code=0, teardown_takes=1.5),
    "failing": Behaviour(exit_after=20.0, exit_code=3, teardown_takes=0.1),
    "instant": Behaviour(exit_after=0.0, exit_code=1),
    "hungry": Behaviour(exit_after=15.0, exit_code=137, oom_killed=True),
    "checked": Behaviour(health=("healthy", "unhealthy", "healthy"), health_interval=7.0),
    "sick": Behaviour(health=("healthy", "unhealthy"), health_interval=6.0),
    "slow": Behaviour(pull_takes=20.0, start_takes=3.0),
    "missing": Behaviour(pull_error="manifest unknown: manifest unknown"),
    "denied": Behaviour(pull_denied=True),
    "broken": Behaviour(start_error="OCI runtime create failed: exec: no such file or directory"),
    "offline": Behaviour(registry_error="dial tcp: i/o timeout"),
}
#: Families whose tasks fail in ways that a circuit breaker counts.
FAILING = {"missing", "broken", "broken-web", "sick-web"}
#: Families that are not healthy, or not for long, in ways that it does not count: tasks that exit once they have run, and
#: (`checked`) container health checks, of which agents tell by telemetry that they do not send here.
UNSTEADY = {"failing", "instant", "checked", "fading-web", "dying-web"}
#: How long at most a task of such an image may want to run before it ends by itself; None: it runs until stopped.
FOREVER = ("steady", "stubborn", "checked", "slow")

Doing = Callable[[], Awaitable[None]]


def container(name: str, image: str, **more: Any) -> ecs.ContainerDefinition:
    if image in ("checked", "sick"):
        more["health_check"] = ecs.HealthCheck(command=("CMD-SHELL", "true"))
    return ecs.ContainerDefinition(name=name, image=image, **{"memory": 128, "cpu": 64, **more})


def _needs(name: str, condition: Any) -> tuple[ecs.ContainerDependency, ...]:
    return (ecs.ContainerDependency(container_name=name, condition=condition),)


def families() -> list[ecs.RegisterTaskDefinitionRequest]:
    """One family for each behaviour, and some with several containers."""
    new = ecs.RegisterTaskDefinitionRequest
    single = [new(family=image, container_definitions=(container("main", image),)) for image in BEHAVIOURS]
    port = ecs.PortMapping(container_port=80, host_port=8080)
    dynamic = ecs.PortMapping(container_port=80, host_port=0)
    return [
        *single,
        new(family="fixed-port", container_definitions=(container("main", "steady", port_mappings=(port,)),)),
        new(family="dynamic-port", container_definitions=(container("main", "steady", port_mappings=(dynamic,)),)),
        new(family="large", container_definitions=(container("main", "steady", memory=900, cpu=700),)),
        new(
            family="pair",
            container_definitions=(
                container("init", "short", essential=False),
                container("main", "steady", depends_on=_needs("init", "SUCCESS")),
                container("side", "failing", essential=False, depends_on=_needs("main", "START")),
            ),
        ),
        new(
            family="restarting",
            container_definitions=(
                container(
                    "main",
                    "failing",
                    restart_policy=ecs.ContainerRestartPolicy(enabled=True, restart_attempt_period=60),
                ),
                container("side", "stubborn", stop_timeout=3),
            ),
        ),
    ]


class Promises:
    """`tasks`: acknowledged ones, with the least they may be: (status rank, desired STOPPED). By ARN.

    `batches`: how many tasks a RunTask with a client token may have started at most, by `startedBy`. `balancing`: ARNs
    of load balancers and their parts. `revisions`: the task definition that a service (by ARN) is to run in the end.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, tuple[int, bool]] = {}
        self.definitions: set[str] = set()
        self.services: set[str] = set()
        self.balancing: set[str] = set()
        self.revisions: dict[str, str] = {}
        self.batches: dict[str, int] = {}
        self.broken: list[str] = []

    def saw(self, task: ecs.Task, floor: tuple[int, bool]) -> None:
        """A client was shown a task; `floor` is what was promised of it before it asked."""
        rank = TaskStatus(task.last_status or "").rank
        stops = task.desired_status == "STOPPED"
        if rank < floor[0] or (floor[1] and not stops):
            self.broken.append(f"{task.task_arn} was shown as {task.last_status}/{task.desired_status} after {floor}")
        known = self.tasks.get(task.task_arn or "", (0, False))
        self.tasks[task.task_arn or ""] = (max(known[0], rank), known[1] or stops)


class Operator:
    """One client that does one thing after the other until told to end."""

    def __init__(self, name: str, caller: Caller, clock: Clock, rng: random.Random, promises: Promises) -> None:
        self.name = name
        self._caller = caller
        self._clock = clock
        self._rng = rng
        self._promises = promises
        self._runs = 0
        self.is_ending = False

    async def prepare(self) -> None:
        """Register every family, however long it takes."""
        for request in families():
            while await self._try("RegisterTaskDefinition", request) is None:
                await self._clock.sleep(1)

    def doings(self) -> list[Doing]:
        doings = [self._run] * 6 + [self._stop] * 4 + [self._describe] * 4
        return [*doings, self._start, self._list, self._register, self._drain, self._drain, self._spoil]

    async def work(self, pause: float) -> None:
        """Ask for something every `pause` seconds or so."""
        doings = self.doings()
        while not self.is_ending:
            await self._clock.sleep(self._rng.expovariate(1 / pause))
            await self._rng.choice(doings)()

    async def finish(self) -> None:
        """Once nothing goes wrong any more: leave what can come to rest."""

    async def _try(self, operation: str, request: Any, caller: Caller | None = None) -> Any:
        """The answer; None for any error."""
        try:
            answer = await (caller or self._caller).call(operation, request)
        except (Transient, Refused):
            return None
        if operation == "RegisterTaskDefinition":
            self._promises.definitions.add(answer.task_definition.task_definition_arn)
        return answer

    def _family(self) -> str:
        return str(
            self._rng.choice(
                [*BEHAVIOURS, "fixed-port", "dynamic-port", "large", "pair", "restarting"] + ["steady"] * 4
            )
        )

    async def _run(self) -> None:
        self._runs += 1
        strategies: list[tuple[ecs.PlacementStrategy, ...]] = [
            (),
            (ecs.PlacementStrategy(type="random"),),
            (ecs.PlacementStrategy(type="spread", field="instanceId"),),
            (ecs.PlacementStrategy(type="binpack", field="memory"),),
        ]
        batch = f"{self.name}-{self._runs}"
        request = ecs.RunTaskRequest(
            task_definition=self._family(),
            count=self._rng.randint(1, 4),
            placement_strategy=self._rng.choice(strategies) or None,
            started_by=batch,
            client_token=batch if self._rng.random() < 0.6 else None,
        )
        if request.client_token is not None:
            self._promises.batches[batch] = request.count or 1
        for _ in range(3 if request.client_token else 1):
            answer = await self._try("RunTask", request)
            if answer is not None:
                for task in answer.tasks or ():
                    self._promises.saw(task, (0, False))
                return
            await self._clock.sleep(self._rng.random() * 3)

    async def _start(self) -> None:
        instances = await self._instances()
        if instances:
            self._runs += 1
            request = ecs.StartTaskRequest(
                task_definition=self._family(),
                container_instances=tuple(self._rng.sample(instances, min(len(instances), 2))),
                started_by=f"{self.name}-{self._runs}",
            )
            answer = await self._try("StartTask", request)
            for task in (answer and answer.tasks) or ():
                self._promises.saw(task, (0, False))

    async def _instances(self) -> list[str]:
        answer = await self._try("ListContainerInstances", ecs.ListContainerInstancesRequest())
        return list((answer and answer.container_instance_arns) or ())

    async def _stop(self) -> None:
        live = [arn for arn, floor in self._promises.tasks.items() if not floor[1]]
        if not live:
            return
        arn = self._rng.choice(live)
        floor = self._promises.tasks[arn]  # as it was before asking: others may be shown more before the answer is here
        answer = await self._try("StopTask", ecs.StopTaskRequest(task=arn, reason="enough"))
        if answer is not None:
            self._promises.saw(answer.task, floor)

    async def _describe(self) -> None:
        arns = list(self._promises.tasks)
        if not arns:
            return
        some = tuple(self._rng.sample(arns, min(len(arns), 8)))
        floors = {arn: self._promises.tasks[arn] for arn in some}
        answer = await self._try("DescribeTasks", ecs.DescribeTasksRequest(tasks=some))
        for task in (answer and answer.tasks) or ():
            self._promises.saw(task, floors[task.task_arn])

    async def _list(self) -> None:
        await self._try("ListTasks", ecs.ListTasksRequest(desired_status=self._rng.choice(["RUNNING", "STOPPED"])))

    async def _register(self) -> None:
        request = self._rng.choice(families())
        await self._try("RegisterTaskDefinition", replace(request, tags=(ecs.Tag(key="by", value=self.name),)))

    async def _drain(self) -> None:
        instances = await self._instances()
        if instances:
            request = ecs.UpdateContainerInstancesStateRequest(
                container_instances=(self._rng.choice(instances),),
                status="DRAINING" if self._rng.random() < 0.3 else "ACTIVE",
            )
            await self._try("UpdateContainerInstancesState", request)

    async def _spoil(self) -> None:
        """Something refused, or rare."""
        if self._rng.random() < 0.8:
            await self._try("StopTask", ecs.StopTaskRequest(task="0" * 32))
            return
        instances = await self._instances()
        if instances:
            request = ecs.DeregisterContainerInstanceRequest(
                container_instance=self._rng.choice(instances), force=self._rng.random() < 0.7
            )
            await self._try("DeregisterContainerInstance", request)
