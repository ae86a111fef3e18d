"""`World(seed)`: a whole region in one process and no time at all, with everything going wrong that may.

The real server (`start_region`: store, front door, controllers, agent links) and real agents, over a simulated disk,
network and engine. The seed decides everything. Phases: clients work while faults strike; faults end and what is down
comes up again; within a bounded time everything must be as it should be. Invariants are checked at every transaction
and every few seconds. A violation raises `Violation` with the trace so far in `world.trace`.
"""

import asyncio
import gc
import hashlib
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import structlog

from homeport.agent.sigv4 import Keys
from homeport.api.request import Request, Response
from homeport.api.sigv4 import ACCESS_KEY_PURPOSE
from homeport.base.config import ServerConfig
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.base.supervise import Supervisor
from homeport.control.reconcilers import DataPlane
from homeport.drivers.network.fake import FakeAddresses, FakeHostNames
from homeport.server.region import RegionParts, start_region
from homeport.shapes import elbv2
from homeport.store.schema import Tables
from homeport.store.watch import Change
from tests.sim import balanced, clients, invariants, traffic
from tests.sim.balanced import BalancedOperator
from tests.sim.caller import REGION, Caller, answered
from tests.sim.clients import Operator, Promises
from tests.sim.data_plane import EnvoyLink, SimEnvoy, SimProber
from tests.sim.disk import Disk, SimJournal
from tests.sim.faults import Faulter
from tests.sim.host import SimHost
from tests.sim.loop import VirtualClock, VirtualLoop, cancel_rest
from tests.sim.network import FAIR, Network
from tests.sim.process import Process, count_tasks, current_process
from tests.sim.services import ServiceOperator, floor_and_ceiling, lost_services, unsettled_services

SETTLE_SECONDS = 900.0
CHECK_EVERY = 5.0


class Violation(AssertionError):
    """Something that must never be."""


class NoLogs:
    """The part of `LogStore` that a region without log traffic needs."""

    def expire(self, now_ms: int) -> int:
        return 0


class Server:
    """One server process on the disk; `region` is None until it is up."""

    def __init__(self, world: "World", number: int) -> None:
        self.process = Process(f"server-{number}")
        rng = random.Random(f"{world.seed}/server/{number}")
        self.journal = SimJournal(world.disk, world.clock, rng, self.process, world.committed)
        self.region: RegionParts | None = None
        self.supervisor: Supervisor
        self.process.spawn(self._live(world, Ids(rng)), "server")

    async def _live(self, world: "World", ids: Ids) -> None:
        self.supervisor = Supervisor(world.clock)
        envoy = EnvoyLink(world.envoy, world.clock, ids.rng(), self.process)
        self.region = await start_region(
            world.config,
            self.journal,
            world.clock,
            ids,
            world.sealer,
            NoLogs(),  # type: ignore[arg-type]
            self.supervisor,
            DataPlane(envoy, world.addresses, world.host_names),
            SimProber(world.hosts, world.network),
        )
        self.gateway, self.sockets = self.region.gateway, self.region.sockets
        world.network.server = self
        try:
            await self.supervisor.failed
        except Exception as error:
            if self.process.is_alive:
                world.blame(f"the server ended by {type(error).__name__}: {error}")


class World:
    """`await run()` is the whole story."""

    def __init__(self, seed: int, clock: VirtualClock, data_dir: Path) -> None:
        self.seed = seed
        self.clock = clock
        self.rng = random.Random(seed)
        self.trace: list[str] = []
        self.violations: list[str] = []
        self.disk = Disk()
        self.sealer = Sealer(b"0" * 32)
        self.config = ServerConfig(data_dir=data_dir, region=REGION, task_retention=1e9)
        self.network = Network(clock, random.Random(self.rng.random()))
        self.network.answered = self._answered
        self.envoy, self.addresses, self.host_names = SimEnvoy(clock), FakeAddresses(), FakeHostNames()
        self.promises = Promises()
        self.hosts: list[SimHost] = []
        self.operators: list[Operator] = []
        self.server: Server | None = None
        self._servers = 0

    # ---- what faults do ----------------------------------------------------------------------------------------

    def start_server(self) -> None:
        self._servers += 1
        self.server = Server(self, self._servers)

    def kill_server(self) -> None:
        """kill -9: what was not on disk is lost."""
        if self.server is not None:
            self.network.server = None
            self.server.process.kill()
            self.server = None

    async def stop_server(self) -> None:
        """SIGTERM: connections are closed, the journal is written."""
        server, self.server = self.server, None
        if server is not None and server.region is not None:
            stopping = server.process.spawn(server.region.stop(), "stop")
            self.network.server = None
            await asyncio.wait([stopping])
            await server.region.world.store.durable(server.region.world.store.version)
            server.process.kill()
        elif server is not None:
            server.process.kill()

    def say(self, text: str) -> None:
        self.trace.append(f"{self.clock.monotonic():.6f} {text}")

    def blame(self, *texts: str) -> None:
        for text in texts:
            self.say(f"VIOLATION {text}")
            self.violations.append(text)

    # ---- what is seen ------------------------------------------------------------------------------------------

    def committed(self, version: int, changes: list[Change]) -> None:
        if self.server is None or self.server.region is None:
            return
        tables = self.server.region.world.store.read
        for change in changes:
            self.blame(*invariants.of_change(tables, change))
        self.blame(*floor_and_ceiling(tables, changes, self.clock.now()))
        self.blame(*traffic.of_transaction(tables, changes, self.envoy, self.clock.now()))

    def _answered(self, request: Request, response: Response) -> None:
        operation, code = told = answered(request, response)
        self.say(f"answer {operation.name} {response.status} {code}")
        if response.status >= 500 or not told.is_declared:
            self.blame(f"{operation.name} answered {response.status} {code}: {response.body[:200]!r}")

    def heard(self, _logger: Any, level: str, event: dict[str, Any]) -> Any:
        """Every log line is a part of the trace; what is logged as an error should not have happened."""
        process = current_process()
        words = " ".join(
            f"{key}={value}" for key, value in event.items() if key not in ("event", "component", "exc_info")
        )
        self.say(f"{process.name if process else '-'} {event.get('component')} {event['event']} {words}")
        is_dead = process is not None and not process.is_alive
        if level in ("error", "exception", "critical") and not is_dead:
            self.blame(f"logged as {level}: {event['event']} {words} {_exception(event)}")
        raise structlog.DropEvent

    def check(self) -> None:
        """Everything that must hold at any time."""
        for host in self.hosts:
            self.blame(*host.crashes, *invariants.of_host(host))
            host.crashes.clear()
        server = self.server
        if server is not None and server.region is not None:
            world = server.region.world
            self.blame(
                *invariants.of_store(world.store.read, server.journal),
                *invariants.of_fleet(world.store.read, world.fleet),
                *invariants.of_promises(world.store.read, self.promises),
                *lost_services(world.store.read, self.promises),
                *traffic.lost_balancing(world.store.read, self.promises),
            )
        if self.violations:
            raise Violation("\n".join(dict.fromkeys(self.violations)))

    # ---- the story ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        self.start_server()
        await self._until_up()
        keys = self._root_keys()
        for number in range(self.rng.randint(1, 5)):
            behaviours = {**clients.BEHAVIOURS, **balanced.BEHAVIOURS}
            host = SimHost(number, self.clock, random.Random(self.rng.random()), self.network, behaviours)
            self.hosts.append(host)
            host.start(keys)
        people = Process("operators")
        self._hire(keys)
        await people.spawn(self.operators[0].prepare())
        seconds = self.rng.choice([60.0, 120.0, 240.0])
        work = [people.spawn(each.work(pause=self.rng.choice([0.5, 3.0, 6.0]))) for each in self.operators]
        faulter = Faulter(self, keys, random.Random(self.rng.random()))
        striking = people.spawn(faulter.strike(), "faults")
        await self._watch(seconds)
        striking.cancel()
        await self._end_faults(faulter)
        for operator in self.operators:
            operator.is_ending = True
        await self._settle(work, traffic.under_way)
        await self._settle([people.spawn(each.finish()) for each in self.operators], self._unsettled)
        self.say(f"SETTLED {len(self.promises.tasks)} tasks, {self._servers} servers")

    def _hire(self, keys: Keys) -> None:
        """The operators, each with an own client of an own host."""
        new_rng = lambda: random.Random(self.rng.random())
        for number in range(3):
            caller = Caller(self.network, f"client-{number}", self.clock, keys)
            self.operators.append(Operator(f"operator-{number}", caller, self.clock, new_rng(), self.promises))
        caller = Caller(self.network, "client-services", self.clock, keys)
        self.operators.append(ServiceOperator("svc", caller, self.clock, new_rng(), self.promises))
        caller = Caller(self.network, "client-balanced", self.clock, keys)
        elbv2_caller = Caller(self.network, "client-balanced", self.clock, keys, elbv2.SERVICE)
        self.operators.append(BalancedOperator("web", caller, elbv2_caller, self.clock, new_rng(), self.promises))

    async def _until_up(self) -> None:
        while self.server is None or self.server.region is None:
            await self.clock.sleep(0.01)

    def _root_keys(self) -> Keys:
        assert self.server is not None
        assert self.server.region is not None
        (row,) = self.server.region.world.store.read.access_keys
        secret = self.sealer.open(ACCESS_KEY_PURPOSE, row.sealed_secret)
        assert secret is not None
        return Keys(row.access_key_id, secret.decode())

    async def _watch(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            await self.clock.sleep(CHECK_EVERY)
            self.check()

    async def _end_faults(self, faulter: Faulter) -> None:
        self.say("FAULTS END")
        self.network.weather = FAIR
        await faulter.repair()
        await self._until_up()

    async def _settle(self, work: list[asyncio.Task[None]], lacking_in: Callable[[Tables], Iterable[str]]) -> None:
        """Within a bounded time everything is as it should be, twice in a row."""
        end = self.clock.monotonic() + SETTLE_SECONDS
        calm = 0
        while calm < 2:
            await self.clock.sleep(CHECK_EVERY)
            self.check()
            assert self.server is not None
            assert self.server.region is not None
            lacking = list(lacking_in(self.server.region.world.store.read))
            lacking += [] if all(each.done() for each in work) else ["clients still wait for an answer"]
            calm = 0 if lacking else calm + 1
            if lacking and self.clock.monotonic() > end:
                self.blame(*(f"after {SETTLE_SECONDS:.0f} s without faults: {text}" for text in lacking))
                self.check()

    def _unsettled(self, tables: Tables) -> Iterator[str]:
        yield from invariants.unsettled(tables, self.hosts)
        yield from unsettled_services(tables)
        yield from traffic.under_way(tables)
        yield from traffic.unsettled_traffic(tables, self.envoy)
        yield from traffic.lost_revisions(tables, self.promises)

    def digest(self) -> str:
        """A hash of all that happened."""
        return hashlib.blake2b("\n".join(self.trace).encode(), digest_size=8).hexdigest()


def _drop(_logger: Any, _level: str, _event: dict[str, Any]) -> Any:
    raise structlog.DropEvent


def _exception(event: dict[str, Any]) -> str:
    if not event.get("exc_info"):
        return ""
    return "".join(traceback.format_exception(*sys.exc_info())) if event["exc_info"] is True else str(event["exc_info"])


def simulate(seed: int) -> tuple[World, BaseException | None]:
    """Run one world to its end; what went wrong, if anything did. The cyclic garbage collector rests meanwhile, because
    when it strikes depends on what ran before.
    """
    thresholds = gc.get_threshold()
    before = structlog.get_config()
    gc.collect()
    gc.set_threshold(0)
    loop = VirtualLoop(seed)
    count_tasks(loop)
    try:
        with tempfile.TemporaryDirectory(prefix="homeport-sim-") as folder:
            world = World(seed, VirtualClock(loop), Path(folder))
            loop.set_exception_handler(
                lambda _loop, context: world.blame(f"unhandled: {context.get('message')} {context.get('exception')!r}")
            )
            structlog.configure(
                processors=[world.heard],
                wrapper_class=structlog.make_filtering_bound_logger(20),
                cache_logger_on_first_use=False,
            )
            try:
                loop.run_until_complete(world.run())
            except BaseException as error:
                return world, error
            return world, None
    finally:
        loop.set_exception_handler(lambda _loop, _context: None)
        structlog.configure(processors=[_drop])
        cancel_rest(loop)
        loop.close()
        structlog.configure(**before)
        gc.set_threshold(*thresholds)
