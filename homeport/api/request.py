"""A request and its answer without a socket: what the gateway sees in production, in tests and in simulation alike."""

from msgspec import Struct


class Request(Struct, frozen=True, gc=False):
    """`path` and `query_string` as they were sent (still percent-encoded); header names in lower case.

    A header that came several times stands once, its values joined by commas (RFC 9110, section 5.3).
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        """`http://HOST:PORT` as the caller addressed us."""
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}"


class Response(Struct, frozen=True, gc=False):
    """What goes back. Header names in the case in which AWS sends them."""

    status: int
    headers: dict[str, str]
    body: bytes
