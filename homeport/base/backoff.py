"""Exponential backoff as arithmetic."""

import random


def backoff_seconds(
    attempt: int, *, first: float, factor: float, most: float, rng: random.Random | None = None
) -> float:
    """Delay before retry number `attempt` (0-based), capped at `most`; with `rng`, jittered down by up to 20 %."""
    delay = most if attempt > 64 else min(most, first * factor**attempt)
    return delay * (1.0 - 0.2 * rng.random()) if rng else delay
