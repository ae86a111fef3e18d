"""A control plane reached over HTTP: signed JSON 1.1 calls, and signed websockets for ACS and TCS."""

import asyncio
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from homeport.agent.backend import Refused
from homeport.agent.sigv4 import Keys, Signer
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import Transient
from homeport.shapes import acs, ecs, logs
from homeport.shapes.spec import Service

CALL_SECONDS = 30.0
CONNECT_SECONDS = 30.0
LARGEST_FRAME = 16 * 1024 * 1024
_THROTTLED = {
    "ThrottlingException",
    "Throttling",
    "LimitExceededException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ServerException",
    "InternalFailure",
    "ServiceUnavailableException",
    "RequestTimeTooSkewed",
}
_UNAVAILABLE = (aiohttp.ClientError, TimeoutError, OSError)


class _Fault(msgspec.Struct):
    """The body of an error answer."""

    code: str = msgspec.field(name="__type", default="")
    message: str | None = None
    message_upper: str | None = msgspec.field(name="Message", default=None)


class AwsSocket:
    """`Socket` on an aiohttp websocket."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket

    async def send(self, frame: bytes) -> None:
        try:
            await self._websocket.send_str(frame.decode())
        except (ConnectionError, RuntimeError, *_UNAVAILABLE) as error:
            raise Transient(f"websocket closed: {error}") from error

    async def receive(self) -> bytes | None:
        message = await self._websocket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return str(message.data).encode()
            case aiohttp.WSMsgType.BINARY:
                return bytes(message.data)
        return None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._websocket.close(code=code, message=reason.encode())

    @property
    def close_code(self) -> int | None:
        """The peer's close code once `receive` gave None; 1006 for a lost connection."""
        return self._websocket.close_code


class AwsBackend:
    """`Backend` at `config.endpoint`; made inside a running event loop. Use `async with`, or `close` it."""

    def __init__(self, config: AgentConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._keys = Keys(config.access_key_id, config.secret_access_key, config.session_token)
        self._signer = Signer(config.region)
        self._url = config.endpoint.rstrip("/") + "/"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            auto_decompress=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def call(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        """An ECS operation. Raises Transient, Refused."""
        keys = self._keys if credentials is None else _keys_of(credentials)
        return await self._call(ecs.SERVICE, operation, request, keys)

    async def call_logs(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        """A CloudWatch Logs operation. Raises Transient, Refused."""
        keys = self._keys if credentials is None else _keys_of(credentials)
        return await self._call(logs.SERVICE, operation, request, keys)

    async def _call(self, service: Service, operation: str, request: msgspec.Struct, keys: Keys) -> Any:
        body = msgspec.json.encode(request)
        headers = self._signer.sign(
            keys,
            service=service.signing_name,
            method="POST",
            url=self._url,
            headers={
                "content-type": "application/x-amz-json-1.1",
                "x-amz-target": f"{service.target_prefix}.{operation}",
            },
            body=body,
            now=self._clock.now(),
        )
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                answer = await response.read()
                status = response.status
        except _UNAVAILABLE as error:
            raise Transient(f"{operation}: no answer from {self._url}: {error or type(error).__name__}") from error
        if status >= 400:
            raise _failure(operation, status, answer)
        try:
            return msgspec.json.decode(answer or b"{}", type=service.operations[operation].output, strict=False)
        except msgspec.DecodeError as error:
            raise Transient(f"{operation}: malformed answer: {error}") from error

    async def connect(self, url: str, query: dict[str, str]) -> AwsSocket:
        """A websocket below `url`. Raises Transient, or Refused with the code named in the refusal's body."""
        encoded = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
        base = url if "://" in url else f"https://{url}"
        http_url = f"{base.rstrip('/')}/ws?{encoded}"
        headers = self._signer.sign(
            self._keys, service="ecs", method="GET", url=http_url, headers={}, body=b"", now=self._clock.now()
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return AwsSocket(await self._upgrade(http_url, headers))
        except _UNAVAILABLE as error:
            raise Transient(
                f"cannot connect to {urlsplit(http_url).netloc}: {error or type(error).__name__}"
            ) from error

    async def _upgrade(self, http_url: str, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._session.ws_connect(
                URL(http_url, encoded=True),
                headers=headers,
                max_msg_size=LARGEST_FRAME,
                compress=0,
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError as error:
            body = await self._refusal(http_url, headers) if error.status < 500 else b""
            raise _refused_upgrade(error.status, body) from error

    async def _refusal(self, http_url: str, headers: dict[str, str]) -> bytes:
        """The body of a refused upgrade, which aiohttp does not keep: ask once more, as a websocket client would."""
        upgrade = {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        url = URL(http_url, encoded=True)
        async with self._session.get(url, headers={**headers, **upgrade}) as response:
            return await response.read() if response.status != 101 else b""


def _keys_of(credentials: acs.RoleCredentials) -> Keys:
    return Keys(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)


def _failure(operation: str, status: int, body: bytes) -> Exception:
    try:
        fault = msgspec.json.decode(body, type=_Fault)
    except msgspec.DecodeError:
        fault = _Fault()
    code = fault.code.rsplit("#", 1)[-1] or f"HTTP{status}"
    message = fault.message or fault.message_upper or ""
    if status >= 500 or status == 429 or code in _THROTTLED:
        return Transient(f"{operation}: {code}: {message}")
    return Refused(code, message)


def _refused_upgrade(status: int, body: bytes) -> Exception:
    """`{"InactiveInstanceException": "text"}` or the same enveloped, as agents understand it."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        told = {}
    if isinstance(told.get("type"), str):
        message = told.get("message")
        return Refused(told["type"], str(message.get("message", "") if isinstance(message, dict) else message))
    if "__type" in told:
        return Refused(str(told["__type"]).rsplit("#", 1)[-1], str(told.get("message", "")))
    if len(told) == 1:
        ((code, text),) = told.items()
        return Refused(code, str(text))
    return Transient(f"websocket refused with status {status}")
