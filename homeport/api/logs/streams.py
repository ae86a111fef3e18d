"""Log streams: their life and their listing, by name or by the time of their last event."""

import asyncio
from itertools import islice

from homeport.api.logs.find import GROUP_MISSING, STREAM_MISSING, find_group, group_name
from homeport.api.logs.token import make_token, read_token
from homeport.api.operation import Context, operation
from homeport.base.errors import NotFound, Permanent
from homeport.drivers.logs import LogStream
from homeport.shapes import logs as shapes


@operation(shapes.SERVICE, "CreateLogStream")
async def create_log_stream(ctx: Context, request: shapes.CreateLogStreamRequest) -> shapes.CreateLogStreamResponse:
    stream = LogStream(
        group=request.log_group_name,
        name=request.log_stream_name,
        created_at_ms=int(ctx.world.clock.now() * 1000),
    )
    try:
        await asyncio.to_thread(ctx.world.logs.create_stream, stream)
    except NotFound as error:
        raise shapes.ResourceNotFoundException(GROUP_MISSING) from error
    except Permanent as error:
        raise shapes.ResourceAlreadyExistsException("The specified log stream already exists") from error
    return shapes.CreateLogStreamResponse()


@operation(shapes.SERVICE, "DeleteLogStream")
async def delete_log_stream(ctx: Context, request: shapes.DeleteLogStreamRequest) -> shapes.DeleteLogStreamResponse:
    def delete() -> None:
        find_group(ctx, request.log_group_name)
        try:
            ctx.world.logs.delete_stream(request.log_group_name, request.log_stream_name)
        except NotFound as error:
            raise shapes.ResourceNotFoundException(STREAM_MISSING) from error

    await asyncio.to_thread(delete)
    return shapes.DeleteLogStreamResponse()


@operation(shapes.SERVICE, "DescribeLogStreams")
async def describe_log_streams(
    ctx: Context, request: shapes.DescribeLogStreamsRequest
) -> shapes.DescribeLogStreamsResponse:
    group = group_name(ctx, request.log_group_name, request.log_group_identifier)
    by_time = request.order_by == "LastEventTime"
    prefix = request.log_stream_name_prefix
    if by_time and prefix is not None:
        raise shapes.InvalidParameterException("Cannot order by LastEventTime with a logStreamNamePrefix.")
    descending = bool(request.descending)
    after = None if request.next_token is None else read_token(request.next_token, tuple[int, str])

    def position(stream: LogStream) -> tuple[int, str]:
        """Where the stream stands in the order; one without events stands before all others."""
        time = -1 if stream.last_event_ms is None else stream.last_event_ms
        return (time if by_time else 0, stream.name)

    def is_wanted(stream: LogStream) -> bool:
        if not stream.name.startswith(prefix or ""):
            return False
        return after is None or (position(stream) < after if descending else position(stream) > after)

    def page(limit: int) -> list[LogStream]:
        try:
            streams = sorted(ctx.world.logs.streams(group), key=position, reverse=descending)
        except NotFound as error:
            raise shapes.ResourceNotFoundException(GROUP_MISSING) from error
        return list(islice(filter(is_wanted, streams), limit))

    limit = request.limit or 50
    found = await asyncio.to_thread(page, limit + 1)
    return shapes.DescribeLogStreamsResponse(
        log_streams=tuple(_view(ctx, stream) for stream in found[:limit]),
        next_token=make_token(*position(found[limit - 1])) if len(found) > limit else None,
    )


def _view(ctx: Context, stream: LogStream) -> shapes.LogStream:
    """`storedBytes` of a stream has been 0 in every answer of AWS since 2019."""
    return shapes.LogStream(
        log_stream_name=stream.name,
        creation_time=stream.created_at_ms,
        first_event_timestamp=stream.first_event_ms,
        last_event_timestamp=stream.last_event_ms,
        last_ingestion_time=stream.last_ingestion_ms,
        upload_sequence_token=sequence_token(stream.last_ingestion_ms or stream.created_at_ms),
        arn=f"{ctx.arns.log_group(stream.group)}:log-stream:{stream.name}",
        stored_bytes=0,
    )


def sequence_token(at_ms: int) -> str:
    """A token of the right form: clients still hand it back, and nobody reads it any more."""
    return f"49{at_ms:054d}"
