"""Services: a killed container replaced, and twenty tasks rolled to a new spec, next to Docker Swarm on the same engine.

The sides take turns, and each has the engine to itself: an engine in swarm mode does everything more slowly. Both are
judged by the engine alone: from just before the request (kill, update) until the engine's own `StartedAt` of the last
new container. So nobody's reporting is part of the figure, and neither is how often we look.
"""

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench.figure import Figure, ratios, spread
from bench.peers import DOCKER_HOST, SWARM_LABEL, Bare, body_of, swarm
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
COUNTS = (1, 3)
TURNS = 2
KILLS = 5
ROLLS = 3
WIDTHS = (4, 8)
"""How many bare containers are started at a time: twice and four times the processors of the machine at hand."""
FAMILY = "homeport-bench-service"
FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
_TASK_LABEL = "com.amazonaws.ecs.task-arn"
_COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
"""Ends at once when told to: how long a stop takes is then nobody's timeout."""
_POLL_SECONDS = 0.2
_SETTLE_SECONDS = 1.0
_PATIENCE_SECONDS = 120.0


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
        answer = self._ecs.register_task_definition(family=FAMILY, containerDefinitions=[container])
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


class Side(NamedTuple):
    """The same deeds on one side or the other: `containers` tell what came of them."""

    containers: Containers
    scale: Callable[[int], Awaitable[object]]
    release: Callable[[int], Awaitable[None]]

    async def scaled(self, count: int) -> None:
        await self.scale(count)
        await self.containers.settled(count)

    async def kills(self, count: int) -> list[float]:
        """A service of `count` tasks, one of them killed, again and again."""
        await self.scaled(count)
        return [await self.containers.kill_one(count) for _ in range(KILLS)]

    async def rolls(self, first: int) -> list[float]:
        """All of `MANY` tasks to a new environment at once, the old ones stopped first, again and again."""
        await self.scaled(MANY)
        return [
            await self.containers.roll(partial(self.release, number), MANY) for number in range(first, first + ROLLS)
        ]


Seconds = defaultdict[str, list[float]]


async def ours(side: Side, found: Seconds, turn: int) -> None:
    for count in COUNTS:
        found[f"ours, killed of {count}"] += await side.kills(count)
    found["ours, rolled"] += await side.rolls(turn * ROLLS)
    await side.scaled(0)


async def theirs(http: DockerHttp, found: Seconds, turn: int) -> None:
    """Swarm as it comes (it waits 5 s before it replaces a task), and told not to wait."""
    async with swarm(TEST_IMAGE, _COMMAND, MEMORY_MIB) as peer:

        async def release(number: int) -> None:
            await peer.update(lambda spec: respecify(spec, number))
            while await peer.is_updating():
                await asyncio.sleep(_POLL_SECONDS)

        side = Side(Containers(http, SWARM_LABEL), peer.scale, release)
        if not turn:
            found["Swarm, killed of 1 with its delay"] += await side.kills(1)
        await peer.update(without_delay)
        for count in COUNTS:
            found[f"Swarm, killed of {count}"] += await side.kills(count)
        found["Swarm, rolled"] += await side.rolls(turn * ROLLS)


def without_delay(spec: dict[str, Any]) -> None:
    spec["TaskTemplate"]["RestartPolicy"] = {"Condition": "any", "Delay": 0}


def respecify(spec: dict[str, Any], number: int) -> None:
    """Swarm's counterpart of minimumHealthyPercent 0 and maximumPercent 100."""
    spec["TaskTemplate"]["ContainerSpec"]["Env"] = [f"RELEASE={number}"]
    spec["UpdateConfig"] = {"Parallelism": MANY, "Order": "stop-first", "Monitor": 500_000_000}


async def floors(body: dict[str, Any], found: Seconds) -> None:
    """What the engine itself needs for the same containers."""
    bare = Bare(body)
    try:
        found["bare, one"] += [await bare.run(1, 1) for _ in range(KILLS)]
        found["bare, rolled"] += [await bare.roll(MANY, width) for _ in range(ROLLS) for width in WIDTHS]
    finally:
        await bare.close()


def figures(found: Seconds) -> list[Figure]:
    def ratio(what: str, our: str, their: str, goal: float) -> Figure:
        how = f"{spread(found[our])}; Swarm {spread(found[their])}"
        return Figure(f"{what} ÷ Swarm", ratios(found[our], found[their]), goal=goal, how=how)

    def least(what: str, name: str, whose: str) -> Figure:
        return Figure(
            what, statistics.median(found[name]), "s", how=f"the least that {whose} takes, {spread(found[name])}"
        )

    killed = "killed container of a service of {} replaced"
    with_delay = "Swarm, killed of 1 with its delay"
    return [
        ratio(f"{killed.format(1)}, default restart delay", "ours, killed of 1", with_delay, 0.5),
        *(
            ratio(
                f"{killed.format(count)}, restart delay 0", f"ours, killed of {count}", f"Swarm, killed of {count}", 0.5
            )
            for count in COUNTS
        ),
        least("create and start of one such container, bare", "bare, one", "a replacement"),
        ratio(
            f"{MANY} tasks rolled to a new spec, at once, old ones stopped first", "ours, rolled", "Swarm, rolled", 0.7
        ),
        least(f"{MANY} such containers told to stop and as many started meanwhile, bare", "bare, rolled", "a roll"),
    ]


async def _measure(live: Live) -> list[Figure]:
    await build_test_image()
    http = DockerHttp(DOCKER_HOST)
    limits = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    service = Service(live, "bench", _COMMAND, deploymentConfiguration=limits)
    found: Seconds = defaultdict(list)

    async def release(number: int) -> None:
        await service.update(taskDefinition=service.define(str(number + 1)))

    side = Side(Containers(http, f"{FAMILY_LABEL}={FAMILY}"), lambda count: service.update(desiredCount=count), release)
    try:
        await side.scaled(1)
        body = await body_of(min(await side.containers.ids()))
        for turn in range(TURNS):
            await ours(side, found, turn)
            await theirs(http, found, turn)
        await floors(body, found)
        return figures(found)
    finally:
        service.delete()
        await http.close()


async def _tidy() -> None:
    """Remove what the tasks left on the host: their agent would have done so hours later."""
    engine = DockerEngine(DOCKER_HOST, SystemClock())
    try:
        cgroups = Cgroups.detect(await engine.info(), wanted=True)
        for container in await engine.list({FAMILY_LABEL: FAMILY}):
            with suppress(NotFound):
                await engine.remove(container.id)
            with suppress(Transient):
                await cgroups.remove(last_part(container.labels[_TASK_LABEL]))
    finally:
        await engine.close()


def measured(measure: Callable[[Live], Awaitable[list[Figure]]]) -> list[Figure]:
    """The figures that `measure` takes of a Homeport of its own, which is taken down again."""
    with tempfile.TemporaryDirectory() as directory:
        live = Live(Path(directory), agent_options=["--stop-timeout=1"])
        try:
            return asyncio.run(_alive(measure, live))
        finally:
            live.down()
            asyncio.run(_tidy())


async def _alive(measure: Callable[[Live], Awaitable[list[Figure]]], live: Live) -> list[Figure]:
    return await measure(live.up())


def measure() -> list[Figure]:
    """The ratios to Docker Swarm."""
    return measured(_measure)


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
