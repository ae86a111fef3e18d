"""Scale-in protection of service tasks: GetTaskProtection and UpdateTaskProtection.

Only tasks of a service can be protected (TASK_NOT_VALID otherwise). A task may also ask for itself, through its agent
and signed with its own role's credentials; that it asks for no other is `api.authorize`'s business.
Sources: API reference, GetTaskProtection and UpdateTaskProtection; Developer Guide, "Protect your Amazon ECS tasks from
being terminated by scale-in events" and "Amazon ECS API failure reasons" (DEPLOYMENT_BLOCKED).
"""

from msgspec.structs import replace

from homeport.api.ecs.find import find_cluster, lookup_task
from homeport.api.failures import missing
from homeport.api.operation import Context, operation
from homeport.model.cluster import Cluster
from homeport.model.task import Task
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_TASKS_TO_GET = 100
MOST_TASKS_TO_CHANGE = 10
DEFAULT_MINUTES = 120
LONGEST_MINUTES = 2880


@operation(shapes.SERVICE, "GetTaskProtection")
def get_task_protection(
    ctx: Context, tx: Tx, request: shapes.GetTaskProtectionRequest
) -> shapes.GetTaskProtectionResponse:
    """The protection of the named tasks, or of every service task of the cluster."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if request.tasks:
        tasks, failures = _find(ctx, tx, cluster, request.tasks, MOST_TASKS_TO_GET)
    else:
        rows = tx.tasks.by(cluster_desired=(cluster.arn, "RUNNING"))
        tasks, failures = [task for task in rows if task.service_arn], []
    return shapes.GetTaskProtectionResponse(
        protected_tasks=tuple(_view(task, tx.now) for task in tasks), failures=tuple(failures)
    )


@operation(shapes.SERVICE, "UpdateTaskProtection")
def update_task_protection(
    ctx: Context, tx: Tx, request: shapes.UpdateTaskProtectionRequest
) -> shapes.UpdateTaskProtectionResponse:
    """Protect tasks for a while (two hours unless told), or no longer."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.tasks:
        raise shapes.InvalidParameterException("Tasks cannot be empty.")
    minutes = DEFAULT_MINUTES if request.expires_in_minutes is None else request.expires_in_minutes
    if not 1 <= minutes <= LONGEST_MINUTES:
        raise shapes.InvalidParameterException(f"expiresInMinutes must be between 1 and {LONGEST_MINUTES}.")
    tasks, failures = _find(ctx, tx, cluster, request.tasks, MOST_TASKS_TO_CHANGE)
    expires_at = tx.now + 60.0 * minutes if request.protection_enabled else None
    changed: list[Task] = []
    for task in tasks:
        if request.protection_enabled and not task.is_protected(tx.now) and _blocks_deployment(tx, task):
            failures.append(_blocked(task))
            continue
        protected = replace(task, protection_enabled=request.protection_enabled, protection_expires_at=expires_at)
        tx.tasks.put(protected)
        changed.append(protected)
    return shapes.UpdateTaskProtectionResponse(
        protected_tasks=tuple(_view(task, tx.now) for task in changed), failures=tuple(failures)
    )


def _blocks_deployment(tx: Tx, task: Task) -> bool:
    """Whether the service has more protected tasks than it wants tasks: none is protected anew until that is over."""
    service = tx.services.get(task.service_arn or "")
    others = tx.tasks.by(service_arn=task.service_arn)
    protected = sum(other.is_protected(tx.now) and not other.is_stopped for other in others)
    return service is not None and protected > service.desired_count


def _blocked(task: Task) -> shapes.Failure:
    return shapes.Failure(
        arn=task.arn,
        reason="DEPLOYMENT_BLOCKED",
        detail="Can't set task protection as one or more protected tasks are preventing the service deployment from "
        "reaching a steady state.",
    )


def _find(
    ctx: Context, tx: Tables, cluster: Cluster, names: tuple[str, ...], most: int
) -> tuple[list[Task], list[shapes.Failure]]:
    """The service tasks among the names, and why the others are none."""
    if len(names) > most:
        raise shapes.InvalidParameterException(f"Tasks cannot have more than {most} elements.")
    tasks: list[Task] = []
    failures: list[shapes.Failure] = []
    for name in dict.fromkeys(names):
        task = lookup_task(ctx, tx, cluster, name)
        if task is None:
            failures.append(missing(name if name.startswith("arn:") else ctx.arns.task(cluster.name, name)))
        elif task.service_arn is None or task.is_stopped:
            failures.append(
                shapes.Failure(
                    arn=task.arn, reason="TASK_NOT_VALID", detail="The specified task is not part of an active service."
                )
            )
        else:
            tasks.append(task)
    return tasks, failures


def _view(task: Task, now: float) -> shapes.ProtectedTask:
    is_protected = task.is_protected(now)
    return shapes.ProtectedTask(
        task_arn=task.arn,
        protection_enabled=is_protected,
        expiration_date=task.protection_expires_at if is_protected else None,
    )
