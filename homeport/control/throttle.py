"""How long a deployment whose tasks do not start is held back. Pure.

Only tasks that stopped before they were RUNNING count. The wait doubles from 10 seconds to 27 minutes, the longest that
ECS documents ("Amazon ECS service throttle logic"; the curve itself is not documented), and ends as soon as a task runs
or a new deployment begins. Failures that come while starts are held back already belong to the same round.
"""

from homeport.base.backoff import backoff_seconds

FIRST_DELAY = 10.0
LONGEST_DELAY = 27 * 60.0
TELL_FROM = 2
"""From this many failed rounds in a row on, an event says so."""


def delay(failed_rounds: int) -> float:
    """Seconds without starts after `failed_rounds` (at least one) in a row."""
    return backoff_seconds(failed_rounds - 1, first=FIRST_DELAY, factor=2, most=LONGEST_DELAY)


def after_failure(failed_rounds: int, start_after: float | None, now: float) -> tuple[int, float]:
    """(failed rounds, start after) once more tasks have failed to start."""
    if start_after is not None and now < start_after:
        return failed_rounds, start_after
    return failed_rounds + 1, now + delay(failed_rounds + 1)
