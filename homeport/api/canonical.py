"""The arithmetic of Signature Version 4: canonical forms, derived keys, time stamps. Pure text to text.

Source: IAM User Guide, "Create a signed AWS API request". Checked against botocore's own signer in the tests.
"""

import calendar
import hashlib
import hmac
import re
import time
from urllib.parse import quote, unquote_plus

from homeport.api.request import Request

ALGORITHM = "AWS4-HMAC-SHA256"
_STAMP = re.compile(r"^[0-9]{8}T[0-9]{6}Z$")


def as_sent(text: str) -> bytes:
    """The bytes of a header or path as they came in: what was no UTF-8 is carried in surrogates until here."""
    return text.encode("utf-8", "surrogateescape")


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, as_sent(part), "sha256")
    return key


def sign(key: bytes, stamp: str, scope: str, canonical: str) -> str:
    """The signature of a canonical request, in hexadecimal."""
    digest = hashlib.sha256(as_sent(canonical)).hexdigest()
    return hmac.digest(key, as_sent(f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}"), "sha256").hex()


def canonical_request(request: Request, query: str, signed_headers: tuple[str, ...], payload_hash: str) -> str:
    """The text that is signed. `query` is already canonical; a signed header that is absent counts as empty."""
    headers = request.headers
    lines = "".join([f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed_headers])
    path = "/" if request.path == "/" else canonical_path(request.path)
    return f"{request.method}\n{path}\n{query}\n{lines}\n{';'.join(signed_headers)}\n{payload_hash}"


def canonical_path(path: str) -> str:
    """The path encoded once more, without dot segments and doubled slashes (every service but S3)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return _quoted("/" + "/".join(kept) + slash, "/~")


def query_pairs(query_string: str) -> list[tuple[str, str]]:
    """Names and values of a URL's query, decoded, in their order."""
    pairs = []
    for piece in query_string.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_unquoted(name), _unquoted(value)))
    return pairs


def canonical_query(pairs: list[tuple[str, str]]) -> str:
    """Pairs encoded and sorted by encoded name, then value."""
    encoded = sorted((_quoted(name, "-_.~"), _quoted(value, "-_.~")) for name, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded])


def _quoted(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def read_stamp(stamp: str) -> float | None:
    """`20261123T015807Z` as epoch seconds; None if it is not of that form."""
    if not _STAMP.match(stamp):
        return None
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None


def write_stamp(instant: float) -> str:
    """Epoch seconds as `20261123T015807Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(instant))
