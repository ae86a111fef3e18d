"""The only four roots of failure.

Tell the caller (`ApiError`), try again (`Transient`), give up on this thing (`Permanent`), or stop the process (`Bug`).
"""

from typing import Any, ClassVar


class ApiError(Exception):
    """An error that AWS's model declares; its subclasses are generated in `shapes`.

    `members` are further members of the error's shape (wire names), such as `resourceIds` of ConflictException.
    """

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.members = members


class Transient(Exception):  # noqa: N818 - names a fate, not a fault
    """The outside world failed in a way that may pass: the queue tries again with backoff."""


class Permanent(Exception):  # noqa: N818
    """The outside world said no, and will say so again."""


class NotFound(Permanent):
    """The thing a driver was asked about does not exist."""


class Bug(Exception):  # noqa: N818
    """An impossible state: crash, reload from the journal, report."""
