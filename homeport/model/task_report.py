"""What an agent reports about a task, folded into the task's row.

Reports come late, twice, out of order and after the task's end, so folding is idempotent: statuses only rise, a stale
entry only fills in what is missing, a stopped task does not change any more, and a report that says nothing new gives
back the very same row. A report that changes anything raises the version by one, however many containers it names.
Source: `SubmitTaskStateChange` as the Amazon ECS agent sends it; Developer Guide, "Amazon ECS stopped tasks".
Homeport's own agent also says STOPPING, once an essential container's process is over and before the engine tells how
it ended.
"""

from msgspec.structs import replace

from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.task import Container, Task
from homeport.shapes import ecs as shapes

LONGEST_REASON = 1024
LONGEST_RUNTIME_ID = 255
LONGEST_DIGEST = 255
ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"

_RANK = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
#: The agent keeps reporting a failed pull after it fell back to the cached image and started the container.
_PULL_FAILURES = ("CannotPull",)
#: Names with which the agent begins the reason of a container that never ran.
_START_FAILURES = (
    "CannotPull",
    "CannotCreate",
    "CannotStart",
    "CannotInspect",
    "CannotDescribe",
    "DockerTimeoutError",
    "DockerStateError",
    "DockerClientConfigError",
    "HostConfigError",
    "TaskStoppedBeforePullBeginError",
    "ContainerNetworkingError",
    "ContainerRuntimeError",
    "ContainerRuntimeTimeoutError",
    "ResourceInitError",
    "ResourceInitializationError",
    "ResourceNotFoundException",
    "InternalError",
)


def apply_report(task: Task, report: shapes.SubmitTaskStateChangeRequest, now: float) -> Task:
    """The task after the report; `task` itself if it says nothing new."""
    if task.is_stopped:
        return task
    updated = _with_attachments(_with_containers(task, report, now), report.attachments or ())
    updated = replace(
        updated,
        pull_started_at=updated.pull_started_at or report.pull_started_at,
        pull_stopped_at=updated.pull_stopped_at or report.pull_stopped_at,
        execution_stopped_at=updated.execution_stopped_at or report.execution_stopped_at,
    )
    if report.status == "STOPPED":
        return _stopped(updated, (report.reason or "")[:LONGEST_REASON], now)
    if report.status == "RUNNING":
        updated = _running(updated, now)
    elif report.status == "PENDING":
        updated = _raised(updated, TaskStatus.PENDING)
    elif report.status == "STOPPING":
        updated = _stopping(_raised(updated, TaskStatus.STOPPING), now)
    if _essential_stopped(updated):
        updated = _stopping(updated, now)
    return task if updated == task else replace(updated, version=task.version + 1)


def report_of_container(request: shapes.SubmitContainerStateChangeRequest) -> shapes.SubmitTaskStateChangeRequest:
    """A report about one container as a report about its task that says nothing of the task's own status."""
    return shapes.SubmitTaskStateChangeRequest(
        cluster=request.cluster,
        task=request.task,
        containers=(
            shapes.ContainerStateChange(
                container_name=request.container_name,
                runtime_id=request.runtime_id,
                status=request.status,
                exit_code=request.exit_code,
                reason=request.reason,
                network_bindings=request.network_bindings,
            ),
        ),
    )


def with_attachment_status(task: Task, change: shapes.AttachmentStateChange) -> Task:
    """The task after SubmitAttachmentStateChanges; itself if nothing changed or it has no such attachment."""
    updated = _with_attachments(task, (change,))
    return task if updated == task else replace(updated, version=task.version + 1)


def ended_task(task: Task, code: StopCode, reason: str, now: float) -> Task:
    """STOPPED without a report of the agent, and all its containers with it; an earlier stop reason stays."""
    if task.is_stopped:
        return task
    stopped = task.stopping(code, reason, now).stopped(now)
    return replace(stopped, containers=_all_stopped(task.containers), version=task.version + 1)


def _with_containers(task: Task, report: shapes.SubmitTaskStateChangeRequest, now: float) -> Task:
    if not report.containers and not report.managed_agents:
        return task
    containers = {container.name: container for container in task.containers}
    for change in report.containers or ():
        known = containers.get(change.container_name or "")
        if known is not None:
            containers[known.name] = _container_after(known, change)
    for agent in report.managed_agents or ():
        known = containers.get(agent.container_name)
        if known is not None:
            containers[known.name] = _with_managed_agent(known, agent, now)
    return replace(task, containers=tuple(containers.values()))


def _container_after(known: Container, change: shapes.ContainerStateChange) -> Container:
    """One entry of a report. Of a container that has stopped, and in an entry of a lower status than is known, only
    what is missing is still taken.
    """
    status = change.status if change.status in _RANK else "PENDING"
    reported = {
        "runtime_id": (change.runtime_id or "")[:LONGEST_RUNTIME_ID] or None,
        "image_digest": (change.image_digest or "")[:LONGEST_DIGEST] or None,
        "exit_code": change.exit_code,
        "reason": _reason(known, change),
        "network_bindings": change.network_bindings or None,
    }
    is_stale = known.last_status == "STOPPED" or _RANK[status] < _RANK[known.last_status]
    changes = {
        name: value
        for name, value in reported.items()
        if value is not None and (not is_stale or getattr(known, name) in (None, ()))
    }
    if not is_stale:
        changes["last_status"] = status
        if status == "RUNNING" and (known.reason or "").startswith(_PULL_FAILURES):
            known = replace(known, reason=None)
    return replace(known, **changes)


def _reason(known: Container, change: shapes.ContainerStateChange) -> str | None:
    """The entry's reason, without a pull failure that did not keep the container from running."""
    reason = (change.reason or "")[:LONGEST_REASON]
    has_run = change.status == "RUNNING" or known.last_status != "PENDING" or change.exit_code is not None
    return None if has_run and reason.startswith(_PULL_FAILURES) else reason or None


def _with_managed_agent(known: Container, change: shapes.ManagedAgentStateChange, now: float) -> Container:
    agents = {agent.name: agent for agent in known.managed_agents}
    agent = agents.get(change.managed_agent_name) or shapes.ManagedAgent(name=change.managed_agent_name)
    has_started = change.status == "RUNNING" and agent.last_status != "RUNNING"
    agents[agent.name] = replace(
        agent,
        last_status=change.status,
        reason=(change.reason or "")[:LONGEST_REASON] or None,
        last_started_at=now if has_started else agent.last_started_at,
    )
    return replace(known, managed_agents=tuple(agents.values()))


def _with_attachments(task: Task, changes: tuple[shapes.AttachmentStateChange, ...]) -> Task:
    statuses = {change.attachment_arn.rsplit("/", 1)[-1]: change.status for change in changes}
    if not statuses or not task.attachments:
        return task
    return replace(
        task,
        attachments=tuple(
            replace(attachment, status=statuses.get(attachment.id or "", attachment.status))
            for attachment in task.attachments
        ),
    )


def _raised(task: Task, status: TaskStatus) -> Task:
    return replace(task, last_status=status) if status.rank > task.last_status.rank else task


def _running(task: Task, now: float) -> Task:
    return replace(
        _raised(task, TaskStatus.RUNNING),
        started_at=task.started_at or now,
        connectivity="CONNECTED",
        connectivity_at=task.connectivity_at if task.connectivity == "CONNECTED" else now,
    )


def _essential_stopped(task: Task) -> bool:
    return any(container.essential and container.last_status == "STOPPED" for container in task.containers)


def _stopping(task: Task, now: float) -> Task:
    """Desired to stop, because an essential container has, with the stop code that this means."""
    if task.desired_status is DesiredStatus.STOPPED:
        return task
    code, reason = _cause(task, "")
    return task.stopping(code, reason, now)


def _stopped(task: Task, reason: str, now: float) -> Task:
    """The end: the agent reports STOPPED once all containers have stopped."""
    if task.desired_status is not DesiredStatus.STOPPED:
        code, why = _cause(task, reason)
        stopped = task.stopping(code, why, now).stopped(now)
    else:
        stopped = task.stopped(now)
    return replace(
        stopped,
        containers=_all_stopped(task.containers),
        execution_stopped_at=task.execution_stopped_at or (now if task.started_at or _has_run(task) else None),
        version=task.version + 1,
    )


def _cause(task: Task, reason: str) -> tuple[StopCode, str]:
    """Why a task that nobody asked to stop has stopped: `reason` is the agent's word on the task, often empty."""
    if task.started_at is not None or _has_run(task):
        return StopCode.ESSENTIAL_CONTAINER_EXITED, reason or ESSENTIAL_EXITED
    failures = [each.reason for each in task.containers if each.reason and each.reason.startswith(_START_FAILURES)]
    return StopCode.TASK_FAILED_TO_START, reason or (failures[0] if failures else FAILED_TO_START)


def _has_run(task: Task) -> bool:
    """Whether an essential container ended by itself: so short a life that RUNNING was never reported."""
    return any(
        each.essential and each.exit_code is not None and not (each.reason or "").startswith(_START_FAILURES)
        for each in task.containers
    )


def _all_stopped(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(
        container if container.last_status == "STOPPED" else replace(container, last_status="STOPPED")
        for container in containers
    )
