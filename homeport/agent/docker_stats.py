"""Docker's statistics for the metadata endpoints: one reading serves everybody who asks within a second.

The engine takes one to two seconds for a reading, so requests share the one under way. The network rate, which Docker
does not give, comes from the reading before.
"""

import asyncio
from typing import Any, NamedTuple

from homeport.base.clock import Clock
from homeport.base.errors import Permanent, Transient
from homeport.drivers.engine import Engine

Stats = dict[str, Any]
_FRESH_SECONDS = 1.0
_MOST_REMEMBERED = 512


class _Reading(NamedTuple):
    at: float
    stats: Stats


class StatsReader:
    """Readings by container id."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._latest: dict[str, _Reading] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def read(self, docker_id: str) -> Stats | None:
        """A reading at most a second old; None if the engine has none."""
        async with self._locks.setdefault(docker_id, asyncio.Lock()):
            before = self._latest.get(docker_id)
            if before is not None and self._clock.monotonic() - before.at <= _FRESH_SECONDS:
                return before.stats
            try:
                stats = await self._engine.stats(docker_id)
            except (Transient, Permanent):
                self._forget(docker_id)
                return None
            reading = _Reading(self._clock.monotonic(), {**stats})
            reading.stats["network_rate_stats"] = _rates(before, reading)
            self._remember(docker_id, reading)
            return reading.stats

    def _remember(self, docker_id: str, reading: _Reading) -> None:
        self._latest.pop(docker_id, None)
        self._latest[docker_id] = reading
        while len(self._latest) > _MOST_REMEMBERED:
            self._forget(next(iter(self._latest)))

    def _forget(self, docker_id: str) -> None:
        self._latest.pop(docker_id, None)
        self._locks.pop(docker_id, None)


def _rates(before: _Reading | None, now: _Reading) -> Stats | None:
    if before is None or now.at <= before.at:
        return None
    seconds = now.at - before.at
    return {
        f"{kind}_per_sec": max(0.0, (_total(now.stats, kind) - _total(before.stats, kind)) / seconds)
        for kind in ("rx_bytes", "tx_bytes")
    }


def _total(stats: Stats, kind: str) -> int:
    return sum(network.get(kind, 0) for network in (stats.get("networks") or {}).values())
