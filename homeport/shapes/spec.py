"""How a service and its operations are described; the generated modules are tables of these."""

from typing import Any, NamedTuple

import msgspec


class Paginator(NamedTuple):
    """Wire names of the members by which an operation pages."""

    input_token: str
    output_token: str
    limit_key: str | None
    result_key: str


class Operation(NamedTuple):
    """One operation of the model. `errors` are the codes it may answer; `token` its idempotency member, if any."""

    name: str
    input: type[msgspec.Struct]
    output: type[msgspec.Struct]
    errors: tuple[str, ...]
    paginator: Paginator | None
    token: str | None
    read_only: bool


class Service(NamedTuple):
    """A service as clients address it. `protocols` in botocore's order of preference; `target_prefix` of JSON 1.1."""

    name: str
    signing_name: str
    api_version: str
    protocols: tuple[str, ...]
    target_prefix: str
    xml_namespace: str
    operations: dict[str, Operation]
    unserved: frozenset[str]


def empty(struct: type[msgspec.Struct]) -> Any:
    """An instance with no member set (answers of operations that return nothing)."""
    return struct()
