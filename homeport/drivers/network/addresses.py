"""Load balancers' addresses as /32 addresses of the loopback interface, set with `ip`.

Containers and this host reach them there; nothing is announced to other hosts. Which of them are ours is kept in the
data directory, so that what was added is taken away again and nothing else is.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_SECONDS = 5.0
# What `ip` says of an address that somebody else has just added; the words are those of the kernel or of errno.
_PRESENT = ("File exists", "already assigned")
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class LoopbackAddresses:
    """`drivers.network.Addresses` with root's rights; without them every address is refused with a remedy."""

    def __init__(self, data_dir: Path) -> None:
        self._book = data_dir / "addresses.json"
        self._ours = set(_read(self._book))

    async def add(self, addresses: Iterable[str]) -> dict[str, str]:
        wanted = set(addresses)
        if not wanted:
            return {}
        problems: dict[str, str] = {}
        present = await _present()
        for address in sorted(wanted - present):
            self._note(self._ours | {address})
            problem = await _ip("addr", "add", f"{address}/32", "dev", "lo")
            if problem is not None and not any(sign in problem for sign in _PRESENT):
                problems[address] = (
                    f"The address {address} cannot be added to this host ({problem}). Run Homeport as root with "
                    f"iproute2 installed, or add it by hand: ip addr add {address}/32 dev lo"
                )
        return problems

    async def keep_only(self, addresses: Iterable[str]) -> None:
        kept = set(addresses)
        for address in sorted(self._ours - kept):
            await _ip("addr", "del", f"{address}/32", "dev", "lo")
        self._note(self._ours & kept)

    def _note(self, ours: set[str]) -> None:
        if ours != self._ours:
            self._ours = ours
            temporary = self._book.with_suffix(".new")
            temporary.write_text(json.dumps(sorted(ours)))
            temporary.replace(self._book)


def release(data_dir: Path) -> None:
    """Take away all addresses that were added for this data directory: nobody listens on them any more."""
    path = shutil.which("ip", path=_PATH)
    for address in _read(data_dir / "addresses.json") if path else ():
        subprocess.run([str(path), "addr", "del", f"{address}/32", "dev", "lo"], check=False, capture_output=True)  # noqa: S603 - our own addresses
    (data_dir / "addresses.json").unlink(missing_ok=True)


def _read(book: Path) -> list[str]:
    try:
        content = json.loads(book.read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [str(address) for address in content]


async def _present() -> set[str]:
    """The IPv4 addresses of this host."""
    output = await _run("-o", "-4", "addr", "show")
    words = output[1].split()
    return {words[place + 1].split("/")[0] for place, word in enumerate(words[:-1]) if word == "inet"}


async def _ip(*arguments: str) -> str | None:
    """What went wrong, or None."""
    code, text = await _run(*arguments)
    return None if code == 0 else text.strip() or "failed"


async def _run(*arguments: str) -> tuple[int, str]:
    path = shutil.which("ip", path=_PATH)
    if path is None:
        return 127, "ip (package iproute2) is not installed"
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        return 124, "ip did not answer"
    return process.returncode or 0, output.decode(errors="replace")
