"""The load balancers' data plane: listeners, rules and targets as data, applied live.

One call, `apply`, takes the whole desired configuration; the driver finds what changed. Nothing here knows of AWS's
ARNs or of tasks: ids are opaque, conditions and actions carry ELB's meaning in the simplest form that serves it.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from homeport.base.errors import Permanent


class Rejected(Permanent):
    """The data plane refused an update and keeps serving the former one; the text is its own.

    `ids` are the listeners and target groups that may be to blame; empty when it cannot be told.
    """

    def __init__(self, text: str, ids: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.ids = ids


class Target(Struct, frozen=True, kw_only=True):
    """One address behind a target group. `health` is healthy, unhealthy or draining (no new requests, old ones go on).

    `cut`: its open connections end, too, unless its group fails open; for targets of network load balancers.
    """

    host: str
    port: int
    health: str = "healthy"
    weight: int = 1
    cut: bool = False


class TargetGroup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where requests go. `protocol` HTTP, HTTPS, TCP, TLS, UDP or TCP_UDP; `protocol_version` HTTP1, HTTP2 or GRPC.

    `algorithm` round_robin, least_outstanding_requests or weighted_random. `sticky_cookie` set for cookie stickiness
    (`sticky_seconds` 0: a session cookie); `sticky_by_source` for NLB's source_ip stickiness.

    With fewer healthy targets than `minimum_healthy_count`, or a lower share than `minimum_healthy_percent`, it fails
    open: all targets but draining ones get requests. `cut_on_deregistration`: a target that goes loses its connections.
    """

    id: str
    protocol: str
    protocol_version: str = "HTTP1"
    algorithm: str = "round_robin"
    slow_start_seconds: int = 0
    sticky_cookie: str | None = None
    sticky_seconds: int = 0
    sticky_by_source: bool = False
    proxy_protocol_v2: bool = False
    minimum_healthy_count: int = 1
    minimum_healthy_percent: int = 0
    cut_on_deregistration: bool = False
    targets: tuple[Target, ...] = ()

    @property
    def fails_open(self) -> bool:
        registered = [target for target in self.targets if target.health != "draining"]
        healthy = sum(target.health == "healthy" for target in registered)
        is_share_low = healthy * 100 < self.minimum_healthy_percent * len(registered)
        return healthy < self.minimum_healthy_count or is_share_low


class Condition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`field` is host, path, method, query, source-ip or header (then `name` is the header's). Values are alternatives.

    Host, path, header and query values may hold `*` and `?`. A query value is `KEY=VALUE`, or `=VALUE` for any key.
    `is_regex`: the values are regular expressions instead, found anywhere in the text (host, path and header only).
    """

    field: str
    values: tuple[str, ...]
    name: str = ""
    is_regex: bool = False


class WeightedGroup(Struct, frozen=True, kw_only=True):
    target_group_id: str
    weight: int = 1


class Forward(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="forward"):
    """`sticky_seconds` > 0 keeps a client on the group it was first given (cookie AWSALBTG)."""

    groups: tuple[WeightedGroup, ...]
    sticky_seconds: int = 0


class Redirect(Struct, frozen=True, kw_only=True, tag="redirect"):
    """ELB's templates: `#{protocol}`, `#{host}`, `#{path}` (without its leading slash), `#{query}`.

    The location always tells the port, as ELB's does, which need not suit the protocol: HTTPS alone, set on port 80,
    leads to port 80.
    """

    status: int = 302
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: int
    path: str = "/#{path}"
    query: str = "#{query}"


class FixedResponse(Struct, frozen=True, kw_only=True, tag="fixed"):
    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | FixedResponse


class Rule(Struct, frozen=True, kw_only=True):
    """All conditions must hold; rules are tried by rising priority."""

    priority: int
    conditions: tuple[Condition, ...]
    action: Action


class Certificate(Struct, frozen=True, kw_only=True):
    """PEM texts; `names` are the server names (SNI) it is chosen by, empty for the default certificate."""

    id: str
    chain_pem: str
    key_pem: str
    names: tuple[str, ...] = ()


class Listener(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`protocol` HTTP, HTTPS, TCP, TLS, UDP or TCP_UDP. For all but the first two the default action is a Forward.

    `http2` is about HTTPS, `alpn` (protocols to offer, best first) about TLS. `xff_mode` append, preserve or remove.
    `response_headers` (name, value) are set on every answer; `server_header`: whether answers that name no server name
    ELB. `load_balancer` names it in logs, `dns_name` where a client of HTTP/1.0 did not say whom it asks. `tls_version_header` and `tls_cipher_header` name what tells targets of the
    client's TLS (empty: nothing does).
    """

    id: str
    address: str
    port: int
    protocol: str
    default: Action
    rules: tuple[Rule, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    tls_minimum: str = "TLSv1_2"
    tls_maximum: str = "TLSv1_3"
    tls_ciphers: tuple[str, ...] = ()
    http2: bool = True
    alpn: tuple[str, ...] = ()
    idle_timeout_seconds: int = 60
    client_keep_alive_seconds: int = 3600
    access_log_path: str | None = None
    connection_log_path: str | None = None
    load_balancer: str = ""
    dns_name: str = ""
    drop_invalid_headers: bool = False
    xff_mode: str = "append"
    xff_client_port: bool = False
    response_headers: tuple[tuple[str, str], ...] = ()
    server_header: bool = True
    tls_version_header: str = ""
    tls_cipher_header: str = ""


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything one data plane serves. Listeners may only name target groups that are there."""

    listeners: tuple[Listener, ...] = ()
    target_groups: tuple[TargetGroup, ...] = ()


class Balancer(Protocol):
    """One data plane. `apply` is idempotent and returns once the data plane serves the configuration."""

    async def prepare(self) -> None:
        """Do what makes the first real configuration slow, while nobody waits for it yet."""
        ...

    async def apply(self, configuration: Configuration) -> None:
        """Raises Rejected (the text names the part), Transient while the data plane is not connected."""
        ...

    def is_connected(self) -> bool: ...

    def on_connected(self, callback: Callable[[], None]) -> None:
        """Call back whenever the data plane has (re)connected: what it says to the configuration may have changed."""
        ...

    async def close(self) -> None: ...
