"""How many requests one caller may make: a bucket per address that refills steadily. Pure arithmetic on a given time."""

_MOST_CALLERS = 4_096


class Throttle:
    """`rate` requests per second in the long run, `burst` at once."""

    def __init__(self, rate: float = 40.0, burst: float = 60.0) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, caller: str, now: float) -> bool:
        """Whether the caller may make one more request; counts it if so. `now` in seconds, monotonic."""
        left, at = self._buckets.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        is_allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if is_allowed else left, now)
        if len(self._buckets) > _MOST_CALLERS:
            del self._buckets[next(iter(self._buckets))]
        return is_allowed
