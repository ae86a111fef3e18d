"""Task sets of services with the EXTERNAL deployment controller: scale and the number of tasks that follows from it."""

import math

from homeport.shapes import ecs as shapes


def checked_scale(scale: shapes.Scale | None) -> float:
    """The percent of the service's desired count that a task set shall have; 0 unless given (API reference, Scale)."""
    if scale is None or scale.value is None:
        return 0.0
    if not 0.0 <= scale.value <= 100.0:
        raise shapes.InvalidParameterException("The scale of a task set must be between 0 and 100 PERCENT.")
    return scale.value


def computed_count(desired_count: int, scale_percent: float) -> int:
    """`computedDesiredCount`: rounded up, with 30 % of 10 being 3 whatever binary fractions say."""
    return math.ceil(round(desired_count * scale_percent / 100, 9))
