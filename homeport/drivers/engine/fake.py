"""An engine in memory, for simulation: scripted containers, a clock that may be virtual, seeded faults.

It outlives the agents that use it, as a real engine does: containers run on while an agent is away. What a container
does by itself (exit, change its health) hangs on timers of the event loop; no task is started.
"""

import asyncio
import hashlib
import random
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from homeport.base.clock import Clock
from homeport.base.errors import NotFound, Permanent, Transient
from homeport.drivers.engine import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    ImageState,
    PortBinding,
    RegistryAuth,
)
from homeport.drivers.engine.fake_images import FakeImages
from homeport.drivers.engine.fake_parts import Behaviour, EventStream, FakeContainer, Faults

__all__ = ["Behaviour", "FakeEngine", "Faults"]

T = TypeVar("T")
_SIGKILL_CODE = 137
_FIRST_DYNAMIC_PORT = 32768


class FakeEngine:
    """`Engine` in memory. `behaviours` by image name; an image not named there behaves as `Behaviour()`.

    Tests may change `behaviours`, `faults` and `down` at any time. `down`: every verb raises Transient.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        behaviours: Mapping[str, Behaviour] | None = None,
        faults: Faults | None = None,
        *,
        cpu_count: int = 4,
        memory_mib: int = 8192,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self.behaviours = dict(behaviours or {})
        self.faults = faults or Faults()
        self.down = False
        self.containers: dict[str, FakeContainer] = {}
        self.pulls: list[str] = []
        self._cpu_count, self._memory_mib = cpu_count, memory_mib
        self._images = FakeImages(self.behaviours)
        self._volumes: dict[str, dict[str, str]] = {}
        self._streams: list[weakref.ref[EventStream]] = []
        self._next = 0

    # ---- what tests do to it ------------------------------------------------------------------------------------

    def exit(self, container_id: str, code: int, *, oom_killed: bool = False) -> None:
        """The container's process ends by itself, now, and the engine has seen to it at once."""
        container = self._find(container_id)
        if container.status != "running":
            return
        container.process_ended.set()
        container.cancel_timers()
        container.status, container.exit_code, container.oom_killed = "exited", code, oom_killed
        container.pid, container.ports, container.address = 0, (), ""
        container.finished_at = self._clock.now()
        container.exited.set()
        if oom_killed:
            self._emit("oom", container)
        self._emit("die", container, exitCode=str(code))

    def set_health(self, container_id: str, health: str) -> None:
        container = self._find(container_id)
        container.health, container.health_since = health, self._clock.now()
        self._emit(f"health_status: {health}", container)

    def reboot(self) -> None:
        """The host loses power: all containers are dead, all streams broken."""
        for container in list(self.containers.values()):
            self.exit(container.id, _SIGKILL_CODE)
        self.break_events()

    def break_events(self) -> None:
        for stream in self._live_streams():
            stream.break_off()

    def push(self, image: str) -> None:
        """The registry gets a new image under the same tag."""
        self._images.push(image)

    # ---- the verbs of Engine ------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        answer = EngineInfo(
            version="20.10.24",
            api_version="1.41",
            cpu_count=self._cpu_count,
            memory_mib=self._memory_mib,
            architecture="x86_64",
            cgroup_version="2",
            cgroup_driver="none",
            log_drivers=("awslogs", "json-file"),
            volume_plugins=("local",),
        )
        return await self._do(lambda: answer)

    async def ping(self) -> None:
        await self._do(lambda: None)

    def events(self) -> AsyncIterator[EngineEvent]:
        stream = EventStream(self._rng)
        self._streams.append(weakref.ref(stream))
        if self.down:
            stream.break_off()
        return stream

    async def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        def matching() -> tuple[ContainerState, ...]:
            return tuple(
                container.state()
                for container in self.containers.values()
                if all(
                    key in container.labels and value in ("", container.labels[key]) for key, value in labels.items()
                )
            )

        return await self._do(matching)

    async def inspect(self, container_id: str) -> ContainerState:
        return await self._do(lambda: self._find(container_id).state())

    async def process_end(self, container_id: str, pid: int) -> None:
        container = self._by_id_or_name(container_id)
        if container is None or container.status != "running" or container.pid != pid:
            raise NotFound(f"no process {pid}")
        await container.process_ended.wait()

    async def manifest_digest(self, image: str, auth: RegistryAuth | None) -> str:
        return await self._do(lambda: self._images.registry_digest(image, auth), takes=0.05)

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        def fetch() -> None:
            digest = self._images.registry_digest(image, auth)
            if (error := self._images.behaviour(image).pull_error) is not None:
                raise Permanent(error)
            self.pulls.append(image)
            self._images.keep(image, digest)

        await self._do(fetch, takes=self._images.behaviour(image).pull_takes)

    async def image(self, name: str) -> ImageState:
        return await self._do(lambda: self._images.local(name))

    async def images(self) -> tuple[ImageState, ...]:
        return await self._do(self._images.all)

    async def remove_image(self, name: str) -> None:
        def forget() -> None:
            self._images.forget(name, in_use={container.image_id for container in self.containers.values()})

        await self._do(forget)

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        def make() -> str:
            for container in self.containers.values():
                if container.name == name:
                    return container.id
            image = self._images.local(str(config["Image"]))
            self._next += 1
            new_id = hashlib.sha256(f"{name}/{self._next}".encode()).hexdigest()
            self.containers[new_id] = FakeContainer(new_id, name, config, image.id, self._clock.now())
            self._emit("create", self.containers[new_id])
            return new_id

        return await self._do(make, takes=0.006)

    async def start(self, container_id: str) -> None:
        found = self.containers.get(container_id)
        takes = self._images.behaviour(found.image).start_takes if found else 0.0
        await self._do(lambda: self._run(self._find(container_id)), takes=takes)

    async def stop(self, container_id: str, timeout_seconds: int) -> None:
        def terminate() -> None:
            container = self._by_id_or_name(container_id)
            if container is None or container.status != "running":
                return
            behaviour = self._images.behaviour(container.image)
            takes, code = float(timeout_seconds), _SIGKILL_CODE
            if behaviour.stop_takes is not None and behaviour.stop_takes < timeout_seconds:
                takes, code = behaviour.stop_takes, behaviour.stop_code
            self._later(container, takes, lambda: self._end(container, code))

        await self._do(terminate)
        container = self._by_id_or_name(container_id)
        if container is not None and container.status == "running":
            await container.exited.wait()

    async def kill(self, container_id: str, signal: str) -> None:
        def send() -> None:
            container = self._find(container_id)
            if signal in ("KILL", "SIGKILL", "9"):
                self._end(container, _SIGKILL_CODE)

        await self._do(send)

    async def remove(self, container_id: str) -> None:
        def delete() -> None:
            container = self._by_id_or_name(container_id)
            if container is not None:
                self.exit(container.id, _SIGKILL_CODE)
                del self.containers[container.id]
                self._emit("destroy", container)

        await self._do(delete)

    async def stats(self, container_id: str) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            container = self._find(container_id)
            return {"id": container.id, "name": f"/{container.name}", "cpu_stats": {}, "memory_stats": {}}

        return await self._do(read)

    async def create_volume(
        self,
        name: str,
        driver: str,  # noqa: ARG002 - one kind of volume is enough here
        options: Mapping[str, str],  # noqa: ARG002
        labels: Mapping[str, str],
    ) -> None:
        await self._do(lambda: self._volumes.setdefault(name, dict(labels)))

    async def volume_exists(self, name: str) -> bool:
        return await self._do(lambda: name in self._volumes)

    async def remove_volume(self, name: str) -> None:
        await self._do(lambda: self._volumes.pop(name, None))

    async def close(self) -> None:
        """Nothing: containers live on."""

    # ---- how it works -------------------------------------------------------------------------------------------

    async def _do(self, effect: Callable[[], T], *, takes: float = 0.001) -> T:
        """One verb: perhaps slow, perhaps failing before the effect, perhaps after it."""
        if self._rng.random() < self.faults.slow:
            takes += self.faults.slow_by
        fails, lies = self._rng.random() < self.faults.error, self._rng.random() < self.faults.lie
        await self._clock.sleep(takes)
        if self.down or fails:
            raise Transient("engine is not answering")
        result = effect()
        if lies:
            raise Transient("connection reset by peer")
        return result

    def _run(self, container: FakeContainer) -> None:
        if container.status == "running":
            return
        behaviour = self._images.behaviour(container.image)
        if behaviour.start_error is not None:
            container.error = behaviour.start_error
            raise Permanent(behaviour.start_error)
        container.ports = self._bind(container)
        container.status, container.exit_code, container.error, container.oom_killed = "running", None, "", False
        self._next += 1
        container.pid = 1000 + self._next
        container.started_at, container.finished_at = self._clock.now(), None
        if container.network_mode in ("default", "bridge"):
            container.address = f"172.17.{self._next // 250 % 250}.{self._next % 250 + 2}"
        container.exited.clear()
        container.process_ended = asyncio.Event()
        self._emit("start", container)
        self._script(container, behaviour)

    def _script(self, container: FakeContainer, behaviour: Behaviour) -> None:
        if behaviour.exit_after is not None:
            end = partial(self._end, container, behaviour.exit_code, oom_killed=behaviour.oom_killed)
            self._later(container, behaviour.exit_after, end)
        if behaviour.health:
            container.health, container.health_since = "starting", self._clock.now()
        for number, health in enumerate(behaviour.health, start=1):
            change = lambda health=health: self.set_health(container.id, health)  # noqa: E731
            self._later(container, number * behaviour.health_interval, change)

    def _end(self, container: FakeContainer, code: int, *, oom_killed: bool = False) -> None:
        """The process ends; the engine shows it once it has taken down what the container had."""
        if container.status != "running" or container.process_ended.is_set():
            return
        container.cancel_timers()
        container.process_ended.set()
        end = partial(self.exit, container.id, code, oom_killed=oom_killed)
        takes = self._images.behaviour(container.image).teardown_takes
        if takes:
            self._later(container, takes, end)
        else:
            end()

    def _bind(self, container: FakeContainer) -> tuple[PortBinding, ...]:
        """Host ports for the container's bindings. Raises Permanent, as Docker words it, for one that is taken."""
        taken = {(b.protocol, b.host_port) for other in self.containers.values() for b in other.ports}
        bound = []
        for key, wishes in ((container.config.get("HostConfig") or {}).get("PortBindings") or {}).items():
            port, _, protocol = key.partition("/")
            for wish in wishes:
                host_port = int(wish.get("HostPort") or 0)
                if host_port == 0:
                    host_port = next(
                        p for p in range(_FIRST_DYNAMIC_PORT, 61000) if (protocol or "tcp", p) not in taken
                    )
                if (protocol or "tcp", host_port) in taken:
                    container.error = f"Bind for 0.0.0.0:{host_port} failed: port is already allocated"
                    raise Permanent(f"driver failed programming external connectivity: {container.error}")
                taken.add((protocol or "tcp", host_port))
                bound.append(
                    PortBinding(
                        host_ip=wish.get("HostIp") or "0.0.0.0",  # noqa: S104 - Docker's default
                        host_port=host_port,
                        container_port=int(port),
                        protocol=protocol or "tcp",
                    )
                )
        return tuple(bound)

    def _find(self, container_id: str) -> FakeContainer:
        container = self._by_id_or_name(container_id)
        if container is None:
            raise NotFound(f"No such container: {container_id}")
        return container

    def _by_id_or_name(self, container_id: str) -> FakeContainer | None:
        if container_id in self.containers:
            return self.containers[container_id]
        return next((c for c in self.containers.values() if c.name == container_id), None)

    def _later(self, container: FakeContainer, seconds: float, act: Callable[[], None]) -> None:
        container.timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def _live_streams(self) -> "tuple[EventStream, ...]":
        self._streams = [reference for reference in self._streams if reference() is not None]
        return tuple(stream for reference in self._streams if (stream := reference()) is not None)

    def _emit(self, action: str, container: FakeContainer, **attributes: str) -> None:
        event = EngineEvent(
            action=action,
            container_id=container.id,
            attributes={**container.labels, "name": container.name, "image": container.image, **attributes},
            at=self._clock.now(),
        )
        for stream in self._live_streams():
            stream.put(event, self.faults)
