"""A host in memory: an agent on a fake engine, a scripted control plane, virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from homeport.agent.agent import Agent
from homeport.agent.record import ContainerRecord
from homeport.agent.state import MemoryState
from homeport.base.config import AgentConfig
from homeport.base.ids import Ids
from homeport.drivers.engine.fake import Behaviour, FakeEngine
from homeport.drivers.engine.fake_parts import FakeContainer
from homeport.shapes import acs
from tests.sim.loop import VirtualClock, run_virtually
from tests.unit.agent.scripted import ScriptedBackend


class KeptCredentials:
    """Role credentials by task."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], acs.RoleCredentials] = {}

    def put(self, task_arn: str, role_type: str, credentials: acs.RoleCredentials) -> None:
        self.kept[task_arn, role_type] = credentials

    def remove(self, task_arn: str) -> None:
        self.kept = {key: value for key, value in self.kept.items() if key[0] != task_arn}


class CountingEngine(FakeEngine):
    """Remembers every start that took effect, by container name."""

    def __init__(self, clock: VirtualClock, rng: random.Random) -> None:
        super().__init__(clock, rng)
        self.started: list[str] = []

    def _run(self, container: FakeContainer) -> None:
        was_running = container.status == "running"
        super()._run(container)
        if not was_running:
            self.started.append(container.name)


class HostWorld:
    """The engine, the state and the control plane outlive the agent."""

    def __init__(self, clock: VirtualClock, seed: int, **config: Any) -> None:
        self.clock = clock
        self.backend = ScriptedBackend()
        self.engine = CountingEngine(clock, random.Random(seed))
        self.state = MemoryState()
        self.credentials = KeptCredentials()
        self.seed = seed
        self.config = AgentConfig(
            **{"data_dir": Path("/nowhere"), "endpoint": "http://control", "task_cpu_mem_limit": False, **config}
        )
        self.agent: Agent

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """An agent's life; leaving the block is its death."""
        self.agent = Agent(
            self.config,
            self.clock,
            Ids(random.Random(self.seed)),
            self.engine,
            self.backend,
            state=self.state,
            credentials=self.credentials,
            port_probe=lambda protocol, port: True,
            publishes_metrics=False,
            announces=False,
        )
        body = asyncio.ensure_future(self.agent.run())
        try:
            await self.until(lambda: hasattr(self.agent, "tasks"))
            yield self.agent
            assert not body.done() or body.cancelled() or body.exception() is None, body.exception()
        finally:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    async def until(self, condition: Callable[[], Any], seconds: float = 600) -> None:
        """Let time pass until the condition holds."""
        end = self.clock.monotonic() + seconds
        while not condition():
            assert self.clock.monotonic() < end, "never came to be"
            await self.clock.sleep(0.01)

    async def connected(self) -> None:
        await self.until(lambda: self.backend.sockets and not self.backend.socket.closed)

    async def reported(self, arn: str, status: str, seconds: float = 600) -> None:
        await self.until(lambda: status in self.backend.statuses(arn), seconds)

    def container(self, arn: str, name: str = "main") -> ContainerRecord:
        task = self.agent.tasks.by_arn(arn)
        assert task is not None
        container = task.container(name)
        assert container is not None
        return container

    def behave(self, image: str, **changes: Any) -> None:
        self.engine.behaviours[image] = Behaviour(**changes)


def in_world(body: Callable[[HostWorld], Awaitable[None]], *, seed: int = 1, **config: Any) -> None:
    """Run `body` with a fresh world, in virtual time."""

    async def main(clock: VirtualClock) -> None:
        await body(HostWorld(clock, seed, **config))

    run_virtually(main, seed)
