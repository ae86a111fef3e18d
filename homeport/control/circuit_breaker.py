"""The circuit breaker's settings of a deployment. Pure; the threshold itself is `model.rules.circuit_breaker`.

A failure is a task that never ran, or one that is replaced because of its health checks. Source: Developer Guide, "How
the Amazon ECS deployment circuit breaker detects failures".
"""

from homeport.model.rules.circuit_breaker import threshold
from homeport.shapes import ecs as shapes

__all__ = ["has_tripped", "is_enabled", "resets", "rolls_back", "threshold"]


def is_enabled(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable


def has_tripped(configuration: shapes.DeploymentConfiguration, desired_count: int, failures: int) -> bool:
    """Whether there were too many failures for the service's present desired count."""
    return is_enabled(configuration) and failures >= threshold(configuration, desired_count)


def rolls_back(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable and breaker.rollback


def resets(configuration: shapes.DeploymentConfiguration) -> bool:
    """Whether a task that becomes healthy has the count begin anew (`resetOnHealthyTask`, true unless set)."""
    breaker = configuration.deployment_circuit_breaker
    return breaker is None or breaker.reset_on_healthy_task is not False
