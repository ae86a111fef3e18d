"""What the fake engine is made of: scripts of containers, chances of faults, a container's state, streams of events."""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from homeport.base.errors import Transient
from homeport.drivers.engine import ContainerState, EngineEvent, PortBinding


class Behaviour(Struct, frozen=True, kw_only=True):
    """What containers of an image do. Times in seconds.

    `exit_after` None: runs until stopped. `stop_takes` is how long after SIGTERM it exits (None: only by SIGKILL).
    `health` are the successive health states, one each `health_interval`; the last one stays. `local`: the host has the
    image already. `registry_error` makes the registry unreachable for this image. `teardown_takes` is how long after
    the end of its process the engine shows a container as exited.
    """

    exit_after: float | None = None
    exit_code: int = 0
    oom_killed: bool = False
    stop_takes: float | None = 0.1
    stop_code: int = 143
    start_error: str | None = None
    start_takes: float = 0.15
    pull_error: str | None = None
    pull_denied: bool = False
    registry_error: str | None = None
    pull_takes: float = 0.5
    health: tuple[str, ...] = ()
    health_interval: float = 5.0
    local: bool = False
    teardown_takes: float = 0.0


class Faults(Struct, frozen=True, kw_only=True):
    """Chances between 0 and 1, drawn for every verb or event. `lie`: the verb takes effect and raises all the same."""

    slow: float = 0.0
    slow_by: float = 5.0
    error: float = 0.0
    lie: float = 0.0
    duplicate_event: float = 0.0
    reorder_event: float = 0.0
    break_events: float = 0.0
    lose_event: float = 0.0


class FakeContainer:
    """One container, mutable; `timers` are the loop's handles of what it will do by itself."""

    def __init__(self, container_id: str, name: str, config: Mapping[str, Any], image_id: str, now: float) -> None:
        self.id = container_id
        self.name = name
        self.config = config
        self.image = str(config["Image"])
        self.image_id = image_id
        self.labels: dict[str, str] = dict(config.get("Labels") or {})
        self.created_at = now
        self.status = "created"
        self.exit_code: int | None = None
        self.oom_killed = False
        self.error = ""
        self.pid = 0
        self.started_at: float | None = None
        self.finished_at: float | None = None
        self.health = ""
        self.health_since: float | None = None
        self.ports: tuple[PortBinding, ...] = ()
        self.address = ""
        self.process_ended = asyncio.Event()
        self.exited = asyncio.Event()
        self.timers: list[asyncio.TimerHandle] = []

    @property
    def network_mode(self) -> str:
        return str((self.config.get("HostConfig") or {}).get("NetworkMode") or "default")

    def cancel_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def state(self) -> ContainerState:
        host = self.config.get("HostConfig") or {}
        log = host.get("LogConfig") or {}
        return ContainerState(
            id=self.id,
            name=self.name,
            image=self.image,
            image_id=self.image_id,
            status=self.status,
            labels=self.labels,
            created_at=self.created_at,
            exit_code=self.exit_code,
            oom_killed=self.oom_killed,
            error=self.error,
            pid=self.pid,
            started_at=self.started_at,
            finished_at=self.finished_at,
            health=self.health,
            health_since=self.health_since,
            ports=self.ports,
            network_mode=self.network_mode,
            ip_addresses=(self.address,) if self.address else (),
            log_driver=log.get("Type", "json-file"),
            log_options=log.get("Config") or {},
        )


class EventStream:
    """The events of one subscriber: an async iterator that ends by raising Transient when it is broken."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._pending: deque[EngineEvent] = deque()
        self._wake = asyncio.Event()
        self._broken = False

    def put(self, event: EngineEvent, faults: Faults) -> None:
        """Deliver, or by chance deliver twice, before its predecessor, or not at all (and break)."""
        if self._broken or self._rng.random() < faults.lose_event:
            return
        if self._rng.random() < faults.break_events:
            self.break_off()
            return
        early = self._pending and self._rng.random() < faults.reorder_event
        self._pending.insert(len(self._pending) - 1 if early else len(self._pending), event)
        if self._rng.random() < faults.duplicate_event:
            self._pending.append(event)
        self._wake.set()

    def break_off(self) -> None:
        self._broken = True
        self._wake.set()

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> EngineEvent:
        while not self._pending:
            if self._broken:
                raise Transient("event stream broke")
            self._wake.clear()
            await self._wake.wait()
        return self._pending.popleft()
