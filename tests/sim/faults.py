"""What goes wrong, when, decided by the seed. Every world has its own temper: some faults come often, others never."""

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from homeport.agent.sigv4 import Keys
from homeport.drivers.balancer import Configuration, Rejected
from homeport.drivers.engine.fake_parts import Faults
from tests.sim.host import SimHost
from tests.sim.network import Weather

if TYPE_CHECKING:
    from tests.sim.world import World

Fault = Callable[[], Awaitable[None]]


class Faulter:
    """`strike` until cancelled, then `repair`."""

    def __init__(self, world: "World", keys: Keys, rng: random.Random) -> None:
        self._world = world
        self._keys = keys
        self._rng = rng
        self._pause = rng.choice([2.0, 5.0, 15.0])
        every: list[Fault] = [
            self._kill_server, self._restart_server, self._crash_agent, self._crash_agent, self._lose_state, self._reboot,
            self._lose_host, self._partition, self._reset, self._freeze, self._weather, self._bad_engine, self._bad_engine,
            self._engine_down, self._kill_container, self._remove_container, self._break_events,
            self._balancer_away, self._balancer_crash, self._balancer_refuses,
        ]  # fmt: skip
        self._faults = rng.sample(every, rng.randint(3, len(every)))

    async def strike(self) -> None:
        while True:
            await self._world.clock.sleep(self._rng.expovariate(1 / self._pause))
            fault = self._rng.choice(self._faults)
            self._world.say(f"FAULT {fault.__name__.strip('_')}")
            await fault()

    async def repair(self) -> None:
        """Everything works again, except hosts that are lost."""
        for host in self._hosts():
            self._world.network.link(host.name).is_cut = False
            host.engine.faults, host.engine.down = Faults(), False
            if host.process is None:
                host.start(self._keys)
        self._world.envoy.refuse = lambda _: None
        self._world.envoy.connect()
        if self._world.server is None:
            self._world.start_server()

    def _hosts(self) -> list[SimHost]:
        return [host for host in self._world.hosts if not host.is_lost]

    def _host(self) -> SimHost | None:
        hosts = self._hosts()
        return self._rng.choice(hosts) if hosts else None

    async def _sleep(self, longest: float) -> None:
        await self._world.clock.sleep(self._rng.random() ** 3 * longest)

    async def _kill_server(self) -> None:
        self._world.kill_server()
        await self._sleep(30)
        self._world.start_server()
        if self._rng.random() < 0.3:  # once more while it starts
            await self._sleep(0.1)
            self._world.kill_server()
            self._world.start_server()

    async def _restart_server(self) -> None:
        await self._world.stop_server()
        await self._sleep(5)
        self._world.start_server()

    async def _crash_agent(self) -> None:
        host = self._host()
        if host is not None:
            host.crash()
            await self._sleep(90)
            host.start(self._keys)

    async def _lose_state(self) -> None:
        host = self._host()
        if host is not None:
            host.crash()
            host.drive.wipe()
            host.has_lost_state = True
            await self._sleep(20)
            host.start(self._keys)

    async def _reboot(self) -> None:
        host = self._host()
        if host is not None:
            host.crash()
            host.engine.reboot()
            self._world.network.freeze_connections(host.name)
            await self._sleep(90)
            host.start(self._keys)

    async def _lose_host(self) -> None:
        host = self._host()
        if host is not None and len(self._hosts()) > 1:
            host.lose()

    async def _partition(self) -> None:
        host = self._host()
        if host is not None:
            link = self._world.network.link(host.name)
            link.is_cut = True
            await self._sleep(150)
            link.is_cut = False

    async def _reset(self) -> None:
        host = self._host()
        if host is not None:
            self._world.network.break_connections(host.name)

    async def _freeze(self) -> None:
        host = self._host()
        if host is not None:
            self._world.network.freeze_connections(host.name)

    async def _weather(self) -> None:
        rng = self._rng
        some = lambda most: rng.choice([0.0, rng.random() * most])
        self._world.network.weather = Weather(
            latency=rng.choice([0.001, 0.01, 0.3]),
            lose_request=some(0.2),
            lose_answer=some(0.2),
            repeat_request=some(0.2),
            repeat_frame=some(0.2),
            overtake_frame=some(0.2),
            drop_connection=some(0.05),
        )

    async def _bad_engine(self) -> None:
        host = self._host()
        if host is not None:
            rng = self._rng
            some = lambda most: rng.choice([0.0, rng.random() * most])
            host.engine.faults = Faults(
                slow=some(0.3),
                slow_by=rng.choice([1.0, 10.0, 60.0]),
                error=some(0.3),
                lie=some(0.3),
                duplicate_event=some(0.3),
                reorder_event=some(0.3),
                break_events=some(0.05),
            )

    async def _engine_down(self) -> None:
        host = self._host()
        if host is not None:
            host.engine.down = True
            await self._sleep(60)
            host.engine.down = False

    async def _kill_container(self) -> None:
        host = self._host()
        running = [each for each in host.engine.containers.values() if each.status == "running"] if host else []
        if host is not None and running:
            host.engine.exit(self._rng.choice(running).id, self._rng.choice([0, 1, 137]))

    async def _remove_container(self) -> None:
        host = self._host()
        if host is not None and host.engine.containers:
            doomed = self._rng.choice(list(host.engine.containers.values()))
            host.docker("remove", doomed.id)

    async def _break_events(self) -> None:
        host = self._host()
        if host is not None:
            host.engine.break_events()

    async def _balancer_away(self) -> None:
        """The server loses its data plane, which serves on."""
        self._world.envoy.disconnect()
        await self._sleep(60)
        self._world.envoy.connect()

    async def _balancer_crash(self) -> None:
        self._world.envoy.crash()
        await self._sleep(20)
        self._world.envoy.connect()

    async def _balancer_refuses(self) -> None:
        """One listener, or anything at all, cannot be changed for a while."""
        everything = self._rng.random() < 0.3

        def refuse(configuration: Configuration) -> Rejected | None:
            ids = [listener.id for listener in configuration.listeners]
            if configuration == self._world.envoy.serving or not ids:
                return None
            return Rejected("cannot be changed now", () if everything else (min(ids),))

        self._world.envoy.refuse = refuse
        await self._sleep(60)
        self._world.envoy.refuse = lambda _: None
