"""A small image made on the spot, for hosts that reach no registry: BusyBox, its applets, and nothing else.

The archive is one layer: `/bin/busybox` of the host (Debian's busybox-static), a link for each applet, and the
directories that programs expect. It is the same, byte for byte, for the same binary.
"""

import asyncio
import io
import subprocess
import tarfile
from pathlib import Path

from homeport.base.clock import SystemClock
from homeport.base.errors import NotFound
from homeport.drivers.engine.docker import DockerEngine

DEMO_IMAGE = "homeport/demo:latest"
DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
_DIRECTORIES = {"bin": 0o755, "etc": 0o755, "proc": 0o755, "root": 0o700, "sys": 0o755, "tmp": 0o1777, "www": 0o755}
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"


class NoBusybox(Exception):  # noqa: N818 - tells what to install
    """There is no static busybox on this host."""


def busybox_archive(busybox: Path = Path("/bin/busybox")) -> bytes:
    """The layer as a tar archive (about 2 MB). Raises NoBusybox."""
    if not busybox.exists():
        raise NoBusybox(f"{busybox} is missing: apt-get install busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()  # noqa: S603
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, mode in _DIRECTORIES.items():
            _add(archive, name, mode=mode, kind=tarfile.DIRTYPE)
        _add(archive, "bin/busybox", mode=0o755, content=busybox.read_bytes())
        for applet in sorted(set(applets) - {"busybox"}):
            _add(archive, f"bin/{applet}", mode=0o777, kind=tarfile.SYMTYPE, target="busybox")
        _add(archive, "etc/passwd", mode=0o644, content=_PASSWD)
        _add(archive, "etc/group", mode=0o644, content=_GROUP)
    return output.getvalue()


def build_demo_image(name: str = DEMO_IMAGE, docker_host: str = DEFAULT_DOCKER_HOST) -> str:
    """Make the image unless the engine has it; returns its name. Raises NoBusybox, Transient, Permanent."""
    return asyncio.run(ensure_image(name, docker_host))


async def ensure_image(name: str, docker_host: str = DEFAULT_DOCKER_HOST) -> str:
    """`build_demo_image` for callers within an event loop."""
    engine = DockerEngine(docker_host, SystemClock())
    try:
        try:
            await engine.image(name)
        except NotFound:
            await engine.import_image(name, busybox_archive(), changes=("ENV PATH=/bin", 'CMD ["sh"]'))
        return name
    finally:
        await engine.close()


def _add(
    archive: tarfile.TarFile,
    name: str,
    *,
    mode: int,
    kind: bytes = tarfile.REGTYPE,
    content: bytes = b"",
    target: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.size, entry.linkname = mode, kind, len(content), target
    archive.addfile(entry, io.BytesIO(content))
