"""Looking at a target from outside, once: the one verb of a health check.

The driver connects, asks and reads the answer's code. What the code means is decided by whoever asked.
"""

from typing import Protocol

from msgspec import Struct


class Probe(Struct, frozen=True, kw_only=True):
    """`protocol` HTTP, HTTPS or TCP; `version` HTTP1, HTTP2 or GRPC (of HTTP and HTTPS). `timeout` in seconds for all of it."""

    protocol: str
    host: str
    port: int
    timeout: float
    path: str = "/"
    version: str = "HTTP1"


class Answered(Struct, frozen=True):
    """The HTTP status, with GRPC the gRPC status; None where a connection was all that was asked for."""

    code: int | None = None


class TimedOut(Struct, frozen=True):
    """No (complete) answer in time."""


class Failed(Struct, frozen=True):
    """No connection, a broken one, or something that is no answer; `text` says which."""

    text: str


class Disturbed(Struct, frozen=True):
    """This process stood still (a suspended machine, a starved one), so that nothing is known of the target."""


Outcome = Answered | TimedOut | Failed | Disturbed


class Prober(Protocol):
    """`probe` never raises but for cancellation, and ends within the probe's time-out."""

    async def probe(self, probe: Probe) -> Outcome: ...
