"""How long the history of a service is kept: 90 days (Developer Guide, "View service history using Amazon ECS service
deployments"). Pure.

What is older is forgotten when the next deployment begins, and not shown any more until then, so no clock has to be
watched for it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from homeport.model.deployment import Deployment, ServiceDeployment, ServiceRevision

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
