"""What the kernel wrote about processes that it killed for memory, which the engine at times forgets.

The engine hears of such a kill and of the container's end on two ways. When the end overtakes the kill, as on a busy
host in about one of fifty, `OOMKilled` stays false for ever; the kernel's own log has the kill before the process ends.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_LOG = Path("/dev/kmsg")
_MARK = b"oom-kill:"
_GROUP_STARTS = (b"", b"docker-")  # a container's group by the driver: cgroupfs `/ID`, systemd `/docker-ID.scope`
_RECORD_BYTES = 8192
_DRIFT_SECONDS = 10.0  # the log's clock is not corrected, as others are


def killed_for_memory(container_id: str, since: float, log: Path = _LOG) -> bool:
    """Whether the kernel killed a process of the container for memory. `since`: seconds after the host's start.

    False as well where the log may not be read or is another host's, and when many die: it tells ten in five seconds.
    """
    names = tuple(b"/%b%b" % (start, container_id.encode()) for start in _GROUP_STARTS)
    earliest = since - _DRIFT_SECONDS
    return any(
        _MARK in record and any(name in record for name in names) and _uptime(record) >= earliest
        for record in _records(log)
    )


def _records(log: Path) -> Iterator[bytes]:
    """A record a read, oldest first, as `/dev/kmsg` gives them."""
    try:
        handle = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        with contextlib.suppress(BlockingIOError):
            while record := _read(handle):
                yield record
    finally:
        os.close(handle)


def _read(handle: int) -> bytes:
    while True:
        try:
            return os.read(handle, _RECORD_BYTES)
        except BrokenPipeError:  # What would have come next is overwritten; the next read goes on behind it.
            continue


def _uptime(record: bytes) -> float:
    """Seconds after the host's start: `priority,number,microseconds,flags;text`."""
    return int(record.split(b",", 3)[2]) / 1e6
