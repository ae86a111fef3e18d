"""How fast tasks are placed, made durable and loaded again, and what they weigh.

100,000 identical tasks on 5,000 instances with memberOf, spread over zones and binpack on memory, in transactions of
100 as a service's scheduler would make them, and one by one as RunTask does. `python -m bench.placement` prints a
table, `--json` the figures. No engine, no network: this is the control plane's own work, through the real store.
"""

import argparse
import asyncio
import gc
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from homeport.base.arn import Arns
from homeport.base.clock import SystemClock
from homeport.base.ids import Ids
from homeport.model.container_instance import ContainerInstance
from homeport.model.new_task import new_task, placed_on
from homeport.model.resources import Resources
from homeport.model.task import Container, Task
from homeport.scheduler.fleet import Fleet
from homeport.scheduler.place import Wanted, place
from homeport.shapes import ecs as shapes
from homeport.store.journal import Journal, Stored
from homeport.store.sqlite import SqliteJournal
from homeport.store.store import Store, Tx
from homeport.store.watch import Change

INSTANCES = 5_000
TASKS = 100_000
ARNS = Arns("us-east-1", "123456789012")
CLUSTER = ARNS.cluster("bench")


class NoJournal:
    """Forgets everything: shows what the work in memory costs."""

    def load(self) -> tuple[int, list[Stored]]:
        return 0, []

    def append(self, version: int, at: float, changes: list[Change]) -> None:
        pass

    async def durable(self, version: int) -> None:
        pass

    async def close(self) -> None:
        pass


def instance(number: int) -> ContainerInstance:
    """One of three zones, one of two types, and the thirty capabilities that an agent registers."""
    attributes = [
        shapes.Attribute(name="ecs.availability-zone", value=f"us-east-1{'abc'[number % 3]}"),
        shapes.Attribute(name="ecs.instance-type", value="m5.large" if number % 10 else "t2.micro"),
    ]
    attributes += [shapes.Attribute(name=f"com.amazonaws.ecs.capability.number-{each}") for each in range(30)]
    return ContainerInstance(
        arn=ARNS.container_instance("bench", f"{number:032x}"),
        cluster_arn=CLUSTER,
        ec2_instance_id=f"i-{number:017x}",
        registered=Resources(cpu_units=32_768, memory_mib=65_536, ports=(22, 2375, 2376, 51678, 51679)),
        agent_connected=True,
        attributes=tuple(attributes),
    )


def wanted(count: int, memory_mib: int = 1024) -> Wanted:
    return Wanted(
        cluster_arn=CLUSTER,
        count=count,
        resources=Resources(cpu_units=256, memory_mib=memory_mib),
        group="service:web",
        constraints=(shapes.PlacementConstraint(type="memberOf", expression="attribute:ecs.instance-type =~ m5.*"),),
        strategies=(
            shapes.PlacementStrategy(type="spread", field="attribute:ecs.availability-zone"),
            shapes.PlacementStrategy(type="binpack", field="memory"),
        ),
        required_attributes=(shapes.Attribute(name="com.amazonaws.ecs.capability.number-7"),),
    )


TEMPLATE = Task(
    arn="",
    cluster_arn=CLUSTER,
    task_definition_arn=ARNS.task_definition("web", 1),
    family="web",
    group="service:web",
    created_at=1_700_000_000.0,
    resources=Resources(cpu_units=256, memory_mib=1024),
    containers=(Container(name="web", image="web:1", cpu="256", memory="1024"), Container(name="log", image="log:1")),
    service_name="web",
    service_arn=ARNS.service("bench", "web"),
)


def run_tasks(fleet: Fleet, want: Wanted) -> Callable[[Tx], int]:
    """The transaction of a RunTask or of a service's step: choose instances, put the tasks."""

    def change(tx: Tx) -> int:
        placed = place(fleet, want, tx.rng(CLUSTER))
        for arn in placed.instances:
            task = new_task(TEMPLATE, ARNS.task("bench", tx.ids.hex32()), tx.ids)
            tx.tasks.put(placed_on(task, tx.container_instances[arn]))
        return len(placed.instances)

    return change


def new_region(journal: Journal, instances: int) -> tuple[Store, Fleet]:
    store = Store(journal, SystemClock(), Ids(random.Random(1)))
    store.load()
    fleet = Fleet(store.read)
    store.update(lambda tx: [tx.container_instances.put(instance(each)) for each in range(instances)])
    store.update(run_tasks(fleet, wanted(1)))  # the pool is made once, not once per task
    return store, fleet


def only_choosing(tasks: int, instances: int) -> float:
    """Tasks per second that `place` alone chooses instances for, in one group."""
    _, fleet = new_region(NoJournal(), instances)
    started = time.perf_counter()
    placed = place(fleet, wanted(tasks), random.Random(1))
    seconds = time.perf_counter() - started
    assert len(placed.instances) == tasks
    return tasks / seconds


def in_memory(tasks: int, instances: int, group: int) -> tuple[float, float]:
    """Tasks per second placed and put, in transactions of `group`; resident bytes per task."""
    store, fleet = new_region(NoJournal(), instances)
    change = run_tasks(fleet, wanted(group))
    gc.collect()
    before = resident_bytes()
    started = time.perf_counter()
    placed = sum(store.update(change)[0] for _ in range(tasks // group))
    seconds = time.perf_counter() - started
    assert placed == tasks
    return tasks / seconds, (resident_bytes() - before) / tasks


async def durable(tasks: int, instances: int, group: int, path: Path) -> float:
    """Tasks per second placed, put and safe on disk; each transaction is awaited by one of 32 writers."""
    store, fleet = new_region(SqliteJournal(path), instances)
    change = run_tasks(fleet, wanted(group))
    rounds = iter(range(tasks // group))

    async def writer() -> int:
        placed = 0
        for _ in rounds:
            count, version = store.update(change)
            await store.durable(version)
            placed += count
        return placed

    gc.collect()
    started = time.perf_counter()
    placed = sum(await asyncio.gather(*(writer() for _ in range(32))))
    seconds = time.perf_counter() - started
    assert placed == tasks
    await store.close()
    return tasks / seconds


async def restart(path: Path) -> dict[str, float]:
    """Seconds to load the region again with its fleet, and bytes of resident memory per task."""
    gc.collect()
    before = resident_bytes()
    started = time.perf_counter()
    store = Store(SqliteJournal(path), SystemClock(), Ids(random.Random(1)))
    Fleet(store.read)
    store.load()
    seconds = time.perf_counter() - started
    gc.collect()
    per_task = (resident_bytes() - before) / len(store.read.tasks)
    await store.close()
    return {"restart, seconds": seconds, "bytes per task, restarted": per_task, "file, bytes": path.stat().st_size}


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure(tasks: int = TASKS, instances: int = INSTANCES) -> dict[str, float]:
    """All figures: tasks per second, unless the name says otherwise."""
    figures: dict[str, float] = {"tasks": tasks, "instances": instances}
    with tempfile.TemporaryDirectory() as directory:
        paths = {group: Path(directory) / f"{group}.db" for group in (100, 1)}
        # Memory is measured first and loading in a process of its own: memory freed before would hide their need.
        figures["in memory, groups of 100"], figures["bytes per task, running"] = in_memory(tasks, instances, 100)
        figures["durable, groups of 100"] = asyncio.run(durable(tasks, instances, 100, paths[100]))
        figures |= _restart_apart(paths[100])
        figures["choosing only, one group"] = only_choosing(tasks, instances)
        figures["in memory, one by one"], _ = in_memory(tasks // 4, instances, 1)
        figures["durable, one by one"] = asyncio.run(durable(tasks // 4, instances, 1, paths[1]))
    return figures


def _restart_apart(path: Path) -> dict[str, float]:
    import subprocess

    command = [sys.executable, "-m", "bench.placement", "--restart", str(path)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--tasks", type=int, default=TASKS)
    options.add_argument("--instances", type=int, default=INSTANCES)
    options.add_argument("--restart", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.restart:
        print(json.dumps(asyncio.run(restart(chosen.restart))))
        return
    figures = measure(chosen.tasks, chosen.instances)
    if chosen.json:
        print(json.dumps(figures))
        return
    print(f"Placement on {platform.machine()}, Python {platform.python_version()}")
    for name, value in figures.items():
        print(f"  {name:<28} {value:>14,.2f}" if value < 100 else f"  {name:<28} {value:>14,.0f}")


if __name__ == "__main__":
    main()
