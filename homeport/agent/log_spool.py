"""A queue on disk, so that log events outlive the agent and the control plane's absence.

Records are appended to numbered segment files, each as length, checksum and bytes; the place up to which they were
forwarded lies in a file beside them. A killed process loses nothing it acknowledged (the operating system has it);
`sync`, once a second, bounds what a power cut can take. Past the limit the oldest segments go: what is newest is worth
most. Delivery is at least once.
"""

import json
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from homeport.base.log import get_logger

log = get_logger("log spool")
DEFAULT_LIMIT_BYTES = 1024**3
_SEGMENT_BYTES = 8 * 1024**2
_HEADER = struct.Struct("<II")


class Place(NamedTuple):
    """A position in the queue."""

    segment: int
    offset: int


class LogSpool:
    """The queue in `folder`. One process, one thread (`sync` may run in another). Calls block for a disk access."""

    def __init__(
        self, folder: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES, segment_bytes: int = _SEGMENT_BYTES
    ) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._sizes = {int(path.stem): path.stat().st_size for path in sorted(folder.glob("*.spool"))}
        self._read = self._load_place()
        if not self._sizes:
            self._sizes[self._read.segment] = 0
        last = max(self._sizes)
        self._truncate_torn_tail(last)
        self._file = self._open(last)
        self._is_dirty = False

    @property
    def size_bytes(self) -> int:
        """What is not yet forwarded, in bytes on disk."""
        return sum(self._sizes.values()) - min(self._read.offset, self._sizes.get(self._read.segment, 0))

    def append(self, payload: bytes) -> None:
        """Add a record; it survives the process from here on."""
        current = max(self._sizes)
        if self._sizes[current] >= self._segment_bytes:
            self.sync()
            os.close(self._file)
            current += 1
            self._file = self._open(current)
            self._sizes[current] = 0
        record = _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        _write_all(self._file, record)
        self._sizes[current] += len(record)
        self._is_dirty = True
        self._keep_within_limit()

    def peek(self, most_bytes: int = 1024**2) -> tuple[list[bytes], Place]:
        """The oldest records not yet committed (about `most_bytes`, at least one), and the place behind them."""
        place, found = self._read, list[bytes]()
        while not found and place.segment in self._sizes:
            found, offset = _records(self._path(place.segment), place.offset, most_bytes)
            place = Place(place.segment, offset)
            if found or place.segment == max(self._sizes):
                break
            place = Place(min(number for number in self._sizes if number > place.segment), 0)
        return found, place

    def commit(self, place: Place) -> None:
        """Everything before `place` is done: never given again, and removed from disk."""
        if place < self._read:
            return  # the limit has already taken these records
        self._read = place
        self._save_place()
        for number in [number for number in self._sizes if number < place.segment]:
            self._remove(number)

    def sync(self) -> None:
        """Bring what was appended onto the disk itself."""
        if self._is_dirty:
            self._is_dirty = False
            os.fsync(self._file)

    def close(self) -> None:
        self.sync()
        os.close(self._file)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.spool"

    def _open(self, number: int) -> int:
        return os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _remove(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)
        del self._sizes[number]

    def _keep_within_limit(self) -> None:
        while self.size_bytes > self._limit and len(self._sizes) > 1:
            oldest, second = sorted(self._sizes)[:2]
            log.error("log_events_discarded", bytes=self._sizes[oldest], limit=self._limit)
            self._remove(oldest)
            if self._read.segment <= oldest:
                self._read = Place(second, 0)
                self._save_place()

    def _load_place(self) -> Place:
        first = min(self._sizes, default=1)
        try:
            segment, offset = json.loads((self._folder / "forwarded").read_bytes())
        except (FileNotFoundError, ValueError, TypeError):
            return Place(first, 0)
        place = Place(int(segment), int(offset))
        return place if place.segment >= first else Place(first, 0)

    def _save_place(self) -> None:
        draft = self._folder / "forwarded.new"
        draft.write_text(json.dumps(self._read))
        draft.replace(self._folder / "forwarded")

    def _truncate_torn_tail(self, number: int) -> None:
        """A power cut may leave half a record at the end: nothing may be appended behind it."""
        path = self._path(number)
        if not path.exists():
            return
        _, end = _records(path, 0, self._segment_bytes * 1024)
        if end < self._sizes[number]:
            log.warning("torn_record_removed", segment=number, bytes=self._sizes[number] - end)
            os.truncate(path, end)
            self._sizes[number] = end
        if self._read.segment == number and self._read.offset > end:
            self._read = Place(number, end)


def _records(path: Path, offset: int, most_bytes: int) -> tuple[list[bytes], int]:
    """Whole, sound records from `offset` on, and where they end."""
    found: list[bytes] = []
    taken = 0
    with path.open("rb") as file:
        file.seek(offset)
        while taken < most_bytes or not found:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != checksum:
                break
            found.append(payload)
            taken += _HEADER.size + length
    return found, offset + taken


def _write_all(file: int, data: bytes) -> None:
    """`os.write` may write a part of it (a signal, a full disk)."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
