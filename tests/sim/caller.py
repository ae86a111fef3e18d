"""Clients of the region: each signs as the real ones do, in its service's own protocol, over the simulated network.

JSON goes through the generated shapes; the query protocol through botocore's serializer and parser, as in boto3.
"""

import re
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, urlencode

import msgspec
from botocore.parsers import QueryParser
from botocore.serialize import QuerySerializer

from homeport.agent.aws import _failure
from homeport.agent.backend import Refused
from homeport.agent.sigv4 import Keys, Signer
from homeport.api.codecs import service_model
from homeport.api.query import parse_timestamp
from homeport.api.request import Request, Response
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.shapes import ecs, elbv2
from homeport.shapes.spec import Operation, Service
from tests.sim.network import Network

ENDPOINT = "http://homeport:4566"
REGION = "us-east-1"
_FORM = "application/x-www-form-urlencoded; charset=utf-8"


class Dialect(Protocol):
    """One service's protocol, from the client's side."""

    def encode(self, operation: str, request: msgspec.Struct) -> tuple[dict[str, str], bytes]:
        """Headers and body of a request."""
        ...

    def decode(self, operation: str, response: Response) -> Any:
        """The answer. Raises Transient, Refused."""
        ...


class Json:
    """JSON 1.1."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def encode(self, operation: str, request: msgspec.Struct) -> tuple[dict[str, str], bytes]:
        target = f"{self._service.target_prefix}.{operation}"
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        return headers, msgspec.json.encode(request)

    def decode(self, operation: str, response: Response) -> Any:
        if response.status >= 400:
            raise _failure(operation, response.status, response.body)
        return msgspec.json.decode(response.body, type=self._service.operations[operation].output, strict=False)


class Query:
    """Forms there, XML back."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._model = service_model(service.name)
        self._serializer = QuerySerializer()  # type: ignore[no-untyped-call]
        self._parser = QueryParser(timestamp_parser=parse_timestamp)

    def encode(self, operation: str, request: msgspec.Struct) -> tuple[dict[str, str], bytes]:
        model = self._model.operation_model(operation)
        made = self._serializer.serialize_to_request(msgspec.to_builtins(request), model)
        return {"content-type": _FORM}, urlencode(made["body"]).encode()

    def decode(self, operation: str, response: Response) -> Any:
        raw = {"status_code": response.status, "headers": response.headers, "body": response.body}
        parsed = self._parser.parse(raw, self._model.operation_model(operation).output_shape)
        if response.status >= 500:
            raise Transient(f"{operation}: {parsed['Error']}")
        if response.status >= 400:
            raise Refused(parsed["Error"]["Code"], parsed["Error"].get("Message", ""))
        return msgspec.convert(parsed, self._service.operations[operation].output, strict=False)


class Caller:
    """A client of one service, on one host."""

    def __init__(self, network: Network, host: str, clock: Clock, keys: Keys, service: Service = ecs.SERVICE) -> None:
        self._network = network
        self._host = host
        self._clock = clock
        self._keys = keys
        self._signer = Signer(REGION)
        self._service = service
        self._dialect: Dialect = Json(service) if "json" in service.protocols else Query(service)

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """The operation's answer. Raises Transient, Refused."""
        headers, body = self._dialect.encode(operation, request)
        signed = self._sign("POST", f"{ENDPOINT}/", headers, body, self._service.signing_name)
        response = await self._network.call(self._host, Request("POST", "/", "", signed, body))
        return self._dialect.decode(operation, response)

    def _sign(self, method: str, url: str, headers: dict[str, str], body: bytes, service: str) -> dict[str, str]:
        return self._signer.sign(
            self._keys, service=service, method=method, url=url, headers=headers, body=body, now=self._clock.now()
        )


class Answered(NamedTuple):
    """What was asked and with which error code it was answered ("" none)."""

    operation: Operation
    code: str

    @property
    def is_declared(self) -> bool:
        """Whether the model has this error for the operation (`ValidationError` any of the query protocol may answer)."""
        return self.code in ("", "ValidationError", *self.operation.errors)


def answered(request: Request, response: Response) -> Answered:
    """The request and its answer as a log of the front door would have them."""
    target = request.headers.get("x-amz-target")
    if target is not None:
        operation = ecs.SERVICE.operations[target.rpartition(".")[2]]
        return Answered(operation, response.headers.get("x-amzn-ErrorType", ""))
    operation = elbv2.SERVICE.operations[parse_qs(request.body.decode())["Action"][0]]
    code = re.search(rb"<Code>(.*?)</Code>", response.body) if response.status >= 400 else None
    return Answered(operation, code[1].decode() if code else "")
