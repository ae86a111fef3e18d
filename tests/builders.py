"""Builders: a region in one process, and real boto3 clients that reach it without a socket.

`a_region()` is a store with a memory journal, deterministic identifiers, a fleet that observes the store, the log
store in a temporary file, and a gateway. `region.client("ecs")` is a real boto3 client: it serialises, signs and parses
as always; only the sending is replaced, by a call of the gateway on the region's own event loop.
"""

import asyncio
import random
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from homeport.api.gateway import OWN_SERVICES, SERVICES, Gateway
from homeport.api.operation import World
from homeport.api.request import Request, Response
from homeport.api.sigv4 import ACCESS_KEY_PURPOSE
from homeport.base.arn import Arns
from homeport.base.clock import SystemClock
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.drivers.logs.sqlite import SqliteLogStore
from homeport.model.account import AccessKey
from homeport.model.account import Region as RegionRow
from homeport.model.cluster import Cluster
from homeport.scheduler.fleet import Fleet
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
ROOT_KEY_ID = "AKIAHOMEPORTROOT0000"
ROOT_SECRET = "root/secret+of/the+tests0000000000000000"
ENDPOINT = "http://127.0.0.1:4566"


#: Errors that every operation may answer (API Reference, "Common Error Types") and their names in the query protocol.
COMMON_ERRORS = {
    "SerializationException", "ValidationException", "ValidationError", "UnknownOperationException", "InvalidAction",
    "AccessDeniedException", "MalformedQueryString", "RequestEntityTooLargeException", "InvalidSignatureException",
    "IncompleteSignatureException", "MissingAuthenticationTokenException", "UnrecognizedClientException", "ExpiredTokenException",
    "RequestExpired", "InternalFailure",
}  # fmt: skip


def _declared(target: str) -> tuple[str, ...]:
    prefix, _, name = target.rpartition(".")
    specs = [service.operations.get(name) for service in (*SERVICES, *OWN_SERVICES) if service.target_prefix == prefix]
    return specs[0].errors if specs and specs[0] else ()


class SettableClock:
    """The system's time plus an offset that a test may move; sleeping returns at once."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self.offset = 0.0

    def now(self) -> float:
        return self._system.now() + self.offset

    def monotonic(self) -> float:
        return self._system.monotonic() + self.offset

    async def sleep(self, seconds: float) -> None:
        self.offset += max(0.0, seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.offset += seconds


class RegionUnderTest:
    """One region: `world` (store, fleet, logs, clock), `gateway`, and clients. Close it when done."""

    def __init__(self, *, clock=None, seed: int = 0, journal=None) -> None:
        self.clock = clock or SettableClock()
        self._folder = tempfile.TemporaryDirectory(prefix="homeport-test-")
        self.loop = asyncio.new_event_loop()
        self.journal = journal or MemoryJournal()
        ids = Ids(random.Random(seed))
        store = Store(self.journal, self.clock, ids, seed=seed)
        self.world = World(
            arns=Arns(REGION, ACCOUNT_ID),
            store=store,
            fleet=Fleet(store.read),
            clock=self.clock,
            ids=ids,
            sealer=Sealer(b"0" * 32),
            logs=SqliteLogStore(Path(self._folder.name) / "logs.db"),
            version="0.0.0-test",
        )
        store.load()
        store.update(self._found)
        self.gateway = Gateway(self.world)
        self._clients: dict[tuple, PooledClient] = {}

    def _found(self, tx) -> None:
        arns = self.world.arns
        tx.regions.put(RegionRow(account_id=ACCOUNT_ID, region=REGION, seed=1, created_at=tx.now))
        tx.access_keys.put(self.access_key(ROOT_KEY_ID, ROOT_SECRET, arns.root(), tx.now))
        tx.clusters.put(Cluster(arn=arns.cluster("default"), name="default", created_at=tx.now))

    def access_key(self, key_id: str, secret: str, principal_arn: str, now: float) -> AccessKey:
        sealed = self.world.sealer.seal(ACCESS_KEY_PURPOSE, secret.encode())
        return AccessKey(access_key_id=key_id, sealed_secret=sealed, principal_arn=principal_arn, created_at=now)

    def close(self) -> None:
        for client in self._clients.values():
            client.lend(None)
            _FREE[client.place].append(client)
        close = getattr(self.world.logs, "close", None)
        if close is not None:
            close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._folder.cleanup()

    def run(self, awaitable):
        """The result of a coroutine on the region's event loop."""
        return self.loop.run_until_complete(awaitable)

    def call(self, request: Request) -> Response:
        """The gateway's answer; an error must be one that the operation declares, or common to all of AWS."""
        response = self.run(self.gateway.handle(request))
        code = response.headers.get("x-amzn-ErrorType")
        declared = _declared(request.headers.get("x-amz-target", ""))
        assert code is None or code in COMMON_ERRORS or code in declared, f"{code} is not declared: {response.body!r}"
        return response

    def client(
        self,
        service: str,
        *,
        key_id: str = ROOT_KEY_ID,
        secret: str = ROOT_SECRET,
        token: str | None = None,
        region: str = REGION,
    ):
        """A boto3 client of the region (never retries, does not check parameters itself: the server must)."""
        wanted = (service, key_id, secret, token, region)
        if wanted not in self._clients:
            free = _FREE.setdefault((service, region), [])
            made = self._clients[wanted] = free.pop() if free else PooledClient(service, region)
            made.lend(self, key_id, secret, token)
        return self._clients[wanted].client


#: Clients of regions that are closed, by service and region. Making one takes 100 ms, most of it reading the model.
_FREE: dict[tuple[str, str], list["PooledClient"]] = {}


class PooledClient:
    """A boto3 client that sends to the region that holds it, signed with the credentials it was lent with."""

    def __init__(self, service: str, region: str) -> None:
        self.place = (service, region)
        self._holder: RegionUnderTest | None = None
        session = boto3.session.Session("key", "secret", None, region)
        self._credentials = session.get_credentials()
        config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
        self.client = session.client(service, endpoint_url=ENDPOINT, config=config)
        self.client.meta.events.register("before-send", self._send)

    def lend(
        self, holder: RegionUnderTest | None, key_id: str = "", secret: str = "", token: str | None = None
    ) -> None:
        self._holder = holder
        self._credentials.access_key, self._credentials.secret_key, self._credentials.token = key_id, secret, token

    def _send(self, request: AWSPreparedRequest, **_) -> AWSResponse:
        response = self._holder.call(to_request(request))
        return AWSResponse(request.url, response.status, response.headers, RawBody(response.body))


class RawBody:
    """What AWSResponse reads its content from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_):
        yield self._body

    def read(self, *_) -> bytes:
        body, self._body = self._body, b""
        return body


def to_request(prepared: AWSPreparedRequest) -> Request:
    """botocore's request as our gateway sees it."""
    url = urlsplit(prepared.url)
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    headers.setdefault("host", url.netloc)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    return Request(prepared.method, url.path or "/", url.query, headers, body)


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def a_region(**options) -> RegionUnderTest:
    return RegionUnderTest(**options)
