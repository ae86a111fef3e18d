"""How many failures end a deployment.

Source: Developer Guide, "How the Amazon ECS deployment circuit breaker detects failures". Worked example, the defaults
(BOUNDED_PERCENT, 50): desired 1 gives a threshold of 3, 25 gives 13, 400 and 800 give 200.
"""

import math

from homeport.shapes import ecs as shapes

_DEFAULT_PERCENT = 50
_LEAST, _MOST = 3, 200


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
