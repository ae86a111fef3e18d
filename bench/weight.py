"""What Homeport weighs: 100,000 tasks in a server's memory and at its restart, and what both processes cost at rest.

The rows of 5,000 instances and 100,000 placed tasks are written to a data directory through the store; then the server
process is started on it as after a crash. "Restart" is from the start of the process to its first answer, Python and
all. At rest: a fresh Homeport with one container instance that runs nothing; processor time of 30 s.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figure import Figure
from bench.placement import instance, run_tasks, wanted
from homeport.base.clock import SystemClock
from homeport.base.ids import Ids
from homeport.base.local import read_state
from homeport.cli import local
from homeport.scheduler.fleet import Fleet
from homeport.store.sqlite import SqliteJournal
from homeport.store.store import Store
from tests.system.live import Live, free_port, until

INSTANCES = 5_000
TASKS = 100_000
_REST_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MB = 1e6


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class _Server:
    """A server process on a data directory; `seconds` from its start to its first answer."""

    def __init__(self, data_dir: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "homeport.server", "--data-dir", str(data_dir), "--port", str(port)]
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [*command, "--region", "us-east-1", "--instance-lost-after", "3600", "--log-level", "error"]
        )
        until(lambda: local.health(f"http://127.0.0.1:{port}"), 120, every=0.02, what="the server's first answer")
        self.seconds = time.perf_counter() - started
        self.pid = self._process.pid
        self.cpu_seconds = cpu_seconds(self.pid)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def _fill(data_dir: Path) -> None:
    journal = SqliteJournal(data_dir / "state.db")
    store = Store(journal, SystemClock(), Ids(random.Random(1)))
    store.load()
    fleet = Fleet(store.read)
    store.update(lambda tx: [tx.container_instances.put(instance(each)) for each in range(INSTANCES)])
    change = run_tasks(fleet, wanted(1_000))
    placed = sum(store.update(change)[0] for _ in range(TASKS // 1_000))
    assert placed == TASKS
    await store.durable(store.version)
    await store.close()


def large() -> list[Figure]:
    """A server that holds 100,000 tasks."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        empty = _Server(data_dir)
        empty_mb = resident_mb(empty.pid)
        empty.kill()
        asyncio.run(_fill(data_dir))
        full = _Server(data_dir)
        time.sleep(3.0)  # the controllers have looked at everything once
        megabytes = resident_mb(full.pid)
        full.kill()
    what = f"{TASKS:,} tasks on {INSTANCES:,} instances"
    busy = f"{full.cpu_seconds:.2f} s of processor time; an empty one {empty.seconds:.2f} s, {empty.cpu_seconds:.2f} s"
    return [
        Figure(f"restart of a server with {what}", full.seconds, "s", how=busy),
        Figure(f"memory of a server with {what}", megabytes, "MB", how=f"an empty one {empty_mb:.0f} MB"),
    ]


def at_rest() -> list[Figure]:
    """Server and agent with nothing to do."""
    with tempfile.TemporaryDirectory() as directory:
        live = Live(Path(directory))
        try:
            live.up()
            pids = {name: int(read_state(live.data_dir, name)["pid"]) for name in ("server", "agent", "supervisor")}
            time.sleep(5.0)
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            time.sleep(_REST_SECONDS)
            busy = {name: (cpu_seconds(pid) - before[name]) / _REST_SECONDS * 100 for name, pid in pids.items()}
            memory = {name: resident_mb(pid) for name, pid in pids.items()}
        finally:
            live.down()
    return [
        Figure(f"{name} at rest, of one processor", percent, "%", how=f"resident {memory[name]:.0f} MB")
        for name, percent in busy.items()
    ]


def measure() -> list[Figure]:
    """All of it; takes about a minute."""
    return [*large(), *at_rest()]


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
