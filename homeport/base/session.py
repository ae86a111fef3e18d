"""Temporary credentials that need no storage.

A session token is the session itself, sealed with the region's master key; the secret key is derived from the token
and the access key id. Whoever holds the key can therefore check a signature after a restart, or in another process,
without a row having been written when the credentials were made.
"""

import msgspec

from homeport.base.ids import Ids
from homeport.base.seal import Sealer

_TOKEN_PURPOSE = "session-token"  # noqa: S105 - the name of a purpose
_SECRET_PURPOSE = "session-secret"  # noqa: S105


class SessionCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller is handed; `expires_at` in epoch seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says: who may act until when. `task_arn` is set when the credentials are those of a task's role."""

    access_key_id: str
    principal_arn: str
    account_id: str
    expires_at: float
    task_arn: str | None = None


class OpenedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was ours. `is_expired` is told apart from forged because callers hear of it differently."""

    session: Session
    secret_access_key: str
    is_expired: bool


_decode = msgspec.json.Decoder(Session).decode


def mint_session(
    sealer: Sealer,
    ids: Ids,
    *,
    principal_arn: str,
    account_id: str,
    task_arn: str | None,
    now: float,
    lifetime: float,
) -> SessionCredentials:
    """New credentials for `principal_arn`, good for `lifetime` seconds from `now`."""
    access_key_id = "ASIA" + ids.letters(16)
    session = Session(
        access_key_id=access_key_id,
        principal_arn=principal_arn,
        account_id=account_id,
        expires_at=now + lifetime,
        task_arn=task_arn,
    )
    token = sealer.seal(_TOKEN_PURPOSE, msgspec.json.encode(session))
    return SessionCredentials(
        access_key_id=access_key_id,
        secret_access_key=sealer.derive(_SECRET_PURPOSE, token),
        session_token=token,
        expires_at=session.expires_at,
    )


def open_session(sealer: Sealer, access_key_id: str, token: str, now: float) -> OpenedSession | None:
    """The session that `token` holds, or None if it is not one of ours or belongs to another access key id."""
    plain = sealer.open(_TOKEN_PURPOSE, token)
    if plain is None:
        return None
    session = _decode(plain)
    if session.access_key_id != access_key_id:
        return None
    return OpenedSession(
        session=session,
        secret_access_key=sealer.derive(_SECRET_PURPOSE, token),
        is_expired=session.expires_at <= now,
    )
