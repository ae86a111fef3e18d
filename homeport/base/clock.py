"""Time as an argument.

Instants are *epoch seconds as float* everywhere (rows, rules, wire): it is the form that JSON 1.1 carries, and
deadline arithmetic needs no conversion. Nothing outside `base` reads the system's clock; long-lived objects take a
`Clock`, pure functions take `now`.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time in epoch seconds, a monotonic reading, and sleeping. Simulation supplies a virtual one."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def iso8601(instant: float) -> str:
    """`2026-11-23T01:58:07Z`: the form of query/XML answers and of credential expirations (whole seconds, UTC)."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339(instant: float) -> str:
    """`2026-11-23T01:58:07.123456Z`: the form of the task metadata endpoint."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso8601_fraction(instant: float) -> str:
    """As `iso8601`, with milliseconds where there are any: timestamps in query/XML answers."""
    moment = datetime.fromtimestamp(round(instant, 3), UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond // 1000:03d}Z" if moment.microsecond else "Z")
