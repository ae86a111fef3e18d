"""Which operation a request means, before anything else is known of it.

By `X-Amz-Target` (JSON), by `/service/X/operation/Y` (rpc-v2-cbor), or by `Action` and the service that the signature
is for (query). The tables are made once, so finding a JSON operation is one dictionary look-up. A service that
addresses by method and path (rest-json) gets its table here when one is served. An operation that nobody handles is
still a route: who asks for it must be authenticated like anybody, and is then refused in its protocol's words.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from homeport.api import codecs, errors
from homeport.api.codecs import Codec
from homeport.api.operation import Handler
from homeport.api.query import read_form
from homeport.api.request import Request
from homeport.base import metrics
from homeport.base.errors import ApiError
from homeport.shapes.spec import Service


class Route:
    """One operation in one protocol, with everything that serving it needs. `handler` None: not served."""

    __slots__ = ("codec", "handler", "is_async", "operation", "protocol", "seconds", "service", "succeeded")

    def __init__(self, service: Service | None, operation: str, protocol: str, handler: Handler | None) -> None:
        self.service = service
        self.operation = operation
        self.protocol = protocol
        self.handler = handler
        self.is_async = handler is not None and handler.is_async
        self.codec: Codec | None = None
        if service is not None and handler is not None:
            self.codec = codecs.codec_of(service, handler.spec, protocol)
        self.succeeded: Any = metrics.API_REQUESTS.labels(*self.labels, "")
        self.seconds: Any = metrics.API_SECONDS.labels(*self.labels)

    @property
    def labels(self) -> tuple[str, str]:
        """Service and operation for metrics; an operation that the model does not know has no name there."""
        if self.service is None:
            return "unknown", "unknown"
        known = self.operation in self.service.operations or self.operation in self.service.unserved
        return self.service.name, self.operation if known else "unknown"

    def refusal(self) -> ApiError:
        """Why this operation is not served: declared by the operation where it can be."""
        if self.service is None:
            return errors.UnknownOperationException(f"Homeport does not serve this API yet: {self.operation}.")
        name = f"{self.service.name}:{self.operation}"
        spec = self.service.operations.get(self.operation)
        if spec is None and self.operation not in self.service.unserved:
            return errors.UnknownOperationException(f"Unknown operation: {name}.")
        message = f"Homeport does not serve {name} yet."
        if "ec2" in self.service.protocols:
            return errors.UnsupportedOperation(message)
        for kind in (errors.UnsupportedFeatureException, errors.ClientException):
            if spec is not None and kind.code in spec.errors:
                return kind(message)
        return errors.UnknownOperationException(message)


class Router:
    """Every operation of every service, by the ways in which it is addressed."""

    def __init__(self, services: Iterable[Service], handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._by_target: dict[str, Route] = {}
        self._by_path: dict[str, Route] = {}
        self._by_action: dict[tuple[str, str], Route] = {}
        self._by_prefix: dict[str, Service] = {}
        self._query_services: list[Service] = []
        for service in services:
            self._add(service, handlers)

    def _add(self, service: Service, handlers: Mapping[tuple[str, str], Handler]) -> None:
        self._by_prefix[service.target_prefix] = service
        if _form_protocols(service):
            self._query_services.append(service)
        for name in (*service.operations, *service.unserved):
            handler = handlers.get((service.name, name))
            if "json" in service.protocols:
                self._by_target[f"{service.target_prefix}.{name}"] = Route(service, name, "json", handler)
            # EC2 has hundreds of operations: those that nobody serves get their route when somebody asks for one.
            for protocol in _form_protocols(service) if name in service.operations else ():
                self._by_action[(service.signing_name, name)] = Route(service, name, protocol, handler)
            if "smithy-rpc-v2-cbor" in service.protocols:
                path = f"/service/{service.target_prefix}/operation/{name}"
                self._by_path[path] = Route(service, name, "smithy-rpc-v2-cbor", handler)

    def find(self, request: Request) -> Route:
        """The route; always one. Raises SerializationException for a form that is none."""
        target = request.headers.get("x-amz-target")
        if target is not None:
            return self._by_target.get(target) or self._unknown_target(target)
        if request.path.startswith("/service/"):
            known = self._by_path.get(request.path)
            return known or Route(None, request.path[:128], "smithy-rpc-v2-cbor", None)
        fields = codecs.form_fields(request) if _is_form(request) else {}
        if "Action" in fields:
            return self._by_query(fields, request)
        return Route(None, f"{request.method[:16]} {request.path[:128]}", "json", None)

    def _unknown_target(self, target: str) -> Route:
        prefix, _, name = target.rpartition(".")
        service = self._by_prefix.get(prefix) if prefix else None
        return Route(service, name[:128] if service else target[:128], "json", None)

    def _by_query(self, fields: dict[str, str], request: Request) -> Route:
        action, version = fields["Action"], fields.get("Version", "")
        signed_for = scope_service(request)
        for service in self._query_services:
            # Two services may sign with one name: the classic load balancers' API is told by its version.
            is_asked = version in ("", service.api_version) and service.signing_name == signed_for
            if is_asked or (signed_for is None and service.api_version == version):
                known = self._by_action.get((service.signing_name, action))
                return known or Route(service, action[:128], _form_protocols(service)[0], None)
        return Route(None, f"{signed_for or 'unknown'}:{action[:128]}", "query", None)


def _form_protocols(service: Service) -> list[str]:
    return [protocol for protocol in service.protocols if protocol in ("query", "ec2")]


def _is_form(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return "Action=" in request.query_string or content_type.startswith("application/x-www-form-urlencoded")


def scope_service(request: Request) -> str | None:
    """The service in the credential scope, unverified: `…/20261123/us-east-1/SERVICE/aws4_request`; None if unsigned."""
    authorization = request.headers.get("authorization", "")
    _, _, credential = authorization.partition("Credential=")
    if not credential and "X-Amz-Credential=" in request.query_string:
        try:
            credential = read_form(request.query_string).get("X-Amz-Credential", "")
        except ApiError:
            return None
    pieces = credential.split(",", 1)[0].strip().split("/")
    return pieces[-2] if len(pieces) >= 5 else None
