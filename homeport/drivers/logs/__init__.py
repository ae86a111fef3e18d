"""Where log events live: outside the store, because they are many and nobody decides anything by them.

Instants in epoch *milliseconds*, as CloudWatch Logs counts. Every verb blocks for a disk access at most a few
milliseconds; callers run them in a thread.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct


class LogGroup(Struct, frozen=True, kw_only=True):
    name: str
    created_at_ms: int
    retention_days: int | None = None
    log_group_class: str = "STANDARD"
    tags: dict[str, str] = {}
    stored_bytes: int = 0


class LogStream(Struct, frozen=True, kw_only=True):
    """First and last refer to the events' own instants, `last_ingestion_ms` to when they came in."""

    group: str
    name: str
    created_at_ms: int
    first_event_ms: int | None = None
    last_event_ms: int | None = None
    last_ingestion_ms: int | None = None
    stored_bytes: int = 0


class LogEvent(NamedTuple):
    """`id` rises strictly in order of arrival within the store."""

    id: int
    stream: str
    timestamp_ms: int
    ingestion_ms: int
    message: str


class LogStore(Protocol):
    """Groups, streams and events. Unknown names: `NotFound`; names that exist: `Permanent`."""

    def create_group(self, group: LogGroup) -> None: ...
    def delete_group(self, name: str) -> None: ...
    def group(self, name: str) -> LogGroup | None: ...
    def groups(self) -> Sequence[LogGroup]: ...
    def replace_group(self, group: LogGroup) -> None: ...
    def create_stream(self, stream: LogStream) -> None: ...
    def delete_stream(self, group: str, name: str) -> None: ...
    def stream(self, group: str, name: str) -> LogStream | None: ...
    def streams(self, group: str) -> Sequence[LogStream]: ...
    def put(self, group: str, stream: str, events: Sequence[tuple[int, str]], now_ms: int) -> None: ...

    def read(
        self,
        group: str,
        streams: Sequence[str] | None,
        *,
        start_ms: int | None,
        end_ms: int | None,
        after: tuple[int, int] | None,
        limit: int,
        newest_first: bool,
    ) -> Sequence[LogEvent]:
        """Events ordered by (timestamp, id), exclusive of the position `after`; `end_ms` is exclusive."""
        ...

    def expire(self, now_ms: int) -> int:
        """Delete what is older than its group's retention; returns how many events went."""
        ...
