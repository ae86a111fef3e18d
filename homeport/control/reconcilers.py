"""Which reconcilers a control plane runs: the list that the server and the simulation share."""

from typing import NamedTuple

from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.config import ServerConfig
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.control.balancer import BalancerReconciler
from homeport.control.balancer_configuration import Surroundings
from homeport.control.dispatch import Dispatch
from homeport.control.hooks import HookReconciler
from homeport.control.instance import InstanceReconciler, UnplacedReconciler
from homeport.control.messages import Composer
from homeport.control.reaper import Reaper
from homeport.control.runner import Reconciler
from homeport.control.served import Served
from homeport.control.service import ServiceReconciler
from homeport.control.sessions import Sessions
from homeport.control.targets import DrainingTargets, ServiceTargets
from homeport.drivers.balancer import Balancer
from homeport.drivers.hooks import Functions
from homeport.drivers.logs import LogStore
from homeport.drivers.network import Addresses, HostNames
from homeport.scheduler.fleet import Fleet
from homeport.store.store import Store

CERTIFICATE_PURPOSE = "certificate"


class DataPlane(NamedTuple):
    """What carries the traffic of load balancers, and what makes it reachable on this host."""

    balancer: Balancer
    addresses: Addresses
    names: HostNames


def standard_reconcilers(
    *,
    store: Store,
    clock: Clock,
    arns: Arns,
    sealer: Sealer,
    ids: Ids,
    sessions: Sessions,
    config: ServerConfig,
    logs: LogStore | None,
    endpoint: str = "",
    fleet: Fleet | None = None,
    data_plane: DataPlane | None = None,
    functions: Functions | None = None,
) -> tuple[Reconciler, ...]:
    """`endpoint`: this server's URL for agents that did not tell theirs. `logs` None: no retention of logs.

    `data_plane` None: load balancers stay provisioning. `functions` None: Lambda lifecycle hooks fail.
    """
    composer = Composer(
        arns,
        sealer,
        ids,
        lambda: store.version,
        credentials_lifetime=config.credentials_lifetime,
        logs_endpoint=endpoint,
    )
    served = None if data_plane is None else Served()
    serving = () if data_plane is None else (_balancer(data_plane, sealer, config, served),)
    return (
        Dispatch(sessions, composer),
        InstanceReconciler(clock.now(), config.instance_lost_after),
        UnplacedReconciler(),
        ServiceTargets(),
        DrainingTargets(),
        ServiceReconciler(store.read, fleet or Fleet(store.read), config.inactive_retention, served),
        HookReconciler(functions, clock),
        Reaper(config, clock, logs),
        *serving,
    )


def _balancer(data_plane: DataPlane, sealer: Sealer, config: ServerConfig, served: Served | None) -> BalancerReconciler:
    def open_key(sealed: str) -> str | None:
        plain = sealer.open(CERTIFICATE_PURPOSE, sealed)
        return None if plain is None else plain.decode()

    around = Surroundings(open_key=open_key, log_dir=config.data_dir / "access-logs")
    return BalancerReconciler(data_plane.balancer, data_plane.addresses, data_plane.names, around, served)
