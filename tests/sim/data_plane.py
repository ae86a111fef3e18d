"""What carries traffic in the simulation: a data plane that outlives servers, and targets that answer as their images do."""

import random
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from homeport.base.clock import Clock
from homeport.drivers.balancer import Configuration, Forward
from homeport.drivers.balancer.fake import FakeBalancer
from homeport.drivers.engine.fake_parts import FakeContainer
from homeport.drivers.probe import Answered, Failed, Outcome, Probe, TimedOut
from homeport.model.load_balancer import Listener, Rule
from tests.sim.host import SimHost
from tests.sim.network import Network
from tests.sim.process import Process

_LONGEST_SEARCH = 2.0


class Web(Struct, frozen=True, kw_only=True):
    """How containers of an image answer on their port: nobody does before `after` seconds, and `code` from `turns` on."""

    after: float = 0.0
    turns: float = 0.0
    code: int = 200

    def answer(self, age: float) -> Outcome:
        if age < self.after:
            return Failed("connection refused")
        return Answered(self.code if age >= self.turns else 200)


#: Images that answer otherwise than at once and with 200.
WEBS = {
    "late-web": Web(after=6.0),
    "sick-web": Web(code=500),
    "fading-web": Web(turns=25.0, code=500),
}


class SimEnvoy(FakeBalancer):
    """The process that carries traffic. `taken`: what it has served, and since when, also what it lost by dying."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.taken: list[tuple[float, Configuration]] = [(clock.now(), self.serving)]

    async def apply(self, configuration: Configuration) -> None:
        await super().apply(configuration)
        self.taken.append((self._clock.now(), configuration))

    def crash(self) -> None:
        """The next one starts with nothing."""
        self.disconnect()
        self.serving = Configuration()
        self.taken.append((self._clock.now(), self.serving))

    def served_since(self, instant: float) -> list[Configuration]:
        """All that it has served from the instant on."""
        first = max((number for number, (at, _) in enumerate(self.taken) if at <= instant), default=0)
        return [configuration for _, configuration in self.taken[first:]]


class EnvoyLink:
    """One server process's `Balancer`. It is Envoy that connects: within two seconds it finds a server that is new."""

    def __init__(self, envoy: SimEnvoy, clock: Clock, rng: random.Random, process: Process) -> None:
        self._envoy = envoy
        self._clock = clock
        self._rng = rng
        self._process = process
        self._is_found = False
        self._callbacks: list[Callable[[], None]] = []
        process.spawn(self._find(), "data plane")

    async def _find(self) -> None:
        await self._clock.sleep(self._rng.random() * _LONGEST_SEARCH)
        self._is_found = True
        self._envoy.on_connected(self._connected)
        if self._envoy.is_connected():
            self._connected()

    def _connected(self) -> None:
        for callback in self._callbacks if self._process.is_alive else ():
            callback()

    def is_connected(self) -> bool:
        return self._is_found and self._envoy.is_connected()

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def prepare(self) -> None:
        return

    async def apply(self, configuration: Configuration) -> None:
        """A server that dies over it never knows whether it was served."""
        await self._clock.sleep(self._rng.uniform(0.001, 0.01))
        await self._envoy.apply(configuration)
        await self._clock.sleep(self._rng.uniform(0.001, 0.01))

    async def close(self) -> None:
        return


class SimProber:
    """`Prober` of one server process: asks the containers that have the port on the host with the address."""

    def __init__(self, hosts: Sequence[SimHost], network: Network) -> None:
        self._hosts = hosts
        self._network = network

    async def probe(self, probe: Probe) -> Outcome:
        clock, host = self._network.clock, self._host(probe.host)
        await clock.sleep(self._network.latency())
        if host is None or host.is_lost or self._network.link(host.name).is_cut:
            await clock.sleep(probe.timeout)
            return TimedOut()
        container = host.listening(probe.port)
        if container is None:
            return Failed("connection refused")
        return self._answer(container, probe.protocol, clock.now())

    def _host(self, address: str) -> SimHost | None:
        return next((host for host in self._hosts if host.config.address == address), None)

    def _answer(self, container: FakeContainer, protocol: str, now: float) -> Outcome:
        image = container.image.partition("@")[0]
        outcome = WEBS.get(image, Web()).answer(now - (container.started_at or now))
        return Answered() if protocol == "TCP" and isinstance(outcome, Answered) else outcome


def weights_in(configuration: Configuration, row: Listener | Rule) -> dict[str, int]:
    """What the data plane gives each target group of what a rule, or a listener's default, takes; empty: not served."""
    is_default = isinstance(row, Listener)
    listener_arn = row.arn if isinstance(row, Listener) else row.listener_arn
    for listener in configuration.listeners:
        if listener.id != listener_arn:
            continue
        actions = [listener.default] if is_default else [r.action for r in listener.rules if r.priority == row.priority]
        return _weights(action for action in actions if isinstance(action, Forward))
    return {}


def _weights(actions: Iterable[Forward]) -> dict[str, int]:
    return {group.target_group_id: group.weight for action in actions for group in action.groups}


def weights_of(row: Listener | Rule) -> dict[str, int]:
    """The same as the row has it."""
    actions = row.default_actions if isinstance(row, Listener) else row.actions
    groups = [group for action in actions for group in (action.get("ForwardConfig") or {}).get("TargetGroups") or ()]
    return {group["TargetGroupArn"]: group["Weight"] for group in groups}
