"""Which reconcilers a control plane runs: the list that the server and the simulation share."""

from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.config import ServerConfig
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.control.dispatch import Dispatch
from homeport.control.instance import InstanceReconciler, UnplacedReconciler
from homeport.control.messages import Composer
from homeport.control.reaper import Reaper
from homeport.control.runner import Reconciler
from homeport.control.service import ServiceReconciler
from homeport.control.sessions import Sessions
from homeport.control.targets import DrainingTargets, ServiceTargets
from homeport.drivers.logs import LogStore
from homeport.scheduler.fleet import Fleet
from homeport.store.store import Store


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
) -> tuple[Reconciler, ...]:
    """`endpoint`: this server's URL for agents that did not tell theirs. `logs` None: no retention of logs."""
    composer = Composer(
        arns,
        sealer,
        ids,
        lambda: store.version,
        credentials_lifetime=config.credentials_lifetime,
        logs_endpoint=endpoint,
    )
    return (
        Dispatch(sessions, composer),
        InstanceReconciler(clock.now(), config.instance_lost_after),
        UnplacedReconciler(),
        ServiceTargets(),
        DrainingTargets(),
        ServiceReconciler(store.read, fleet or Fleet(store.read), config.inactive_retention),
        Reaper(config, clock, logs),
    )
