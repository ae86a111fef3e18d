"""From the spool to the control plane: in order for each stream, again and again until it is answered.

What the control plane refuses for good (a group that is gone, a message it cannot take) is dropped with a line in the
agent's log, so that one bad stream cannot hold up the others.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from homeport.agent.backend import Refused
from homeport.agent.log_spool import LogSpool
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.log import get_logger
from homeport.shapes import logs as shapes

log = get_logger("log forwarder")
MOST_EVENTS = 10_000
MOST_BYTES = 1_048_576
EVENT_OVERHEAD_BYTES = 26
_DAY_MS = 86_400_000
_MOST_AT_ONCE = 8
_FINAL = {
    "InvalidParameterException",
    "ResourceNotFoundException",
    "SerializationException",
    "ValidationException",
    "RequestEntityTooLargeException",
}
"""Refusals that another attempt would only repeat. Others (keys, clocks) an operator may yet put right."""

Event = tuple[int, str]


class LogsBackend(Protocol):
    """Signed calls to CloudWatch Logs. Raises Transient or Refused."""

    async def call_logs(self, operation: str, request: msgspec.Struct) -> Any: ...


class Record(Struct, frozen=True, omit_defaults=True):
    """One entry of the spool: a stream (or, without a stream name, a group) to create, or events to put."""

    group: str
    stream: str = ""
    creates_group: bool = False
    events: tuple[Event, ...] = ()


class LogForwarder:
    """Runs for ever under a supervisor; `wake` tells it that there is something new."""

    def __init__(self, spool: LogSpool, backend: LogsBackend, clock: Clock, rng: random.Random) -> None:
        self._spool = spool
        self._backend = backend
        self._clock = clock
        self._rng = rng
        self._something = asyncio.Event()
        self._limit = asyncio.Semaphore(_MOST_AT_ONCE)

    def wake(self) -> None:
        self._something.set()

    async def run(self) -> None:
        while True:
            self._something.clear()
            if not await self.forward_some():
                await self._something.wait()

    async def forward_some(self) -> bool:
        """Forward the oldest records; whether there were any."""
        payloads, place = self._spool.peek()
        if not payloads:
            return False
        by_stream: dict[tuple[str, str], list[Record]] = {}
        for payload in payloads:
            record = msgspec.json.decode(payload, type=Record)
            by_stream.setdefault((record.group, record.stream), []).append(record)
        for group, stream in list(by_stream):
            if not stream:
                await self._repeat(lambda group=group: self._create_group(group))
                del by_stream[(group, stream)]
        async with asyncio.TaskGroup() as tasks:
            for (group, stream), records in by_stream.items():
                tasks.create_task(self._forward_stream(group, stream, records))
        self._spool.commit(place)
        return True

    async def _forward_stream(self, group: str, stream: str, records: Sequence[Record]) -> None:
        creates_group = any(record.creates_group for record in records)
        async with self._limit:
            if any(not record.events for record in records):
                await self._repeat(lambda: self._create_stream(group, stream, creates_group=creates_group))
            events = [event for record in records for event in record.events]
            for batch in batches(events):
                await self._repeat(lambda batch=batch: self._put(group, stream, batch, creates_group=creates_group))

    async def _repeat(self, call: Any) -> None:
        """Until it is done or refused for good."""
        attempt = 0
        while True:
            try:
                await call()
            except Transient as error:
                delay = backoff_seconds(attempt, first=0.2, factor=2, most=15, rng=self._rng)
                if attempt in (0, 5):
                    log.warning("logs_waiting", error=str(error), attempt=attempt, spooled=self._spool.size_bytes)
            except Refused as error:
                if error.code in _FINAL:
                    log.warning("log_events_refused", error=str(error))
                    return
                delay = backoff_seconds(attempt, first=1, factor=2, most=60, rng=self._rng)
                log.warning("logs_refused", error=str(error), attempt=attempt, spooled=self._spool.size_bytes)
            else:
                return
            attempt += 1
            await self._clock.sleep(delay)

    async def _create_group(self, group: str) -> None:
        await self._create("CreateLogGroup", shapes.CreateLogGroupRequest(log_group_name=group))

    async def _create_stream(self, group: str, stream: str, *, creates_group: bool) -> None:
        wanted = shapes.CreateLogStreamRequest(log_group_name=group, log_stream_name=stream)
        try:
            await self._create("CreateLogStream", wanted)
        except Refused as error:
            if error.code != "ResourceNotFoundException" or not creates_group:
                raise
            await self._create_group(group)
            await self._create("CreateLogStream", wanted)

    async def _create(self, operation: str, wanted: msgspec.Struct) -> None:
        try:
            await self._backend.call_logs(operation, wanted)
        except Refused as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    async def _put(self, group: str, stream: str, batch: Sequence[Event], *, creates_group: bool) -> None:
        wanted = shapes.PutLogEventsRequest(
            log_group_name=group,
            log_stream_name=stream,
            log_events=tuple(shapes.InputLogEvent(timestamp=at, message=message) for at, message in batch),
        )
        try:
            answer = await self._backend.call_logs("PutLogEvents", wanted)
        except Refused as error:
            if error.code != "ResourceNotFoundException":
                raise
            # The stream may have been deleted while its container runs on, or its creation may have been spooled.
            await self._create_stream(group, stream, creates_group=creates_group)
            answer = await self._backend.call_logs("PutLogEvents", wanted)
        if answer.rejected_log_events_info is not None:
            log.warning("log_events_rejected", group=group, stream=stream, info=str(answer.rejected_log_events_info))


def batches(events: Sequence[Event]) -> list[list[Event]]:
    """The events in order of time, cut as PutLogEvents wants them: by number, by size, and within 24 hours."""
    found: list[list[Event]] = []
    size = 0
    for event in sorted(events, key=lambda event: event[0]):
        cost = len(event[1].encode()) + EVENT_OVERHEAD_BYTES
        current = found[-1] if found else None
        if (
            current is None
            or len(current) == MOST_EVENTS
            or size + cost > MOST_BYTES
            or event[0] - current[0][0] > _DAY_MS
        ):
            found.append([event])
            size = cost
        else:
            current.append(event)
            size += cost
    return found
