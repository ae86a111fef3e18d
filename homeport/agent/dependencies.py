"""Which container waits for which, and whether the wait is over, goes on, or can never end.

Sources: Developer Guide "Container dependency" and the Amazon ECS agent's behaviour: `dependsOn` conditions START,
COMPLETE, SUCCESS and HEALTHY; a link is a START dependency, `volumesFrom` one on creation. A dependency that exceeds
its own `startTimeout`, fails SUCCESS or will never start makes the dependent give up. Unlike there, conditions are
looked at on every event, not every five seconds.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.shapes import acs

CREATE = "CREATE"


class Dependency(NamedTuple):
    """`condition` is START, COMPLETE, SUCCESS, HEALTHY, or our CREATE for `volumesFrom`."""

    container_name: str
    condition: str


class Verdict(Enum):
    MET = "met"
    WAITING = "waiting"
    FAILED = "failed"


class Judgement(NamedTuple):
    """`why` is a sentence about the dependency; empty when met. `deadline` is when waiting turns into failing."""

    verdict: Verdict
    why: str = ""
    deadline: float | None = None


_MET = Judgement(Verdict.MET)


def dependencies_of(spec: acs.Container) -> tuple[Dependency, ...]:
    """Everything a container waits for, in the order of its definition."""
    return (
        *(Dependency(each.container_name, each.condition) for each in spec.depends_on),
        *(Dependency(link.split(":", 1)[0], "START") for link in spec.links),
        *(Dependency(each.source_container, CREATE) for each in spec.volumes_from),
    )


def needed_to_create(spec: acs.Container) -> tuple[Dependency, ...]:
    """The part that Docker needs before it can create the container at all: running links, existing volume sources."""
    return tuple(
        each
        for each in dependencies_of(spec)
        if each.condition == CREATE or any(link.split(":", 1)[0] == each.container_name for link in spec.links)
    )


def unresolvable(containers: tuple[acs.Container, ...]) -> bool:
    """Whether the containers wait for each other in a circle, or for one that does not exist."""
    waits: Mapping[str, set[str]] = {
        spec.name: {each.container_name for each in dependencies_of(spec)} for spec in containers
    }
    resolved: set[str] = set()
    while len(resolved) < len(waits):
        ready = {name for name, needs in waits.items() if name not in resolved and needs <= resolved}
        if not ready:
            return True
        resolved |= ready
    return False


def dependents_of(task: TaskRecord, name: str) -> tuple[ContainerRecord, ...]:
    """The containers that wait for `name`: they are stopped before it."""
    return tuple(
        container
        for container in task.containers
        if any(each.container_name == name for each in dependencies_of(container.spec))
    )


def judge(dependency: Dependency, on: ContainerRecord, now: float) -> Judgement:
    """Whether the condition on container `on` holds, may come to hold, or cannot any more."""
    if on.known is ContainerStatus.STOPPED:
        return _judge_stopped(dependency, on)
    if dependency.condition == CREATE:
        return _MET if on.known >= ContainerStatus.CREATED else _waiting(dependency, "is created")
    if dependency.condition == "START":
        return _MET if on.known >= ContainerStatus.RUNNING else _waiting(dependency, "has started")
    if dependency.condition == "HEALTHY":
        if on.spec.health_check_type is None:
            return Judgement(Verdict.FAILED, f"dependency container {on.name} has no health check")
        if on.health == "healthy" and on.known >= ContainerStatus.RUNNING:
            return _MET
    return _judge_time(dependency, on, now)


def _judge_stopped(dependency: Dependency, on: ContainerRecord) -> Judgement:
    started = on.started_at is not None
    match dependency.condition:
        case "COMPLETE" | "START" if started:
            return _MET
        case "SUCCESS" if started and on.exit_code == 0:
            return _MET
        case "SUCCESS" if started:
            return Judgement(Verdict.FAILED, f"dependency container {on.name} exited with code {on.exit_code}, not 0")
        case "HEALTHY" if started:
            return Judgement(Verdict.FAILED, f"dependency container {on.name} stopped before it became healthy")
        case "CREATE" if on.docker_id is not None:
            return _MET
    return Judgement(Verdict.FAILED, f"dependency container {on.name} did not start")


def _judge_time(dependency: Dependency, on: ContainerRecord, now: float) -> Judgement:
    timeout = on.spec.start_timeout
    deadline = on.started_at + timeout if on.started_at is not None and timeout else None
    if deadline is not None and now >= deadline:
        return Judgement(
            Verdict.FAILED,
            f"dependency container {on.name} did not reach {dependency.condition} within its startTimeout of {timeout} s",
        )
    return _waiting(dependency, f"reaches {dependency.condition}", deadline)


def _waiting(dependency: Dependency, what: str, deadline: float | None = None) -> Judgement:
    return Judgement(Verdict.WAITING, f"waiting until container {dependency.container_name} {what}", deadline)


def judge_all(task: TaskRecord, dependencies: tuple[Dependency, ...], now: float) -> Judgement:
    """The worst of the judgements: failed before waiting before met; the earliest deadline."""
    waiting: Judgement | None = None
    for dependency in dependencies:
        on = task.container(dependency.container_name)
        if on is None:
            return Judgement(Verdict.FAILED, f"dependency container {dependency.container_name} does not exist")
        found = judge(dependency, on, now)
        if found.verdict is Verdict.FAILED:
            return found
        if found.verdict is Verdict.WAITING and (
            waiting is None or (found.deadline or float("inf")) < (waiting.deadline or float("inf"))
        ):
            waiting = found
    return waiting or _MET
