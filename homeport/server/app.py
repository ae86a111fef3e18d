"""Everything is made here, once, and here the process decides to live or to end.

Order matters: the fleet's observers are attached before the journal is loaded, so that loading and running keep it by
the same code; agents' sessions of a former process are closed in the store before anyone may connect; the socket
opens last.
"""

import asyncio
import gc
import os
import signal
from contextlib import suppress

from homeport.api.gateway import Gateway
from homeport.api.operation import World
from homeport.api.sockets import AgentSockets
from homeport.base.clock import SystemClock
from homeport.base.config import ServerConfig
from homeport.base.ids import system_ids
from homeport.base.local import master_key, write_state
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.control.controller import Controller
from homeport.control.startup import close_former_sessions
from homeport.drivers.logs.sqlite import SqliteLogStore
from homeport.scheduler.fleet import Fleet
from homeport.server.bootstrap import bootstrap
from homeport.server.http import HttpServer
from homeport.store.sqlite import SqliteJournal
from homeport.store.store import Store

VERSION = "0.1.0"
log = get_logger("server")


async def run_server(config: ServerConfig) -> int:
    """Serve until SIGTERM or SIGINT (0) or until a part fails beyond repair (1: the supervisor starts it again)."""
    clock, ids = SystemClock(), system_ids()
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealer = master_key(config.data_dir)
    journal = SqliteJournal(config.data_dir / "state.db")
    store = Store(journal, clock, ids)
    fleet = Fleet(store.read)
    started = clock.monotonic()
    rows = store.load()
    log.info("store_loaded", rows=rows, version=store.version, seconds=round(clock.monotonic() - started, 3))
    arns = bootstrap(store, sealer, ids, region=config.region, data_dir=config.data_dir)
    close_former_sessions(store)
    await store.durable(store.version)
    logs = SqliteLogStore(config.data_dir / "logs.db")
    world = World(arns=arns, store=store, fleet=fleet, clock=clock, ids=ids, sealer=sealer, logs=logs, version=VERSION)
    supervisor = Supervisor(clock)
    sockets = AgentSockets(world, config)
    controller = Controller(world_store=store, clock=clock)
    http = HttpServer(Gateway(world), sockets)
    port = await http.start(config.host, config.port)
    _settle_memory()
    address = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104 - compared, not bound
    write_state(
        config.data_dir,
        "server",
        {
            "pid": os.getpid(),
            "endpoint": f"http://{address}:{port}",
            "port": port,
            "region": config.region,
            "accountId": arns.account_id,
        },
    )
    log.info("server_ready", endpoint=f"http://{address}:{port}", account_id=arns.account_id)
    code = await _until_ended(supervisor, journal)
    await sockets.close()
    await http.close()
    await supervisor.close()
    await store.close()
    log.info("server_ended", code=code)
    return code


def _settle_memory() -> None:
    """What was loaded stays: keep the collector from walking it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


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
