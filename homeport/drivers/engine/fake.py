"""An engine in memory, with a virtual clock, scripted containers and seeded faults, for simulation."""

import random
from collections.abc import Mapping

from msgspec import Struct

from homeport.base.clock import Clock


class Behaviour(Struct, frozen=True, kw_only=True):
    """What containers of an image do. Times in seconds.

    `exit_after` None: runs until stopped. `stop_takes` is how long after SIGTERM it exits (None: only by SIGKILL).
    `health` are the successive health states after `health_interval` each; the last one stays.
    """

    exit_after: float | None = None
    exit_code: int = 0
    stop_takes: float | None = 0.1
    stop_code: int = 143
    start_error: str | None = None
    pull_error: str | None = None
    pull_denied: bool = False
    pull_takes: float = 0.5
    start_takes: float = 0.15
    health: tuple[str, ...] = ()
    health_interval: float = 5.0
    local: bool = False


class Faults(Struct, frozen=True, kw_only=True):
    """Chances between 0 and 1, drawn for every verb."""

    slow: float = 0.0
    slow_by: float = 5.0
    error: float = 0.0
    lie: float = 0.0
    duplicate_event: float = 0.0
    reorder_event: float = 0.0
    break_events: float = 0.0


class FakeEngine:
    """`Engine` in memory. `behaviours` by image name; an image not named there behaves as `Behaviour()`."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        behaviours: Mapping[str, Behaviour] | None = None,
        faults: Faults | None = None,
    ) -> None:
        raise NotImplementedError
