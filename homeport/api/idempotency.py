"""Idempotency tokens: the same call made twice acts once.

A token is good within its operation and cluster. The same token with the same parameters gives the first call's
answer; with other parameters it is a ConflictException that names the resources of the first call.
Source: Developer Guide, "Ensuring idempotency in Amazon ECS API requests".
"""

import hashlib

import msgspec
from msgspec.structs import replace

from homeport.model.account import ClientToken
from homeport.shapes import ecs as shapes
from homeport.store.store import Tx

#: A RunTask token lives at most this long, in seconds.
TOKEN_LIFETIME = 24 * 3600.0


def fingerprint(request: msgspec.Struct) -> str:
    """A hash of everything the caller asked for."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()


def token_key(operation: str, scope_arn: str, token: str) -> str:
    return f"{operation}|{scope_arn}|{token}"


def remembered(
    tx: Tx, operation: str, scope_arn: str, token: str | None, request: msgspec.Struct
) -> tuple[str, ...] | None:
    """The ARNs with which this very call was answered before, or None if it is new (or carries no token).

    If the token came with other parameters: ConflictException where the operation declares it, else ClientException.
    """
    if not token:
        return None
    row = tx.client_tokens.get(token_key(operation, scope_arn, token))
    if row is None or row.expires_at <= tx.now:
        return None
    if row.fingerprint != fingerprint(request):
        message = "The client token was already used with different request parameters."
        if shapes.ConflictException.code in shapes.OPERATIONS[operation].errors:
            raise shapes.ConflictException(message, resourceIds=list(row.result))
        raise shapes.ClientException(message)
    return row.result


def remember(
    tx: Tx,
    operation: str,
    scope_arn: str,
    token: str | None,
    request: msgspec.Struct,
    result: tuple[str, ...],
    *,
    lifetime: float = TOKEN_LIFETIME,
) -> None:
    """Keep the ARNs that answered this call for `lifetime` seconds; nothing to do without a token."""
    if not token:
        return
    tx.client_tokens.put(
        ClientToken(
            key=token_key(operation, scope_arn, token),
            fingerprint=fingerprint(request),
            result=result,
            expires_at=tx.now + lifetime,
        )
    )


def shorten(tx: Tx, operation: str, scope_arn: str, token: str | None, expires_at: float) -> None:
    """Let a token expire no later than `expires_at` (RunTask: an hour after its last task stopped)."""
    row = tx.client_tokens.get(token_key(operation, scope_arn, token or ""))
    if row is not None and row.expires_at > expires_at:
        tx.client_tokens.put(replace(row, expires_at=expires_at))
