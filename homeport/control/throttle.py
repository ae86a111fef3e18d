"""How long a deployment whose tasks do not start is held back. Pure.

Only tasks that stopped before they were RUNNING count. The wait doubles from 10 seconds to 27 minutes, the longest that
ECS documents ("Amazon ECS service throttle logic"; the curve itself is not documented), and ends as soon as a task runs
or a new deployment begins. Failures that come while starts are held back already belong to the same round.

ECS does not hold back tasks that exit after they ran, however soon: it takes long enough to start them. Here a
container that exits at once would be started twice a second, so from the third in a minute on there is a pause of up to
15 seconds (not after a kill: what was killed is replaced at once).
"""

from collections.abc import Iterable

from homeport.base.backoff import backoff_seconds

FIRST_DELAY = 10.0
LONGEST_DELAY = 27 * 60.0
TELL_FROM = 2
"""From this many failed rounds in a row on, an event says so."""

SHORT_LIFE = 5.0
"""Seconds of RUNNING below which a task that exits by itself has not really run."""
_SHORT_LIVES_FREE = 2
_FORGOTTEN_AFTER = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
_KILLED = frozenset({None, 137, 143})


def delay(failed_rounds: int) -> float:
    """Seconds without starts after `failed_rounds` (at least one) in a row."""
    return backoff_seconds(failed_rounds - 1, first=FIRST_DELAY, factor=2, most=LONGEST_DELAY)


def after_failure(failed_rounds: int, start_after: float | None, now: float) -> tuple[int, float]:
    """(failed rounds, start after) once more tasks have failed to start."""
    if start_after is not None and now < start_after:
        return failed_rounds, start_after
    return failed_rounds + 1, now + delay(failed_rounds + 1)


def is_short_life(started_at: float | None, stopped_at: float | None, exit_codes: Iterable[int | None]) -> bool:
    """Whether a task that ran exited at once, and not because somebody killed it."""
    if started_at is None or stopped_at is None or stopped_at - started_at >= SHORT_LIFE:
        return False
    return any(code not in _KILLED for code in exit_codes)


def after_short_life(short_lives: int, last_at: float, now: float) -> tuple[int, float | None]:
    """(short lives in a row, start after) once another task has exited at once."""
    count = 1 if now - last_at > _FORGOTTEN_AFTER else short_lives + 1
    if count <= _SHORT_LIVES_FREE:
        return count, None
    pause = backoff_seconds(count - _SHORT_LIVES_FREE - 1, first=_FIRST_PAUSE, factor=2, most=_LONGEST_PAUSE)
    return count, now + pause
