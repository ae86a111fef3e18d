"""Services: a killed container replaced, twenty tasks rolled to a new spec, and a deployment behind a load balancer.

The first two are ratios to Docker Swarm on the same engine, by turns. Both sides are judged by the engine alone: from
just before the request (kill, update) until the engine's own `StartedAt` of the last new container. So nobody's
reporting is part of the figure, and neither is how often we look. The third has no peer: seconds until every task of a
rolling deployment is placed, runs, is healthy, the old ones are drained, and the deployment is over.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.figure import Figure, ratios, spread
from bench.peers import DOCKER_HOST, SWARM_LABEL, Bare, Swarm, body_of, swarm
from homeport.agent.cgroup import Cgroups
from homeport.base.arn import last_part
from homeport.base.clock import SystemClock
from homeport.base.errors import NotFound, Transient
from homeport.drivers.engine.docker import DockerEngine
from homeport.drivers.engine.docker_http import DockerHttp
from tests.system.images import TEST_IMAGE, build_test_image
from tests.system.live import Live

MEMORY_MIB = 16
MANY = 20
BEHIND_BALANCER = 10
KILLS = 5
ROLLS = 3
_FAMILY = "homeport-bench-service"
_FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
_TASK_LABEL = "com.amazonaws.ecs.task-arn"
_COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
"""Ends at once when told to: how long a stop takes is then nobody's timeout."""
_SERVE = ["sh", "-c", "trap 'exit 0' TERM; mkdir -p /www; echo ok > /www/index.html; httpd -f -p 8080 -h /www & wait"]
_POLL_SECONDS = 0.03
_SETTLE_SECONDS = 0.4
_PATIENCE_SECONDS = 120.0
_CHECK_SECONDS = 5
_DRAIN_SECONDS = 5


class Containers:
    """The running containers with one label, as the engine tells of them."""

    def __init__(self, http: DockerHttp, label: str) -> None:
        self._http = http
        self._filters = f'{{"label":["{label}"]}}'

    async def ids(self) -> set[str]:
        rows = await self._http.call("GET", "/containers/json", query={"filters": self._filters})
        return {row["Id"] for row in rows}

    async def settled(self, count: int) -> set[str]:
        """The containers' ids, once exactly `count` have been there for a moment."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        before: set[str] = set()
        while True:
            now = await self.ids()
            if len(now) == count and now == before:
                return now
            assert time.monotonic() < deadline, f"{len(now)} containers run instead of {count}"
            before = now
            await asyncio.sleep(_SETTLE_SECONDS)

    async def replaced(self, old: set[str], count: int, since: float) -> float:
        """Seconds from `since` (epoch) until the last of `count` others than `old` was started."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while len(new := await self.ids() - old) < count:
            assert time.monotonic() < deadline, f"{len(new)} of {count} containers were started"
            await asyncio.sleep(_POLL_SECONDS)
        return max([await self._started_at(each) for each in new]) - since

    async def kill_one(self, count: int) -> float:
        """Seconds from `docker kill` of one of `count` containers until another one was started."""
        old = await self.settled(count)
        since = time.time()
        await self._http.call("POST", f"/containers/{min(old)}/kill")
        return await self.replaced(old, 1, since)

    async def roll(self, change: Callable[[], Awaitable[None]], count: int) -> float:
        """Seconds from `change` until `count` new containers were started in place of as many old ones."""
        old = await self.settled(count)
        since = time.time()
        await change()
        return await self.replaced(old, count, since)

    async def _started_at(self, container_id: str) -> float:
        text = (await self._http.call("GET", f"/containers/{container_id}/json"))["State"]["StartedAt"]
        return datetime.fromisoformat(f"{text[:26].rstrip('Z')}+00:00").timestamp()


class Service:
    """One service of a running Homeport, made with no tasks."""

    def __init__(self, live: Live, name: str, command: list[str], **more: Any) -> None:
        self._ecs = live.ecs
        self._container = {
            "name": "main",
            "image": TEST_IMAGE,
            "memory": MEMORY_MIB,
            "essential": True,
            "command": command,
            **({"portMappings": [{"containerPort": 8080}]} if "loadBalancers" in more else {}),
        }
        self.name = name
        self._ecs.create_service(serviceName=name, taskDefinition=self.define("0"), desiredCount=0, **more)

    def define(self, release: str) -> str:
        container = self._container | {"environment": [{"name": "RELEASE", "value": release}]}
        answer = self._ecs.register_task_definition(family=_FAMILY, containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    async def update(self, **changes: Any) -> None:
        await asyncio.to_thread(self._ecs.update_service, service=self.name, **changes)

    def show(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ecs.describe_services(services=[self.name])["services"][0]
        return found

    def tasks(self) -> list[dict[str, Any]]:
        arns = self._ecs.list_tasks(serviceName=self.name)["taskArns"]
        found: list[dict[str, Any]] = self._ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return found

    def delete(self) -> None:
        self._ecs.delete_service(service=self.name, force=True)


@dataclass
class Sides:
    """Homeport's service and Swarm's, of the same image, command and memory limit, on one engine."""

    http: DockerHttp
    service: Service
    peer: Swarm
    ours: Containers = field(init=False)
    theirs: Containers = field(init=False)

    def __post_init__(self) -> None:
        self.ours = Containers(self.http, f"{_FAMILY_LABEL}={_FAMILY}")
        self.theirs = Containers(self.http, SWARM_LABEL)

    async def scale(self, count: int) -> None:
        await self.service.update(desiredCount=count)
        await self.ours.settled(count)
        await self.peer.scale(count)
        await self.theirs.settled(count)

    async def kills(self, count: int) -> tuple[list[float], list[float]]:
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(KILLS):
            ours.append(await self.ours.kill_one(count))
            theirs.append(await self.theirs.kill_one(count))
        return ours, theirs


async def replacing(sides: Sides) -> list[Figure]:
    """A killed container, with Swarm's own restart delay (5 s) and without one."""
    figures = []
    for delay, counts in (("default restart delay", (1,)), ("restart delay 0", (1, 3))):
        await sides.scale(0)
        if delay == "restart delay 0":
            await sides.peer.update(without_delay)
        for count in counts:
            await sides.scale(count)
            ours, theirs = await sides.kills(count)
            what = f"killed container of a service of {count} replaced ÷ Swarm, {delay}"
            how = f"docker kill to the new container's start {spread(ours)}; Swarm {spread(theirs)}"
            figures.append(Figure(what, ratios(ours, theirs), goal=0.5, how=how))
    return [*figures, await floor(sides)]


def without_delay(spec: dict[str, Any]) -> None:
    """Swarm waits 5 s before it replaces a task, unless told otherwise."""
    spec["TaskTemplate"]["RestartPolicy"] = {"Condition": "any", "Delay": 0}


async def floor(sides: Sides) -> Figure:
    """The least that a replacement takes: create and start of one such container."""
    bare = Bare(await body_of(min(await sides.ours.ids())))
    try:
        seconds = [await bare.run(1, 1) for _ in range(KILLS)]
    finally:
        await bare.close()
    how = f"the least that a replacement takes, {spread(seconds)}"
    return Figure("create and start of one such container, bare", statistics.median(seconds), "s", how=how)


async def rolling(sides: Sides) -> Figure:
    """Twenty tasks to a new environment, all at once, the old ones stopped first."""
    await sides.scale(MANY)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(1, ROLLS + 1):
        definition = sides.service.define(str(number))

        async def update(definition: str = definition) -> None:
            await sides.service.update(taskDefinition=definition)

        async def update_peer(number: int = number) -> None:
            await sides.peer.update(lambda spec: respecify(spec, number))

        ours.append(await sides.ours.roll(update, MANY))
        theirs.append(await sides.theirs.roll(update_peer, MANY))
        while await sides.peer.is_updating():
            await asyncio.sleep(_POLL_SECONDS)
    how = f"update to the last new container's start {spread(ours)}; Swarm {spread(theirs)}"
    what = f"{MANY} tasks rolled to a new spec, at once, old ones stopped first ÷ Swarm"
    return Figure(what, ratios(ours, theirs), goal=0.7, how=how)


def respecify(spec: dict[str, Any], number: int) -> None:
    """Swarm's counterpart of minimumHealthyPercent 0 and maximumPercent 100."""
    spec["TaskTemplate"]["ContainerSpec"]["Env"] = [f"RELEASE={number}"]
    spec["UpdateConfig"] = {"Parallelism": MANY, "Order": "stop-first", "Monitor": 500_000_000}


class LoadBalancer:
    """An application load balancer with one listener and one target group, its checks at 5 s."""

    def __init__(self, live: Live) -> None:
        self._elb = live.client("elbv2")
        subnets = [row["SubnetId"] for row in live.client("ec2").describe_subnets()["Subnets"]][:2]
        balancer = self._elb.create_load_balancer(Name="bench", Subnets=subnets)["LoadBalancers"][0]
        self._arn = balancer["LoadBalancerArn"]
        self.group = self._group(balancer["VpcId"])
        forward = [{"Type": "forward", "TargetGroupArn": self.group}]
        self._elb.create_listener(LoadBalancerArn=self._arn, Protocol="HTTP", Port=80, DefaultActions=forward)

    def _group(self, vpc: str) -> str:
        made = self._elb.create_target_group(
            Name="bench", Protocol="HTTP", Port=80, VpcId=vpc,
            HealthCheckIntervalSeconds=_CHECK_SECONDS, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
        )  # fmt: skip
        group = str(made["TargetGroups"][0]["TargetGroupArn"])
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(_DRAIN_SECONDS)}
        self._elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
        return group

    def states(self) -> dict[int, str]:
        """The state of each target, by its port."""
        rows = self._elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {row["Target"]["Port"]: row["TargetHealth"]["State"] for row in rows}

    def delete(self) -> None:
        self._elb.delete_load_balancer(LoadBalancerArn=self._arn)


def phases(service: Service, balancer: LoadBalancer, old_ports: set[int]) -> dict[str, bool]:
    """Which phases the newest deployment of `service` has behind it."""
    primary = next(each for each in service.show()["deployments"] if each["status"] == "PRIMARY")
    new = [task for task in service.tasks() if task["startedBy"] == primary["id"]]
    states = balancer.states()
    healthy = [port for port, state in states.items() if state == "healthy" and port not in old_ports]
    return {
        "placed": len(new) == BEHIND_BALANCER,
        "running": sum(task["lastStatus"] == "RUNNING" for task in new) == BEHIND_BALANCER,
        "healthy": len(healthy) == BEHIND_BALANCER,
        "drained": not old_ports & states.keys(),
        "done": primary["rolloutState"] == "COMPLETED",
    }


async def reached(service: Service, balancer: LoadBalancer, old_ports: set[int]) -> dict[str, float]:
    """Seconds from now until each phase was first seen to be over."""
    started = time.monotonic()
    found: dict[str, float] = {}
    while True:
        now = await asyncio.to_thread(phases, service, balancer, old_ports)
        seconds = time.monotonic() - started
        found |= {name: seconds for name, is_over in now.items() if is_over and name not in found}
        if len(found) == len(now):
            return found
        assert seconds < _PATIENCE_SECONDS, f"the deployment hangs: {now}"
        await asyncio.sleep(0.1)


async def deploying(live: Live) -> list[Figure]:
    """Ten tasks behind a load balancer, 100 % to 200 %."""
    balancer = LoadBalancer(live)
    target = {"targetGroupArn": balancer.group, "containerName": "main", "containerPort": 8080}
    limits = {"minimumHealthyPercent": 100, "maximumPercent": 200}
    service = Service(live, "bench-balanced", _SERVE, loadBalancers=[target], deploymentConfiguration=limits)
    try:
        await service.update(desiredCount=BEHIND_BALANCER)
        while list(balancer.states().values()) != ["healthy"] * BEHIND_BALANCER:
            await asyncio.sleep(0.2)
        old_ports = set(balancer.states())
        definition = service.define("1")
        since = time.monotonic()
        await service.update(taskDefinition=definition)
        asked = time.monotonic() - since
        found = {name: seconds + asked for name, seconds in (await reached(service, balancer, old_ports)).items()}
    finally:
        service.delete()
        balancer.delete()
    how = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(found.items(), key=lambda each: each[1]))
    what = f"rolling deployment of {BEHIND_BALANCER} tasks behind a load balancer, checks each {_CHECK_SECONDS} s"
    return [Figure(what, max(found.values()), "s", how=f"since UpdateService: {how}")]


async def _measure(live: Live) -> list[Figure]:
    await build_test_image()
    http = DockerHttp(DOCKER_HOST)
    limits = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    service = Service(live, "bench", _COMMAND, deploymentConfiguration=limits)
    try:
        async with swarm(TEST_IMAGE, _COMMAND, MEMORY_MIB) as peer:
            sides = Sides(http, service, peer)
            figures = [*await replacing(sides), await rolling(sides)]
            await sides.scale(0)
        return figures + await deploying(live)
    finally:
        service.delete()
        await http.close()


async def _tidy() -> None:
    """Remove what the tasks left on the host: their agent would have done so hours later."""
    engine = DockerEngine(DOCKER_HOST, SystemClock())
    try:
        cgroups = Cgroups.detect(await engine.info(), wanted=True)
        for container in await engine.list({_FAMILY_LABEL: _FAMILY}):
            with suppress(NotFound):
                await engine.remove(container.id)
            with suppress(Transient):
                await cgroups.remove(last_part(container.labels[_TASK_LABEL]))
    finally:
        await engine.close()


def measure() -> list[Figure]:
    """The figures; brings up a Homeport of its own and takes it down again."""
    with tempfile.TemporaryDirectory() as directory:
        live = Live(Path(directory), agent_options=["--stop-timeout=1"])
        try:
            return asyncio.run(_measure(live.up()))
        finally:
            live.down()
            asyncio.run(_tidy())


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
