"""Pages: a sorted sequence is cut at `maxResults`, and the token holds the last key that was shown.

A token that names a key instead of an offset stays right when rows come and go between two calls: nothing is shown
twice and nothing that stayed is left out. Callers must hand over the items sorted by `key`, ascending.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from homeport.shapes import ecs as shapes

T = TypeVar("T")
_VERSION = b"h1:"


def paginate(
    keys: Iterable[T],
    *,
    key: Callable[[T], str],
    token: str | None,
    limit: int | None,
    most: int = 100,
    default: int = 100,
) -> tuple[tuple[T, ...], str | None]:
    """The page after `token` and the token of the next one (None at the end).

    `limit` is the request's `maxResults`: 1 to `most`, `default` if absent. Raises InvalidParameterException for a
    limit out of range and for a token that no call of ours gave out.
    """
    if limit is not None and not 1 <= limit <= most:
        raise shapes.InvalidParameterException(f"maxResults must be between 1 and {most}.")
    size = default if limit is None else limit
    last = None if not token else read_token(token)
    wanted = keys if last is None else (item for item in keys if key(item) > last)
    page = tuple(islice(wanted, size + 1))
    if len(page) <= size:
        return page, None
    return page[:size], make_token(key(page[size - 1]))


def make_token(last: str) -> str:
    """An opaque token that stands for the key `last`."""
    return base64.urlsafe_b64encode(_VERSION + last.encode()).decode()


def read_token(token: str) -> str:
    """The key in the token; raises InvalidParameterException if it is none of ours."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        if raw.startswith(_VERSION):
            return raw[len(_VERSION) :].decode()
    except (binascii.Error, ValueError):
        pass
    raise shapes.InvalidParameterException("Invalid token")
