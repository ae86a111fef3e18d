"""When a rolling deployment counts as failed. Pure.

Source: Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures". A failure is a task that never
ran, or one that is replaced because of its health checks. Worked example, the defaults (BOUNDED_PERCENT, 50): desired
1 gives a threshold of 3, 25 gives 13, 400 and 800 give 200.
"""

import math

from homeport.shapes import ecs as shapes

_DEFAULT_PERCENT = 50
_LEAST, _MOST = 3, 200


def is_enabled(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable


def rolls_back(configuration: shapes.DeploymentConfiguration) -> bool:
    breaker = configuration.deployment_circuit_breaker
    return breaker is not None and breaker.enable and breaker.rollback


def resets(configuration: shapes.DeploymentConfiguration) -> bool:
    """Whether a task that becomes healthy has the count begin anew (`resetOnHealthyTask`, true unless set)."""
    breaker = configuration.deployment_circuit_breaker
    return breaker is None or breaker.reset_on_healthy_task is not False


def threshold(configuration: shapes.DeploymentConfiguration, desired_count: int) -> int:
    """How many failures are too many, for the service's present desired count."""
    breaker = configuration.deployment_circuit_breaker
    given = breaker.threshold_configuration if breaker is not None else None
    kind = "BOUNDED_PERCENT" if given is None else given.type
    value = _DEFAULT_PERCENT if given is None else given.value
    if kind == "COUNT":
        return value
    share = math.ceil(value * desired_count / 100)
    if kind == "UNBOUNDED_PERCENT":
        return max(1, share)
    return min(_MOST, max(_LEAST, share))
