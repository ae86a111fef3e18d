"""Moving tasks of a steady service from full Availability Zones to empty ones. (Not moved yet: see `surplus`.)"""

from collections.abc import Sequence

from homeport.control.rollout import LiveTask
from homeport.control.service_round import Round


def surplus(round_: Round, tasks: Sequence[LiveTask]) -> int:  # noqa: ARG001
    """How many tasks above the desired count are wanted just now, to move others."""
    return 0
