"""The container engine: what an agent asks of Docker, in twelve verbs.

Errors: `Transient` (engine down or slow: try again), `NotFound`, `Permanent` (the engine refused; the text is its own).
Names make every call repeatable: creating a container whose name exists returns the existing one's id.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from homeport.base.errors import Permanent, Transient


class PullDenied(Permanent):
    """The registry refused the credentials, or asked for some."""


class TimedOut(Transient):
    """The engine did not answer a verb in its time; whether the verb took effect is unknown."""


class RegistryUnreachable(Transient):
    """Nothing was heard from the registry: no such host, refused, timed out."""


class EngineInfo(Struct, frozen=True, kw_only=True):
    """What the engine says of itself and its host. Memory in MiB."""

    version: str
    api_version: str
    cpu_count: int
    memory_mib: int
    architecture: str
    cgroup_version: str
    cgroup_driver: str
    security_options: tuple[str, ...] = ()
    log_drivers: tuple[str, ...] = ()
    volume_plugins: tuple[str, ...] = ()


class PortBinding(Struct, frozen=True, kw_only=True):
    host_ip: str
    host_port: int
    container_port: int
    protocol: str


class ContainerState(Struct, frozen=True, kw_only=True):
    """A container as the engine sees it. `status` is created, running, paused, restarting, removing, exited or dead.

    Instants in epoch seconds, None while not reached. `health` is "", starting, healthy or unhealthy; `health_output`
    and `health_exit_code` are the last probe's; `error` the engine's own start error; `pid` 0 while not running.
    """

    id: str
    name: str
    image: str
    image_id: str
    status: str
    labels: Mapping[str, str]
    created_at: float
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    pid: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    health: str = ""
    health_since: float | None = None
    health_output: str = ""
    health_exit_code: int = 0
    ports: tuple[PortBinding, ...] = ()
    network_mode: str = ""
    ip_addresses: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str, str], ...] = ()  # (docker name, source, destination)
    log_driver: str = ""
    log_options: Mapping[str, str] = {}


class EngineEvent(Struct, frozen=True, kw_only=True):
    """`action` is create, start, die, oom, destroy, health_status: healthy, …; `attributes` include labels and exitCode."""

    action: str
    container_id: str
    attributes: Mapping[str, str]
    at: float


class ImageState(Struct, frozen=True, kw_only=True):
    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    size_bytes: int


class RegistryAuth(NamedTuple):
    username: str
    password: str


class Engine(Protocol):
    """One container engine. Every verb may raise `Transient`; what else, it says."""

    async def info(self) -> EngineInfo: ...
    async def ping(self) -> None: ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """Container events from now on; ends (or raises Transient) when the engine's stream breaks."""
        ...

    async def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        """All containers, stopped ones too, that carry the labels (an empty value matches any value)."""
        ...

    async def inspect(self, container_id: str) -> ContainerState: ...

    async def process_end(self, container_id: str, pid: int) -> None:
        """Returns as soon as the container's process is over: before the engine, which first takes down its network,
        tells how. Raises NotFound where there is no such process (any more), or it cannot be seen from here.
        """
        ...

    async def manifest_digest(self, image: str, auth: RegistryAuth | None) -> str:
        """The registry's digest of a tag (`sha256:…`). Raises PullDenied, NotFound, RegistryUnreachable, Permanent."""
        ...

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        """Fetch an image. Raises PullDenied, NotFound, RegistryUnreachable, Permanent with the registry's text."""
        ...

    async def image(self, name: str) -> ImageState:
        """A local image. Raises NotFound."""
        ...

    async def images(self) -> tuple[ImageState, ...]: ...
    async def remove_image(self, name: str) -> None: ...

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Create from Docker's own container-create body; returns the id. Repeatable by name. Raises NotFound (no image)."""
        ...

    async def start(self, container_id: str) -> None:
        """Start; a running container is left alone. Raises Permanent with the engine's text."""
        ...

    async def stop(self, container_id: str, timeout_seconds: int) -> None:
        """The image's stop signal, then SIGKILL after the time-out; returns when it has exited. Missing or stopped: done."""
        ...

    async def kill(self, container_id: str, signal: str) -> None: ...

    async def remove(self, container_id: str) -> None:
        """Remove with its anonymous volumes; missing: done."""
        ...

    async def stats(self, container_id: str) -> dict[str, Any]:
        """One reading of Docker's stats JSON."""
        ...

    async def create_volume(
        self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> None: ...
    async def volume_exists(self, name: str) -> bool: ...
    async def remove_volume(self, name: str) -> None: ...
    async def close(self) -> None: ...
