"""`homeport up` and `homeport down`: a supervisor with two children, and progress while a person waits for them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click

from homeport.base.local import is_running, read_state
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

    @property
    def endpoint(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"


def bring_up(options: UpOptions) -> None:
    """Start (or find) the supervisor, show progress until a container instance is there, print what to do next."""
    options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if is_running(read_state(options.data_dir, "supervisor").get("pid")):
        console.print(f"already up: {read_state(options.data_dir, 'server').get('endpoint')}")
        _wait_until_ready(options)
        _print_next_steps(options)
        return
    for orphan in ("agent", "server", "balancer"):  # children whose supervisor was killed would keep the port
        _end(options.data_dir, orphan, 10)
    _check_port(options)
    process = _start_supervisor(options)
    try:
        _wait_until_ready(options, process)
        _print_next_steps(options)
        if not options.detach:
            console.print(
                "Ctrl-C stops server and agent (containers go on); `homeport up --detach` leaves them running."
            )
            process.wait()
    except KeyboardInterrupt:
        console.print("stopping …")
        process.send_signal(signal.SIGTERM)
        process.wait()


def bring_down(data_dir: Path) -> None:
    """Stop the supervisor and with it its children; containers go on."""
    parts = (("supervisor", 25), ("agent", 10), ("server", 10), ("balancer", 5))
    ended = [_end(data_dir, name, seconds) for name, seconds in parts]
    release_host(data_dir)
    if not any(ended):
        console.print("nothing runs here")
        return
    console.print(
        "server, agent and load balancers are down; containers go on and the next `homeport up` finds them again"
    )


def _end(data_dir: Path, name: str, seconds: float) -> bool:
    """SIGTERM, and SIGKILL when it takes too long; False if it did not run (or the id is somebody else's by now)."""
    pid: int = read_state(data_dir, name).get("pid") or 0
    if not is_running(pid) or not _is_ours(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    if not local.wait_until(lambda: not is_running(pid), seconds):
        os.kill(pid, signal.SIGKILL)
    return True


def _is_ours(pid: int) -> bool:
    try:
        return b"homeport" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def _check_port(options: UpOptions) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise click.ClickException(
                f"port {options.port} on {options.host} is not free ({error.strerror}); "
                "stop what uses it (homeport doctor tells) or choose another with --port"
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


def _wait_until_ready(options: UpOptions, process: subprocess.Popen[bytes] | None = None) -> None:
    """Three things, each told as it comes: the server answers, the agent is registered, its instance is connected."""

    def alive() -> bool:
        return process is None or process.poll() is None

    with console.status("starting the control plane …") as status:
        _expect(options, lambda: local.health(options.endpoint) is not None or not alive(), "server", 30)
        if not alive():
            raise click.ClickException(f"the supervisor ended; see {options.data_dir}/logs/supervisor.log")
        console.print(f"[green]✓[/] control plane answers on {options.endpoint}")
        status.update("starting the agent …")
        _expect(options, lambda: _connected_instance(options) is not None, "agent", 60)
        console.print(f"[green]✓[/] this host is container instance {_connected_instance(options)}")


def _expect(options: UpOptions, condition: object, name: str, seconds: float) -> None:
    if not local.wait_until(condition, seconds):
        raise click.ClickException(
            f"the {name} is not ready after {seconds:.0f} s; see {options.data_dir}/logs/{name}.log, or run: homeport doctor"
        )


def _connected_instance(options: UpOptions) -> str | None:
    """The id of this host's container instance once it is registered and its agent connected."""
    state = read_state(options.data_dir, "agent")
    arn = state.get("containerInstanceArn")
    if not arn or not is_running(state.get("pid")):
        return None
    answer = local.client(options.data_dir, "ecs").describe_container_instances(
        cluster=arn.split("/")[1], containerInstances=[arn]
    )
    if not any(instance.get("agentConnected") for instance in answer["containerInstances"]):
        return None
    return str(arn).rsplit("/", 1)[1]


def _print_next_steps(options: UpOptions) -> None:
    directory = "" if "HOMEPORT_DATA_DIR" in os.environ else f" --data-dir {options.data_dir}"
    click.echo(f"endpoint: {options.endpoint}")
    click.echo(f'next:     eval "$(homeport env{directory})" && aws ecs list-container-instances')
