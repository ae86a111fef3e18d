"""The end of a container's process, as the kernel tells it: a tenth of a second before the engine does."""

import asyncio
import os
from pathlib import Path

from homeport.base.errors import NotFound

_PROC = Path("/proc")


async def process_end(pid: int, mark: str) -> None:
    """Returns when the process has ended. `mark`: what its control group's path must hold, for numbers are used again.

    Raises NotFound: no such process, not the one meant, or none of this host's.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        raise NotFound(f"process {pid}: {error.strerror}") from error
    try:
        _check(pid, mark)  # with the handle open, so it is about the process that the handle holds
        await _readable(handle)
    finally:
        os.close(handle)


def _check(pid: int, mark: str) -> None:
    try:
        groups = (_PROC / str(pid) / "cgroup").read_text()
    except OSError as error:
        raise NotFound(f"process {pid}: {error.strerror}") from error
    if mark not in groups:
        raise NotFound(f"process {pid} is not one of {mark}")


async def _readable(handle: int) -> None:
    loop = asyncio.get_running_loop()
    is_over = asyncio.Event()
    loop.add_reader(handle, is_over.set)
    try:
        await is_over.wait()
    finally:
        loop.remove_reader(handle)
