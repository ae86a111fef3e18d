"""What is known about one service when it is to be explained: rows, and what follows from them (pure)."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from homeport.model.deployment import ENDED, Deployment, ServiceDeployment
from homeport.model.load_balancer import Target
from homeport.model.rules.task_sets import computed_count
from homeport.model.service import Service, TaskSet
from homeport.model.status import DesiredStatus, StopCode
from homeport.model.task import Task
from homeport.scheduler.explain import Explanation


class Facts(NamedTuple):
    """Rows about one service. `tasks` are those that have not STOPPED, `targets` theirs by task ARN.

    `failure`: the task that failed last (`last_failure`). `placements`: dry runs of placing what is `lacking`, by
    deployment or task set. `draining` and `away`: ARNs of the container instances that drain, and of those whose agents
    are not connected. `resolving`: ids of deployments of which it is not known yet what the tags of their images stand
    for. `expected_targets`: in how many target groups a task must be, by deployment or task set; as many as the service
    says where that is not told. `now` in epoch seconds.
    """

    service: Service
    deployments: tuple[Deployment, ...]
    attempt: ServiceDeployment | None
    task_sets: tuple[TaskSet, ...]
    tasks: tuple[Task, ...]
    targets: dict[str, Sequence[Target]]
    now: float
    placements: Mapping[str, Explanation] = MappingProxyType({})
    draining: Collection[str] = frozenset()
    away: Collection[str] = frozenset()
    resolving: Collection[str] = frozenset()
    expected_targets: Mapping[str, int] = MappingProxyType({})
    failure: Task | None = None


def kept(tasks: Sequence[Task]) -> list[Task]:
    """Tasks that are to run."""
    return [task for task in tasks if task.desired_status is DesiredStatus.RUNNING]


def lacking(facts: Facts) -> dict[str, int]:
    """How many tasks deployments and task sets have too few, by id: what is not there, and what is to be replaced.

    A task that has to go, because of its container instance or its deployment, is none that they have.
    """
    sound = [task for task in kept(facts.tasks) if not is_draining(facts, task)]
    own = Counter(task.started_by for task in sound)
    counts = {
        owner: count - (len(sound) if facts.service.scheduling_strategy == "DAEMON" else own[owner])
        for owner, count in wanted_counts(facts).items()
    }
    return {owner: count for owner, count in counts.items() if count > 0}


def wanted_counts(facts: Facts) -> dict[str, int]:
    """How many tasks each is to have in the end; one that has failed gets no more."""
    service, primary = facts.service, primary_of(facts)
    if service.deployment_controller == "EXTERNAL":
        return {each.id: computed_count(service.desired_count, each.scale_percent) for each in facts.task_sets}
    if staged(facts) is not None:
        return {each.id: each.desired_count for each in facts.deployments}
    return {} if primary is None or primary.rollout_state == "FAILED" else {primary.id: service.desired_count}


def is_draining(facts: Facts, task: Task) -> bool:
    return task.container_instance_arn in facts.draining


def last_failure(tasks: Iterable[Task], deployment_ids: Collection[str]) -> Task | None:
    """Of the tasks of these deployments that ended by a fault of their own, the one that did so last."""
    failed = [task for task in tasks if task.is_stopped and task.started_by in deployment_ids and _has_failed(task)]
    return max(failed, key=lambda task: task.stopped_at or 0.0, default=None)


def _has_failed(task: Task) -> bool:
    if task.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED:
        return (task.stopped_reason or "").startswith("Task failed ")
    return task.stop_code in (StopCode.TASK_FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED)


def primary_of(facts: Facts) -> Deployment | None:
    return next((each for each in facts.deployments if each.id == facts.service.primary_deployment_id), None)


def staged(facts: Facts) -> ServiceDeployment | None:
    """The deployment in stages that is under way, if there is one."""
    attempt = facts.attempt
    return attempt if attempt is not None and attempt.stage is not None and attempt.status not in ENDED else None


def targets_of(facts: Facts, task: Task) -> int:
    """In how many target groups the task must be."""
    return facts.expected_targets.get(task.started_by or "", len(facts.service.load_balancers))


def is_older(facts: Facts, task: Task) -> bool:
    """Whether the task is of a deployment that another has taken the place of."""
    return facts.service.primary_deployment_id is not None and task.started_by != facts.service.primary_deployment_id
