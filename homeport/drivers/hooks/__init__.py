"""Calling a Lambda function once, and hearing what became of the call: the one verb of a Lambda lifecycle hook.

What the function's answer means is decided by whoever called.
"""

from typing import Protocol

from msgspec import Struct


class Call(Struct, frozen=True, kw_only=True):
    """`function_arn` with or without a qualifier; `payload` is JSON; `timeout` in seconds for all of it."""

    function_arn: str
    payload: bytes
    timeout: float


class Returned(Struct, frozen=True):
    """The function returned; `payload` is what (JSON, if it keeps to the rules)."""

    payload: bytes


class CallFailed(Struct, frozen=True):
    """The function raised, ran out of time, is not there or refused the call: calling again would not help."""

    text: str


class Unreachable(Struct, frozen=True):
    """Nobody answered, or the endpoint was overloaded: worth another try."""

    text: str


Answer = Returned | CallFailed | Unreachable


class Functions(Protocol):
    """`call` never raises but for cancellation, and ends within the call's time-out."""

    async def call(self, call: Call) -> Answer: ...
