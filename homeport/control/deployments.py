"""What becomes of a deployment: it fails, goes back to an earlier one, completes, is stopped, is forgotten.

The functions write rows; when they are called is decided elsewhere (`rolling` for rolling deployments). A *service
deployment* (attempt) follows the deployment it rolls out. Source: Developer Guide, "View service history using Amazon
ECS service deployments" and "How the Amazon ECS deployment circuit breaker detects failures".
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from homeport.control.circuit_breaker import rolls_back
from homeport.control.service_round import Round
from homeport.model import service_events
from homeport.model.deployment import ENDED, Deployment, ServiceDeployment
from homeport.model.service_changes import completed_reason, in_progress_reason, superseded
from homeport.model.service_history import as_it_ended

TASKS_FAILED = "ECS deployment circuit breaker: tasks failed to start."
BREAKER_ROLLED_BACK = "Service deployment rolled back because the circuit breaker threshold was exceeded."


def attempts(round_: Round) -> list[ServiceDeployment]:
    """Service deployments that are not over, oldest first."""
    return round_.tx.service_deployments.by(open_of=round_.service.arn)


def current_attempt(round_: Round) -> ServiceDeployment | None:
    """The attempt behind the primary deployment, while it is under way."""
    primary_id = round_.service.primary_deployment_id
    for attempt in reversed(attempts(round_)):
        if primary_id in (attempt.rollback_deployment_id, attempt.target_deployment_id):
            return attempt
    return None


def change_attempt(round_: Round, attempt: ServiceDeployment, **members: Any) -> ServiceDeployment:
    changed = replace(attempt, updated_at=round_.now, **members)
    round_.tx.service_deployments.put(changed)
    return changed


def keep_history(round_: Round, before: Iterable[ServiceDeployment]) -> None:
    """Write into attempts what their deployments will not tell for ever; `before`: as they were when the round began."""
    for attempt in before:
        row = round_.tx.service_deployments.get(attempt.arn)
        if row is None or row.status == attempt.status:
            continue
        target = (round_.deployments | round_.forgotten).get(row.target_deployment_id)
        if target is not None:
            row = replace(row, failure_count=target.failed_tasks)
        if row.status in ENDED:
            row = as_it_ended(row, round_.deployments, round_.live, round_.service.desired_count)
        round_.tx.service_deployments.put(row)


def follow_requests(round_: Round) -> None:
    """Begin what is PENDING, and do what a caller or a newer attempt has asked of those under way."""
    current = current_attempt(round_)
    for attempt in attempts(round_):
        if attempt.status == "PENDING":
            change_attempt(round_, attempt, status="IN_PROGRESS", started_at=round_.now)
        elif attempt.shifts_traffic and current is not None and attempt.arn == current.arn:
            continue  # `blue_green` does what is asked of it.
        elif attempt.status == "STOP_REQUESTED":
            _stop(round_, attempt)
        elif attempt.status == "ROLLBACK_REQUESTED":
            reason = attempt.status_reason or "Service deployment was rolled back by a user request."
            roll_back(round_, attempt, reason)


def _stop(round_: Round, attempt: ServiceDeployment) -> None:
    """The end of an attempt that was given up; if nothing newer took its place it launches no more tasks."""
    primary = round_.primary
    if primary is not None and primary.id == attempt.target_deployment_id and primary.rollout_state == "IN_PROGRESS":
        reason = attempt.status_reason or "The service deployment was stopped."
        round_.change_deployment(primary.id, rollout_state="FAILED", rollout_state_reason=reason)
    change_attempt(
        round_, attempt, status="STOPPED", stopped_at=round_.now, finished_at=round_.now, hooks=(),
        **_monitoring_over(attempt),
    )  # fmt: skip


def _monitoring_over(attempt: ServiceDeployment) -> dict[str, Any]:
    return {"breaker_status": "MONITORING_COMPLETE"} if attempt.breaker_status == "MONITORING" else {}


def fail(round_: Round, deployment: Deployment, reason: str = TASKS_FAILED) -> None:
    """The circuit breaker has tripped: no more launches, and back to the newest COMPLETED deployment if so configured."""
    round_.change_deployment(deployment.id, rollout_state="FAILED", rollout_state_reason=reason)
    round_.say(service_events.failed(deployment.id))
    attempt = current_attempt(round_)
    if attempt is None:
        return
    attempt = change_attempt(round_, attempt, breaker_status="TRIGGERED")
    if rolls_back(round_.service.deployment_configuration):
        roll_back(round_, attempt, BREAKER_ROLLED_BACK)
    else:
        change_attempt(round_, attempt, status="STOP_REQUESTED", status_reason=reason)


def rollback_candidate(round_: Round) -> Deployment | None:
    """The newest COMPLETED deployment besides the primary one."""
    candidates = [
        each
        for each in round_.deployments.values()
        if each.rollout_state == "COMPLETED" and each.id != round_.service.primary_deployment_id
    ]
    return max(candidates, key=lambda each: each.completed_at or each.created_at, default=None)


def roll_back(round_: Round, attempt: ServiceDeployment, reason: str) -> Deployment | None:
    """Make the newest COMPLETED deployment the service's own again; gives it, or None if there is none.

    Then the service has its former settings, as far as a revision holds them. The deployment is IN_PROGRESS, so that it
    cannot be gone back to a second time before it completes. Without any the attempt is over and the service stalls.
    """
    target, failed = rollback_candidate(round_), round_.primary
    if failed is not None and failed.rollout_state == "IN_PROGRESS":
        failed = round_.change_deployment(failed.id, rollout_state="FAILED", rollout_state_reason=reason)
    if target is None:
        change_attempt(
            round_, attempt, status="ROLLBACK_FAILED", finished_at=round_.now, rollback_reason=reason,
            status_reason="There is no completed deployment to roll back to.", rollback_started_at=round_.now,
        )  # fmt: skip
        return None
    if failed is not None:
        row = superseded(failed, round_.live, round_.now)
        round_.change_deployment(failed.id, status=row.status, desired_count=row.desired_count)
    take_over(round_, target, is_breaker=reason == BREAKER_ROLLED_BACK)
    change_attempt(
        round_, attempt, status="ROLLBACK_IN_PROGRESS", status_reason=reason, rollback_reason=reason,
        rollback_started_at=round_.now, rollback_deployment_id=target.id, rollback_revision_arn=target.revision_arn,
    )  # fmt: skip
    round_.say(service_events.rolling_back(target.id))
    return round_.primary


def take_over(round_: Round, target: Deployment, *, is_breaker: bool) -> None:
    """The deployment becomes the primary one, and its revision's settings the service's.

    `is_breaker`: because of the circuit breaker, not because a caller or a hook wants it.
    """
    back = f"ECS deployment circuit breaker: rolling back to deploymentId {target.id}."
    round_.change_deployment(
        target.id,
        status="PRIMARY",
        rollout_state="IN_PROGRESS",
        rollout_state_reason=back if is_breaker else in_progress_reason(target.id),
        desired_count=round_.service.desired_count,
        failed_tasks=0,
        start_failures=0,
        start_after=None,
        unplaced_since=None,
    )
    revision = round_.tx.service_revisions.get(target.revision_arn)
    settings: dict[str, Any] = {}
    if revision is not None:
        settings = {
            "load_balancers": revision.load_balancers,
            "network_configuration": revision.network_configuration,
            "platform_version": revision.platform_version,
            "launch_type": revision.launch_type,
        }
    round_.change(
        primary_deployment_id=target.id,
        task_definition_arn=target.task_definition_arn,
        steady_since=None,
        announced_at=None,
        **settings,
    )


def complete(round_: Round, deployment: Deployment) -> None:
    """The deployment is what the service runs now, and its attempt a success."""
    round_.change_deployment(
        deployment.id,
        rollout_state="COMPLETED",
        rollout_state_reason=completed_reason(deployment.id),
        completed_at=round_.now,
        failed_tasks=0,
    )
    round_.say_at_last(service_events.completed(deployment.id))
    attempt = current_attempt(round_)
    if attempt is not None:
        is_rollback = attempt.rollback_deployment_id == deployment.id
        status = "ROLLBACK_SUCCESSFUL" if is_rollback else "SUCCESSFUL"
        change_attempt(round_, attempt, status=status, finished_at=round_.now, **_monitoring_over(attempt))


def retire(round_: Round, *, is_replaced: bool) -> bool:
    """Older deployments without any task left become INACTIVE; True if none is ACTIVE any more.

    `is_replaced`: the primary deployment has all its tasks; until then one that lost its last task may get it back. One
    INACTIVE deployment is kept while it may have to be gone back to: the newest COMPLETED one.
    """
    owners = {task.started_by for task in round_.live}
    for deployment in round_.older():
        if deployment.id not in owners and (is_replaced or deployment.desired_count == 0):
            round_.change_deployment(deployment.id, status="INACTIVE", desired_count=0)
    primary, candidate = round_.primary, rollback_candidate(round_)
    is_needed = primary is not None and primary.rollout_state != "COMPLETED"
    for deployment in list(round_.deployments.values()):
        if deployment.status == "INACTIVE" and not (is_needed and deployment is candidate):
            round_.forget_deployment(deployment.id)
    return not round_.older()
