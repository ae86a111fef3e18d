"""FilterLogEvents: events of many streams in one order of time, as `aws logs tail` follows them.

One call looks at a bounded number of events, so a page may be short or empty and still have a next one. Source:
CloudWatch Logs API reference, FilterLogEvents.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from homeport.api.logs.events import MOST_BYTES, MOST_EVENTS, cost, walk
from homeport.api.logs.filter_pattern import Matches, compile_pattern
from homeport.api.logs.find import GROUP_MISSING, find_group, find_stream, group_name
from homeport.api.logs.token import Position, make_token, read_token
from homeport.api.operation import Context, operation
from homeport.base.errors import NotFound
from homeport.drivers.logs import LogEvent
from homeport.shapes import logs as shapes

_MOST_SCANNED = 20_000
_MERGED_STREAMS = 200
_NEWEST_FIRST_SINCE_MS = 1_704_067_200_000
"""2024-01-01: what came before cannot be searched from its end."""


class _Page(NamedTuple):
    """`resume`: the position of the last event that was looked at, None when all were."""

    events: list[LogEvent]
    resume: Position | None


@operation(shapes.SERVICE, "FilterLogEvents")
async def filter_log_events(ctx: Context, request: shapes.FilterLogEventsRequest) -> shapes.FilterLogEventsResponse:
    group = group_name(ctx, request.log_group_name, request.log_group_identifier)
    if request.log_stream_names is not None and request.log_stream_name_prefix is not None:
        raise shapes.InvalidParameterException(
            "logStreamNames and logStreamNamePrefix are mutually exclusive parameters."
        )
    newest_first, after = _direction(request)
    matches = compile_pattern(request.filter_pattern)

    def search() -> _Page:
        find_group(ctx, group)
        streams = _streams(ctx, group, request)
        return _page(ctx, group, streams, request, matches, after, newest_first=newest_first)

    try:
        page = await asyncio.to_thread(search)
    except NotFound as error:
        raise shapes.ResourceNotFoundException(GROUP_MISSING) from error
    return shapes.FilterLogEventsResponse(
        events=tuple(map(_view, page.events)),
        searched_log_streams=(),
        next_token=None if page.resume is None else make_token("b" if newest_first else "f", *page.resume),
    )


def _direction(request: shapes.FilterLogEventsRequest) -> tuple[bool, Position | None]:
    """Whether newest events come first, and where to go on. A token keeps its own direction."""
    if request.next_token is not None:
        side, timestamp, event_id = read_token(request.next_token, tuple[str, int, int])
        return side == "b", (timestamp, event_id)
    newest_first = request.start_from_head is False
    if newest_first and request.start_time is not None and request.start_time < _NEWEST_FIRST_SINCE_MS:
        raise shapes.InvalidParameterException(
            "startFromHead can be false only if startTime is on or after Jan 1, 2024 00:00:00 UTC."
        )
    return newest_first, None


def _streams(ctx: Context, group: str, request: shapes.FilterLogEventsRequest) -> Sequence[str] | None:
    """The streams to look at; None for all."""
    if request.log_stream_names is not None:
        for name in request.log_stream_names:
            find_stream(ctx, group, name)
        return request.log_stream_names
    prefix = request.log_stream_name_prefix
    if prefix is None:
        return None
    return tuple(stream.name for stream in ctx.world.logs.streams(group) if stream.name.startswith(prefix))


def _page(
    ctx: Context,
    group: str,
    streams: Sequence[str] | None,
    request: shapes.FilterLogEventsRequest,
    matches: Matches,
    after: Position | None,
    *,
    newest_first: bool,
) -> _Page:
    # Many streams are read through the group's own order: opening each of them would cost more than skipping others.
    only = None if streams is None or len(streams) <= _MERGED_STREAMS else frozenset(streams)
    events = walk(
        ctx.world.logs,
        group,
        streams if only is None else None,
        start_ms=request.start_time,
        end_ms=None if request.end_time is None else request.end_time + 1,
        after=after,
        newest_first=newest_first,
    )
    found: list[LogEvent] = []
    size, resume = 0, after
    for event in islice(events, _MOST_SCANNED):
        if (only is None or event.stream in only) and matches(event.message):
            size += cost(event)
            if found and size > MOST_BYTES:
                return _Page(found, resume)
            found.append(event)
        resume = (event.timestamp_ms, event.id)
        if len(found) == (request.limit or MOST_EVENTS):
            break
    return _Page(found, resume if next(events, None) is not None else None)


def _view(event: LogEvent) -> shapes.FilteredLogEvent:
    return shapes.FilteredLogEvent(
        log_stream_name=event.stream,
        timestamp=event.timestamp_ms,
        message=event.message,
        ingestion_time=event.ingestion_ms,
        event_id=f"3{event.id:055d}",
    )
