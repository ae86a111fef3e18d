"""`homeport up` and `homeport down`: a supervisor with two children, and progress while a person waits for them."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from homeport.base.local import is_running, read_state, region_of, running_pid
from homeport.cli import local
from homeport.cli.console import new_console
from homeport.cli.ports import agent_port_options
from homeport.cli.supervisor import release_host

console = new_console(stderr=True)


class UpOptions(NamedTuple):
    data_dir: Path
    host: str
    port: int
    region: str
    detach: bool
    foreground: bool
    server_options: tuple[str, ...]
    agent_options: tuple[str, ...]
    is_port_given: bool = False

    @property
    def endpoint(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"


def bring_up(options: UpOptions) -> None:
    """Start (or find) the supervisor, show progress until a container instance is there, print what to do next."""
    make_directory(options.data_dir)
    _check_region(options)
    if running_pid(options.data_dir, "supervisor"):
        _find_up(options)
        return
    for orphan in ("agent", "server", "balancer"):  # children whose supervisor was killed would keep the port
        _end(options.data_dir, orphan, 10)
    _check_port(options)
    process = _start_supervisor(options)
    try:
        if not _comes_up(options, process):
            _find_up(options)
            return
        _print_next_steps(options.data_dir, options.endpoint)
        if not options.detach:
            console.print(
                "Ctrl-C stops server and agent (containers go on); `homeport up --detach` leaves them running."
            )
            process.wait()
    except KeyboardInterrupt:
        console.print("stopping …")
        process.send_signal(signal.SIGTERM)
        process.wait()


def make_directory(data_dir: Path) -> None:
    """Ends the command with advice where it cannot be made or used."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        usable = os.access(data_dir, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise click.ClickException(
            f"{data_dir} cannot be made ({error.strerror}); choose another with --data-dir"
        ) from error
    if not usable:
        raise click.ClickException(f"{data_dir} belongs to another user; become that user or choose another --data-dir")


def _check_region(options: UpOptions) -> None:
    """Ends the command where another region is asked for than the directory holds: it is in every ARN there."""
    held = region_of(options.data_dir)
    if held not in (None, options.region):
        raise click.ClickException(
            f"{options.data_dir} holds region {held}; leave --region away, or choose another --data-dir"
        )


def _find_up(options: UpOptions) -> None:
    """It is up already, maybe with other options than these, which change nothing."""
    local.wait_until(lambda: running_pid(options.data_dir, "server") is not None, 30)
    endpoint = read_state(options.data_dir, "server").get("endpoint") or options.endpoint
    console.print(f"already up: {endpoint}", soft_wrap=True)
    if endpoint != options.endpoint and options.is_port_given:
        down = local.command("down", options.data_dir)
        console.print(f"it stays there; to serve {options.endpoint} instead: {down}, then up again", soft_wrap=True)
    _wait_until_ready(options.data_dir, endpoint)
    _print_next_steps(options.data_dir, endpoint)


def _comes_up(options: UpOptions, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it is ready; False if another `up` was quicker.

    What does not come up is stopped again, so that the next `up` starts from the beginning.
    """
    try:
        _wait_until_ready(options.data_dir, options.endpoint, process)
    except click.ClickException:
        if process.poll() is not None and running_pid(options.data_dir, "supervisor"):
            return False
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    return True


def bring_down(data_dir: Path) -> None:
    """Stop the supervisor and with it its children; containers go on."""
    parts = (("supervisor", 25), ("agent", 10), ("server", 10), ("balancer", 5))
    ended = [_end(data_dir, name, seconds) for name, seconds in parts]
    release_host(data_dir)
    if not any(ended):
        console.print("nothing runs here")
        return
    console.print(
        "server, agent and load balancers are down; containers go on and the next `homeport up` finds them again",
        soft_wrap=True,
    )


def _end(data_dir: Path, name: str, seconds: float) -> bool:
    """SIGTERM, and SIGKILL when it takes too long; False if it did not run."""
    pid = running_pid(data_dir, name)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
        if not local.wait_until(lambda: not is_running(pid), seconds):
            os.kill(pid, signal.SIGKILL)
    except PermissionError as error:
        raise click.ClickException(f"the {name} (pid {pid}) is another user's; stop it as that user") from error
    return True


def _check_port(options: UpOptions) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except socket.gaierror as error:
            raise click.ClickException(
                f"--host {options.host}: {error.strerror}; give an address of this host"
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise click.ClickException(
                    f"{options.host} is no address of this host; choose another --host"
                ) from error
            raise click.ClickException(
                f"port {options.port} on {options.host} is not free ({error.strerror}); "
                f"stop what uses it (ss -ltnp 'sport = :{options.port}' tells) or choose another with --port"
            ) from error


def _start_supervisor(options: UpOptions) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "homeport.cli.supervisor", "--data-dir", str(options.data_dir)]
    server = (f"--host={options.host}", f"--port={options.port}", f"--region={options.region}", *options.server_options)
    agent = (f"--endpoint={options.endpoint}", f"--region={options.region}", *options.agent_options)
    agent += tuple(agent_port_options(options.data_dir, agent))
    command += [f"--server={option}" for option in server] + [f"--agent={option}" for option in agent]
    if options.foreground:
        return subprocess.Popen([*command, "--show-logs"], start_new_session=options.detach)  # noqa: S603 - our own module
    (options.data_dir / "logs").mkdir(exist_ok=True)
    with (options.data_dir / "logs" / "supervisor.log").open("ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)  # noqa: S603


def _wait_until_ready(data_dir: Path, endpoint: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Three things, each told as it comes: the server answers, the agent is registered, its instance is connected."""

    def alive() -> bool:
        return process is None or process.poll() is None

    with console.status("starting the control plane …") as status:
        _expect(data_dir, lambda: local.health(endpoint) is not None or not alive(), "server", 30)
        if not alive():
            said = last_words(data_dir / "logs" / "supervisor.log")
            raise click.ClickException(f"the supervisor ended: {said}\nsee {data_dir}/logs/supervisor.log")
        console.print(f"[green]✓[/] control plane answers on {endpoint}", soft_wrap=True)
        status.update("starting the agent …")
        _expect(data_dir, lambda: _connected_instance(data_dir) is not None, "agent", 60)
        console.print(f"[green]✓[/] this host is container instance {_connected_instance(data_dir)}", soft_wrap=True)


def _expect(data_dir: Path, condition: Callable[[], bool], name: str, seconds: float) -> None:
    def is_decided() -> bool:
        return _ended_for_good(data_dir, name) or condition()

    is_in_time = local.wait_until(is_decided, seconds)
    is_given_up = _ended_for_good(data_dir, name)
    if is_in_time and not is_given_up:
        return
    trouble = "does not start" if is_given_up else f"is not ready after {seconds:.0f} s"
    said = last_words(data_dir / "logs" / f"{name}.log")
    raise click.ClickException(
        f"the {name} {trouble}{f': {said}' if said else ''}\n"
        f"see {data_dir}/logs/{name}.log, or run: {local.command('doctor', data_dir)}"
    )


def _ended_for_good(data_dir: Path, name: str) -> bool:
    """Whether the supervisor has given the child up: it said itself that another start would end as this one did."""
    given_up = read_state(data_dir, "supervisor").get("givenUp", ())
    return name in given_up and running_pid(data_dir, "supervisor") is not None  # not of a killed one


def last_words(log: Path) -> str:
    """What a child's log says last, if it is an error: ours as their text, anything else (a usage, a crash) as it is."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), "")
    try:
        return str(msgspec.json.decode(last, type=dict[str, Any]).get("error") or "")
    except msgspec.DecodeError:
        return last.removeprefix("Error: ")


def _connected_instance(data_dir: Path) -> str | None:
    """The id of this host's container instance once it is registered and its agent connected."""
    from botocore.exceptions import BotoCoreError, ClientError

    arn = read_state(data_dir, "agent").get("containerInstanceArn")
    if not arn or running_pid(data_dir, "agent") is None:
        return None
    try:
        answer = local.client(data_dir, "ecs").describe_container_instances(
            cluster=arn.split("/")[1], containerInstances=[arn]
        )
    except (BotoCoreError, ClientError):  # It has just gone away; the supervisor brings it back.
        return None
    if not any(instance.get("agentConnected") for instance in answer["containerInstances"]):
        return None
    return str(arn).rsplit("/", 1)[1]


def _print_next_steps(data_dir: Path, endpoint: str) -> None:
    click.echo(f"endpoint: {endpoint}")
    click.echo(f'next:     eval "$({local.command("env", data_dir)})" && aws ecs list-container-instances')
