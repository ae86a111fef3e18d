"""Requests through a load balancer, next to a bare Envoy, HAProxy and nginx, all in front of the same backends.

Ours is an application load balancer as it is in production: rows, the reconciler, discovery over the unix socket, and
an Envoy under its keeper, with one rule (which the requests do not match) before the default action. Bare is the same
Envoy program with as many threads and a static configuration of one route. HAProxy and nginx have their defaults, kept
connections to the backends, and as many threads or processes as the machine has processors. Backends are two ports of
one nginx that answers from its configuration. wrk drives them by turns on the same machine, so what it costs is in all
figures. Everybody is started anew a few times: where a process happens to lie in memory is worth some percent. Needs
root (addresses), wrk, haproxy and nginx (`scripts/setup-bench`).
"""

import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.figure import Figure, number
from bench.weight import cpu_seconds
from homeport.base.log import configure_logging
from homeport.drivers.balancer.matching import TYPE
from homeport.drivers.balancer.process import binary
from tests.balancing import a_listener, a_load_balancer, a_rule, a_target, a_target_group, fixed, forward, path_is
from tests.system.data_plane import DataPlane
from tests.system.live import free_port, until

_WRK = ("wrk", "-t1", "-c32", "--latency")
_WARM_SECONDS, _SECONDS, _ROUNDS, _STARTS = 1, 3, 3, 4
_THREADS = max(1, os.cpu_count() or 1)
_ADDRESS = "172.31.240.20"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BODY = "x" * 128
_NAMES = {"ours": "ours", "envoy": "bare Envoy", "haproxy": "HAProxy", "nginx": "nginx"}


class Subject(NamedTuple):
    """Whom wrk drives; `pid` is the process whose processor time is read (None where there are several)."""

    url: str
    pid: int | None = None


class Round(NamedTuple):
    """Requests a second, the 99th percentile of latency in ms, processor time of a request in µs (0: not read)."""

    rate: float
    p99: float
    cpu: float


def drive(subject: Subject, seconds: int) -> Round:
    """One round of wrk. Raises RuntimeError if anything but successes came back."""
    url, pid = subject
    before = 0.0 if pid is None else cpu_seconds(pid)
    done = subprocess.run([*_WRK, f"-d{seconds}s", url], check=True, capture_output=True, text=True)
    busy = 0.0 if pid is None else cpu_seconds(pid) - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{url}: {done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert rate is not None, done.stdout
    assert p99 is not None, done.stdout
    requests = float(rate[1]) * seconds
    return Round(float(rate[1]), float(p99[1]) * _UNITS[p99[2]], busy / requests * 1e6)


def _nginx_main(folder: Path, name: str, http: str, processes: int) -> str:
    return (
        f"daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log; worker_processes {processes};\n"
        f"events {{ worker_connections 4096; }}\nhttp {{ access_log off; {http} }}\n"
    )


def nginx_backends(folder: Path, ports: list[int]) -> str:
    """One process that answers at all ports; connections are kept for as long as the run takes."""
    listen = " ".join(f"listen 127.0.0.1:{port};" for port in ports)
    kept = "keepalive_requests 100000000; keepalive_timeout 300s;"
    http = f'{kept} server {{ {listen} location / {{ default_type text/plain; return 200 "{_BODY}"; }} }}'
    return _nginx_main(folder, "backends", http, 1)


def nginx_proxy(folder: Path, port: int, backends: list[int]) -> str:
    servers = " ".join(f"server 127.0.0.1:{each};" for each in backends)
    upstream = f"upstream web {{ {servers} keepalive 64; keepalive_requests 100000000; }}"
    way = 'proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";'
    kept = "keepalive_requests 100000000; keepalive_timeout 300s;"
    server = f"server {{ listen 127.0.0.1:{port}; location / {{ {way} }} }}"
    return _nginx_main(folder, "proxy", f"{kept} {upstream} {server}", _THREADS)


def haproxy(port: int, backends: list[int]) -> str:
    servers = "\n".join(f" server s{each} 127.0.0.1:{each}" for each in backends)
    return (
        f"global\n nbthread {_THREADS}\ndefaults\n mode http\n timeout connect 5s\n timeout client 300s\n"
        f" timeout server 300s\n http-reuse always\nfrontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
        f"backend b\n balance roundrobin\n{servers}\n"
    )


def bare_envoy(port: int, backends: list[int]) -> str:
    """A static configuration, with nothing in it but what it takes to forward."""
    manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "web"}}]}
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "bare", "address": _envoy_address(port), "filter_chains": [chain]}
    endpoints = [{"endpoint": {"address": _envoy_address(each)}} for each in backends]
    assignment = {"cluster_name": "web", "endpoints": [{"lb_endpoints": endpoints}]}
    cluster = {"name": "web", "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def _running(*command: str, url: str) -> Iterator[int]:
    """A process that answers at the URL while the context is open; gives its id."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(url), 20, what=f"{command[0]} at {url}")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    return subprocess.run(["curl", "-sf", "-o", "/dev/null", "--max-time", "1", url], check=False).returncode == 0  # noqa: S607


def _peers(folder: Path, backends: list[int], stack: ExitStack) -> dict[str, Subject]:
    """Everything but ours, by name; the processes end with `stack`."""
    ports = {name: free_port() for name in ("envoy", "haproxy", "nginx")}
    texts = {
        "backends": nginx_backends(folder, backends),
        "envoy": bare_envoy(ports["envoy"], backends),
        "haproxy": haproxy(ports["haproxy"], backends),
        "nginx": nginx_proxy(folder, ports["nginx"], backends),
    }
    files = {name: folder / f"{name}.conf" for name in ("backends", "haproxy", "nginx")} | {
        "envoy": folder / "envoy.json"
    }
    for name, text in texts.items():
        files[name].write_text(text)
    nginx, ha = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or name for name in ("nginx", "haproxy"))
    threads = ("--disable-hot-restart", "--concurrency", str(_THREADS))
    commands = {
        "envoy": (str(binary()), "-c", str(files["envoy"]), *threads),
        "haproxy": (ha, "-db", "-f", str(files["haproxy"])),
        "nginx": (nginx, "-c", str(files["nginx"])),
    }
    stack.enter_context(_running(nginx, "-c", str(files["backends"]), url=f"http://127.0.0.1:{backends[0]}/"))
    urls = {name: f"http://127.0.0.1:{port}/" for name, port in ports.items()}
    pids = {name: stack.enter_context(_running(*command, url=urls[name])) for name, command in commands.items()}
    return {name: Subject(url, pids[name] if name == "envoy" else None) for name, url in urls.items()}


async def _rounds() -> dict[str, list[Round]]:
    """All subjects by turns, ours among them."""
    backends = [free_port(), free_port()]
    balancer, group = a_load_balancer(address=_ADDRESS), a_target_group()
    listener = a_listener(balancer, forward(group))
    rule = a_rule(listener, 1, fixed(404), path_is("/never/*"))
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        peers = await asyncio.to_thread(_peers, Path(directory), backends, stack)
        async with DataPlane() as plane:
            plane.put(balancer, group, listener, rule, *(a_target(group, port) for port in backends))
            await plane.active(balancer)
            await plane.applied()
            subjects = {"ours": Subject(f"http://{_ADDRESS}/", plane.envoy_pid()), **peers}
            found = await asyncio.to_thread(_by_turns, subjects)
        shutil.rmtree(plane.data_dir, ignore_errors=True)
        return found


def _by_turns(subjects: dict[str, Subject]) -> dict[str, list[Round]]:
    """Each once to warm up, then all in each round."""
    for subject in subjects.values():
        drive(subject, _WARM_SECONDS)
    rounds = [{name: drive(subject, _SECONDS) for name, subject in subjects.items()} for _ in range(_ROUNDS)]
    return {name: [each[name] for each in rounds] for name in subjects}


def measure() -> list[Figure]:
    """The ratios to a bare Envoy; takes about three minutes."""
    configure_logging(level="error")
    starts = [asyncio.run(_rounds()) for _ in range(_STARTS)]
    found = {name: [each for rounds in starts for each in rounds[name]] for name in _NAMES}
    rates, p99s, cpus = (
        {name: statistics.median(each[member] for each in rounds) for name, rounds in found.items()}
        for member in range(len(Round._fields))
    )
    least: dict[str, Any] = {"goal": 0.97, "is_most": False}
    return [
        Figure(
            "requests/s through a load balancer ÷ a bare Envoy",
            rates["ours"] / rates["envoy"],
            how=_told(rates, "/s"),
            **least,
        ),
        Figure(
            "p99 of a bare Envoy ÷ that of a load balancer",
            p99s["envoy"] / p99s["ours"],
            how=_told(p99s, " ms"),
            **least,
        ),
        Figure(
            "processor time of a request through a load balancer ÷ a bare Envoy",
            cpus["ours"] / cpus["envoy"],
            how=_told({name: cpus[name] for name in ("ours", "envoy")}, " µs"),
        ),
    ]


def _told(values: dict[str, float], unit: str) -> str:
    return "; ".join(f"{_NAMES[name]} {number(value)}{unit}" for name, value in values.items())


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
