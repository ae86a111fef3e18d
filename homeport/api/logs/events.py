"""Putting and getting events of one stream.

Source: CloudWatch Logs API reference, PutLogEvents and GetLogEvents. A token of GetLogEvents is a position between two
events: `f/` reads what comes after it, `b/` what comes before it. At either end the call gives the token it was given.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from homeport.api.logs.find import STREAM_MISSING, find_group, find_stream, group_name
from homeport.api.logs.streams import sequence_token
from homeport.api.logs.token import Position, position_token, read_position_token
from homeport.api.operation import Context, operation
from homeport.base.errors import NotFound
from homeport.drivers.logs import LogEvent, LogStore
from homeport.shapes import logs as shapes

EVENT_OVERHEAD_BYTES = 26
MOST_BYTES = 1_048_576
MOST_EVENTS = 10_000
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_TOO_OLD_DAYS = 14


@operation(shapes.SERVICE, "PutLogEvents")
async def put_log_events(ctx: Context, request: shapes.PutLogEventsRequest) -> shapes.PutLogEventsResponse:
    """Entities are refused the way AWS refuses one that it cannot take: the events are stored, the entity is not."""
    events = request.log_events
    size = sum(len(event.message.encode()) + EVENT_OVERHEAD_BYTES for event in events)
    if size > MOST_BYTES:
        raise shapes.InvalidParameterException(f"Upload too large: {size} bytes exceeds limit of {MOST_BYTES}")
    times = [event.timestamp for event in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise shapes.InvalidParameterException(
            "Log events in a single PutLogEvents request must be in chronological order."
        )
    now_ms = int(ctx.world.clock.now() * 1000)

    def put() -> shapes.RejectedLogEventsInfo | None:
        group = find_group(ctx, request.log_group_name)
        first, last, rejected = _acceptable(times, now_ms, group.retention_days)
        if last > first and times[last - 1] - times[first] > _DAY_MS:
            raise shapes.InvalidParameterException(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
            )
        accepted = [(event.timestamp, event.message) for event in events[first:last]]
        find_stream(ctx, request.log_group_name, request.log_stream_name)
        try:
            ctx.world.logs.put(request.log_group_name, request.log_stream_name, accepted, now_ms)
        except NotFound as error:
            raise shapes.ResourceNotFoundException(STREAM_MISSING) from error
        return rejected

    rejected = await asyncio.to_thread(put)
    return shapes.PutLogEventsResponse(
        next_sequence_token=sequence_token(now_ms),
        rejected_log_events_info=rejected,
        rejected_entity_info=None
        if request.entity is None
        else shapes.RejectedEntityInfo(error_type="UnsupportedLogGroupType"),
    )


def _acceptable(
    times: Sequence[int], now_ms: int, retention_days: int | None
) -> tuple[int, int, shapes.RejectedLogEventsInfo | None]:
    """The part `[first:last]` of the sorted times that is neither too old, nor expired, nor too new; what was not.

    Too old is more than 14 days, too new more than two hours ahead; end indexes are exclusive.
    """
    too_old = bisect_left(times, now_ms - _TOO_OLD_DAYS * _DAY_MS)
    expired = 0 if retention_days is None else bisect_left(times, now_ms - retention_days * _DAY_MS)
    too_new = bisect_left(times, now_ms + 2 * _HOUR_MS + 1)
    first = max(too_old, expired)
    if first == 0 and too_new == len(times):
        return 0, len(times), None
    return (
        first,
        too_new,
        shapes.RejectedLogEventsInfo(
            too_new_log_event_start_index=too_new if too_new < len(times) else None,
            too_old_log_event_end_index=too_old or None,
            expired_log_event_end_index=expired if expired > too_old else None,
        ),
    )


def walk(
    store: LogStore,
    group: str,
    streams: Sequence[str] | None,
    *,
    start_ms: int | None,
    end_ms: int | None,
    after: Position | None,
    newest_first: bool,
) -> Iterator[LogEvent]:
    """All events from a position on, read in portions that grow while events are small."""
    portion = 50
    while True:
        events = store.read(
            group, streams, start_ms=start_ms, end_ms=end_ms, after=after, limit=portion, newest_first=newest_first
        )
        yield from events
        if len(events) < portion:
            return
        after = (events[-1].timestamp_ms, events[-1].id)
        if sum(len(event.message) for event in events) < MOST_BYTES // 8:
            portion = min(portion * 4, 2_000)


def cost(event: LogEvent) -> int:
    """What an event takes of a page of 1 MiB."""
    return len(event.message.encode()) + EVENT_OVERHEAD_BYTES


@operation(shapes.SERVICE, "GetLogEvents")
async def get_log_events(ctx: Context, request: shapes.GetLogEventsRequest) -> shapes.GetLogEventsResponse:
    group = group_name(ctx, request.log_group_name, request.log_group_identifier)
    side, after = "f" if request.start_from_head else "b", None
    if request.next_token is not None:
        side, after = read_position_token(request.next_token)

    def page() -> list[LogEvent]:
        find_stream(ctx, group, request.log_stream_name)
        found: list[LogEvent] = []
        size = 0
        for event in walk(
            ctx.world.logs,
            group,
            (request.log_stream_name,),
            start_ms=request.start_time,
            end_ms=request.end_time,
            after=after,
            newest_first=side == "b",
        ):
            size += cost(event)
            if found and size > MOST_BYTES:
                break
            found.append(event)
            if len(found) == (request.limit or MOST_EVENTS):
                break
        return found if side == "f" else found[::-1]

    try:
        events = await asyncio.to_thread(page)
    except NotFound as error:
        raise shapes.ResourceNotFoundException(STREAM_MISSING) from error
    backward, forward = _edges(events, side, after)
    return shapes.GetLogEventsResponse(
        events=tuple(
            shapes.OutputLogEvent(
                timestamp=event.timestamp_ms, message=event.message, ingestion_time=event.ingestion_ms
            )
            for event in events
        ),
        next_backward_token=position_token("b", backward),
        next_forward_token=position_token("f", forward),
    )


def _edges(events: Sequence[LogEvent], side: str, after: Position | None) -> tuple[Position, Position]:
    """Where the next page starts, backward and forward; both exclude the position itself.

    Without events the side that was read stays where it was, and the other one must not lose the event at the position.
    """
    if events:
        first, last = events[0], events[-1]
        return (first.timestamp_ms, first.id), (last.timestamp_ms, last.id)
    if after is None:
        return (0, 0), (0, 0)
    timestamp, event_id = after
    return (after, (timestamp, event_id - 1)) if side == "b" else ((timestamp, event_id + 1), after)
