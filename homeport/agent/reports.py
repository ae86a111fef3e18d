"""What the control plane has not been told yet of a task, as the one request that tells it. Pure.

The newest facts win: a container that started and exited between two reports appears once, as STOPPED. Sources: the
Amazon ECS agent's SubmitTaskStateChange (PENDING with image digests, RUNNING, STOPPED; container changes inside).
"""

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs, ecs

_LONGEST_REASON, _LONGEST_ID = 1024, 255
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - as ECS reports it
_PENDING, _RUNNING, _STOPPED = ContainerStatus.PULLED, ContainerStatus.RUNNING, ContainerStatus.STOPPED


class Report(Struct, frozen=True, kw_only=True):
    """A request, and what is known to be told once it is acknowledged. `is_urgent`: send it without waiting for more.

    `is_ending`: it says that the task is about to be STOPPED.
    """

    request: ecs.SubmitTaskStateChangeRequest
    task: ContainerStatus
    containers: dict[str, ContainerStatus]
    is_urgent: bool
    is_ending: bool = False


def wire_status(known: ContainerStatus) -> str:
    if known >= _STOPPED:
        return "STOPPED"
    return "RUNNING" if known >= _RUNNING else "PENDING"


def pending_report(task: TaskRecord, cluster: str) -> Report | None:
    """The report that is due, or None if everything has been told."""
    changed = {container.name: reached for container in task.containers if (reached := _untold(container)) is not None}
    reached = _reached(task.known)
    is_ending = not task.sent_ending and _is_ending(task)
    if not changed and reached <= task.sent and not is_ending:
        return None
    is_stopped = task.known is _STOPPED
    return Report(
        request=ecs.SubmitTaskStateChangeRequest(
            cluster=cluster,
            task=task.arn,
            status="STOPPING" if is_ending else wire_status(task.known),
            reason=(task.reason or "")[:_LONGEST_REASON],
            containers=tuple(_change(each) for each in task.containers if each.name in changed),
            pull_started_at=task.pull_started_at,
            pull_stopped_at=task.pull_stopped_at,
            execution_stopped_at=task.execution_stopped_at if is_stopped else _over_since(task),
        ),
        task=max(task.sent, reached),
        containers=changed,
        is_urgent=(reached > task.sent and reached >= _RUNNING) or _STOPPED in changed.values() or is_ending,
        is_ending=is_ending,
    )


def acknowledged(task: TaskRecord, report: Report) -> TaskRecord:
    """The record once the control plane has accepted the report."""
    containers = tuple(
        replace(each, sent=max(each.sent, report.containers[each.name])) if each.name in report.containers else each
        for each in task.containers
    )
    sent_ending = task.sent_ending or report.is_ending
    return replace(task, sent=max(task.sent, report.task), sent_ending=sent_ending, containers=containers)


def _is_ending(task: TaskRecord) -> bool:
    """Whether a task that runs, and is known to, will be STOPPED as soon as the engine tells how a container ended.

    The Amazon ECS agent has no such report: it waits for the engine. Told early, a load balancer and the service
    scheduler need not wait for the engine to take down a dead container's network. Of a task that was told to stop
    it is news only that all of it is over.
    """
    if task.known is not _RUNNING or task.sent is not _RUNNING:
        return False
    if task.desired is _STOPPED:
        return _over_since(task) is not None
    return any(each.ended_at is not None and each.spec.essential for each in task.containers)


def _over_since(task: TaskRecord) -> float | None:
    """Since when no process of the task is left; None while there may be one."""
    ends = [each.finished_at if each.known is _STOPPED else each.ended_at for each in task.containers]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _reached(known: ContainerStatus) -> ContainerStatus:
    """The reportable status: nothing, RUNNING or STOPPED (a task's PENDING is told only along with digests)."""
    if known >= _STOPPED:
        return _STOPPED
    return _RUNNING if known >= _RUNNING else ContainerStatus.NONE


def _untold(container: ContainerRecord) -> ContainerStatus | None:
    reached = _reached(container.known)
    if reached is ContainerStatus.NONE and container.image_digest and container.known >= _PENDING:
        reached = _PENDING
    return reached if reached > container.sent else None


def _change(container: ContainerRecord) -> ecs.ContainerStateChange:
    is_stopped = container.known is _STOPPED
    return ecs.ContainerStateChange(
        container_name=container.name,
        image_digest=(container.image_digest or "")[:_LONGEST_ID] or None,
        runtime_id=container.docker_id,
        exit_code=container.exit_code if is_stopped else None,
        network_bindings=network_bindings(container.spec, container.ports) or None,
        reason=(container.reason or "")[:_LONGEST_REASON] or None,
        status=wire_status(container.known),
    )


class _Range(NamedTuple):
    protocol: str
    first: int
    last: int

    def holds(self, port: PortBinding) -> bool:
        return port.protocol == self.protocol and self.first <= port.container_port <= self.last


def network_bindings(spec: acs.Container, ports: tuple[PortBinding, ...]) -> tuple[ecs.NetworkBinding, ...]:
    """Bindings as ECS reports them: one for each port, and one for each range as a whole."""
    ranges = [_range_of(mapping) for mapping in spec.port_mappings if mapping.container_port_range]
    single = (port for port in ports if not any(each.holds(port) for each in ranges))
    return (
        *(binding for each in ranges if (binding := _range_binding(each, ports)) is not None),
        *(
            ecs.NetworkBinding(
                bind_ip=port.host_ip or _ALL_ADDRESSES,
                container_port=port.container_port,
                host_port=port.host_port,
                protocol="udp" if port.protocol == "udp" else "tcp",
            )
            for port in single
        ),
    )


def _range_of(mapping: acs.PortMapping) -> _Range:
    first, _, last = (mapping.container_port_range or "").partition("-")
    return _Range(mapping.protocol, int(first), int(last or first))


def _range_binding(wanted: _Range, ports: tuple[PortBinding, ...]) -> ecs.NetworkBinding | None:
    within = sorted((port for port in ports if wanted.holds(port)), key=lambda port: port.container_port)
    if not within:
        return None
    return ecs.NetworkBinding(
        bind_ip=within[0].host_ip or _ALL_ADDRESSES,
        container_port_range=f"{wanted.first}-{wanted.last}",
        host_port_range=f"{within[0].host_port}-{within[-1].host_port}",
        protocol="udp" if wanted.protocol == "udp" else "tcp",
    )
