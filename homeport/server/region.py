"""One region's moving parts, made and joined: the same for a server process and for a simulated one.

What differs comes in from outside: journal, clock, chance, the log store. Order matters: the fleet observes the tables
before they are loaded, former sessions are closed in the store before an agent may connect, and only then do the
controllers look at everything once.
"""

from dataclasses import dataclass
from pathlib import Path

from homeport.api.gateway import Gateway
from homeport.api.operation import World
from homeport.api.sockets import AgentSockets
from homeport.base.clock import Clock
from homeport.base.config import ServerConfig
from homeport.base.ids import Ids
from homeport.base.log import get_logger
from homeport.base.seal import Sealer
from homeport.base.supervise import Supervisor
from homeport.control.health_checks import HealthChecks
from homeport.control.reconcilers import DataPlane, standard_reconcilers
from homeport.control.runner import Controller
from homeport.control.startup import close_former_sessions
from homeport.drivers.hooks import Functions
from homeport.drivers.logs import LogStore
from homeport.drivers.probe import Prober
from homeport.scheduler.fleet import Fleet
from homeport.server.bootstrap import bootstrap
from homeport.store.journal import Journal
from homeport.store.store import Store

VERSION = "0.1.0"
log = get_logger("region")


@dataclass(frozen=True)
class RegionParts:
    """A running region. `gateway` answers requests, `sockets` serve agents."""

    world: World
    gateway: Gateway
    sockets: AgentSockets
    controller: Controller

    async def stop(self) -> None:
        """Agents are told first, so that they reconnect at once; the journal is closed last."""
        await self.sockets.close()
        await self.controller.stop()
        await self.world.store.close()


async def start_region(
    config: ServerConfig,
    journal: Journal,
    clock: Clock,
    ids: Ids,
    sealer: Sealer,
    logs: LogStore,
    supervisor: Supervisor,
    data_plane: DataPlane | None = None,
    prober: Prober | None = None,
    functions: Functions | None = None,
) -> RegionParts:
    """Load, bootstrap and start; without a `data_plane` load balancers stay provisioning. Raises `bootstrap.WrongRegionError`.

    Without a `prober` the health of targets is not checked: they stay as they are registered. Without `functions` there
    are no Lambda lifecycle hooks.
    """
    store = Store(journal, clock, ids)
    fleet = Fleet(store.read)
    started = clock.monotonic()
    rows = store.load()
    log.info("store_loaded", rows=rows, version=store.version, seconds=round(clock.monotonic() - started, 3))
    arns = bootstrap(store, sealer, ids, region=config.region, data_dir=Path(config.data_dir))
    await store.durable(close_former_sessions(store))
    world = World(
        arns=arns, store=store, fleet=fleet, clock=clock, ids=ids, sealer=sealer, logs=logs, version=VERSION,
        has_lambda=functions is not None,
    )  # fmt: skip
    sockets = AgentSockets(world, config)
    reconcilers = standard_reconcilers(
        store=store,
        clock=clock,
        arns=arns,
        sealer=sealer,
        ids=ids,
        sessions=sockets.acs,
        config=config,
        logs=logs,
        fleet=fleet,
        data_plane=data_plane,
        functions=functions,
    )
    if prober is not None:
        reconcilers = (*reconcilers, HealthChecks(prober, supervisor, ids.rng()))
    controller = Controller(store, clock, supervisor, reconcilers)
    controller.start()
    return RegionParts(world, Gateway(world), sockets, controller)
