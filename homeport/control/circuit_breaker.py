"""The circuit breaker's settings of a deployment. Pure; the threshold itself is `model.rules.circuit_breaker`.

A failure is a task that never ran, one that is replaced because of its health checks, or one that could not be placed
for another half a minute. Sources: Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures";
API reference, Deployment (`failedTasks`: tasks that the scheduler cannot launch count).
"""

from homeport.model.rules.circuit_breaker import threshold
from homeport.shapes import ecs as shapes

__all__ = ["after_unplaced", "has_tripped", "is_enabled", "resets", "rolls_back", "threshold"]

PLACEMENT_ROUND = 30.0
"""Seconds after which tasks that still lack room are failures (once more). A host that reboots has them, too."""


def is_enabled(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable


def has_tripped(configuration: shapes.DeploymentConfiguration, desired_count: int, failures: int) -> bool:
    """Whether there were too many failures for the service's present desired count."""
    return is_enabled(configuration) and failures >= threshold(configuration, desired_count)


def after_unplaced(since: float | None, missing: int, now: float) -> tuple[float | None, int]:
    """(since when tasks lack room in this round, failures to count) while `missing` tasks lack it."""
    if not missing:
        return None, 0
    if since is None or now < since + PLACEMENT_ROUND:
        return now if since is None else since, 0
    return now, missing


def rolls_back(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable and breaker.rollback


def resets(configuration: shapes.DeploymentConfiguration) -> bool:
    """Whether a task that becomes healthy has the count begin anew (`resetOnHealthyTask`, true unless set)."""
    breaker = configuration.deployment_circuit_breaker
    return breaker is None or breaker.reset_on_healthy_task is not False
