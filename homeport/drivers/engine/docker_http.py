"""HTTP to a Docker daemon: one keep-alive pool, a negotiated API version, and errors told apart by what to do next.

Docker's own errors are `{"message": …}` with a status. A 404 is NotFound. A lost connection, a 502-504 or a containerd
that went away may pass and are Transient; everything else the daemon will say again: Permanent, with its words.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from homeport.base.errors import NotFound, Permanent, Transient
from homeport.drivers.engine import TimedOut

# Debian 12's Docker 20.10 speaks at most 1.41; Docker 29 at least 1.44. Nothing used here changed between them.
PREFERRED_API = (1, 41)
_QUICK_SECONDS = 30.0
_PASSING = ("transport is closing", "error while dialing", "containerd.sock", "connection is unavailable")


class Refused(Permanent):
    """The daemon's refusal with its HTTP status, for verbs that treat some statuses as success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def choose_api(greatest: str, least: str) -> str:
    """The version to speak with a daemon that speaks from `least` to `greatest`."""
    version = max(_numbers(least), min(_numbers(greatest), PREFERRED_API))
    return f"{version[0]}.{version[1]}"


def failure(status: int, text: str) -> Exception:
    """The exception for an answer that is no success."""
    if status == 404:
        return NotFound(text)
    if status in (502, 503, 504) or (status == 500 and any(sign in text for sign in _PASSING)):
        return Transient(text)
    return Refused(status, text)


class DockerHttp:
    """Requests to one daemon. `docker_host` is `unix:///path` or `tcp://host:port` (no TLS)."""

    def __init__(self, docker_host: str) -> None:
        scheme, _, rest = docker_host.partition("://")
        if scheme not in ("unix", "tcp", "http") or not rest:
            raise Permanent(f"unsupported Docker host {docker_host!r}: use unix:///path or tcp://host:port")
        self._host = docker_host
        self._socket_path = rest if scheme == "unix" else None
        self._origin = "http://docker" if scheme == "unix" else f"http://{rest}"
        self._session: aiohttp.ClientSession | None = None
        self._prefix: str | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _QUICK_SECONDS,
    ) -> Any:
        """One request; the decoded JSON of its answer (None if it has none)."""
        async with self.open(method, path, query=query, body=body, headers=headers, seconds=seconds) as response:
            content = await response.read()
            return msgspec.json.decode(content) if content and response.content_type == "application/json" else None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful answer whose body the caller reads. `body` is encoded as JSON unless it is bytes already."""
        prefix = self._prefix or await self._negotiate()
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        kind = {} if body is None else {"Content-Type": "application/x-tar" if content is body else "application/json"}
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_QUICK_SECONDS)
        try:
            async with self._client().request(
                method,
                self._origin + prefix + path,
                params=query,
                data=content,
                headers={**kind, **(headers or {})},
                timeout=timeout,
            ) as response:
                if response.status >= 400:
                    raise failure(response.status, _message(await response.read()))
                yield response
        except TimeoutError as error:
            raise TimedOut(
                f"Docker Engine did not answer {method} {path} within {seconds or _QUICK_SECONDS:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            self._prefix = None  # It may come back as another version.
            raise Transient(f"Docker Engine at {self._host}: {error}") from error

    async def api_version(self) -> str:
        return (self._prefix or await self._negotiate()).removeprefix("/v")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _negotiate(self) -> str:
        try:
            async with self._client().get(
                f"{self._origin}/version", timeout=aiohttp.ClientTimeout(total=_QUICK_SECONDS)
            ) as response:
                if response.status != 200:
                    raise failure(response.status, _message(await response.read()))
                answer = msgspec.json.decode(await response.read())
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise Transient(f"Docker Engine at {self._host}: {error or 'no answer'}") from error
        self._prefix = f"/v{choose_api(answer['ApiVersion'], answer.get('MinAPIVersion', '1.12'))}"
        return self._prefix

    def _client(self) -> aiohttp.ClientSession:
        """The pool. It has no limit: a stop that waits 30 s must not hold back any other verb."""
        if self._session is None:
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(self._socket_path, limit=0, keepalive_timeout=60)
                if self._socket_path
                else aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def lines(response: aiohttp.ClientResponse, *, first: float | None, each: float | None) -> AsyncIterator[Any]:
    """The JSON values of a streamed answer, one per line.

    Raises TimeoutError if nothing comes for `first` seconds at the beginning or `each` seconds later (None: no limit).
    """
    limit, pending = first, b""
    while True:
        async with asyncio.timeout(limit):
            chunk = await response.content.readany()
        limit = each
        if not chunk:
            return
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield msgspec.json.decode(line)


def _message(content: bytes) -> str:
    try:
        return str(msgspec.json.decode(content)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return content.decode(errors="replace").strip() or "no message"


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)
