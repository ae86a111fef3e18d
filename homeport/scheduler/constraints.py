"""Whether a task may run on an instance, asked in ECS's order: agent, CPU, GPU, memory, ports, attributes, constraints.

`Needs` is a wanted task made ready for asking many times: expressions parsed, ports as a set. Each filter has the
reason that ECS gives in `failures[]`. What depends on the instance's row alone (`suits_row`) is asked once per row by
the candidate pools; the rest at every change. Source: Developer Guide, "How Amazon ECS places tasks" and "API failure
reasons".
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from homeport.model.container_instance import ContainerInstance
from homeport.model.expression import Expression, Subject, matches, parse
from homeport.model.resources import Resources
from homeport.scheduler.fleet import Host
from homeport.shapes import ecs as shapes

Constraint = shapes.PlacementConstraint | shapes.TaskDefinitionPlacementConstraint

MEMBER_OF = "MemberOf placement constraint unsatisfied."
DISTINCT_INSTANCE = "DistinctInstance placement constraint unsatisfied."


class Obstacle(NamedTuple):
    """Why an instance cannot take a task: ECS's reason, and a sentence with names and numbers."""

    reason: str
    detail: str


class Needs(NamedTuple):
    """What one of the wanted tasks asks of an instance. `distinct_group` is set with distinctInstance."""

    resources: Resources
    ports: frozenset[tuple[str, int]]
    required_attributes: tuple[shapes.Attribute, ...]
    row_expressions: tuple[Expression, ...]
    task_expressions: tuple[Expression, ...]
    distinct_group: str | None

    @property
    def depends_on_tasks(self) -> bool:
        return bool(self.task_expressions) or self.distinct_group is not None


def needs_of(
    resources: Resources,
    constraints: Collection[Constraint],
    required_attributes: tuple[shapes.Attribute, ...],
    group: str | None = None,
) -> Needs:
    """`group` None: whatever the group (distinctInstance is then left out). Raises ExpressionError for an expression that cannot be parsed."""
    expressions = [parse(each.expression or "") for each in constraints if each.type == "memberOf"]
    return Needs(
        resources=resources,
        ports=frozenset(("tcp", port) for port in resources.ports)
        | frozenset(("udp", port) for port in resources.ports_udp),
        required_attributes=required_attributes,
        row_expressions=tuple(each for each in expressions if not each.is_dynamic),
        task_expressions=tuple(each for each in expressions if each.is_dynamic),
        distinct_group=group if any(each.type == "distinctInstance" for each in constraints) else None,
    )


def suits_row(needs: Needs, row: ContainerInstance) -> bool:
    """Status, agent, attributes and expressions over attributes: what only a change of the row can change."""
    return (
        row.is_placeable
        and not any(True for _ in missing_attributes(needs, row))
        and all(matches(each, Subject(row)) for each in needs.row_expressions)
    )


def fits(needs: Needs, host: Host) -> bool:
    """Whether what is free is enough."""
    wanted = needs.resources
    return (
        host.free_cpu >= wanted.cpu_units
        and host.free_memory >= wanted.memory_mib
        and host.free_gpus >= wanted.gpu_count
        and (not needs.ports or needs.ports.isdisjoint(host.ports))
    )


def suits_tasks(needs: Needs, host: Host) -> bool:
    """distinctInstance and expressions over the instance's tasks. The host must have a row."""
    if needs.distinct_group is not None and needs.distinct_group in host.groups:
        return False
    return not needs.task_expressions or all(matches(each, subject_of(host)) for each in needs.task_expressions)


def subject_of(host: Host) -> Subject:
    assert host.row is not None
    return Subject(host.row, host.running, host.groups)


def missing_attributes(needs: Needs, row: ContainerInstance) -> Iterator[shapes.Attribute]:
    for required in needs.required_attributes:
        value = row.attribute(required.name)
        if value is None or (required.value and value != required.value):
            yield required


def obstacles(needs: Needs, host: Host) -> Iterator[Obstacle]:
    """Everything that keeps a task off an ACTIVE instance, in ECS's order; the first is what ECS reports."""
    row = host.row
    if row is None:
        return
    if not row.agent_connected:
        yield Obstacle("AGENT", "the container agent is not connected")
    yield from _lacking_resources(needs, host)
    for attribute in missing_attributes(needs, row):
        wanted = attribute.name if not attribute.value else f"{attribute.name}={attribute.value}"
        yield Obstacle("ATTRIBUTE", f"lacks the required attribute {wanted}")
    if needs.distinct_group is not None and needs.distinct_group in host.groups:
        yield Obstacle(DISTINCT_INSTANCE, f"already runs a task of group {needs.distinct_group}")
    for expression in (*needs.row_expressions, *needs.task_expressions):
        if not matches(expression, subject_of(host)):
            yield Obstacle(MEMBER_OF, f"is not a member of '{expression.text}'")


def _lacking_resources(needs: Needs, host: Host) -> Iterator[Obstacle]:
    wanted = needs.resources
    if host.free_cpu < wanted.cpu_units:
        yield Obstacle("RESOURCE:CPU", f"needs {wanted.cpu_units} CPU units, {max(host.free_cpu, 0)} free")
    if host.free_gpus < wanted.gpu_count:
        yield Obstacle("RESOURCE:GPU", f"needs {_counted(wanted.gpu_count, 'GPU')}, {max(host.free_gpus, 0)} free")
    if host.free_memory < wanted.memory_mib:
        yield Obstacle("RESOURCE:MEMORY", f"needs {wanted.memory_mib} MiB memory, {max(host.free_memory, 0)} MiB free")
    taken = sorted(needs.ports.intersection(host.ports))
    if taken:
        names = ", ".join(f"{port}/{protocol}" for protocol, port in taken)
        yield Obstacle("RESOURCE:PORTS", f"host port {names} is taken")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
