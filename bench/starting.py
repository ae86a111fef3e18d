"""From RunTask to RUNNING, of one task and of twenty, against the bare engine and Docker Swarm.

A real Homeport (server, agent, supervisor as `homeport up` starts them) on the real engine. A measurement begins when
RunTask is sent and ends when DescribeTasks first shows every task RUNNING. The peers take turns with us, so that other
work on the machine meets all alike; medians are compared. The client sleeps through most of the waiting and then asks
every few milliseconds: on two cores its own work would otherwise be part of what is measured.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.figure import Figure, ratios, spread
from bench.peers import BARE_LABEL, DOCKER_HOST, Bare, Swarm, body_of, swarm
from bench.wire import Caller
from homeport.agent.cgroup import Cgroups
from homeport.base.arn import last_part
from homeport.base.clock import SystemClock
from homeport.base.errors import Transient
from homeport.base.local import root_credentials
from homeport.drivers.engine.docker import DockerEngine
from tests.system.images import TEST_IMAGE, build_test_image
from tests.system.live import Live

MEMORY_MIB = 16
COMMAND = ["sleep", "600"]
MANY = 20
_FAMILY = "homeport-bench"
_FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
_TASK_LABEL = "com.amazonaws.ecs.task-arn"
WIDTHS = (2, 3, 4, 8)
_ROUNDS_ONE = 25
_ROUNDS_MANY = 5
_POLL_ONE_SECONDS = 0.004
_POLL_MANY_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0


class Homeport:
    """A running Homeport as a client sees it."""

    def __init__(self, live: Live) -> None:
        key = root_credentials(live.data_dir)
        assert key is not None
        self._ecs = Caller(live.endpoint, key.access_key_id, key.secret_access_key)
        container = {"name": "main", "image": TEST_IMAGE, "memory": MEMORY_MIB, "command": COMMAND, "essential": True}
        self._ecs("RegisterTaskDefinition", family=_FAMILY, containerDefinitions=[container])

    async def run(self, count: int, *, quiet_seconds: float, poll_seconds: float) -> tuple[float, list[str]]:
        """Seconds from RunTask until all `count` tasks are RUNNING, and their ARNs; asks only after `quiet_seconds`."""
        started = time.perf_counter()
        arns: list[str] = []
        while len(arns) < count:
            answer = self._ecs("RunTask", taskDefinition=_FAMILY, count=min(10, count - len(arns)))
            assert not answer["failures"], answer["failures"]
            arns += [task["taskArn"] for task in answer["tasks"]]
        await asyncio.sleep(max(0.0, quiet_seconds - (time.perf_counter() - started)))
        while any(task["lastStatus"] != "RUNNING" for task in self._tasks(arns)):
            assert time.perf_counter() - started < _PATIENCE_SECONDS, "the tasks do not start"
            await asyncio.sleep(poll_seconds)
        return time.perf_counter() - started, arns

    async def stop(self, arns: list[str]) -> None:
        for arn in arns:
            self._ecs("StopTask", task=arn)
        while any(task["lastStatus"] != "STOPPED" for task in self._tasks(arns)):
            await asyncio.sleep(0.1)

    def docker_id(self, arn: str) -> str:
        (task,) = self._tasks([arn])
        return str(task["containers"][0]["runtimeId"])

    def _tasks(self, arns: list[str]) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self._ecs("DescribeTasks", tasks=arns)["tasks"]
        assert not any(task["lastStatus"] == "STOPPED" and task["stopCode"] != "UserInitiated" for task in tasks), tasks
        return tasks

    def close(self) -> None:
        self._ecs.close()


async def one_task(homeport: Homeport, bare: Bare) -> list[Figure]:
    """One after the other, by turns."""
    ours: list[float] = []
    theirs: list[float] = []
    for round_ in range(_ROUNDS_ONE + 1):
        bare_seconds = await bare.run(1, 1)
        await asyncio.sleep(0.3)
        seconds, arns = await homeport.run(1, quiet_seconds=bare_seconds * 0.8, poll_seconds=_POLL_ONE_SECONDS)
        await homeport.stop(arns)
        await asyncio.sleep(0.3)
        if round_:  # the first one warms up
            ours.append(seconds)
            theirs.append(bare_seconds)
    how = f"RunTask to RUNNING {spread(ours)}; create and start {spread(theirs)}"
    return [Figure("one task, RunTask → RUNNING ÷ bare create + start", ratios(ours, theirs), goal=1.15, how=how)]


async def many_tasks(homeport: Homeport, bare: Bare, peer: Swarm) -> list[Figure]:
    """Twenty at once, by turns with bare at the width that is best on this machine, and with Swarm."""
    width = await _best_width(bare)
    ours: list[float] = []
    theirs: list[float] = []
    swarms: list[float] = []
    for _ in range(_ROUNDS_MANY):
        theirs.append(await bare.run(MANY, width))
        await asyncio.sleep(0.5)
        seconds, arns = await homeport.run(MANY, quiet_seconds=min(theirs) * 0.8, poll_seconds=_POLL_MANY_SECONDS)
        ours.append(seconds)
        await homeport.stop(arns)
        await asyncio.sleep(0.5)
        swarms.append(await peer.scale(MANY))
        await peer.scale(0)
        await asyncio.sleep(2.0)  # Swarm removes containers after it has reported them gone
    how = f"RunTask to RUNNING {spread(ours)}; bare, {width} at a time, {spread(theirs)}"
    against_swarm = f"Swarm, service scaled from 0 to {MANY}, {spread(swarms)}"
    return [
        Figure(f"{MANY} tasks at once ÷ bare at its best concurrency", ratios(ours, theirs), goal=1.1, how=how),
        Figure(f"{MANY} tasks at once ÷ Docker Swarm", ratios(ours, swarms), goal=0.6, how=against_swarm),
    ]


async def _best_width(bare: Bare) -> int:
    """How many containers to start at a time: that with the best median of two."""
    seconds: dict[int, list[float]] = {width: [] for width in WIDTHS}
    for _ in range(2):
        for width in WIDTHS:
            seconds[width].append(await bare.run(MANY, width))
            await asyncio.sleep(0.5)
    return min(WIDTHS, key=lambda width: statistics.median(seconds[width]))


async def _measure(live: Live) -> list[Figure]:
    await build_test_image()
    homeport = Homeport(live)
    _, arns = await homeport.run(1, quiet_seconds=0.2, poll_seconds=_POLL_MANY_SECONDS)
    bare = Bare(await body_of(homeport.docker_id(arns[0])))
    await homeport.stop(arns)
    try:
        figures = await one_task(homeport, bare)
        async with swarm(TEST_IMAGE, COMMAND, MEMORY_MIB) as peer:
            figures += await many_tasks(homeport, bare, peer)
        return figures
    finally:
        await bare.close()
        homeport.close()


async def _tidy() -> None:
    """Remove what the tasks left on the host: their agent would have done so hours later."""
    engine = DockerEngine(DOCKER_HOST, SystemClock())
    try:
        cgroups = Cgroups.detect(await engine.info(), wanted=True)
        for container in await engine.list({_FAMILY_LABEL: _FAMILY}):
            await engine.remove(container.id)
            with suppress(Transient):
                await cgroups.remove(last_part(container.labels[_TASK_LABEL]))
        for container in await engine.list(BARE_LABEL):  # there are some only after an interruption
            await engine.remove(container.id)
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
