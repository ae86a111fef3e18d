"""Three processes, server, agent and the load balancers' Envoy, kept alive: `python -m homeport.cli.supervisor`.

Each child that dies is started again after 0.1 s, doubling to 5 s while it keeps dying. SIGTERM stops them; the
containers go on. Where the children are now stands in `supervisor.json`; their logs go to `logs/NAME.log`.
"""

import asyncio
import fcntl
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock, SystemClock
from homeport.base.config import AgentConfig
from homeport.base.listening import LOG_INTAKE, VARIABLE, listening_socket
from homeport.base.local import read_state, root_credentials, write_state
from homeport.base.log import configure_logging, get_logger
from homeport.base.supervise import Supervisor
from homeport.drivers.network.addresses import release as release_addresses
from homeport.drivers.network.hosts import rewrite

log = get_logger("supervisor")
#: A child that ran this long was well: what killed it is not its own start.
_SETTLED_SECONDS = 3.0
#: Exit codes that say "do not restart": wrong options, and what the Amazon ECS agent calls terminal.
_FINAL_CODES = (2, 5)
_LONGEST_PAUSE_SECONDS = 5.0


class Keeper:
    """Starts the children of one data directory and starts them again."""

    def __init__(self, data_dir: Path, clock: Clock, *, show_logs: bool) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._show_logs = show_logs
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._log_intake: socket.socket | None = None
        self._stopping = False
        self._given_up: list[str] = []

    async def keep(self, name: str, command: list[str]) -> None:
        """Run `command` again and again until stopped, or until it says that this is of no use."""
        attempt = 0
        while not self._stopping:
            started = self._clock.monotonic()
            process = await self._start(name, command)
            code = await process.wait()
            self._running.pop(name, None)
            if self._stopping or code in _FINAL_CODES:
                log.warning("child_ended", child=name, code=code)
                if not self._stopping:
                    self._given_up.append(name)
                    self.publish()
                if name == "agent" and self._log_intake is not None:
                    self._log_intake.close()  # nobody will answer: containers must not wait for it
                return
            attempt = 0 if self._clock.monotonic() - started > _SETTLED_SECONDS else attempt + 1
            log.warning("child_restarts", child=name, code=code, attempt=attempt)
            await self._clock.sleep(backoff_seconds(attempt, first=0.1, factor=2, most=_LONGEST_PAUSE_SECONDS))

    async def _start(self, name: str, command: list[str]) -> asyncio.subprocess.Process:
        environment = dict(os.environ)
        if name == "agent":
            await self._wait_for_root_key()
            key = root_credentials(self._data_dir)
            assert key is not None
            environment |= {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}
            environment.pop("AWS_SESSION_TOKEN", None)
        handed_down = self._listeners(command) if name == "agent" else {}
        environment[VARIABLE] = ",".join(f"{socket_name}={number}" for socket_name, number in handed_down.items())
        output = None
        if not self._show_logs:
            (self._data_dir / "logs").mkdir(exist_ok=True)
            output = os.open(self._data_dir / "logs" / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=tuple(handed_down.values()),
            )
        finally:
            if output is not None:
                os.close(output)
        self._running[name] = process
        self.publish()
        return process

    def _listeners(self, command: list[str]) -> dict[str, int]:
        """Sockets that stay open while the agent is away: dockerd's log events wait there instead of being lost."""
        if self._log_intake is None:
            try:
                self._log_intake = listening_socket("127.0.0.1", _log_intake_port(command))
            except OSError as error:
                log.warning("log_intake_unavailable", error=str(error))
                return {}
        return {LOG_INTAKE: self._log_intake.fileno()}

    async def _wait_for_root_key(self) -> None:
        while root_credentials(self._data_dir) is None:
            await self._clock.sleep(0.05)

    def publish(self) -> None:
        """Tell in `supervisor.json` who is here, which children run, and which were given up."""
        state = read_state(self._data_dir, "supervisor") | {"pid": os.getpid(), "givenUp": self._given_up}
        for name, process in self._running.items():
            state[name] = {"pid": process.pid}
        write_state(self._data_dir, "supervisor", state)

    async def stop(self) -> None:
        """SIGTERM to all; SIGKILL after 10 s."""
        self._stopping = True
        processes = list(self._running.values())
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in processes:
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()


def _log_intake_port(command: list[str]) -> int:
    """The port among the agent's options, or the usual one."""
    option = "--log-intake-port="
    ports = [part.removeprefix(option) for part in command if part.startswith(option)]
    if ports and ports[-1].isdecimal():
        return int(ports[-1])
    return AgentConfig(data_dir=Path(), endpoint="").log_intake_port


async def supervise(data_dir: Path, commands: dict[str, list[str]], *, show_logs: bool) -> None:
    """Keep all `commands` running until SIGTERM or SIGINT."""
    clock = SystemClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor(clock)
    keeper = Keeper(data_dir, clock, show_logs=show_logs)
    keeper.publish()
    for name, command in commands.items():
        supervisor.spawn(name, keeper.keep(name, command))
    await stop.wait()
    await keeper.stop()
    await supervisor.close()
    release_host(data_dir)
    write_state(data_dir, "supervisor", {})


def release_host(data_dir: Path) -> None:
    """Give back the addresses and names of load balancers that nobody serves any more."""
    release_addresses(data_dir)
    hosts_file = read_state(data_dir, "server").get("hostsFile")
    if hosts_file:
        with suppress(OSError):
            rewrite(Path(hosts_file), str(data_dir), {})


def lock_directory(data_dir: Path) -> TextIO:
    """One supervisor a directory, however many are started at once: held until the file is closed, or the process ends."""
    lock = (data_dir / "supervisor.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise click.ClickException(f"another supervisor runs for {data_dir}") from error
    return lock


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True)
@click.option("--show-logs", is_flag=True)
@click.option("--server", "server_options", multiple=True)
@click.option("--agent", "agent_options", multiple=True)
def main(data_dir: Path, show_logs: bool, server_options: tuple[str, ...], agent_options: tuple[str, ...]) -> None:
    configure_logging()
    lock = lock_directory(data_dir)
    python = [sys.executable, "-m"]
    commands = {
        "server": [*python, "homeport.server", "--data-dir", str(data_dir), *server_options],
        "agent": [*python, "homeport.agent", "--data-dir", str(data_dir), *agent_options],
        "balancer": [*python, "homeport.drivers.balancer.process", str(data_dir)],
    }
    asyncio.run(supervise(data_dir, commands, show_logs=show_logs))
    lock.close()


if __name__ == "__main__":
    main()
