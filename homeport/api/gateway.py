"""The front door: a request goes through a list of steps, each of which may refuse it.

route, verify the signature, decode, authorize, execute, encode. An error of any step becomes the answer in the
protocol's own form; only `api.errors` knows how. Nothing is answered before the store is durable up to the version
that the answer was computed from (the output-commit rule), reads included.
"""

import importlib
from collections.abc import Iterable
from typing import Any

from homeport.api import codecs, errors
from homeport.api.authorize import authorize
from homeport.api.operation import HANDLERS, Context, Handler, World
from homeport.api.request import Request, Response
from homeport.api.route import Route, Router
from homeport.api.sigv4 import Signatures
from homeport.base import metrics
from homeport.base.errors import ApiError
from homeport.base.log import get_logger
from homeport.shapes import acm, ec2, ecs, elbv2, homeport, logs, sts
from homeport.shapes.spec import Service

log = get_logger("api")

#: AWS's services and our own behind the front door, and the packages whose import declares their handlers.
SERVICES: tuple[Service, ...] = (
    ecs.SERVICE,
    elbv2.SERVICE,
    acm.SERVICE,
    ec2.SERVICE,
    logs.SERVICE,
    sts.SERVICE,
)
OWN_SERVICES: tuple[Service, ...] = (homeport.SERVICE,)
HANDLER_PACKAGES = (
    "homeport.api.ecs",
    "homeport.api.elbv2",
    "homeport.api.acm",
    "homeport.api.ec2",
    "homeport.api.logs",
    "homeport.api.sts",
    "homeport.api.homeport",
)
#: The route of a request that could not even be read.
NOWHERE = Route(None, "unknown", "json", None)


def import_handlers() -> None:
    """Declare every handler (each checks itself against the model as it is imported)."""
    for package in HANDLER_PACKAGES:
        importlib.import_module(package)


class Gateway:
    """Answers requests for one region. Safe to call concurrently from one event loop."""

    def __init__(self, world: World, *, services: Iterable[Service] = (*SERVICES, *OWN_SERVICES)) -> None:
        import_handlers()
        self.services = tuple(services)
        self._world = world
        self._router = Router(self.services, HANDLERS)
        self._signatures = Signatures(world.store, world.sealer, world.arns, world.clock)

    async def handle(self, request: Request) -> Response:
        """The answer, always: an error is an answer too."""
        clock = self._world.clock
        started = clock.monotonic()
        request_id = self._world.ids.uuid()
        route, code = NOWHERE, ""
        try:
            route = self._router.find(request)
            response = await self._serve(route, request, request_id)
        except ApiError as error:
            code = error.code
            response = self.refusal(error, request, request_id, route)
        except Exception:  # whatever it is, the caller gets an answer and the log the reason
            code = "InternalFailure"
            log.exception("request_failed", request_id=request_id, operation=route.operation)
            response = self.refusal(_internal_failure(route), request, request_id, route)
        if code:
            metrics.API_REQUESTS.labels(*route.labels, code).inc()
        else:
            route.succeeded.inc()
        route.seconds.observe(clock.monotonic() - started)
        log.debug("request", request_id=request_id, operation=route.operation, status=response.status, code=code)
        return response

    def health(self) -> dict[str, Any]:
        """Liveness for monitors: that we answer, which version, and which services."""
        services = {service.name: "available" for service in self.services}
        return {"status": "running", "version": self._world.version, "services": services}

    def admit(self, request: Request, operation: str) -> Response | None:
        """Whether an agent may open its websocket (an ECS operation to IAM): None, or the answer that refuses it."""
        try:
            identity = self._signatures.verify(request, ecs.SERVICE.signing_name)
            authorize(identity, ecs.SERVICE.name, operation)
        except ApiError as error:
            return self.refusal(error, request, self._world.ids.uuid(), NOWHERE)
        return None

    def refusal(self, error: ApiError, request: Request, request_id: str, route: Route = NOWHERE) -> Response:
        """The answer that carries an error, in the form of the route's protocol."""
        service = route.service
        return errors.encode_error(
            error,
            protocol=route.protocol,
            request_id=request_id,
            xml_namespace=service.xml_namespace if service else "",
            is_query_compatible=service is not None and route.protocol != "query" and "query" in service.protocols,
            json_content_type=codecs.json_content_type(request),
        )

    async def _serve(self, route: Route, request: Request, request_id: str) -> Response:
        service, handler, codec = route.service, route.handler, route.codec
        identity = self._signatures.verify(request, service.signing_name if service else None)
        if service is None or handler is None or codec is None:
            raise route.refusal()
        wanted = codec.decode(request)
        authorize(identity, service.name, route.operation, wanted)
        context = Context(self._world, identity, request_id, request.endpoint)
        try:
            answer = await self._execute(handler, context, wanted, is_async=route.is_async)
        finally:
            # An error, too, tells of the state it was computed from.
            await self._world.store.durable(self._world.store.version)
        return codec.encode(answer, request, request_id)

    async def _execute(self, handler: Handler, context: Context, wanted: Any, *, is_async: bool) -> Any:
        store, function = self._world.store, handler.function
        if is_async:
            return await function(context, wanted)
        if handler.spec.read_only:
            return function(context, store.look(), wanted)
        answer, _ = store.update(lambda tx: function(context, tx, wanted))
        return answer


def _internal_failure(route: Route) -> ApiError:
    """Our own failure under the name that the operation declares for it."""
    declares = route.handler is not None and errors.ServerException.code in route.handler.spec.errors
    kind = errors.ServerException if declares else errors.InternalFailure
    return kind(errors.INTERNAL_MESSAGE)
