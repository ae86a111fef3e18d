"""Describe-many: what was found, and a failure with reason MISSING for each name that was not.

Source: Developer Guide, "API failures messages"; the waiters of the AWS clients rely on it.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from homeport.shapes import ecs as shapes

T = TypeVar("T")


def describe_many(
    names: Iterable[str], find: Callable[[str], T | None], arn_of: Callable[[str], str]
) -> tuple[list[T], tuple[shapes.Failure, ...]]:
    """Looks every name up, in order; `arn_of` makes the ARN that a failure shows. A name given twice is found once."""
    found: list[T] = []
    failures: list[shapes.Failure] = []
    for name in dict.fromkeys(names):
        item = find(name)
        if item is None:
            failures.append(missing(arn_of(name)))
        else:
            found.append(item)
    return found, tuple(failures)


def missing(arn: str) -> shapes.Failure:
    """The failure of something that does not exist."""
    return shapes.Failure(arn=arn, reason="MISSING")
