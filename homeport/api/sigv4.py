"""Who signed a request: Signature Version 4, in the Authorization header or in the URL (presigned).

The caller's canonical form is rebuilt and signed with the secret that we know; equal signatures prove the caller.
Everything that repeats is kept: what an Authorization header says apart from its signature (the same all day for one
client), the derived signing key of the day, the reading of a time stamp. The caches are bounded and are emptied when
full. Source: IAM User Guide, "AWS Signature Version 4 for API requests".
"""

import hashlib
import hmac
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar

from homeport.api.canonical import (
    ALGORITHM,
    canonical_query,
    canonical_request,
    query_pairs,
    read_stamp,
    sign,
    signing_key,
    write_stamp,
)
from homeport.api.errors import (
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    RequestExpired,
    UnrecognizedClientException,
)
from homeport.api.operation import Identity
from homeport.api.request import Request
from homeport.base.arn import Arns
from homeport.base.clock import Clock
from homeport.base.seal import Sealer
from homeport.base.session import open_session
from homeport.model.account import AccessKey
from homeport.store.store import Store

#: Purpose under which the secrets of access keys are sealed.
ACCESS_KEY_PURPOSE = "access-key"
#: Seconds by which a request's date may differ from ours.
SKEW_SECONDS = 15 * 60
_PRESIGNED_MOST_SECONDS = 7 * 24 * 3600
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_CACHE_LIMIT = 4096
_UNKNOWN_KEY = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
K = TypeVar("K")
V = TypeVar("V")


class Claim(NamedTuple):
    """What a signed request says of its signature. `scope` is `DATE/REGION/SERVICE/aws4_request`."""

    access_key_id: str
    scope: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]


class Signed(NamedTuple):
    """A claim with what changes from request to request. `expires_in` (seconds) only when presigned."""

    claim: Claim
    signature: str
    stamp: str
    instant: float
    token: str | None
    query: str
    expires_in: int | None


class _Key(NamedTuple):
    """A derived signing key; `row` is the access key's row it was derived from (None: a session's)."""

    row: AccessKey | None
    signing_key: bytes
    identity: Identity
    expires_at: float | None


class Signatures:
    """Verifies requests for one region. Secrets are opened once and stay in memory as derived keys only."""

    def __init__(self, store: Store, sealer: Sealer, arns: Arns, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._arns = arns
        self._clock = clock
        self._claims: dict[str, Claim] = {}
        self._keys: dict[tuple[str, str, str | None], _Key] = {}
        self._instants: dict[str, float] = {}

    def verify(self, request: Request, service: str | None) -> Identity:
        """The caller. `service` is the name it must have signed for (None: any). Raises the error for each fault."""
        signed = self._signed(request)
        now = self._clock.now()
        _check_time(signed, now)
        self._check_scope(signed, service)
        _check_signed_headers(signed, request)
        key = self._key(signed, now)
        payload_hash = _payload_hash(request)
        text = canonical_request(request, signed.query, signed.claim.signed_headers, payload_hash)
        expected = sign(key.signing_key, signed.stamp, signed.claim.scope, text)
        if not hmac.compare_digest(expected.encode(), signed.signature.encode("utf-8", "replace")):
            raise InvalidSignatureException(_MISMATCH)
        if key.expires_at is not None and key.expires_at <= now:
            raise ExpiredTokenException("The security token included in the request is expired")
        return key.identity

    def _signed(self, request: Request) -> Signed:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return self._from_header(request, authorization)
        if "X-Amz-Signature=" in request.query_string or "X-Amz-Algorithm=" in request.query_string:
            return self._from_query(request)
        raise MissingAuthenticationTokenException("Missing Authentication Token")

    def _from_header(self, request: Request, authorization: str) -> Signed:
        headers = request.headers
        prefix, _, signature = authorization.partition("Signature=")
        claim = self._claims.get(prefix)
        if claim is None or "," in signature:
            claim, signature = _read_authorization(authorization)
            if authorization.endswith(signature):
                _bounded(self._claims)[prefix] = claim
        stamp = headers.get("x-amz-date") or _stamp_of_date(headers.get("date", ""))
        query = canonical_query(query_pairs(request.query_string)) if request.query_string else ""
        token = headers.get("x-amz-security-token")
        return Signed(claim, signature, stamp, self._instant(stamp), token, query, None)

    def _from_query(self, request: Request) -> Signed:
        pairs = query_pairs(request.query_string)
        fields = dict(pairs)
        names = ("Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires")
        missing = [f"'X-Amz-{name}'" for name in names if not fields.get(f"X-Amz-{name}")]
        if missing:
            raise IncompleteSignatureException(f"AWS query-string parameters must include {', '.join(missing)}.")
        if fields["X-Amz-Algorithm"] != ALGORITHM:
            raise IncompleteSignatureException(f"'X-Amz-Algorithm' must be '{ALGORITHM}'.")
        expires = fields["X-Amz-Expires"]
        if not (expires.isascii() and expires.isdigit() and 0 < int(expires[:9]) <= _PRESIGNED_MOST_SECONDS):
            raise IncompleteSignatureException("'X-Amz-Expires' must be a number of seconds from 1 to 604800.")
        stamp = fields["X-Amz-Date"]
        return Signed(
            _claim(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"]),
            fields["X-Amz-Signature"],
            stamp,
            self._instant(stamp),
            fields.get("X-Amz-Security-Token"),
            canonical_query([pair for pair in pairs if pair[0] != "X-Amz-Signature"]),
            int(expires[:9]),
        )

    def _instant(self, stamp: str) -> float:
        known = self._instants.get(stamp)
        if known is not None:
            return known
        instant = read_stamp(stamp)
        if instant is None:
            raise IncompleteSignatureException("Date must be in ISO-8601 'basic format', such as 20261123T015807Z.")
        _bounded(self._instants)[stamp] = instant
        return instant

    def _check_scope(self, signed: Signed, service: str | None) -> None:
        claim = signed.claim
        if claim.date != signed.stamp[:8]:
            raise InvalidSignatureException(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{claim.date}' != '{signed.stamp[:8]}', from '{signed.stamp}'."
            )
        if claim.region != self._arns.region:
            raise InvalidSignatureException(
                f"Credential should be scoped to a valid region. This endpoint is '{self._arns.region}', "
                f"not '{claim.region}'."
            )
        if service is not None and claim.service != service:
            raise InvalidSignatureException(f"Credential should be scoped to correct service: '{service}'.")

    def _key(self, signed: Signed, now: float) -> _Key:
        claim = signed.claim
        row = self._store.read.access_keys.get(claim.access_key_id) if signed.token is None else None
        if row is None and signed.token is None:
            raise UnrecognizedClientException(_UNKNOWN_KEY)
        place = (claim.access_key_id, claim.scope, signed.token)
        cached = self._keys.get(place)
        if cached is not None and cached.row is row:
            return cached
        key = self._key_of_row(claim, row) if row is not None else self._key_of_session(claim, signed.token or "", now)
        _bounded(self._keys)[place] = key
        return key

    def _key_of_row(self, claim: Claim, row: AccessKey) -> _Key:
        plain = self._sealer.open(ACCESS_KEY_PURPOSE, row.sealed_secret)
        if plain is None:
            raise UnrecognizedClientException(_UNKNOWN_KEY)
        identity = Identity(self._arns.account_id, row.principal_arn, row.access_key_id)
        return _Key(row, signing_key(plain.decode(), claim.date, claim.region, claim.service), identity, None)

    def _key_of_session(self, claim: Claim, token: str, now: float) -> _Key:
        opened = open_session(self._sealer, claim.access_key_id, token, now)
        if opened is None or opened.session.account_id != self._arns.account_id:
            raise UnrecognizedClientException(_UNKNOWN_KEY)
        session = opened.session
        identity = Identity(session.account_id, session.principal_arn, session.access_key_id, session.task_arn)
        secret = opened.secret_access_key
        return _Key(None, signing_key(secret, claim.date, claim.region, claim.service), identity, session.expires_at)


def _check_time(signed: Signed, now: float) -> None:
    if signed.instant > now + SKEW_SECONDS:
        raise InvalidSignatureException(
            f"Signature not yet current: {signed.stamp} is still later than {write_stamp(now + SKEW_SECONDS)} "
            f"({write_stamp(now)} + 15 min.)"
        )
    if signed.expires_in is not None:
        if signed.instant + signed.expires_in <= now:
            raise RequestExpired("Request has expired.")
    elif signed.instant < now - SKEW_SECONDS:
        raise InvalidSignatureException(
            f"Signature expired: {signed.stamp} is now earlier than {write_stamp(now - SKEW_SECONDS)} "
            f"({write_stamp(now)} - 15 min.)"
        )


def _check_signed_headers(signed: Signed, request: Request) -> None:
    """What says where the request goes and what it does must be part of what was signed."""
    names = signed.claim.signed_headers
    if "host" not in names:
        raise InvalidSignatureException("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if "x-amz-target" in request.headers and "x-amz-target" not in names:
        raise InvalidSignatureException("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")


def _payload_hash(request: Request) -> str:
    """The hash under which the body was signed; a header that names another than the body's is refused."""
    named = request.headers.get("x-amz-content-sha256")
    if named == "UNSIGNED-PAYLOAD":
        return named
    actual = hashlib.sha256(request.body).hexdigest() if request.body else _EMPTY_SHA256
    if named is not None and named.lower() != actual:
        raise InvalidSignatureException("The provided 'x-amz-content-sha256' header does not match what was computed.")
    return named or actual


def _read_authorization(text: str) -> tuple[Claim, str]:
    """Claim and signature of an Authorization header, whatever the order of its parts."""
    algorithm, _, rest = text.partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    faults = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if algorithm != ALGORITHM:
        faults.insert(0, f"Authorization header must start with '{ALGORITHM}'.")
    if faults:
        raise IncompleteSignatureException(" ".join(faults))
    return _claim(parts["Credential"], parts["SignedHeaders"]), parts["Signature"]


def _claim(credential: str, signed_headers: str) -> Claim:
    access_key_id, _, scope = credential.partition("/")
    pieces = scope.split("/")
    if len(pieces) != 4 or not access_key_id:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements: KEY-ID/DATE/REGION/SERVICE/aws4_request."
        )
    if pieces[3] != "aws4_request":
        raise InvalidSignatureException("Credential should be scoped with a valid terminator: 'aws4_request'.")
    names = tuple(signed_headers.lower().split(";"))
    return Claim(access_key_id, scope, pieces[0], pieces[1], pieces[2], names)


def _stamp_of_date(text: str) -> str:
    """The plain Date header (RFC 9110) as a time stamp, for clients that send no X-Amz-Date."""
    try:
        return write_stamp(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        raise IncompleteSignatureException(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ) from None


def _bounded(cache: dict[K, V]) -> dict[K, V]:
    """The cache, emptied if it is full."""
    if len(cache) >= _CACHE_LIMIT:
        cache.clear()
    return cache
