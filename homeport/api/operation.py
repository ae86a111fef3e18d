"""How a handler is declared, and what it is given.

A handler of a service that lives in the store is synchronous and runs inside one transaction (a read-only one gets
the tables without a transaction); a handler of a service kept elsewhere (CloudWatch Logs) is a coroutine function. The
model is checked at import: an unknown operation, or types that are not the model's, end the import.

    @operation(shapes.SERVICE, "RunTask")
    def run_task(ctx: Context, tx: Tx, request: shapes.RunTaskRequest) -> shapes.RunTaskResponse: ...
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.errors import Bug
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.drivers.logs import LogStore
from homeport.scheduler.fleet import Fleet
from homeport.shapes.spec import Operation, Service
from homeport.store.store import Store


@dataclass(frozen=True)
class Identity:
    """Who signed the request. `session_name` is set for temporary credentials; `task_arn` when a task's role signed."""

    account_id: str
    principal_arn: str
    access_key_id: str
    task_arn: str | None = None


@dataclass(frozen=True)
class World:
    """What outlives a request: made once by the server (or a test) and shared by every handler.

    `has_lambda`: an endpoint is configured at which lifecycle hooks of deployments call Lambda functions.
    """

    arns: Arns
    store: Store
    fleet: Fleet
    clock: Clock
    ids: Ids
    sealer: Sealer
    logs: LogStore
    version: str
    has_lambda: bool = False


@dataclass(frozen=True)
class Context:
    """One request's surroundings. `endpoint` is `http://HOST:PORT` as the caller addressed it."""

    world: World
    identity: Identity
    request_id: str
    endpoint: str

    @property
    def arns(self) -> Arns:
        return self.world.arns


@dataclass(frozen=True)
class Handler:
    """A declared operation: its function, its model, and whether it runs inside the store."""

    service: Service
    spec: Operation
    function: Callable[..., Any]

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)


HANDLERS: dict[tuple[str, str], Handler] = {}
F = TypeVar("F", bound=Callable[..., Any])


def operation(service: Service, name: str) -> Callable[[F], F]:
    """Register a function as the handler of `name`; checks its annotations against the model."""
    spec = service.operations[name]

    def declare(function: F) -> F:
        hints = get_type_hints(function)
        if hints.get("request") is not spec.input or hints.get("return") is not spec.output:
            raise Bug(
                f"{function.__qualname__}: {service.name}.{name} is {spec.input.__name__} -> {spec.output.__name__}"
            )
        if (service.name, name) in HANDLERS:
            raise Bug(f"{service.name}.{name} has two handlers")
        HANDLERS[(service.name, name)] = Handler(service, spec, function)
        return function

    return declare
