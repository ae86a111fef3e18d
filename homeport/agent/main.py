"""The agent as a process: real clock, real engine, real control plane. SIGTERM saves and leaves containers running."""

import asyncio
import contextlib
import signal

from homeport.agent.agent import Agent
from homeport.agent.aws import AwsBackend
from homeport.agent.credentials import Credentials
from homeport.agent.endpoints import Endpoints
from homeport.agent.image_book import FileImageBook
from homeport.agent.registration import RegistrationRefused
from homeport.agent.state import SqliteState
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.ids import system_ids
from homeport.base.log import get_logger
from homeport.drivers.engine.docker import DockerEngine

log = get_logger("main")
EXIT_OK, EXIT_RESTART, EXIT_DO_NOT_RESTART = 0, 1, 5


async def run_agent(config: AgentConfig) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code (0 clean, 1 restart me, 5 do not restart)."""
    clock = SystemClock()
    config.data_dir.mkdir(parents=True, exist_ok=True)
    engine = DockerEngine(config.docker_host, clock, start_seconds=config.container_start_timeout)
    state = SqliteState(config.data_dir / "agent.db")
    backend = AwsBackend(config, clock)
    ids, credentials = system_ids(), Credentials()
    endpoints = Endpoints(config, clock, ids, backend, credentials)
    running = asyncio.current_task()
    assert running is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        agent = Agent(
            config,
            clock,
            ids,
            engine,
            backend,
            state=state,
            credentials=credentials,
            serve=endpoints.serve,
            log_config=endpoints.log_config,
            dns=endpoints.dns_servers,
            image_book=FileImageBook(config.data_dir / "images.json"),
        )
        await agent.run()
    except asyncio.CancelledError:
        log.info("stopped")
        return EXIT_OK
    except RegistrationRefused as error:
        log.critical("registration_refused", error=str(error))
        return EXIT_DO_NOT_RESTART if error.is_terminal else EXIT_RESTART
    finally:
        with contextlib.suppress(Exception):
            await backend.close()
            await engine.close()
        state.close()
    return EXIT_RESTART
