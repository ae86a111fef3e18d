"""The operations of Amazon ECS. Importing this package declares every handler."""

from homeport.api.ecs import agent, container_instances, protection, run_task, tasks

__all__ = ["agent", "container_instances", "protection", "run_task", "tasks"]
