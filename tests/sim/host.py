"""A host: an engine with its containers, a disk, and the real agent that comes and goes on it."""

import asyncio
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from homeport.agent.agent import Agent
from homeport.agent.aws import _refused_upgrade
from homeport.agent.credentials import Credentials
from homeport.agent.docker_config import CONTAINER_NAME_LABEL, TASK_ARN_LABEL
from homeport.agent.sigv4 import Keys
from homeport.api.request import Request, Response
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.ids import Ids
from homeport.drivers.engine.fake import FakeEngine
from homeport.drivers.engine.fake_parts import Behaviour, FakeContainer
from tests.sim.caller import ENDPOINT, Caller
from tests.sim.disk import Drive, SimState
from tests.sim.network import Network
from tests.sim.process import Process

SHIELDED = ("create", "start", "stop", "kill", "remove", "create_volume", "remove_volume")


class SimBackend(Caller):
    """`Backend` of one agent process."""

    def __init__(self, network: Network, host: str, clock: Clock, keys: Keys, process: Process) -> None:
        super().__init__(network, host, clock, keys)
        self._process = process

    async def call(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        return await super().call(operation, request)

    async def connect(self, url: str, query: dict[str, str]) -> Any:
        encoded = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        headers = self._sign("GET", f"{url}/ws?{encoded}", {}, b"", "ecs")
        request = Request("GET", "/acs/ws", encoded, headers, b"")
        admit = lambda server: server.gateway.admit(request, "Poll")
        answer = await self._network.connect(self._host, self._process, admit, query)
        if isinstance(answer, Response):
            raise _refused_upgrade(answer.status, answer.body)
        if isinstance(answer, tuple):
            raise _refused_upgrade(*answer)
        return answer


class EngineClient:
    """A process's connection to its engine. What was asked of the engine happens even if the asker dies meanwhile."""

    def __init__(self, engine: FakeEngine, machine: Process) -> None:
        self._engine = engine
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._engine, name)
        if name not in SHIELDED:
            return verb

        async def ask(*arguments: Any) -> Any:
            return await asyncio.shield(_ask(self._machine, verb(*arguments)))

        return ask


def _ask(machine: Process, verb: Any) -> asyncio.Task[Any]:
    """The engine's own work on a verb, whether or not anybody waits for its outcome."""
    asked = machine.spawn(verb, "engine")
    asked.add_done_callback(_retrieve)
    return asked


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


class SimHost:
    """One host. `agent` is None while its process is down."""

    def __init__(
        self, number: int, clock: Clock, rng: random.Random, network: Network, behaviours: dict[str, Behaviour]
    ) -> None:
        self.name = f"host-{number}"
        self.clock = clock
        self.rng = rng
        self.network = network
        self.machine = Process(f"{self.name}/engine")
        self.engine = FakeEngine(clock, random.Random(rng.random()), behaviours, cpu_count=2, memory_mib=2048)
        self.drive = Drive()
        self.process: Process | None = None
        self.agent: Agent | None = None
        self.is_lost = False
        self.has_lost_state = False
        self.crashes: list[str] = []
        self._lives = 0
        self.config = AgentConfig(
            data_dir=Path("/nonexistent"),
            endpoint=ENDPOINT,
            task_cpu_mem_limit=False,
            container_stop_timeout=5.0,
            task_cleanup_wait=rng.choice([60.0, 600.0]),
            dynamic_port_range=(40000, 40400),
            address=f"10.0.0.{number + 1}",
            availability_zone=f"us-east-1{'abc'[number % 3]}",
            image_pull_behavior=rng.choice(["default", "default", "once", "prefer-cached", "always"]),
        )

    def start(self, keys: Keys) -> None:
        """A new agent process on this host's disk and engine."""
        self._lives += 1
        self.process = process = Process(f"{self.name}/agent-{self._lives}")
        process.spawn(self._live(process, keys), "agent")

    async def _live(self, process: Process, keys: Keys) -> None:
        self.agent = Agent(
            self.config,
            self.clock,
            Ids(random.Random(self.rng.random())),
            EngineClient(self.engine, self.machine),
            SimBackend(self.network, self.name, self.clock, keys, process),
            state=SimState(self.drive, process),
            credentials=Credentials(),
            port_probe=lambda protocol, port: True,
            publishes_metrics=False,
            announces=False,
        )
        try:
            await self.agent.run()
        except Exception as error:  # what a supervisor would see: the process ended by itself
            if process.is_alive:
                self.crashes.append(f"{self.name}: the agent ended by {type(error).__name__}: {error}")

    def crash(self) -> None:
        """kill -9 of the agent; containers live on."""
        if self.process is not None:
            self.process.kill()
        self.process = self.agent = None

    def lose(self) -> None:
        """The host is gone for good."""
        self.crash()
        self.is_lost = True
        self.engine.down = True
        self.engine.reboot()
        self.network.freeze_connections(self.name)

    def docker(self, verb: str, *arguments: Any) -> None:
        """What somebody does on the host's command line."""
        _ask(self.machine, getattr(self.engine, verb)(*arguments))

    def running(self) -> dict[str, list[FakeContainer]]:
        """Running containers of ECS, by task ARN."""
        found: dict[str, list[FakeContainer]] = {}
        for container in self.engine.containers.values():
            if container.status == "running" and TASK_ARN_LABEL in container.labels:
                found.setdefault(container.labels[TASK_ARN_LABEL], []).append(container)
        return found

    def listening(self, port: int) -> FakeContainer | None:
        """The container that has the TCP port of this host, unless its process has ended."""
        for container in self.engine.containers.values():
            is_bound = any(each.host_port == port and each.protocol == "tcp" for each in container.ports)
            if is_bound and not container.process_ended.is_set():
                return container
        return None

    def running_names(self, task_arn: str) -> set[str]:
        return {each.labels.get(CONTAINER_NAME_LABEL, "") for each in self.running().get(task_arn, ())}
