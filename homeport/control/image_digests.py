"""All tasks of a service revision run the same images, whatever becomes of the tags. Pure, over a round.

The first task of a deployment finds out which digests the tags stand for; until it has, no other is started, and then
all are started with the digests. After three tasks that did not get that far the deployment goes on without, or fails
if the circuit breaker is on. What an
earlier revision of the service has found out about the same images holds for later ones, until a new deployment is
forced. Source: Developer Guide, "Container image resolution"; `versionConsistency` of a container definition.
"""

from msgspec.structs import replace

from homeport.control.service_round import Round
from homeport.model.deployment import Deployment, ServiceRevision
from homeport.model.status import TaskStatus
from homeport.model.task import Task
from homeport.shapes import ecs as shapes

MOST_TRIES = 3


def unresolved_images(definition: shapes.TaskDefinition) -> dict[str, str]:
    """The images, by container name, that are named by a tag and shall be the same in all tasks."""
    return {
        container.name or "": container.image or ""
        for container in definition.container_definitions or ()
        if container.version_consistency != "disabled" and "@sha256:" not in (container.image or "")
    }


def startable(round_: Round, deployment: Deployment, wanted: int) -> int:
    """How many of the wanted tasks may start now: one at a time until the digests are known."""
    revision = round_.tx.service_revisions.get(deployment.revision_arn)
    if wanted <= 0 or revision is None or revision.digests_resolved:
        return wanted
    tasks = [task for task in round_.live if task.started_by == deployment.id]
    if _resolve(round_, deployment, revision, tasks):
        return wanted
    return 0 if tasks else 1


def has_given_up(round_: Round, deployment: Deployment) -> bool:
    """Whether three tasks have failed to find the digests out, and nothing else knows them."""
    revision = round_.tx.service_revisions.get(deployment.revision_arn)
    if revision is None or revision.digests_resolved or deployment.start_failures < MOST_TRIES:
        return False
    names = _unresolved(round_, revision)
    return bool(names) and _inherited(round_, revision, names) is None


def _resolve(round_: Round, deployment: Deployment, revision: ServiceRevision, tasks: list[Task]) -> bool:
    """Write down the digests if they are known, or that there are none to wait for."""
    names = _unresolved(round_, revision)
    found = next((digests for task in tasks if (digests := _digests(task, names)) is not None), None) if names else {}
    if found is None and names:
        found = _inherited(round_, revision, names)
    if found is None and deployment.start_failures < MOST_TRIES:
        return False
    round_.tx.service_revisions.put(replace(revision, image_digests=found or {}, digests_resolved=True))
    return True


def _unresolved(round_: Round, revision: ServiceRevision) -> dict[str, str]:
    """Images by container name."""
    row = round_.tx.task_definitions.get(revision.task_definition_arn)
    return {} if row is None else unresolved_images(row.definition)


def _inherited(round_: Round, revision: ServiceRevision, names: dict[str, str]) -> dict[str, str] | None:
    """The digests that the newest revision with the same images has; that there are none may be inherited, too."""
    if revision.is_forced:
        return None
    for earlier in reversed(round_.tx.service_revisions.by(service_arn=revision.service_arn)):
        if earlier.arn != revision.arn and earlier.digests_resolved:
            images = _unresolved(round_, earlier)
            if all(images.get(name) == image for name, image in names.items()):
                return {name: digest for name, digest in earlier.image_digests.items() if name in names}
            return None
    return None


def _digests(task: Task, names: dict[str, str]) -> dict[str, str] | None:
    """What the task reported; None while it may still report more. A local image has no digest."""
    digests = {
        container.name: container.image_digest
        for container in task.containers
        if container.name in names and container.image_digest and container.image_digest.startswith("sha256:")
    }
    is_complete = len(digests) == len(names) or task.last_status.rank >= TaskStatus.RUNNING.rank
    return digests if is_complete else None
