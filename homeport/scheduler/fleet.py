"""What each container instance has left, kept exactly in step with the store.

Nothing here is stored: free resources, task counts and task groups follow from the rows of `container_instances` and
`tasks`. The fleet observes both tables, so it sees every put, delete, undo and load, in any order, and each costs the
same however many instances and tasks there are. `touch` keeps the hosts of a cluster in order of their last change,
which lets a reader (the candidate pools of `place`) catch up by looking only at what changed since it last looked.
"""

from collections.abc import Iterator
from typing import Any

from homeport.model.container_instance import ContainerInstance
from homeport.model.expression import Subject
from homeport.model.resources import Resources
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.store.schema import Tables

_NOTHING = Resources()


class Host:
    """A container instance and what its tasks take. `free_*` may fall below zero: StartTask and agents can overbook.

    `row` is None while only tasks are known (loading) or after the instance's row is gone. `ports` count the tasks
    that take a host port, by (protocol, port). `groups` count tasks with desired status RUNNING by task group.
    """

    __slots__ = (
        "arn", "cluster", "free_cpu", "free_gpus", "free_memory", "groups", "pending", "ports", "row", "running", "tasks",
    )  # fmt: skip

    def __init__(self, arn: str, cluster: "ClusterHosts") -> None:
        self.arn = arn
        self.cluster = cluster
        self.row: ContainerInstance | None = None
        self.free_cpu = 0
        self.free_memory = 0
        self.free_gpus = 0
        self.ports: dict[tuple[str, int], int] = {}
        self.groups: dict[str, int] = {}
        self.running = 0
        self.pending = 0
        self.tasks = 0

    def set_row(self, row: ContainerInstance | None) -> None:
        old = self.row.registered if self.row else _NOTHING
        new = row.registered if row else _NOTHING
        self.row = row
        if old is not new:
            self.free_cpu += new.cpu_units - old.cpu_units
            self.free_memory += new.memory_mib - old.memory_mib
            self.free_gpus += new.gpu_count - old.gpu_count
            self._add_ports(old, -1)
            self._add_ports(new, 1)

    def add(self, resources: Resources, sign: int) -> None:
        """Give to (sign 1) or take back from (sign -1) one task its resources."""
        self.tasks += sign
        self.free_cpu -= sign * resources.cpu_units
        self.free_memory -= sign * resources.memory_mib
        self.free_gpus -= sign * resources.gpu_count
        if resources.ports or resources.ports_udp:
            self._add_ports(resources, sign)

    def add_group(self, group: str, sign: int) -> None:
        count = self.groups.get(group, 0) + sign
        if count:
            self.groups[group] = count
            self.cluster.groups.setdefault(group, {})[self] = None
        else:
            del self.groups[group]
            self.cluster.forget_group(group, self)

    def _add_ports(self, resources: Resources, sign: int) -> None:
        for protocol, ports in (("tcp", resources.ports), ("udp", resources.ports_udp)):
            for port in ports:
                count = self.ports.get((protocol, port), 0) + sign
                if count:
                    self.ports[(protocol, port)] = count
                else:
                    del self.ports[(protocol, port)]

    def remaining(self) -> Resources:
        """Free cpu, memory and GPUs (never below zero); `ports` are the taken ones, as ECS shows them."""
        return Resources(
            cpu_units=max(self.free_cpu, 0),
            memory_mib=max(self.free_memory, 0),
            ports=tuple(sorted(port for protocol, port in self.ports if protocol == "tcp")),
            ports_udp=tuple(sorted(port for protocol, port in self.ports if protocol == "udp")),
            gpu_count=max(self.free_gpus, 0),
        )


class ClusterHosts:
    """The hosts of one cluster in order of their last change, newest last; `readers` are views that follow it.

    `groups`: on which hosts each task group has tasks.
    """

    __slots__ = ("changes", "groups", "readers", "recent")

    def __init__(self) -> None:
        self.changes = 0
        self.recent: dict[Host, int] = {}
        self.groups: dict[str, dict[Host, None]] = {}
        self.readers: dict[Any, Any] = {}

    def touch(self, host: Host) -> None:
        self.changes += 1
        self.recent.pop(host, None)
        self.recent[host] = self.changes

    def changed_since(self, seen: int) -> Iterator[Host]:
        """Hosts that changed after change number `seen`, newest first."""
        for host, change in reversed(self.recent.items()):
            if change <= seen:
                return
            yield host

    def forget_group(self, group: str, host: Host) -> None:
        """The host has no task of the group any more."""
        hosts = self.groups[group]
        del hosts[host]
        if not hosts:
            del self.groups[group]

    def forget(self, host: Host) -> None:
        """Remove a host for good; readers start anew, for they may still hold it."""
        self.recent.pop(host, None)
        self.readers.clear()


class Fleet:
    """Every instance of a region. Make it before the tables are filled or after: existing rows are read in."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._hosts: dict[str, Host] = {}
        self._clusters: dict[str, ClusterHosts] = {}
        for instance in tables.container_instances:
            self._on_instance(None, instance)
        for task in tables.tasks:
            self._on_task(None, task)
        tables.container_instances.observers.append(self._on_instance)
        tables.tasks.observers.append(self._on_task)

    def free(self, container_instance_arn: str) -> Resources:
        """What is left of the registered resources; `ports` are the host ports taken."""
        host = self._hosts.get(container_instance_arn)
        return host.remaining() if host else _NOTHING

    def counts(self, container_instance_arn: str) -> tuple[int, int]:
        """(runningTasksCount, pendingTasksCount) of an instance."""
        host = self._hosts.get(container_instance_arn)
        return (host.running, host.pending) if host else (0, 0)

    def instances(self, cluster_arn: str) -> list[ContainerInstance]:
        """Rows of all instances of a cluster, whatever their status, in order of registration."""
        return self._tables.container_instances.by(cluster_arn=cluster_arn)

    def subject(self, container_instance_arn: str) -> Subject:
        """The instance as the cluster query language sees it. Raises KeyError for an unknown one."""
        host = self._hosts[container_instance_arn]
        if host.row is None:
            raise KeyError(container_instance_arn)
        return Subject(host.row, host.running, host.groups)

    def host(self, container_instance_arn: str) -> Host | None:
        return self._hosts.get(container_instance_arn)

    def cluster(self, cluster_arn: str) -> ClusterHosts:
        """The hosts of a cluster; made when first asked for."""
        cluster = self._clusters.get(cluster_arn)
        if cluster is None:
            cluster = self._clusters[cluster_arn] = ClusterHosts()
        return cluster

    def _host(self, arn: str, cluster_arn: str) -> Host:
        host = self._hosts.get(arn)
        if host is None:
            host = self._hosts[arn] = Host(arn, self.cluster(cluster_arn))
        return host

    def _on_instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        row = after or before
        if row is None:
            return
        host = self._host(row.arn, row.cluster_arn)
        host.set_row(after)
        self._settle(host)

    def _on_task(self, before: Task | None, after: Task | None) -> None:
        if before is not None and after is not None and _same_for_placement(before, after):
            return
        for task, sign in ((before, -1), (after, 1)):
            if task is not None and task.container_instance_arn is not None and not task.is_stopped:
                host = self._host(task.container_instance_arn, task.cluster_arn)
                _count(host, task, sign)
                self._settle(host)

    def _settle(self, host: Host) -> None:
        if host.row is None and not host.tasks:
            del self._hosts[host.arn]
            host.cluster.forget(host)
        else:
            host.cluster.touch(host)


def _same_for_placement(before: Task, after: Task) -> bool:
    """Whether a change of a task (a container's exit code, a tag) leaves everything the fleet counts as it is."""
    return (
        before.last_status is after.last_status
        and before.desired_status is after.desired_status
        and before.container_instance_arn == after.container_instance_arn
        and before.group == after.group
        and (before.resources is after.resources or before.resources == after.resources)
    )


def _count(host: Host, task: Task, sign: int) -> None:
    host.add(task.resources, sign)
    if task.desired_status is DesiredStatus.RUNNING:
        host.add_group(task.group, sign)
    if task.last_status is TaskStatus.RUNNING:
        host.running += sign
    elif task.last_status is TaskStatus.PENDING:
        host.pending += sign
