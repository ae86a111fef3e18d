"""The rows that change when a service gets a new revision to run: made here, put by whoever began it.

CreateService and UpdateService begin a deployment because a caller wants it, the service scheduler because a rollback
needs it. All must agree on what a new attempt supersedes, so the rows are made in one place. Everything is pure:
`begin_deployment` gives rows, and `put_all` writes them into the tables of a transaction.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.model.deployment import ENDED as ENDED  # noqa: PLC0414 - told to others from here, too
from homeport.model.deployment import Deployment, RevisionCounts, ServiceDeployment, ServiceRevision
from homeport.model.service import Service
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task


def child_arn(service_arn: str, kind: str, child_id: str) -> str:
    """`kind` is `task-set`, `service-deployment` or `service-revision`; these ARNs continue the service's own."""
    return f"{service_arn.replace(':service/', f':{kind}/', 1)}/{child_id}"


def new_service_revision(service: Service, ids: Ids, now: float, *, is_forced: bool = False) -> ServiceRevision:
    """What the service is to run from now on, frozen. The service must have a task definition."""
    assert service.task_definition_arn is not None
    return ServiceRevision(
        arn=child_arn(service.arn, "service-revision", ids.digits(19)),
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        task_definition_arn=service.task_definition_arn,
        created_at=now,
        launch_type=service.launch_type,
        platform_version=service.platform_version,
        load_balancers=service.load_balancers,
        network_configuration=service.network_configuration,
        is_forced=is_forced,
    )


def new_deployment(service: Service, revision: ServiceRevision, ids: Ids, now: float) -> Deployment:
    """The PRIMARY deployment that brings the revision about."""
    number = f"ecs-svc/{ids.digits(19)}"
    return Deployment(
        id=number,
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        revision_arn=revision.arn,
        task_definition_arn=revision.task_definition_arn,
        created_at=now,
        updated_at=now,
        rollout_state_reason=in_progress_reason(number),
        desired_count=service.desired_count,
        launch_type=revision.launch_type,
    )


def new_service_deployment(
    service: Service, deployment: Deployment, sources: tuple[RevisionCounts, ...], ids: Ids, now: float
) -> ServiceDeployment:
    """The record of the attempt. `sources`: the revisions that have tasks as it begins."""
    breaker = service.deployment_configuration.deployment_circuit_breaker
    return ServiceDeployment(
        arn=child_arn(service.arn, "service-deployment", ids.letters(21)),
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        target_revision_arn=deployment.revision_arn,
        target_deployment_id=deployment.id,
        created_at=now,
        updated_at=now,
        configuration=service.deployment_configuration,
        sources=sources,
        breaker_status="MONITORING" if breaker is not None and breaker.enable else "DISABLED",
    )


class Begun(Struct, frozen=True, kw_only=True):
    """A new attempt, and the rows of earlier ones that it changes."""

    service: Service
    revision: ServiceRevision
    deployment: Deployment
    service_deployment: ServiceDeployment
    superseded: tuple[Deployment, ...] = ()
    stopped: tuple[ServiceDeployment, ...] = ()


def begin_deployment(
    service: Service,
    ids: Ids,
    now: float,
    *,
    deployments: Iterable[Deployment] = (),
    attempts: Iterable[ServiceDeployment] = (),
    tasks: Sequence[Task] = (),
    is_forced: bool = False,
) -> Begun:
    """Everything that changes when `service` (with its new settings) starts to roll out.

    `deployments`, `attempts` and `tasks` are all rows of the service that there are (none for a new service). An
    attempt that is still under way becomes STOP_REQUESTED, the PRIMARY deployment ACTIVE. `is_forced`
    (`forceNewDeployment`): find out anew what image tags stand for.
    """
    deployments = list(deployments)
    revision = new_service_revision(service, ids, now, is_forced=is_forced)
    deployment = new_deployment(service, revision, ids, now)
    sources = tuple(
        counts_of(each, tasks) for each in deployments if each.status != "INACTIVE" and _live(each.id, tasks)
    )
    return Begun(
        service=replace(service, primary_deployment_id=deployment.id, steady_since=None, announced_at=None),
        revision=revision,
        deployment=deployment,
        service_deployment=new_service_deployment(service, deployment, sources, ids, now),
        superseded=tuple(superseded(each, tasks, now) for each in deployments if each.status == "PRIMARY"),
        stopped=tuple(stop_requested(each, now) for each in attempts if each.status not in ENDED),
    )


def put_all(tx: Any, begun: Begun) -> None:
    """Write the rows; `tx` is a transaction (named by what it has, for the store lies above this layer)."""
    tx.services.put(begun.service)
    tx.service_revisions.put(begun.revision)
    for deployment in (*begun.superseded, begun.deployment):
        tx.deployments.put(deployment)
    for attempt in (*begun.stopped, begun.service_deployment):
        tx.service_deployments.put(attempt)


def superseded(deployment: Deployment, tasks: Sequence[Task], now: float) -> Deployment:
    """The PRIMARY deployment made ACTIVE. If it never completed it ought to have no more tasks than it got."""
    live = len(_live(deployment.id, tasks))
    completed = deployment.rollout_state == "COMPLETED"
    count = deployment.desired_count if completed else min(deployment.desired_count, live)
    return replace(deployment, status="ACTIVE", desired_count=count, updated_at=now)


def followed(service: Service, deployments: Iterable[Deployment], now: float) -> list[Deployment]:
    """The deployments that change because the service's desired count has: the PRIMARY one always has as many.

    A count that grows amid a rolling deployment grows for the revision that ran before, too: the new one may not work,
    and then the old one has to bear the load (AWS, "Amazon ECS improves service availability during rolling
    deployments"). One that is to have no tasks any more stays so: the new revision has proved itself by taking its
    place.
    """
    deployments = list(deployments)
    primary = next((each for each in deployments if each.id == service.primary_deployment_id), None)
    if primary is None or primary.desired_count == service.desired_count:
        return []
    changed = [replace(primary, desired_count=service.desired_count, updated_at=now)]
    before = [
        each for each in deployments if each.status == "ACTIVE" and each.completed_at is not None and each.desired_count
    ]
    growth = service.desired_count - primary.desired_count
    if growth > 0 and before and primary.rollout_state != "COMPLETED":
        newest = max(before, key=lambda each: each.completed_at or 0.0)
        changed.append(replace(newest, desired_count=newest.desired_count + growth, updated_at=now))
    return changed


def stop_requested(attempt: ServiceDeployment, now: float) -> ServiceDeployment:
    """The attempt as a newer one leaves it; the service scheduler makes it STOPPED."""
    reason = "A newer service deployment has been started."
    return replace(attempt, status="STOP_REQUESTED", status_reason=reason, updated_at=now)


def counts_of(deployment: Deployment, tasks: Iterable[Task]) -> RevisionCounts:
    """A deployment's revision with its tasks; only those that are to run are counted."""
    live = _live(deployment.id, tasks)
    running = sum(task.last_status is TaskStatus.RUNNING for task in live)
    return RevisionCounts(
        arn=deployment.revision_arn,
        deployment_id=deployment.id,
        requested=deployment.desired_count,
        running=running,
        pending=len(live) - running,
    )


def _live(deployment_id: str, tasks: Iterable[Task]) -> list[Task]:
    return [
        task
        for task in tasks
        if task.started_by == deployment_id and task.desired_status is DesiredStatus.RUNNING and not task.is_stopped
    ]


def in_progress_reason(deployment_id: str) -> str:
    """`rolloutStateReason` while a deployment is under way."""
    return f"ECS deployment {deployment_id} in progress."


def completed_reason(deployment_id: str) -> str:
    return f"ECS deployment {deployment_id} completed."
