"""Amazon ECS: one module a resource. Importing the package declares every handler."""

from homeport.api.ecs import (
    account_settings,
    agent,
    attributes,
    clusters,
    container_instances,
    protection,
    run_task,
    service_deployments,
    service_lists,
    services,
    tags,
    task_definitions,
    task_sets,
    tasks,
)

__all__ = [
    "account_settings",
    "agent",
    "attributes",
    "clusters",
    "container_instances",
    "protection",
    "run_task",
    "service_deployments",
    "service_lists",
    "services",
    "tags",
    "task_definitions",
    "task_sets",
    "tasks",
]
