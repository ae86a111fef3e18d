"""Names in the host's `hosts` file: a block between two marked lines, one block a data directory.

Programs of the host find a load balancer by its name this way, without any resolver being set up. The file is written
in place and under a lock: others hold it open or mounted, and several Homeports may share it.
"""

import fcntl
from collections.abc import Mapping
from pathlib import Path

from homeport.base.log import get_logger

log = get_logger("hosts")


class HostsFile:
    """`drivers.network.HostNames` on one file. `owner` marks the block, such as the data directory's path."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner
        self._failed = False

    async def publish(self, names: Mapping[str, str]) -> None:
        try:
            rewrite(self._path, self._owner, names)
        except OSError as error:
            if not self._failed:
                log.warning("hosts_file_unavailable", path=str(self._path), error=str(error))
            self._failed = True
        else:
            self._failed = False


class NoHostNames:
    """Where names are not to be told to the host."""

    async def publish(self, names: Mapping[str, str]) -> None:
        pass


def rewrite(path: Path, owner: str, names: Mapping[str, str]) -> None:
    """Replace the owner's block (drop it when there are no names). Raises OSError."""
    with path.open("r+", encoding="utf-8", errors="surrogateescape") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = file.read()
        after = with_block(before, owner, names)
        if after != before:
            file.seek(0)
            file.write(after)
            file.truncate()


def with_block(text: str, owner: str, names: Mapping[str, str]) -> str:
    """The text with the owner's block as its last lines; everything else stays as it is."""
    begin, end = f"# homeport {owner}: begin", f"# homeport {owner}: end"
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line == begin:
            inside = True
        elif line == end and inside:
            inside = False
        elif not inside:
            kept.append(line)
    lines = [f"{address} {name}" for name, address in sorted(names.items())]
    if lines:
        kept += [begin, *lines, end]
    return "\n".join(kept) + "\n" if kept else ""
