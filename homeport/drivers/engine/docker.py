"""Docker Engine through its HTTP API, with no library between: each verb is one request.

Starting a container is the engine's dearest work (100-200 ms of it CPU), and asking for more at once than the host has
cores only makes every one later; so starts and removals wait in line here, each in its own. Stops wait in no line: a
stop mostly waits for the container itself.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from homeport.base.clock import Clock
from homeport.base.errors import NotFound, Permanent, Transient
from homeport.drivers.engine import ContainerState, EngineEvent, EngineInfo, ImageState, RegistryAuth, TimedOut
from homeport.drivers.engine.docker_http import DockerHttp, Refused, lines
from homeport.drivers.engine.docker_json import (
    container_state,
    engine_event,
    engine_info,
    image_state,
    registry_failure,
)
from homeport.drivers.engine.kernel_log import killed_for_memory
from homeport.drivers.engine.process import process_end
from homeport.drivers.engine.reference import parse_reference

# The Amazon ECS agent's limits, in seconds.
CREATE_SECONDS = 240.0
START_SECONDS = 180.0
INSPECT_SECONDS = 30.0
REMOVE_SECONDS = 300.0
STOP_EXTRA_SECONDS = 120.0
VOLUME_SECONDS = 300.0
MANIFEST_SECONDS = 60.0
PULL_FIRST_SECONDS = 300.0
PULL_SILENT_SECONDS = 60.0
PULL_TOTAL_SECONDS = 7200.0

KILLED = 137  # the exit code of a process that SIGKILL ended

# Refusals to remove something that pass when its other users are gone.
_BUSY = ("already in progress", "volume is in use", "device or resource busy", "failed to remove root filesystem")

# Probes of health checks cause three exec events each, which nobody needs.
_ACTIONS = ("create", "start", "die", "oom", "stop", "destroy", "health_status", "pause", "unpause")


class DockerEngine:
    """`Engine` on a Docker daemon (`unix://` or `tcp://`). `cpu_count` sets how many starts run at once."""

    def __init__(
        self,
        docker_host: str,
        clock: Clock,
        *,
        cpu_count: int | None = None,
        start_seconds: float = START_SECONDS,
        parallel_starts: int | None = None,
    ) -> None:
        self._clock = clock
        self._http = DockerHttp(docker_host)
        self._start_seconds = start_seconds
        width = max(2, 2 * (cpu_count or os.cpu_count() or 1))
        self._starting = asyncio.Semaphore(parallel_starts or width)
        self._removing = asyncio.Semaphore(width)

    async def info(self) -> EngineInfo:
        return engine_info(await self._http.call("GET", "/info"), await self._http.api_version())

    async def ping(self) -> None:
        await self._http.call("GET", "/_ping")

    def events(self) -> AsyncIterator[EngineEvent]:
        """Events from the moment of this call, even if the first one is awaited later."""
        return self._events(self._clock.now())

    async def _events(self, since: float) -> AsyncIterator[EngineEvent]:
        filters = {"type": ["container"], "event": list(_ACTIONS)}
        query = {"since": f"{since:.9f}", "filters": _json(filters)}
        async with self._http.open("GET", "/events", query=query) as response:
            async for raw in lines(response, first=None, each=None):
                yield engine_event(raw)

    async def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        wanted = [f"{key}={value}" if value else key for key, value in labels.items()]
        query = {"all": "1", "filters": _json({"label": wanted})}
        found = await self._http.call("GET", "/containers/json", query=query, seconds=INSPECT_SECONDS)
        gate = asyncio.Semaphore(8)

        async def look(container_id: str) -> ContainerState | None:
            async with gate:
                try:
                    return await self.inspect(container_id)
                except NotFound:  # Removed since it was listed.
                    return None

        states = await asyncio.gather(*(look(raw["Id"]) for raw in found))
        return tuple(state for state in states if state is not None)

    async def inspect(self, container_id: str) -> ContainerState:
        raw = await self._http.call("GET", f"/containers/{container_id}/json", seconds=INSPECT_SECONDS)
        state = container_state(raw)
        if state.exit_code != KILLED or state.oom_killed or state.started_at is None:
            return state
        age = self._clock.now() - state.started_at
        oom_killed = await asyncio.to_thread(killed_for_memory, state.id, self._clock.monotonic() - age)
        return replace(state, oom_killed=oom_killed)

    async def process_end(self, container_id: str, pid: int) -> None:
        await process_end(pid, container_id)

    async def manifest_digest(self, image: str, auth: RegistryAuth | None) -> str:
        try:
            answer = await self._http.call(
                "GET", f"/distribution/{quote(image)}/json", headers=_auth_header(auth), seconds=MANIFEST_SECONDS
            )
        except (Refused, NotFound) as error:
            raise registry_failure(str(error)) from error
        return str(answer["Descriptor"]["digest"])

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        reference = parse_reference(image)
        query = {"fromImage": reference.repository, "tag": reference.tag or reference.digest or ""}
        last: dict[str, Any] = {}
        try:
            async with self._http.open(
                "POST", "/images/create", query=query, headers=_auth_header(auth), seconds=PULL_TOTAL_SECONDS
            ) as response:
                async for line in lines(response, first=PULL_FIRST_SECONDS, each=PULL_SILENT_SECONDS):
                    last = line
        except TimedOut as error:
            raise TimedOut(f"inactivity time exceeded timeout while pulling image {image}") from error
        except (Refused, NotFound) as error:
            raise registry_failure(str(error)) from error
        if "error" in last:  # After output began, the status was 200 already.
            raise registry_failure(last["error"])

    async def image(self, name: str) -> ImageState:
        return image_state(await self._http.call("GET", f"/images/{quote(name)}/json", seconds=INSPECT_SECONDS))

    async def images(self) -> tuple[ImageState, ...]:
        return tuple(image_state(raw) for raw in await self._http.call("GET", "/images/json", seconds=INSPECT_SECONDS))

    async def remove_image(self, name: str) -> None:
        """Untag a name, or delete an id; missing: done. Raises Permanent while a container uses the image."""
        async with self._removing:
            await self._unless_missing("DELETE", f"/images/{quote(name)}", seconds=REMOVE_SECONDS)

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        try:
            answer = await self._http.call(
                "POST", "/containers/create", query={"name": name}, body=config, seconds=CREATE_SECONDS
            )
        except Refused as error:
            if error.status != 409 or "already in use" not in str(error):
                raise
            return await self._existing(name, str(error))
        return str(answer["Id"])

    async def start(self, container_id: str) -> None:
        async with self._starting:
            await self._http.call("POST", f"/containers/{container_id}/start", seconds=self._start_seconds)

    async def stop(self, container_id: str, timeout_seconds: int) -> None:
        await self._unless_missing(
            "POST",
            f"/containers/{container_id}/stop",
            query={"t": str(timeout_seconds)},
            seconds=timeout_seconds + STOP_EXTRA_SECONDS,
        )

    async def kill(self, container_id: str, signal: str) -> None:
        """Raises NotFound; a container that does not run is left alone."""
        try:
            await self._http.call("POST", f"/containers/{container_id}/kill", query={"signal": signal})
        except Refused as error:
            if error.status != 409:
                raise

    async def remove(self, container_id: str) -> None:
        async with self._removing:
            await self._unless_missing(
                "DELETE", f"/containers/{container_id}", query={"v": "1", "force": "1"}, seconds=REMOVE_SECONDS
            )

    async def stats(self, container_id: str) -> dict[str, Any]:
        """Two readings a second apart, as `docker stats` needs them for rates: takes 1 to 2 s."""
        answer = await self._http.call("GET", f"/containers/{container_id}/stats", query={"stream": "0"})
        return dict(answer)

    async def create_volume(
        self, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        body = {"Name": name, "Driver": driver or "local", "DriverOpts": dict(options), "Labels": dict(labels)}
        await self._http.call("POST", "/volumes/create", body=body, seconds=VOLUME_SECONDS)

    async def volume_exists(self, name: str) -> bool:
        try:
            await self._http.call("GET", f"/volumes/{quote(name)}", seconds=VOLUME_SECONDS)
        except NotFound:
            return False
        return True

    async def remove_volume(self, name: str) -> None:
        """Missing: done. Raises Transient while a container uses it."""
        await self._unless_missing("DELETE", f"/volumes/{quote(name)}", seconds=VOLUME_SECONDS)

    async def import_image(self, name: str, archive: bytes, *, changes: tuple[str, ...] = ()) -> None:
        """Make an image of one layer from a tar archive; `changes` are Dockerfile lines such as `CMD ["sh"]`."""
        reference = parse_reference(name)
        query = [("fromSrc", "-"), ("repo", reference.repository), ("tag", reference.tag or "latest")]
        path = "/images/create?" + "&".join(f"{k}={quote(v)}" for k, v in [*query, *(("changes", c) for c in changes)])
        async with self._http.open("POST", path, body=archive, seconds=CREATE_SECONDS) as response:
            async for line in lines(response, first=None, each=None):
                if "error" in line:
                    raise Permanent(line["error"])

    async def close(self) -> None:
        await self._http.close()

    async def _existing(self, name: str, conflict: str) -> str:
        try:
            return (await self.inspect(name)).id
        except NotFound as error:  # Its creation, asked for earlier, is still under way in the daemon.
            raise Transient(conflict) from error

    async def _unless_missing(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, seconds: float
    ) -> None:
        try:
            await self._http.call(method, path, query=query, seconds=seconds)
        except NotFound:
            return
        except Refused as error:
            if any(sign in str(error) for sign in _BUSY):
                raise Transient(str(error)) from error
            raise


def _auth_header(auth: RegistryAuth | None) -> dict[str, str]:
    if auth is None:
        return {}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(msgspec.json.encode(auth._asdict())).decode()}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
