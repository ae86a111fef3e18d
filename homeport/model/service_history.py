"""The history of a service: what is kept of a deployment that is over, and that for 90 days. Pure.

What is older is forgotten when the next deployment begins, and not shown any more until then, so no clock has to be
watched for it. Source: Developer Guide, "View service history using Amazon ECS service deployments".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from homeport.model.deployment import Deployment, RevisionCounts, ServiceDeployment, ServiceRevision
from homeport.model.service_changes import counts_of
from homeport.model.task import Task

KEPT_SECONDS = 90 * 86400.0


class Outdated(NamedTuple):
    """ARNs of service deployments and of service revisions that nothing refers to any more."""

    attempts: tuple[str, ...]
    revisions: tuple[str, ...]


def is_outdated(attempt: ServiceDeployment, now: float) -> bool:
    """Whether the attempt is over and belongs to the past that is not kept."""
    return attempt.finished_at is not None and attempt.created_at < now - KEPT_SECONDS


def outdated(
    attempts: Iterable[ServiceDeployment],
    revisions: Iterable[ServiceRevision],
    deployments: Iterable[Deployment],
    now: float,
) -> Outdated:
    """What to forget, out of all rows of one service. A revision stays while a deployment or a kept attempt names it."""
    attempts = list(attempts)
    gone = tuple(attempt.arn for attempt in attempts if is_outdated(attempt, now))
    used = {deployment.revision_arn for deployment in deployments}
    for attempt in attempts:
        if not is_outdated(attempt, now):
            used |= {attempt.target_revision_arn, attempt.rollback_revision_arn or ""}
            used |= {source.arn for source in attempt.sources}
    return Outdated(gone, tuple(revision.arn for revision in revisions if revision.arn not in used))


def as_it_ended(
    attempt: ServiceDeployment, deployments: Mapping[str, Deployment], tasks: Sequence[Task], desired_count: int
) -> ServiceDeployment:
    """The attempt with the tasks that its revisions have now, for whoever asks later."""

    def counts(arn: str, deployment_id: str) -> RevisionCounts:
        row = deployments.get(deployment_id)
        if row is None:
            return RevisionCounts(arn=arn, deployment_id=deployment_id, requested=0, running=0, pending=0)
        return counts_of(row, tasks)

    return replace(
        attempt,
        sources=tuple(counts(each.arn, each.deployment_id) for each in attempt.sources),
        target=counts(attempt.target_revision_arn, attempt.target_deployment_id),
        desired_count=desired_count,
    )
