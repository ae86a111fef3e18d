"""What happens to a task next, as pure functions of its record and the instant.

`settle` draws the consequences of what is known (an essential container stopped: the task shall stop; a dependency
failed: its dependent never starts; all stopped: the task has stopped), `next_actions` names what to ask of the engine
now, `next_deadline` when to look again if nothing happens, `blocked` why a container waits. Both *known* and *desired*
only rise. `applied` is RUNNING from the moment a start is asked for: such a container may run, so it is stopped through
the engine, while one never started simply counts as stopped.
"""

from msgspec import Struct
from msgspec.structs import replace

from homeport.agent.dependencies import Dependency, Verdict, dependencies_of, dependents_of, judge_all, needed_to_create
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.volumes import volumes_to_provision
from homeport.drivers.engine import ContainerState

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
DEFAULT_RESTART_ATTEMPT_PERIOD = 300
UNSTARTED_EXIT_CODE = 143
_NONE, _PULLED, _CREATED, _RUNNING, _STOPPED = (
    ContainerStatus.NONE,
    ContainerStatus.PULLED,
    ContainerStatus.CREATED,
    ContainerStatus.RUNNING,
    ContainerStatus.STOPPED,
)


class ProvisionCgroup(Struct, frozen=True):
    """Make the task's control group."""


class ProvisionVolume(Struct, frozen=True):
    """Make (or find) the Docker volume behind a volume of the task."""

    volume: str


class Pull(Struct, frozen=True):
    """Fetch the container's image, or make sure of the one that is there."""

    container: str


class Create(Struct, frozen=True):
    container: str


class Start(Struct, frozen=True):
    """Start, for the first time or again by its restart policy."""

    container: str


class Stop(Struct, frozen=True):
    """Stop signal, then SIGKILL after `timeout` seconds (None: the agent's default)."""

    container: str
    timeout: int | None


Action = ProvisionCgroup | ProvisionVolume | Pull | Create | Start | Stop


# ---- consequences ---------------------------------------------------------------------------------------------------


def settle(task: TaskRecord, now: float) -> TaskRecord:
    """The record with everything concluded that follows from it. Idempotent."""
    while True:
        concluded = _conclude(task, now)
        if concluded == task:
            return task
        task = concluded


def _conclude(task: TaskRecord, now: float) -> TaskRecord:
    if task.desired is not _STOPPED:
        task = _give_up_unresolvable(task, now)
    task = _note_essential_exit(task, now)
    if task.desired is _STOPPED:
        task = replace(task, containers=tuple(_stop_unstarted(container) for container in task.containers))
    known = max(task.known, min((container.known for container in task.containers), default=_STOPPED))
    if known is _STOPPED and task.stopped_at is None:
        task = replace(
            task,
            desired=_STOPPED,
            stopped_at=now,
            execution_stopped_at=task.execution_stopped_at or now,
        )
    return task if known == task.known else replace(task, known=known)


def _give_up_unresolvable(task: TaskRecord, now: float) -> TaskRecord:
    """A container whose dependency failed is reported stopped with 143; if it is essential, its task stops.

    Source: pull request 3218 of Amazon's agent.
    """
    for container in task.containers:
        if container.applied >= _RUNNING or container.known >= _RUNNING:
            continue
        judgement = judge_all(task, dependencies_of(container.spec), now)
        if judgement.verdict is Verdict.FAILED:
            reason = f"CannotStartContainerError: {judgement.why}"
            task = with_container(
                task, replace(container, known=_STOPPED, exit_code=UNSTARTED_EXIT_CODE, reason=reason)
            )
            if container.spec.essential:
                task = replace(stopping(task), reason=task.reason or reason)
    return task


def _note_essential_exit(task: TaskRecord, now: float) -> TaskRecord:
    """The first essential container to stop ends the task's execution, whatever made it stop."""
    if any(container.known is _STOPPED and container.spec.essential for container in task.containers):
        return replace(stopping(task), execution_stopped_at=task.execution_stopped_at or now)
    return task


def _stop_unstarted(container: ContainerRecord) -> ContainerRecord:
    if container.known < _RUNNING and container.applied < _RUNNING:
        return replace(container, known=_STOPPED)
    if container.restart_count and container.known is _RUNNING and container.applied < _RUNNING:
        return replace(container, known=_STOPPED)  # it had exited and was only waiting to be started again
    return container


def stopping(task: TaskRecord) -> TaskRecord:
    """The task with its desired status STOPPED."""
    return replace(task, desired=_STOPPED)


def with_container(task: TaskRecord, container: ContainerRecord) -> TaskRecord:
    """The task with one container's record replaced, its statuses guarded: known only rises."""
    before = task.container(container.name)
    assert before is not None, container.name
    if container.known < before.known:
        container = replace(container, known=before.known)
    return replace(
        task, containers=tuple(container if each.name == container.name else each for each in task.containers)
    )


# ---- observations ---------------------------------------------------------------------------------------------------


def observed(task: TaskRecord, container: ContainerRecord, state: ContainerState, now: float) -> ContainerRecord:
    """The container's record after the engine showed `state`: adopt what runs, notice what exited."""
    container = replace(
        _with_health(container, state),
        docker_id=state.id,
        image_id=state.image_id or container.image_id,
        labels=dict(state.labels),
        network_mode=state.network_mode or container.network_mode,
        volumes=state.volumes or container.volumes,
        log_driver=state.log_driver or container.log_driver,
        log_options=dict(state.log_options) or container.log_options,
        created_at=container.created_at or state.created_at,
        started_at=state.started_at or container.started_at,
        pid=state.pid,
        ended_at=container.ended_at if state.pid == container.pid else None,
    )
    if container.known is _STOPPED:
        return replace(container, finished_at=container.finished_at or state.finished_at)
    match state.status:
        case "running" | "paused" | "restarting":
            return replace(
                container,
                known=_RUNNING,
                applied=_RUNNING,
                exit_code=None,
                ports=container.ports or tuple(port for port in state.ports if ":" not in port.host_ip),
                ip_addresses=state.ip_addresses,
            )
        case "exited" | "dead" | "removing":
            return exited(task, container, state, now)
    return replace(container, known=max(container.known, _CREATED), applied=_CREATED)


def _with_health(container: ContainerRecord, state: ContainerState) -> ContainerRecord:
    """Since when, and what the probe said, are those of the status's change: a later probe that agrees is no news."""
    if state.health == container.health:
        return container
    return replace(
        container,
        health=state.health,
        health_since=state.health_since,
        health_output=state.health_output,
        health_exit_code=state.health_exit_code,
    )


def exited(task: TaskRecord, container: ContainerRecord, state: ContainerState, now: float) -> ContainerRecord:
    """The record of a container that the engine shows as exited: stopped, or to be started again by its policy."""
    if should_restart(task, container, state.exit_code, now):
        return replace(
            container,
            known=max(container.known, _RUNNING),
            applied=_CREATED,
            exit_code=state.exit_code,
            restart_count=container.restart_count + 1,
            restarted_at=now,
            pid=0,
        )
    reason = container.reason
    if state.oom_killed:
        reason = OUT_OF_MEMORY
    elif state.error and reason is None:
        reason = f"DockerStateError: {state.error}"
    return replace(
        container,
        known=_STOPPED,
        exit_code=state.exit_code if state.exit_code is not None else container.exit_code,
        reason=reason,
        finished_at=state.finished_at or now,
        pid=0,
    )


def should_restart(task: TaskRecord, container: ContainerRecord, exit_code: int | None, now: float) -> bool:
    """ECS's restart rule: a policy, a task that shall run, a code not ignored, and a full attempt period since the last start."""
    policy = container.spec.restart_policy
    if policy is None or not policy.enabled or task.desired is _STOPPED:
        return False
    if exit_code is not None and exit_code in policy.ignored_exit_codes:
        return False
    since = container.restarted_at or container.started_at
    period = policy.restart_attempt_period or DEFAULT_RESTART_ATTEMPT_PERIOD
    return since is not None and now - since >= period


def process_ended(container: ContainerRecord, pid: int, now: float) -> ContainerRecord:
    """The record once its process is over. What may be started again by its policy depends on how, so is not judged."""
    policy = container.spec.restart_policy
    may_restart = policy is not None and policy.enabled
    if container.pid != pid or container.known is not _RUNNING or may_restart:
        return container
    return replace(container, ended_at=now)


def vanished(container: ContainerRecord, now: float) -> ContainerRecord:
    """The record of a container that the engine no longer has."""
    if container.known is _STOPPED:
        return container
    return replace(
        container,
        known=_STOPPED,
        finished_at=container.finished_at or now,
        pid=0,
        reason=container.reason or "ContainerVanishedError: No container matching saved ID found",
    )


def failed(container: ContainerRecord, reason: str, exit_code: int | None = None) -> ContainerRecord:
    """The record of a container that cannot go on, for `reason` (`Name: text`, at most 1024 characters)."""
    return replace(container, known=_STOPPED, reason=reason[:1024], exit_code=exit_code, pid=0)


# ---- decisions ------------------------------------------------------------------------------------------------------


def next_actions(task: TaskRecord, now: float) -> tuple[Action, ...]:
    """For everything below its desired status whose dependencies allow it, the one next action."""
    if task.known is _STOPPED:
        return ()
    if task.desired is _STOPPED:
        return tuple(
            Stop(container.name, container.spec.stop_timeout or None)  # 0 is the agent's default, as in Amazon's agent
            for container in task.containers
            if container.known is not _STOPPED and container.ended_at is None and _can_stop(task, container)
        )
    resources = _resources_to_provision(task)
    steps = (_next_step(task, container, now, provisioned=not resources) for container in task.containers)
    return (*resources, *(step for step in steps if step is not None))


def _can_stop(task: TaskRecord, container: ContainerRecord) -> bool:
    return all(each.known is _STOPPED for each in dependents_of(task, container.name))


def _resources_to_provision(task: TaskRecord) -> tuple[Action, ...]:
    cgroup: tuple[Action, ...] = (ProvisionCgroup(),) if task.cgroup_parent is None else ()
    missing = (name for name in volumes_to_provision(task.spec) if name not in task.volumes_provisioned)
    return (*cgroup, *(ProvisionVolume(name) for name in missing))


def _next_step(task: TaskRecord, container: ContainerRecord, now: float, *, provisioned: bool) -> Action | None:
    if container.known is _STOPPED:
        return None
    if container.known < _PULLED:
        return Pull(container.name)
    if container.known < _CREATED:
        ready = provisioned and _is_met(task, needed_to_create(container.spec), now)
        return Create(container.name) if ready else None
    if container.known < _RUNNING:
        return Start(container.name) if _is_met(task, dependencies_of(container.spec), now) else None
    return Start(container.name) if container.applied < _RUNNING else None


def _is_met(task: TaskRecord, dependencies: tuple[Dependency, ...], now: float) -> bool:
    return judge_all(task, dependencies, now).verdict is Verdict.MET


def next_deadline(task: TaskRecord, now: float) -> float | None:
    """The next instant at which the passing of time alone changes something; None if never."""
    if task.desired is _STOPPED:
        return None
    deadlines = (
        judge_all(task, dependencies_of(container.spec), now).deadline
        for container in task.containers
        if container.known < _RUNNING and container.applied < _RUNNING
    )
    return min((each for each in deadlines if each is not None), default=None)


def blocked(task: TaskRecord, now: float) -> dict[str, str]:
    """Why each container that waits does so: a sentence by container name."""
    if task.desired is _STOPPED:
        return {
            container.name: "waiting for the containers that depend on it to stop"
            for container in task.containers
            if container.known is not _STOPPED and not _can_stop(task, container)
        }
    judged = (
        (container.name, judge_all(task, dependencies_of(container.spec), now))
        for container in task.containers
        if _PULLED <= container.known < _RUNNING
    )
    return {name: judgement.why for name, judgement in judged if judgement.verdict is not Verdict.MET}
