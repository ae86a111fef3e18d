"""May the caller do this? The place where IAM policies will be evaluated.

Today there are two kinds of principal. The account's root may do everything. Temporary credentials of a task's role
may do what the machinery around a task needs: look at and protect this one task, learn who they are, and deliver
logs. Everything else is denied by default.
"""

from typing import Any

from homeport.api.errors import AccessDeniedException
from homeport.api.operation import Identity

_TASK_MAY = frozenset(
    {
        ("sts", "GetCallerIdentity"),
        ("logs", "CreateLogGroup"),
        ("logs", "CreateLogStream"),
        ("logs", "DescribeLogGroups"),
        ("logs", "DescribeLogStreams"),
        ("logs", "PutLogEvents"),
    }
)
_TASK_MAY_ABOUT_ITSELF = frozenset({("ecs", "GetTaskProtection"), ("ecs", "UpdateTaskProtection")})


def authorize(identity: Identity, service: str, operation: str, request: Any = None) -> None:
    """Returns if the caller may; raises AccessDeniedException if not. `request` is the decoded input."""
    if identity.task_arn is None and identity.principal_arn == f"arn:aws:iam::{identity.account_id}:root":
        return
    if identity.task_arn is not None:
        if (service, operation) in _TASK_MAY:
            return
        if (service, operation) in _TASK_MAY_ABOUT_ITSELF and _is_only_about(request, identity.task_arn):
            return
    raise AccessDeniedException(
        f"User: {identity.principal_arn} is not authorized to perform: {service}:{operation} on resource: * "
        f"because no identity-based policy allows the {service}:{operation} action"
    )


def _is_only_about(request: Any, task_arn: str) -> bool:
    """Whether the request names the task of the caller, by ARN or id, in the task's cluster, and no other."""
    _, cluster_name, task_id = task_arn.rsplit("/", 2)
    cluster = getattr(request, "cluster", None) or "default"
    tasks = getattr(request, "tasks", None) or ()
    in_cluster = cluster.rsplit("/", 1)[-1] == cluster_name
    return in_cluster and bool(tasks) and all(task in (task_arn, task_id) for task in tasks)
