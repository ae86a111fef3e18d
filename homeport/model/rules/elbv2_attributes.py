"""Attributes of load balancers, target groups and listeners: every key, its default, what it may be, what it does here.

`effect` says what became of it: ENACTED (the data plane or the control plane does it), HARMLESS (it may be set and is
given back; there is nothing here for it to act on, which the table says), or REFUSED (any value but the default is an
error, because ignoring it would change what callers get). Source: API reference of LoadBalancerAttribute,
TargetGroupAttribute and ListenerAttribute.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from homeport.model.load_balancer import Listener, LoadBalancer, TargetGroup
from homeport.shapes import elbv2 as shapes

ENACTED, HARMLESS, REFUSED = "enacted", "harmless", "refused"
_STREAM = ("TCP", "TLS", "UDP", "TCP_UDP")


class Attribute(NamedTuple):
    """`allowed` tells whether a value may be; `effect` and `why` are what this file is about."""

    default: str
    allowed: Callable[[str], bool]
    effect: str
    why: str = ""


Table = dict[str, Attribute]


def _one_of(*values: str) -> Callable[[str], bool]:
    return lambda value: value in values


def _between(low: int, high: int, *words: str) -> Callable[[str], bool]:
    return lambda value: value in words or (bool(re.fullmatch(r"[0-9]{1,9}", value)) and low <= int(value) <= high)


def _text(value: str) -> bool:
    return len(value) <= 1024


def _header_value(value: str) -> bool:
    """ELB's characters, at most 1 KiB; empty: the header is left as the target sent it."""
    return bool(re.fullmatch(r"[A-Za-z0-9_ :;.,\\/'?!(){}\[\]@<>=\-+*#&`|~^%]{0,1024}", value))


#: Headers that say how a request is to be read, or that ELB writes itself: none of them can carry something else.
_OTHERS_HEADERS = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto",
})  # fmt: skip


def _header_name(value: str) -> bool:
    """Empty: the default name."""
    return bool(re.fullmatch(r"[A-Za-z0-9_-]{0,1024}", value)) and value.lower() not in _OTHERS_HEADERS


_switch = _one_of("true", "false")
_NO_ZONES = "one address serves all zones"
_FAILS_OPEN = "below it all targets but draining ones get requests, and none is cut; open connections stay"
#: What a change does to connections of clients.
_STAY_OPEN = "a change holds from the next request on; open connections stay"
_ASKED_TO_CLOSE = "a change asks open connections to close after an answer, and ends those left after 300 s"


_BALANCER: Table = {
    "access_logs.s3.enabled": Attribute("false", _switch, ENACTED, "a file per bucket and prefix"),
    "access_logs.s3.bucket": Attribute("", _text, ENACTED, "names the file"),
    "access_logs.s3.prefix": Attribute("", _text, ENACTED, "names the file"),
    "deletion_protection.enabled": Attribute("false", _switch, ENACTED),
    "ipv6.deny_all_igw_traffic": Attribute("false", _switch, HARMLESS, "there is no IPv6"),
    "zonal_shift.config.enabled": Attribute("false", _switch, HARMLESS, _NO_ZONES),
}
APPLICATION: Table = {
    **_BALANCER,
    "load_balancing.cross_zone.enabled": Attribute("true", _one_of("true"), ENACTED),
    "client_keep_alive.seconds": Attribute("3600", _between(60, 604800), ENACTED),
    "connection_logs.s3.enabled": Attribute(
        "false", _switch, ENACTED, f"a file; an entry when one ends; {_ASKED_TO_CLOSE}"
    ),
    "connection_logs.s3.bucket": Attribute("", _text, ENACTED, "names the file"),
    "connection_logs.s3.prefix": Attribute("", _text, ENACTED, "names the file"),
    "idle_timeout.timeout_seconds": Attribute("60", _between(1, 4000), ENACTED),
    "routing.http.desync_mitigation_mode": Attribute(
        "defensive", _one_of("monitor", "defensive", "strictest"), REFUSED, "ambiguous requests are always refused"
    ),
    "routing.http.drop_invalid_header_fields.enabled": Attribute("false", _switch, ENACTED, _ASKED_TO_CLOSE),
    "routing.http.preserve_host_header.enabled": Attribute(
        "false", _switch, HARMLESS, "the Host header is always preserved"
    ),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": Attribute("false", _switch, ENACTED, _STAY_OPEN),
    "routing.http.xff_client_port.enabled": Attribute("false", _switch, ENACTED, _ASKED_TO_CLOSE),
    "routing.http.xff_header_processing.mode": Attribute("append", _one_of("append", "preserve", "remove"), ENACTED),
    "routing.http2.enabled": Attribute("true", _switch, ENACTED),
    "waf.fail_open.enabled": Attribute("false", _switch, HARMLESS, "no WAF can be attached"),
}
NETWORK: Table = {
    **_BALANCER,
    "load_balancing.cross_zone.enabled": Attribute("false", _switch, HARMLESS, _NO_ZONES),
    "dns_record.client_routing_policy": Attribute(
        "any_availability_zone",
        _one_of("any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"),
        HARMLESS,
        _NO_ZONES,
    ),
    "secondary_ips.auto_assigned.per_subnet": Attribute(
        "0", _between(0, 7), HARMLESS, "ports to targets are not allocated per address"
    ),
}

_TARGET_GROUP: Table = {
    "deregistration_delay.timeout_seconds": Attribute("300", _between(0, 3600), ENACTED),
    "stickiness.enabled": Attribute("false", _switch, ENACTED),
    "load_balancing.cross_zone.enabled": Attribute(
        "use_load_balancer_configuration",
        _one_of("true", "false", "use_load_balancer_configuration"),
        HARMLESS,
        _NO_ZONES,
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.count": Attribute(
        "1", _between(1, 1_000_000, "off"), HARMLESS, _NO_ZONES
    ),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": Attribute(
        "off", _between(1, 100, "off"), HARMLESS, _NO_ZONES
    ),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": Attribute(
        "1", _between(1, 1_000_000), ENACTED, _FAILS_OPEN
    ),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": Attribute(
        "off", _between(1, 100, "off"), ENACTED, _FAILS_OPEN
    ),
}
HTTP_TARGETS: Table = {
    **_TARGET_GROUP,
    "stickiness.type": Attribute("lb_cookie", _one_of("lb_cookie", "app_cookie"), ENACTED, "app_cookie is refused"),
    "stickiness.lb_cookie.duration_seconds": Attribute("86400", _between(1, 604800), ENACTED),
    "stickiness.app_cookie.cookie_name": Attribute("", _text, HARMLESS, "app_cookie stickiness cannot be enabled"),
    "stickiness.app_cookie.duration_seconds": Attribute(
        "86400", _between(1, 604800), HARMLESS, "app_cookie stickiness cannot be enabled"
    ),
    "load_balancing.algorithm.type": Attribute(
        "round_robin", _one_of("round_robin", "least_outstanding_requests", "weighted_random"), ENACTED
    ),
    "load_balancing.algorithm.anomaly_mitigation": Attribute("off", _one_of("on", "off"), REFUSED),
    "slow_start.duration_seconds": Attribute("0", lambda value: value == "0" or _between(30, 900)(value), ENACTED),
}
STREAM_TARGETS: Table = {
    **_TARGET_GROUP,
    "stickiness.type": Attribute("source_ip", _one_of("source_ip"), ENACTED),
    "deregistration_delay.connection_termination.enabled": Attribute(
        "false", _switch, ENACTED, "cut within two seconds; a change holds for connections made after it"
    ),
    "preserve_client_ip.enabled": Attribute("false", _switch, REFUSED, "targets see the load balancer's address"),
    "proxy_protocol_v2.enabled": Attribute("false", _switch, ENACTED),
    "target_health_state.unhealthy.connection_termination.enabled": Attribute(
        "true", _switch, ENACTED, "cut within two seconds, unless the group fails open"
    ),
    "target_health_state.unhealthy.draining_interval_seconds": Attribute(
        "0", _between(0, 360_000), ENACTED, "cut within two seconds of its end, unless the group fails open"
    ),
}

_MOVES = "datagrams go to another target as soon as theirs drains or is unhealthy"
DATAGRAM_TARGETS: Table = {
    **STREAM_TARGETS,
    "deregistration_delay.connection_termination.enabled": Attribute("true", _switch, REFUSED, _MOVES),
    "proxy_protocol_v2.enabled": Attribute("false", _switch, REFUSED, "datagrams get no PROXY header"),
    "target_health_state.unhealthy.connection_termination.enabled": Attribute("false", _one_of("false"), ENACTED),
    "target_health_state.unhealthy.draining_interval_seconds": Attribute("0", _between(0, 360_000), REFUSED, _MOVES),
}

#: Attributes whose values are headers of every answer.
RESPONSE_HEADERS = tuple(f"routing.http.response.{name}.header_value" for name in (
    "strict_transport_security", "access_control_allow_origin", "access_control_allow_methods",
    "access_control_allow_headers", "access_control_allow_credentials", "access_control_expose_headers",
    "access_control_max_age", "content_security_policy", "x_content_type_options", "x_frame_options",
))  # fmt: skip
_CERTIFICATE_HEADERS = (
    "x_amzn_mtls_clientcert_serial_number", "x_amzn_mtls_clientcert_issuer", "x_amzn_mtls_clientcert_subject",
    "x_amzn_mtls_clientcert_validity", "x_amzn_mtls_clientcert_leaf", "x_amzn_mtls_clientcert",
)  # fmt: skip
_TLS_HEADERS = ("x_amzn_tls_version", "x_amzn_tls_cipher_suite")
HTTP_LISTENER: Table = {
    "routing.http.response.server.enabled": Attribute("true", _switch, ENACTED, _ASKED_TO_CLOSE),
    **{name: Attribute("", _header_value, ENACTED, _STAY_OPEN) for name in RESPONSE_HEADERS},
}


def _request_headers(names: Iterable[str], effect: str, why: str) -> Table:
    return {
        f"routing.http.request.{name}.header_name": Attribute(
            "-".join(part.capitalize() for part in name.split("_")), _header_name, effect, why
        )
        for name in names
    }


HTTPS_LISTENER: Table = {
    **HTTP_LISTENER,
    **_request_headers(_CERTIFICATE_HEADERS, REFUSED, "there is no mutual TLS"),
    **_request_headers(_TLS_HEADERS, ENACTED, _STAY_OPEN),
}
TCP_LISTENER: Table = {"tcp.idle_timeout.seconds": Attribute("350", _between(60, 6000), ENACTED)}


def balancer_table(kind: str) -> Table:
    """`kind` is application or network."""
    return APPLICATION if kind == "application" else NETWORK


def target_group_table(protocol: str, target_type: str) -> Table:
    """AWS keeps the client's address by default for most TCP groups; here the default is the one that is true."""
    del target_type
    if protocol not in _STREAM:
        return HTTP_TARGETS
    return DATAGRAM_TARGETS if protocol in ("UDP", "TCP_UDP") else STREAM_TARGETS


def listener_table(protocol: str) -> Table:
    """UDP and TLS listeners have no attributes of their own."""
    return {"HTTP": HTTP_LISTENER, "HTTPS": HTTPS_LISTENER, "TCP": TCP_LISTENER, "TCP_UDP": TCP_LISTENER}.get(
        protocol, {}
    )


def defaults(table: Table) -> dict[str, str]:
    return {key: attribute.default for key, attribute in table.items()}


def table_of(row: LoadBalancer | TargetGroup | Listener) -> Table:
    if isinstance(row, LoadBalancer):
        return balancer_table(row.type)
    if isinstance(row, TargetGroup):
        return target_group_table(row.protocol, row.target_type)
    return listener_table(row.protocol)


def effective(row: LoadBalancer | TargetGroup | Listener) -> dict[str, str]:
    """Every attribute of the row's kind with its value."""
    table = table_of(row)
    return {**defaults(table), **{key: value for key, value in row.attributes.items() if key in table}}


def changed(table: Table, present: Mapping[str, str], given: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """The attributes after a Modify…Attributes; raises InvalidConfigurationRequest for one that may not be."""
    result = {**defaults(table), **present}
    for key, value in given:
        attribute = table.get(key or "")
        if attribute is None:
            raise shapes.InvalidConfigurationRequestException(f"The attribute key '{key}' is not valid")
        if not attribute.allowed(value or ""):
            raise shapes.InvalidConfigurationRequestException(
                f"The attribute value '{value or ''}' is not valid for the key '{key}'"
            )
        text = value or attribute.default
        if attribute.effect == REFUSED and text != attribute.default:
            raise shapes.InvalidConfigurationRequestException(
                f"Homeport does not support the value '{text}' of the attribute '{key}'; only '{attribute.default}'"
            )
        result[key or ""] = text
    _check_together(result)
    return result


def _check_together(attributes: Mapping[str, str]) -> None:
    """What AWS, or Homeport, allows only with something else."""
    for kind in ("access", "connection"):
        if attributes.get(f"{kind}_logs.s3.enabled") == "true" and not attributes[f"{kind}_logs.s3.bucket"]:
            raise shapes.InvalidConfigurationRequestException(f"The {kind} logs bucket name cannot be empty")
    if attributes.get("stickiness.enabled") == "true" and attributes["stickiness.type"] == "app_cookie":
        raise shapes.InvalidConfigurationRequestException("Homeport does not support app_cookie stickiness")
    unhealthy = "target_health_state.unhealthy"
    terminates = attributes.get(f"{unhealthy}.connection_termination.enabled") == "true"
    if terminates and attributes[f"{unhealthy}.draining_interval_seconds"] != "0":
        raise shapes.InvalidConfigurationRequestException(
            "You cannot have both connection termination and a draining interval for unhealthy targets"
        )
    names = [attributes.get(f"routing.http.request.{name}.header_name", name).lower() for name in _TLS_HEADERS]
    if names[0] == names[1]:
        raise shapes.InvalidConfigurationRequestException("The header names of TLS version and cipher must differ")
    slow = attributes.get("slow_start.duration_seconds", "0")
    if slow != "0" and attributes["load_balancing.algorithm.type"] != "round_robin":
        raise shapes.InvalidConfigurationRequestException(
            "Slow start is only supported with the load balancing algorithm 'round_robin'"
        )
