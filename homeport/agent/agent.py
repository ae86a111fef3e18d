"""The agent: adopt what runs, go on with it, join the cluster, and keep everything alive.

Order of a start: engine, saved records, the engine's listing folded into them, tasks resumed; only then the control
plane, whose absence stops nothing. `run` ends by cancellation (state saved, containers untouched) or by a failure.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from homeport.agent.adoption import EngineWatch, Seen, lost_tasks
from homeport.agent.backend import Backend
from homeport.agent.cgroup import Cgroups
from homeport.agent.cleanup import Cleanup
from homeport.agent.docker_config import Surroundings
from homeport.agent.hands import Hands, LogConfig
from homeport.agent.host import HostResources, registration
from homeport.agent.image_book import ImageBook
from homeport.agent.images import Images
from homeport.agent.inbox import CredentialStore, Inbox
from homeport.agent.ports import PortAllocator, dynamic_range, is_port_free
from homeport.agent.registration import RegistrationRefused, register
from homeport.agent.reporter import Reporter
from homeport.agent.session import Instance, InstanceInactive, PollEndpoints, Session
from homeport.agent.state import AgentState, Identity
from homeport.agent.tasks import Tasks
from homeport.agent.telemetry import Telemetry
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import Transient
from homeport.base.ids import Ids, derived_uuid
from homeport.base.local import write_state
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.drivers.engine import Engine, EngineInfo
from homeport.shapes import ecs

log = get_logger("agent")
T = TypeVar("T")
_ZONE_ATTRIBUTE = "ecs.availability-zone"


class Credentials(CredentialStore, Protocol):
    """Role credentials, held in memory until their task has stopped."""

    def remove(self, task_arn: str) -> None: ...


Serve = Callable[["Agent"], Awaitable[None]]


class Agent:
    """One agent on one host. Everything that touches the world comes in by the constructor.

    `serve` runs the task endpoints (None in simulation); `log_config` rewrites Docker's LogConfig; `dns` tells the
    resolvers of bridge containers; `port_probe` asks whether a host port is free; `publishes_metrics` switches
    telemetry. Parts that others look at: `tasks` (a TaskBook), `credentials`, `engine`, `backend`, `instance` (None
    until registered), `identity`. Raises RegistrationRefused where the saved state belongs to another cluster.
    """

    def __init__(
        self,
        config: AgentConfig,
        clock: Clock,
        ids: Ids,
        engine: Engine,
        backend: Backend,
        *,
        state: AgentState,
        credentials: Credentials,
        serve: Serve | None = None,
        log_config: LogConfig | None = None,
        port_probe: Callable[[str, int], bool] = is_port_free,
        publishes_metrics: bool = True,
        announces: bool = True,
        image_book: ImageBook | None = None,
        dns: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self.config = config
        self.clock = clock
        self.engine = engine
        self.backend = backend
        self.credentials = credentials
        self.instance: Instance | None = None
        self.session: Session | None = None
        self._ids = ids
        self._rng: random.Random = ids.rng()
        self._state = state
        self._serve = serve
        self._log_config = log_config
        self._port_probe = port_probe
        self._publishes_metrics = publishes_metrics
        self._announces = announces
        self._image_book = image_book
        self._dns = dns
        identity, self._saved_tasks = state.load()
        if identity is not None and identity.cluster != config.cluster:
            raise RegistrationRefused(
                f"the data directory belongs to an agent of cluster {identity.cluster}, not {config.cluster}",
                is_terminal=True,
            )
        if identity is None:
            identity = Identity(cluster=config.cluster, endpoint_seed=ids.uuid())
            state.save_identity(identity)
        self.identity = identity
        self.is_registered = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. Raises RegistrationRefused, or the failure of any part."""
        self.supervisor = Supervisor(self.clock)
        try:
            self.info = await self._patiently(self.engine.info)
            self._assemble(self.info)
            self.supervisor.keep("engine events", self.watch.watch)
            await self.watch.adopted.wait()
            if self._serve is not None:
                serve = self._serve
                self.supervisor.keep("task endpoints", lambda: serve(self))
            self.tasks.resume()
            self.supervisor.keep("relist", lambda: self.watch.relist_regularly(self._take_in_late))
            self.supervisor.keep("task clean-up", self._cleanup.clean_tasks)
            self.supervisor.keep("image clean-up", lambda: self._images.run(self.tasks))
            self.supervisor.spawn("control plane", self._belong())
            await self.supervisor.failed
        finally:
            await self.supervisor.close()
            self._state.flush()

    @property
    def is_connected(self) -> bool:
        """Whether the ACS link stands."""
        return self.session is not None and self.session.is_connected

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The engine's answer, however often it has to be asked."""
        attempt = 0
        while True:
            try:
                return await ask()
            except Transient as error:
                log.warning("engine_unavailable", error=str(error))
                await self.clock.sleep(backoff_seconds(attempt, first=0.25, factor=2, most=10))
                attempt += 1

    def _assemble(self, info: EngineInfo) -> None:
        config, clock = self.config, self.clock
        self.cgroups = Cgroups.detect(info, wanted=config.task_cpu_mem_limit)
        self._images = Images(self.engine, clock, config, self._image_book)
        ports = PortAllocator(*dynamic_range(config), is_free=self._port_probe)
        hands = Hands(
            engine=self.engine,
            images=self._images,
            cgroups=self.cgroups,
            ports=ports,
            around=Surroundings(
                agent_id=_agent_id(config),
                cluster=config.cluster,
                region=config.region,
                endpoint=_endpoint(config) if self._serve else None,
            ),
            clock=clock,
            stop_timeout=config.container_stop_timeout,
            log_config=self._log_config,
            dns=self._dns,
        )
        self.tasks = Tasks(
            state=self._state,
            hands=hands,
            clock=clock,
            supervisor=self.supervisor,
            host=HostResources(info, config),
            ports=ports,
            endpoint_seed=self.identity.endpoint_seed,
            task_limits=self.cgroups.enabled,
            credentials=self.credentials,
        )
        self.tasks.restore(self._saved_tasks)
        self.watch = EngineWatch(self.engine, self.tasks, clock, self.supervisor)
        self._cleanup = Cleanup(tasks=self.tasks, engine=self.engine, cgroups=self.cgroups, clock=clock, config=config)

    # ---- belonging to a cluster

    async def _belong(self) -> None:
        """Register and serve; again as a new instance when the control plane has deregistered this one."""
        reporter: Reporter | None = None
        while True:
            instance = await self._register()
            if reporter is None:
                reporter = Reporter(
                    self.backend, self.tasks, self.clock, self.supervisor, self._rng, cluster=self.config.cluster
                )
                self.tasks.listen(reporter)
            # Before the link stands: only then is every task in the answer to the control plane's manifest.
            self._adopt_lost(await self._patiently(self.watch.listing), instance)
            endpoints = PollEndpoints(self.backend, self.clock, instance)
            telemetry = self._start_telemetry(instance, endpoints)
            self.session = self._new_session(instance, endpoints)
            try:
                await self.session.run()
            except InstanceInactive as error:
                log.warning("instance_inactive", arn=instance.arn, text=str(error))
                self._remember(replace(self.identity, container_instance_arn=None))
            finally:
                for child in telemetry:
                    child.cancel()

    async def _register(self) -> Instance:
        request: ecs.RegisterContainerInstanceRequest = registration(
            self.info,
            self.config,
            task_limits=self.cgroups.enabled,
            container_instance_arn=self.identity.container_instance_arn,
        )
        # With a token a registration whose answer was lost leaves no second instance behind when it is tried again.
        request = replace(request, client_token=self._ids.uuid())
        found = await register(self.backend, request, self.clock, self._rng)
        arn = found.container_instance_arn or ""
        zone = next((each.value for each in found.attributes or () if each.name == _ZONE_ATTRIBUTE), None)
        self._remember(
            replace(
                self.identity,
                container_instance_arn=arn,
                availability_zone=zone or self.config.availability_zone or self.identity.availability_zone,
            )
        )
        self.instance = Instance(self.config.cluster, arn, self.info.version)
        log.info("registered", container_instance_arn=arn, cluster=self.config.cluster)
        if self._announces:
            write_state(self.config.data_dir, "agent", {"pid": os.getpid(), "containerInstanceArn": arn})
        self.is_registered.set()
        return self.instance

    def _remember(self, identity: Identity) -> None:
        self.identity = identity
        self._state.save_identity(identity)
        self._state.flush()

    def _adopt_lost(self, seen: Seen, instance: Instance) -> bool:
        """Whether there were tasks of this instance's cluster without a record: now they have one."""
        records = list(
            lost_tasks(
                seen,
                lambda arn: self.tasks.by_arn(arn) is not None,
                instance_arn=instance.arn,
                now=self.clock.now(),
                endpoint_seed=self.identity.endpoint_seed,
                agent_id=_agent_id(self.config),
            )
        )
        for record in records:
            self.tasks.adopt_unknown(record)
        return bool(records)

    async def _take_in_late(self, seen: Seen) -> None:
        """Tasks that turn up later are for the control plane to judge, which it does on a new connection."""
        if self.instance is not None and self._adopt_lost(seen, self.instance) and self.session is not None:
            await self.session.reconnect()

    def _new_session(self, instance: Instance, endpoints: PollEndpoints) -> Session:
        return Session(
            backend=self.backend,
            clock=self.clock,
            rng=self._rng,
            supervisor=self.supervisor,
            instance=instance,
            endpoints=endpoints,
            new_inbox=lambda: Inbox(self.tasks, self.credentials, self._state),
        )

    def _start_telemetry(self, instance: Instance, endpoints: PollEndpoints) -> tuple[asyncio.Task[None], ...]:
        if not self._publishes_metrics:
            return ()
        telemetry = Telemetry(
            self.backend,
            self.tasks,
            self.engine,
            self.clock,
            self._ids.rng(),
            self.config,
            container_instance_arn=instance.arn,
            endpoint=endpoints.telemetry,
        )
        return (self.supervisor.keep("telemetry", telemetry.run), self.supervisor.keep("stats", telemetry.sample))


def _agent_id(config: AgentConfig) -> str:
    """Survives the loss of the agent's state, and differs between agents that share an engine: from its directory."""
    return derived_uuid("agent", str(config.data_dir))


def _endpoint(config: AgentConfig) -> str:
    """Base URL of the task endpoints as containers see it."""
    port = "" if config.task_endpoint_port == 80 else f":{config.task_endpoint_port}"
    return f"http://{config.task_endpoint_address}{port}"
