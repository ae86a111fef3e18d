"""Small worlds for scheduler tests: rows with defaults, a filled fleet, strategies, and a naive placement to compare with."""

import random

from homeport.model.container_instance import ContainerInstance
from homeport.model.expression import Subject, matches, parse
from homeport.model.resources import Resources
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.scheduler.fleet import Fleet
from homeport.scheduler.place import Wanted
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/c"


def an_instance(name="i0", *, cluster=CLUSTER, cpu=4096, memory=8192, ports=(), gpus=0, attributes=None, **members):
    members.setdefault("agent_connected", True)
    return ContainerInstance(
        arn=f"arn:aws:ecs:us-east-1:123456789012:container-instance/c/{name}",
        cluster_arn=cluster,
        ec2_instance_id=f"i-{name}",
        registered=Resources(cpu_units=cpu, memory_mib=memory, ports=ports, gpu_count=gpus),
        attributes=tuple(shapes.Attribute(name=key, value=value) for key, value in (attributes or {}).items()),
        **members,
    )


def a_task(name="t0", *, on=None, cpu=256, memory=512, ports=(), ports_udp=(), gpus=0, group="family:web", **members):
    members.setdefault("last_status", TaskStatus.PENDING)
    return Task(
        arn=f"arn:aws:ecs:us-east-1:123456789012:task/c/{name}",
        cluster_arn=CLUSTER,
        task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/web:1",
        family="web",
        group=group,
        created_at=0.0,
        resources=Resources(cpu_units=cpu, memory_mib=memory, ports=ports, ports_udp=ports_udp, gpu_count=gpus),
        containers=(),
        container_instance_arn=on and f"arn:aws:ecs:us-east-1:123456789012:container-instance/c/{on}",
        **members,
    )


def a_fleet(instances=(), tasks=()):
    """The tables and a fleet that observes them."""
    tables = Tables()
    fleet = Fleet(tables)
    for row in instances:
        tables.container_instances.apply(row.arn, row)
    for row in tasks:
        tables.tasks.apply(row.arn, row)
    return tables, fleet


def wanted(count=1, *, cpu=256, memory=512, ports=(), ports_udp=(), gpus=0, group="family:web", **members):
    return Wanted(
        cluster_arn=CLUSTER,
        count=count,
        resources=Resources(cpu_units=cpu, memory_mib=memory, ports=ports, ports_udp=ports_udp, gpu_count=gpus),
        group=group,
        **members,
    )


def strategy(text):
    """`spread(attribute:zone) binpack(memory) random` as the request's list."""
    made = []
    for word in text.split():
        name, _, field = word.rstrip(")").partition("(")
        made.append(shapes.PlacementStrategy(type=name, field=field or None))
    return tuple(made)


def member_of(expression):
    return shapes.PlacementConstraint(type="memberOf", expression=expression)


DISTINCT = shapes.PlacementConstraint(type="distinctInstance")


def put_placed(tables, want, placed):
    """Put the tasks as RunTask would, with names that go on from the tasks there are."""
    for arn in placed.instances:
        task = a_task(f"n{len(tables.tasks)}", on=arn.rsplit("/", 1)[1], group=want.group)
        row = Task(**{name: getattr(task, name) for name in Task.__struct_fields__} | {"resources": want.resources})
        tables.tasks.apply(row.arn, row)


class Naive:
    """Placement as the documentation says it, by looking at every instance and task every time."""

    def __init__(self, tables, want):
        self.rows = [row for row in tables.container_instances if row.cluster_arn == want.cluster_arn]
        self.tasks = [
            (task.container_instance_arn, task.resources, task.group, task.desired_status, task.last_status)
            for task in tables.tasks
            if task.container_instance_arn is not None and task.last_status is not TaskStatus.STOPPED
        ]
        self.want = want

    def on(self, row):
        return [task for task in self.tasks if task[0] == row.arn]

    def active(self, row):
        return [task for task in self.on(row) if task[3] is DesiredStatus.RUNNING]

    def free(self, row, name):
        return getattr(row.registered, name) - sum(getattr(task[1], name) for task in self.on(row))

    def can_run(self, row):
        need = self.want.resources
        if row.status != "ACTIVE" or not row.agent_connected:
            return False
        if any(self.free(row, name) < getattr(need, name) for name in ("cpu_units", "memory_mib", "gpu_count")):
            return False
        for name in ("ports", "ports_udp"):
            taken = {*getattr(row.registered, name)}.union(*(getattr(task[1], name) for task in self.on(row)))
            if taken & {*getattr(need, name)}:
                return False
        for attribute in self.want.required_attributes:
            if row.attribute(attribute.name) is None:
                return False
        return all(self.satisfies(row, constraint) for constraint in self.want.constraints)

    def satisfies(self, row, constraint):
        groups = {task[2] for task in self.active(row)}
        if constraint.type == "distinctInstance":
            return self.want.group not in groups
        running = sum(task[4] is TaskStatus.RUNNING for task in self.on(row))
        return matches(parse(constraint.expression), Subject(row, running, groups))

    def count(self, rows):
        return sum(task[2] == self.want.group for row in rows for task in self.active(row))

    def key(self, row):
        """One number per strategy; the least list is best."""
        key, alike = [], self.rows
        for each in self.want.strategies:
            if each.type == "random":
                break
            if each.type == "binpack":
                key.append(self.free(row, "cpu_units" if each.field == "cpu" else "memory_mib"))
            elif each.field in ("instanceId", "host"):
                key.append(self.count([row]))
            else:
                name = each.field.removeprefix("attribute:")
                alike = [other for other in alike if other.attribute(name) == row.attribute(name)]
                key.append(self.count(alike))
        return key

    def best(self):
        """ARNs of the candidates with the least key."""
        keys = {row.arn: self.key(row) for row in self.rows if self.can_run(row)}
        return {arn for arn, key in keys.items() if key == min(keys.values())}

    def take(self, arn):
        self.tasks.append((arn, self.want.resources, self.want.group, DesiredStatus.RUNNING, TaskStatus.PENDING))


def a_rng(seed=0):
    return random.Random(seed)
