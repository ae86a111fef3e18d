"""Scale-in protection of service tasks: GetTaskProtection and UpdateTaskProtection.

Only tasks of a service can be protected (TASK_NOT_VALID otherwise). A task may also ask for itself, through its agent
and signed with its own role's credentials; that it asks for no other is `api.authorize`'s business.
Source: API reference, UpdateTaskProtection.
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

MOST_TASKS = 10
DEFAULT_MINUTES = 120
LONGEST_MINUTES = 2880


@operation(shapes.SERVICE, "GetTaskProtection")
def get_task_protection(
    ctx: Context, tx: Tx, request: shapes.GetTaskProtectionRequest
) -> shapes.GetTaskProtectionResponse:
    """The protection of the named tasks, or of every service task of the cluster."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if request.tasks:
        tasks, failures = _find(ctx, tx, cluster, request.tasks)
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
    tasks, failures = _find(ctx, tx, cluster, request.tasks)
    expires_at = tx.now + 60.0 * minutes if request.protection_enabled else None
    changed = [
        replace(task, protection_enabled=request.protection_enabled, protection_expires_at=expires_at) for task in tasks
    ]
    for task in changed:
        tx.tasks.put(task)
    return shapes.UpdateTaskProtectionResponse(
        protected_tasks=tuple(_view(task, tx.now) for task in changed), failures=tuple(failures)
    )


def _find(
    ctx: Context, tx: Tables, cluster: Cluster, names: tuple[str, ...]
) -> tuple[list[Task], list[shapes.Failure]]:
    """The service tasks among the names, and why the others are none."""
    if len(names) > MOST_TASKS:
        raise shapes.InvalidParameterException(f"Tasks cannot have more than {MOST_TASKS} elements.")
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
    """A protection that has run out counts as none, whether or not somebody has cleared it."""
    expires_at = task.protection_expires_at
    is_protected = task.protection_enabled and expires_at is not None and expires_at > now
    return shapes.ProtectedTask(
        task_arn=task.arn, protection_enabled=is_protected, expiration_date=expires_at if is_protected else None
    )
