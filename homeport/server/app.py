"""The server process: its files, its port, its signals, and the decision to live or to end."""

import asyncio
import gc
import os
import signal
import sys
from contextlib import suppress

from homeport.base.clock import SystemClock
from homeport.base.config import ServerConfig
from homeport.base.ids import system_ids
from homeport.base.local import master_key, write_state
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.control.reconcilers import DataPlane
from homeport.drivers.balancer.envoy import EnvoyBalancer
from homeport.drivers.hooks.endpoint import LambdaEndpoint
from homeport.drivers.logs.sqlite import SqliteLogStore
from homeport.drivers.network import HostNames
from homeport.drivers.network.addresses import LoopbackAddresses
from homeport.drivers.network.hosts import HostsFile, NoHostNames
from homeport.drivers.probe.network import NetworkProber
from homeport.server.http import HttpServer
from homeport.server.region import start_region
from homeport.store.sqlite import SqliteJournal

log = get_logger("server")
#: How long a busy event loop may let the journal's thread wait for the interpreter, which it asks for several times a
#: commit (Python's own: 5 ms). Every answer waits for a commit: measured, RunTask cost a tenth less and came sooner.
_SWITCH_SECONDS = 0.0005


async def run_server(config: ServerConfig) -> int:
    """Serve until SIGTERM or SIGINT (0) or until a part fails beyond repair (1: the supervisor starts it again)."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = SystemClock()
    supervisor = Supervisor(clock)
    journal = SqliteJournal(config.data_dir / "state.db")
    logs = SqliteLogStore(config.data_dir / "logs.db")
    balancer = EnvoyBalancer(config.data_dir, supervisor)
    await balancer.start()
    try:
        region = await start_region(
            config,
            journal,
            clock,
            system_ids(),
            master_key(config.data_dir),
            logs,
            supervisor,
            data_plane=DataPlane(balancer, LoopbackAddresses(config.data_dir), _host_names(config)),
            prober=NetworkProber(),
            functions=LambdaEndpoint(config.lambda_endpoint) if config.lambda_endpoint else None,
        )
    except BaseException:
        await balancer.close()
        raise
    http = HttpServer(region.gateway, region.sockets)
    port = await http.start(config.host, config.port)
    _settle_memory()
    sys.setswitchinterval(_SWITCH_SECONDS)
    _publish(config, port, region.world.arns.account_id)
    code = await _until_ended(supervisor, journal)
    await region.sockets.close()
    await http.close()
    await region.stop()
    await balancer.close()
    await supervisor.close()
    log.info("server_ended", code=code)
    return code


def _host_names(config: ServerConfig) -> HostNames:
    return HostsFile(config.hosts_file, str(config.data_dir)) if config.hosts_file else NoHostNames()


def _settle_memory() -> None:
    """What was loaded stays: keep the collector from walking it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def _publish(config: ServerConfig, port: int, account_id: str) -> None:
    address = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104 - compared, not bound
    endpoint = f"http://{address}:{port}"
    state = {"pid": os.getpid(), "endpoint": endpoint, "port": port, "region": config.region, "accountId": account_id}
    state["hostsFile"] = str(config.hosts_file) if config.hosts_file else None
    write_state(config.data_dir, "server", state)
    log.info("server_ready", endpoint=endpoint, account_id=account_id)


async def _until_ended(supervisor: Supervisor, journal: SqliteJournal) -> int:
    """Wait for a signal or the first failure of a child or the journal."""
    stop = asyncio.get_running_loop().create_future()

    def ask() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    done, _ = await asyncio.wait([stop, supervisor.failed, journal.failed], return_when=asyncio.FIRST_COMPLETED)
    for failed in done - {stop}:
        with suppress(asyncio.CancelledError):
            log.error("part_failed", error=repr(failed.exception()))
    return 0 if stop in done else 1
