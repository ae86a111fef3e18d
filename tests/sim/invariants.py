"""What must be true: of every transaction, of the store at any time, and of the whole world once the faults have ended."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.scheduler.fleet import Fleet
from homeport.store.schema import Tables
from homeport.store.watch import Change
from tests.sim.clients import Promises
from tests.sim.disk import SimJournal
from tests.sim.host import SimHost

_CONTAINER_RANK = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
_encode = msgspec.json.encode


def of_change(tables: Tables, change: Change) -> Iterator[str]:
    """What one transaction did wrong to one row; `tables` already show it."""
    kind, key, before, after = change
    if kind == "task" and isinstance(after, Task):
        yield from _task_goes_forward(before, after)
        if after.container_instance_arn is not None and not after.is_stopped:
            yield from not_overcommitted(tables, after.container_instance_arn)
    if kind == "task_definition" and isinstance(before, type(after)) and before.definition != after.definition:
        yield f"{key}: a revision changed"


def _task_goes_forward(before: Any, after: Task) -> Iterator[str]:
    if before is None:
        return
    if before.desired_status is DesiredStatus.STOPPED and after.desired_status is not DesiredStatus.STOPPED:
        yield f"{after.arn}: desired status went back to {after.desired_status}"
    if after.last_status.rank < before.last_status.rank:
        yield f"{after.arn}: last status went back from {before.last_status} to {after.last_status}"
    if after.version < before.version:
        yield f"{after.arn}: version went back from {before.version} to {after.version}"
    if before.stop_code is not None and (before.stop_code, before.stopped_reason) != (
        after.stop_code,
        after.stopped_reason,
    ):
        yield f"{after.arn}: stopped for {before.stop_code}, then for {after.stop_code}"
    for old, new in zip(before.containers, after.containers, strict=True):
        if _CONTAINER_RANK[new.last_status] < _CONTAINER_RANK[old.last_status]:
            yield f"{after.arn}: container {new.name} went back from {old.last_status} to {new.last_status}"
        if old.exit_code is not None and new.exit_code != old.exit_code and old.last_status == "STOPPED":
            yield f"{after.arn}: container {new.name} exited with {old.exit_code}, then with {new.exit_code}"


def not_overcommitted(tables: Tables, instance_arn: str) -> Iterator[str]:
    instance = tables.container_instances.get(instance_arn)
    if instance is None:
        return
    tasks = tables.tasks.by(live_on=instance_arn)
    cpu = sum(task.resources.cpu_units for task in tasks)
    memory = sum(task.resources.memory_mib for task in tasks)
    if cpu > instance.registered.cpu_units or memory > instance.registered.memory_mib:
        yield f"{instance_arn} is over-committed: {cpu} CPU units, {memory} MiB of {instance.registered}"
    ports = Counter(port for task in tasks for port in task.resources.ports)
    yield from (f"{instance_arn}: {count} tasks own port {port}" for port, count in ports.items() if count > 1)


def of_store(tables: Tables, journal: SimJournal) -> Iterator[str]:
    """The store equals its journal, and the fleet a fresh count."""
    image = journal.image()
    rows = {(table.kind, table.key(row)): _encode(row) for table in tables.all_tables for row in table}
    if image != rows:
        differing = [key for key in image.keys() | rows.keys() if image.get(key) != rows.get(key)]
        yield f"store and journal differ in {sorted(differing)}"


def of_fleet(tables: Tables, fleet: Fleet) -> Iterator[str]:
    copy = Tables()
    for source, target in zip(tables.all_tables, copy.all_tables, strict=True):
        if source.kind in ("container_instance", "task"):
            for row in source:
                target.apply(source.key(row), row)
    fresh = Fleet(copy)
    for instance in tables.container_instances:
        for what in ("free", "counts"):
            now, right = getattr(fleet, what)(instance.arn), getattr(fresh, what)(instance.arn)
            if now != right:
                yield f"{instance.arn}: fleet says {what} {now}, but it is {right}"
        held, right_host = fleet.host(instance.arn), fresh.host(instance.arn)
        if held is not None and right_host is not None and held.groups != right_host.groups:
            yield f"{instance.arn}: fleet counts groups {held.groups}, but they are {right_host.groups}"


def of_promises(tables: Tables, promises: Promises) -> Iterator[str]:
    """Nothing acknowledged is lost."""
    yield from promises.broken
    for arn, (rank, stops) in promises.tasks.items():
        task = tables.tasks.get(arn)
        if task is None:
            yield f"{arn} was acknowledged and is lost"
        elif task.last_status.rank < rank or (stops and task.desired_status is not DesiredStatus.STOPPED):
            yield f"{arn} was acknowledged as {rank}/{stops} and is {task.last_status}/{task.desired_status}"
    for arn in promises.definitions:
        if arn not in tables.task_definitions:
            yield f"{arn} was acknowledged and is lost"
    started = Counter(task.started_by for task in tables.tasks)
    for batch, most in promises.batches.items():
        if started[batch] > most:
            yield f"RunTask {batch} started {started[batch]} tasks instead of at most {most}"


def of_host(host: SimHost) -> Iterator[str]:
    """What runs fits, and no host port has two owners."""
    running = [each for containers in host.running().values() for each in containers]
    ports = Counter((port.protocol, port.host_port) for each in running for port in each.ports)
    yield from (f"{host.name}: {count} containers own {port}" for port, count in ports.items() if count > 1)
    memory = sum((each.config.get("HostConfig") or {}).get("Memory") or 0 for each in running) >> 20
    if memory > 2048 and not host.has_lost_state:
        yield f"{host.name}: {memory} MiB run on 2048 MiB"


def unsettled(tables: Tables, hosts: list[SimHost]) -> Iterator[str]:
    """Everything that is not yet as it should be in the end, in words."""
    by_instance: dict[str, SimHost] = {}
    for host in hosts:
        if host.is_lost:
            continue
        agent = host.agent
        if agent is None or agent.instance is None or not agent.is_connected:
            yield f"{host.name}: its agent is not connected"
            continue
        by_instance[agent.instance.arn] = host
        yield from _instance_is_there(tables, host, agent.instance.arn)
    yield from _instances_are_right(tables, by_instance)
    for task in tables.tasks:
        yield from _task_is_settled(task, by_instance)
    for arn, host in by_instance.items():
        for task_arn in host.running():
            task = tables.tasks.get(task_arn)
            if task is None or task.is_stopped or task.container_instance_arn != arn:
                yield f"{host.name}: containers of {task_arn} run, which is {task and task.last_status}"


def _instance_is_there(tables: Tables, host: SimHost, arn: str) -> Iterator[str]:
    row = tables.container_instances.get(arn)
    if row is None or not row.agent_connected or row.status == "INACTIVE":
        yield f"{host.name}: {arn} is {row and row.status}, connected: {row and row.agent_connected}"


def _instances_are_right(tables: Tables, by_instance: dict[str, SimHost]) -> Iterator[str]:
    for row in tables.container_instances:
        if row.arn not in by_instance and (row.status != "INACTIVE" or row.agent_connected):
            yield f"{row.arn} has no host and is {row.status}"


def _task_is_settled(task: Task, by_instance: dict[str, SimHost]) -> Iterator[str]:
    if task.is_stopped:
        return
    if task.desired_status is DesiredStatus.STOPPED:
        yield f"{task.arn} is to stop and is {task.last_status}"
        return
    host = by_instance.get(task.container_instance_arn or "")
    if host is None:
        yield f"{task.arn} is {task.last_status} on {task.container_instance_arn}, which has no host"
        return
    names = host.running_names(task.arn)
    essential = {each.name for each in task.containers if each.essential}
    if task.last_status is not TaskStatus.RUNNING or not essential <= names:
        yield f"{task.arn} ({task.family}) is to run, is {task.last_status} and runs {sorted(names)}"
    shown = {each.name for each in task.containers if each.last_status == "RUNNING"}
    if shown != names:
        yield f"{task.arn} is shown with {sorted(shown)} running, but it is {sorted(names)}"
