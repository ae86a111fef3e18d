"""The log intake: what dockerd's `awslogs` driver takes for CloudWatch Logs.

Events are acknowledged as soon as they are spooled, so containers neither stall nor fail while the control plane is
away. Creating a stream is asked of the control plane at once where it can be reached: a missing log group must fail the
container's start, as on AWS. Where it cannot, the stream is taken on trust and created later.

Only dockerd may write here: it signs with credentials that are served to whoever knows a secret id. Signatures are not
checked, the access key id is; the intake listens on the loopback address only.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web

from homeport.agent.backend import Refused
from homeport.agent.log_forwarder import LogForwarder, LogsBackend, Record
from homeport.agent.log_options import CREATE_GROUP_PATH, CREDENTIALS_PATH
from homeport.agent.log_spool import LogSpool
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.ids import Ids
from homeport.base.log import get_logger
from homeport.shapes import acs
from homeport.shapes import logs as shapes

log = get_logger("log intake")
_ASK_SECONDS = 5.0
_MOST_BODY_BYTES = 16 * 1024**2
_SYNC_SECONDS = 1.0
_NEVER = "2099-12-31T23:59:59Z"
_TARGET_PREFIX = "Logs_20140328."


def load_or_create_id(path: Path, ids: Ids) -> str:
    """The secret id of the intake's credentials. It lasts: running containers keep asking with the one they were given."""
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = ids.uuid()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(found)
        draft.replace(path)
    return found


def intake_credentials(credentials_id: str) -> acs.RoleCredentials:
    """What dockerd signs with: good for this intake alone, and for as long as a container may live."""
    digest = hashlib.sha256(f"log-intake\0{credentials_id}".encode()).hexdigest()
    return acs.RoleCredentials(
        credentials_id=credentials_id,
        role_arn="",
        access_key_id=f"ASIA{digest[:16].upper()}",
        secret_access_key=digest[16:56],
        session_token="log-intake",  # noqa: S106 - a name, not a secret
        expiration=_NEVER,
    )


class LogIntake:
    """The application, and the upkeep of the spool. `ask_seconds` bounds how long a container's start may wait."""

    def __init__(
        self,
        spool: LogSpool,
        forwarder: LogForwarder,
        backend: LogsBackend,
        clock: Clock,
        credentials_id: str,
        *,
        ask_seconds: float = _ASK_SECONDS,
    ) -> None:
        self._spool = spool
        self._forwarder = forwarder
        self._backend = backend
        self._clock = clock
        self._credentials = intake_credentials(credentials_id)
        self._ask_seconds = ask_seconds

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MOST_BODY_BYTES)
        app.router.add_get(f"{CREDENTIALS_PATH}/{self._credentials.credentials_id}", self._serve_credentials)
        for path in ("/", CREATE_GROUP_PATH, f"{CREATE_GROUP_PATH}/"):
            app.router.add_post(path, self._serve)
        return app

    async def keep_synced(self) -> None:
        """Bring spooled events onto the disk once a second, for ever."""
        while True:
            await self._clock.sleep(_SYNC_SECONDS)
            await asyncio.to_thread(self._spool.sync)

    async def _serve_credentials(self, _request: web.Request) -> web.Response:
        held = self._credentials
        return web.json_response(
            {
                "RoleArn": held.role_arn,
                "AccessKeyId": held.access_key_id,
                "SecretAccessKey": held.secret_access_key,
                "Token": held.session_token,
                "Expiration": held.expiration,
            }
        )

    async def _serve(self, request: web.Request) -> web.Response:
        if f"Credential={self._credentials.access_key_id}/" not in request.headers.get("authorization", ""):
            return _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        operation = request.headers.get("x-amz-target", "").removeprefix(_TARGET_PREFIX)
        handlers: dict[str, Callable[[bytes, bool], Awaitable[msgspec.Struct]]] = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "PutLogEvents": self._put,
        }
        handler = handlers.get(operation)
        if handler is None:
            return _refusal("UnknownOperationException", f"The log intake does not serve {operation}.")
        try:
            answer = await handler(_as_utf8(await request.read()), request.path.startswith(CREATE_GROUP_PATH))
        except msgspec.DecodeError as error:
            return _refusal("InvalidParameterException", str(error))
        except Refused as error:
            return _refusal(error.code, error.message)
        except OSError as error:
            # Most likely a full disk: dockerd tries again, then drops the batch.
            log.warning("log_spool_failed", error=str(error))
            return _refusal("ServiceUnavailableException", str(error), status=503)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/x-amz-json-1.1")

    async def _create_group(self, body: bytes, _creates_group: bool) -> msgspec.Struct:
        wanted = msgspec.json.decode(body, type=shapes.CreateLogGroupRequest)
        await self._ask("CreateLogGroup", wanted, Record(wanted.log_group_name))
        return shapes.CreateLogGroupResponse()

    async def _create_stream(self, body: bytes, creates_group: bool) -> msgspec.Struct:
        wanted = msgspec.json.decode(body, type=shapes.CreateLogStreamRequest)
        record = Record(wanted.log_group_name, wanted.log_stream_name, creates_group)
        await self._ask("CreateLogStream", wanted, record)
        return shapes.CreateLogStreamResponse()

    async def _ask(self, operation: str, wanted: msgspec.Struct, later: Record) -> None:
        """Ask the control plane; without an answer, spool it. Raises Refused."""
        try:
            async with asyncio.timeout(self._ask_seconds):
                await self._backend.call_logs(operation, wanted)
        except (Transient, TimeoutError) as error:
            log.warning("taken_on_trust", operation=operation, group=later.group, stream=later.stream, error=str(error))
            self._append(later)

    async def _put(self, body: bytes, creates_group: bool) -> msgspec.Struct:
        wanted = msgspec.json.decode(body, type=shapes.PutLogEventsRequest)
        events = tuple((event.timestamp, event.message) for event in wanted.log_events)
        self._append(Record(wanted.log_group_name, wanted.log_stream_name, creates_group, events))
        return shapes.PutLogEventsResponse(next_sequence_token=f"49{int(self._clock.now() * 1e6):054d}")

    def _append(self, record: Record) -> None:
        self._spool.append(msgspec.json.encode(record))
        self._forwarder.wake()


def _as_utf8(body: bytes) -> bytes:
    """dockerd hands on what a container wrote as it is: a byte that is no UTF-8 must not cost the batch it came in."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="replace").encode()
    return body


def _refusal(code: str, message: str, status: int = 400) -> web.Response:
    return web.Response(
        body=msgspec.json.encode({"__type": code, "message": message}),
        status=status,
        content_type="application/x-amz-json-1.1",
        headers={"x-amzn-ErrorType": code},
    )
