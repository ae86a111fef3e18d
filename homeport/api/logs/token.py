"""Page tokens: opaque, and holding a position instead of an offset, so that they stay right while rows come and go."""

import base64
import binascii
from typing import TypeVar

import msgspec

from homeport.shapes import logs as shapes

T = TypeVar("T")
Position = tuple[int, int]
"""Timestamp in epoch milliseconds and id of an event."""


def make_token(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode()


def read_token(token: str, type_: type[T]) -> T:
    """The parts of a token, of the given tuple type; raises InvalidParameterException if it is none of ours."""
    try:
        return msgspec.json.decode(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True), type=type_)
    except (binascii.Error, ValueError) as error:
        raise invalid_token() from error


def invalid_token() -> shapes.InvalidParameterException:
    return shapes.InvalidParameterException("The specified nextToken is invalid.")


def position_token(side: str, position: Position) -> str:
    """A token of GetLogEvents: `side` is `f` (events after the position) or `b` (events before it)."""
    timestamp, event_id = position
    return f"{side}/{timestamp:020d}{max(event_id, 0):036d}/s"


def read_position_token(token: str) -> tuple[str, Position]:
    pieces = token.split("/")
    if len(pieces) != 3 or pieces[0] not in ("f", "b") or len(pieces[1]) != 56 or not pieces[1].isdecimal():
        raise invalid_token()
    timestamp, event_id = int(pieces[1][:20]), int(pieces[1][20:])
    if max(timestamp, event_id) >= 2**63:
        raise invalid_token()
    return pieces[0], (timestamp, event_id)
