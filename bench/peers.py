"""Whom starting a task is compared with, on the same engine: the engine itself, and Docker Swarm.

Bare is the least that any orchestrator must do: create and start, by the engine's HTTP API, a container with the body
that our agent used for its own. Swarm is started on this engine (and left again) with one service of the same image by
its id, so that it does not look for a registry, scaled from 0 to the wanted number of replicas.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from homeport.base.clock import SystemClock
from homeport.base.errors import NotFound
from homeport.drivers.engine.docker import DockerEngine
from homeport.drivers.engine.docker_http import DockerHttp, Refused

DOCKER_HOST = "unix:///var/run/docker.sock"
_OURS = "com.amazonaws.ecs."
BARE_LABEL = {"homeport.bench": "bare"}
_POLL_SECONDS = 0.02
_QUIET_SECONDS = 1.0
_SERVICE = "homeport-bench"
SWARM_LABEL = f"com.docker.swarm.service.name={_SERVICE}"


class Bare:
    """Containers with a given body. `run` gives the seconds from the first request to the last one's answer."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.engine = DockerEngine(DOCKER_HOST, SystemClock(), parallel_starts=64)
        self._body = body
        self._number = 0

    async def run(self, count: int, width: int) -> float:
        """`count` containers, at most `width` at a time; they are removed again."""
        started = time.perf_counter()
        ids = await self._start(count, width)
        seconds = time.perf_counter() - started
        await self._remove(ids)
        return seconds

    async def roll(self, count: int, width: int) -> float:
        """`count` running containers all told to stop, and as many started meanwhile; seconds until those are."""
        old = await self._start(count, width)
        await asyncio.sleep(_QUIET_SECONDS)
        started = time.perf_counter()
        stopping = asyncio.gather(*(self.engine.stop(each, 1) for each in old))
        new = await self._start(count, width)
        seconds = time.perf_counter() - started
        await stopping
        await self._remove([*old, *new])
        return seconds

    async def _start(self, count: int, width: int) -> list[str]:
        gate = asyncio.Semaphore(width)

        async def one(name: str) -> str:
            async with gate:
                container_id = await self.engine.create(name, self._body)
                await self.engine.start(container_id)
                return container_id

        return await asyncio.gather(*(one(f"homeport-bench-{self._next()}") for _ in range(count)))

    async def _remove(self, ids: list[str]) -> None:
        await asyncio.gather(*(self.engine.remove(each) for each in ids))

    def _next(self) -> str:
        self._number += 1
        return f"{id(self):x}-{self._number}"

    async def close(self) -> None:
        await self.engine.close()


async def body_of(container_id: str) -> dict[str, Any]:
    """The create body that gives such a container once more, without what makes it a task's."""
    http = DockerHttp(DOCKER_HOST)
    try:
        found = await http.call("GET", f"/containers/{container_id}/json")
    finally:
        await http.close()
    config, host = found["Config"], found["HostConfig"]
    labels = {name: value for name, value in (config["Labels"] or {}).items() if not name.startswith(_OURS)}
    kept = {name: config[name] for name in ("Image", "Cmd", "Entrypoint", "Env") if config.get(name)}
    wanted = ("Memory", "CpuShares", "NetworkMode", "LogConfig", "PortBindings", "Binds")
    return {
        **kept,
        "Labels": labels | BARE_LABEL,
        "HostConfig": {name: host[name] for name in wanted if host.get(name)},
    }


class Swarm:
    """One service on this engine as a swarm of one node."""

    def __init__(self, http: DockerHttp, service_id: str) -> None:
        self._http = http
        self._id = service_id

    async def scale(self, replicas: int) -> float:
        """Seconds until that many tasks run (more than now) or only that many are left (fewer)."""
        started = time.perf_counter()
        await self.update(lambda spec: spec["Mode"]["Replicated"].update(Replicas=replicas))
        while True:
            states = await self._states()
            if states.count("running") == replicas and (replicas or not states):
                return time.perf_counter() - started
            await asyncio.sleep(_POLL_SECONDS)

    async def update(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the service's spec by `change`; answered as soon as Swarm has accepted it."""
        found = await self._http.call("GET", f"/services/{self._id}")
        change(found["Spec"])
        query = {"version": str(found["Version"]["Index"])}
        await self._http.call("POST", f"/services/{self._id}/update", query=query, body=found["Spec"])

    async def is_updating(self) -> bool:
        """Whether Swarm still rolls, or watches what it has rolled."""
        found = await self._http.call("GET", f"/services/{self._id}")
        return bool(found.get("UpdateStatus", {}).get("State") == "updating")

    async def _states(self) -> list[str]:
        query = {"filters": f'{{"service":["{self._id}"],"desired-state":["running"]}}'}
        return [task["Status"]["State"] for task in await self._http.call("GET", "/tasks", query=query)]


@asynccontextmanager
async def swarm(image: str, command: list[str], memory_mib: int) -> AsyncIterator[Swarm]:
    """A swarm with a service of no replicas yet. Raises RuntimeError if this engine is part of one already."""
    http = DockerHttp(DOCKER_HOST)
    engine = DockerEngine(DOCKER_HOST, SystemClock())
    try:
        if (await http.call("GET", "/info"))["Swarm"]["LocalNodeState"] != "inactive":
            raise RuntimeError("this engine is in a swarm already: it is left alone")
        image_id = (await engine.image(image)).id
        address = "127.0.0.1"
        await http.call("POST", "/swarm/init", body={"ListenAddr": f"{address}:2377", "AdvertiseAddr": address})
        try:
            spec = {
                "Name": _SERVICE,
                "TaskTemplate": {
                    "ContainerSpec": {"Image": image_id, "Command": command, "StopGracePeriod": 1_000_000_000},
                    "Resources": {"Limits": {"MemoryBytes": memory_mib << 20}},
                },
                "Mode": {"Replicated": {"Replicas": 0}},
            }
            created = await http.call("POST", "/services/create", body=spec)
            yield Swarm(http, created["ID"])
            await http.call("DELETE", f"/services/{created['ID']}")
        finally:
            await http.call("POST", "/swarm/leave", query={"force": "1"})
            with suppress(Refused, NotFound):
                await http.call("DELETE", "/networks/docker_gwbridge")
    finally:
        await engine.close()
        await http.close()
