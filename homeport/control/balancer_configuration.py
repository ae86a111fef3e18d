"""Rows of load balancers as what a data plane shall serve (pure).

Each load balancer gives one part, so that what is wrong with one never holds up the others. Rows keep conditions and
actions by their wire names; here they get ELB's meaning. What is not there any more (a target group, a certificate) is
left out: the API does not let it happen, and a data plane that refuses everything would help nobody.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from homeport.drivers import balancer as driver
from homeport.model import load_balancer as model
from homeport.model.rules.elbv2_attributes import RESPONSE_HEADERS
from homeport.model.rules.elbv2_tls import DEFAULT_POLICY, POLICIES
from homeport.model.target_health import UNHEALTHY, unhealthy_draining_interval
from homeport.store.schema import Tables

Wire = Mapping[str, Any]
_FAIL_OPEN = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
_CUT_UNHEALTHY = "target_health_state.unhealthy.connection_termination.enabled"
_STREAM_IDLE_SECONDS = 350


class Surroundings(Struct, frozen=True, kw_only=True):
    """`open_key` gives the PEM of a sealed private key (None: it cannot be opened); `log_dir` holds access logs."""

    open_key: Callable[[str], str | None]
    log_dir: Path


def configurations(tables: Tables, around: Surroundings) -> dict[str, driver.Configuration]:
    """What every load balancer serves, by its ARN."""
    return {row.arn: _part(tables, row, around) for row in tables.load_balancers}


def whole(parts: Iterable[driver.Configuration]) -> driver.Configuration:
    """All parts as one; a target group that several use is there once."""
    groups: dict[str, driver.TargetGroup] = {}
    listeners: list[driver.Listener] = []
    for part in parts:
        groups |= {group.id: group for group in part.target_groups}
        listeners += part.listeners
    return driver.Configuration(listeners=tuple(listeners), target_groups=tuple(groups.values()))


def _part(tables: Tables, row: model.LoadBalancer, around: Surroundings) -> driver.Configuration:
    rows = sorted(tables.listeners.by(load_balancer_arn=row.arn), key=lambda each: each.arn)
    listeners = [listener for each in rows if (listener := _listener(tables, row, each, around)) is not None]
    used = {name: None for listener in listeners for name in _groups_of(listener)}
    groups = [_target_group(tables, found) for name in used if (found := tables.target_groups.get(name))]
    return driver.Configuration(listeners=tuple(listeners), target_groups=tuple(groups))


def _groups_of(listener: driver.Listener) -> list[str]:
    actions = [listener.default, *(rule.action for rule in listener.rules)]
    return [
        group.target_group_id for action in actions if isinstance(action, driver.Forward) for group in action.groups
    ]


# ---- listeners ------------------------------------------------------------------------------------------------------


def _listener(
    tables: Tables, balancer: model.LoadBalancer, row: model.Listener, around: Surroundings
) -> driver.Listener | None:
    """None for a secure listener whose certificates are all gone: it cannot shake hands with anybody."""
    certificates = _certificates(tables, row, around)
    if row.protocol in ("HTTPS", "TLS") and not certificates:
        return None
    settings = {**balancer.attributes, **row.attributes}
    is_stream = balancer.type != "application"
    return driver.Listener(
        id=row.arn,
        address=balancer.address,
        port=row.port,
        protocol=row.protocol,
        default=_default(tables, row, is_stream=is_stream),
        rules=() if is_stream else tuple(_rules(tables, row)),
        certificates=certificates,
        **tls_limits(row.ssl_policy),
        http2=settings.get("routing.http2.enabled", "true") == "true",
        alpn=alpn_protocols(row.alpn_policy),
        idle_timeout_seconds=_idle_seconds(settings, is_stream=is_stream),
        client_keep_alive_seconds=int(settings.get("client_keep_alive.seconds") or 3600),
        access_log_path=_log_file(balancer, "access_logs", around.log_dir),
        connection_log_path=None if is_stream else _log_file(balancer, "connection_logs", around.log_dir),
        load_balancer=balancer.arn.rpartition(":loadbalancer/")[2],
        dns_name=balancer.dns_name,
        drop_invalid_headers=settings.get("routing.http.drop_invalid_header_fields.enabled") == "true",
        xff_mode=settings.get("routing.http.xff_header_processing.mode") or "append",
        xff_client_port=settings.get("routing.http.xff_client_port.enabled") == "true",
        response_headers=_response_headers(settings),
        server_header=settings.get("routing.http.response.server.enabled", "true") == "true",
        **_tls_headers(settings),
    )


def _response_headers(settings: Wire) -> tuple[tuple[str, str], ...]:
    return tuple(
        (attribute.split(".")[-2].replace("_", "-"), value)
        for attribute in RESPONSE_HEADERS
        if (value := settings.get(attribute))
    )


def _tls_headers(settings: Wire) -> dict[str, Any]:
    """Off unless the load balancer says so; a listener may give them other names."""
    if settings.get("routing.http.x_amzn_tls_version_and_cipher_suite.enabled") != "true":
        return {}
    version, cipher = ("routing.http.request.x_amzn_tls_version", "routing.http.request.x_amzn_tls_cipher_suite")
    return {
        "tls_version_header": (settings.get(f"{version}.header_name") or "x-amzn-tls-version").lower(),
        "tls_cipher_header": (settings.get(f"{cipher}.header_name") or "x-amzn-tls-cipher-suite").lower(),
    }


def _default(tables: Tables, row: model.Listener, *, is_stream: bool) -> driver.Action:
    action = _action(tables, row.default_actions, row.port)
    return action if not is_stream or isinstance(action, driver.Forward) else driver.Forward(groups=())


def _idle_seconds(settings: Wire, *, is_stream: bool) -> int:
    if is_stream:
        return int(settings.get("tcp.idle_timeout.seconds") or _STREAM_IDLE_SECONDS)
    return int(settings.get("idle_timeout.timeout_seconds") or 60)


_LOG_FILES = {"access_logs": "{}.log", "connection_logs": "conn_log_{}.log"}


def _log_file(balancer: model.LoadBalancer, kind: str, log_dir: Path) -> str | None:
    """The bucket and prefix become folders of the log directory."""
    attributes = balancer.attributes
    if attributes.get(f"{kind}.s3.enabled") != "true":
        return None
    inside = [part for part in attributes.get(f"{kind}.s3.prefix", "").split("/") if part not in ("", ".", "..")]
    bucket = attributes.get(f"{kind}.s3.bucket", "").replace("/", "_").strip(".") or kind.replace("_", "-")
    return str(log_dir.joinpath(bucket, *inside, _LOG_FILES[kind].format(balancer.name)))


_TLS_NAMES = {"TLSv1": "TLSv1_0", "TLSv1.1": "TLSv1_1", "TLSv1.2": "TLSv1_2", "TLSv1.3": "TLSv1_3"}


def tls_limits(policy: str | None) -> dict[str, Any]:
    """What a security policy allows, as settings of a listener: versions, and ciphers of those below TLS 1.3."""
    known = POLICIES.get(policy or DEFAULT_POLICY, POLICIES[DEFAULT_POLICY])
    return {
        "tls_minimum": _TLS_NAMES[known.protocols[0]],
        "tls_maximum": _TLS_NAMES[known.protocols[-1]],
        "tls_ciphers": known.choosable_ciphers,
    }


def alpn_protocols(policy: tuple[str, ...]) -> tuple[str, ...]:
    """What a TLS listener offers in ALPN."""
    name = policy[0] if policy else "None"
    return {
        "HTTP1Only": ("http/1.1", "http/1.0"),
        "HTTP2Only": ("h2",),
        "HTTP2Optional": ("http/1.1", "http/1.0", "h2"),
        "HTTP2Preferred": ("h2", "http/1.1", "http/1.0"),
    }.get(name, ())


def _certificates(tables: Tables, row: model.Listener, around: Surroundings) -> tuple[driver.Certificate, ...]:
    """The first is the default; a server name that several cover goes to the earliest of the others."""
    result: list[driver.Certificate] = []
    taken: set[str] = set()
    for arn in row.certificates:
        found = tables.certificates.get(arn)
        key = around.open_key(found.sealed_key) if found else None
        if found is None or key is None:
            continue
        names = tuple(name.lower() for name in found.names or (found.domain_name,) if name.lower() not in taken)
        if result and not names:
            continue
        chain = "\n".join(text.strip() for text in (found.certificate_pem, found.chain_pem) if text.strip()) + "\n"
        result.append(
            driver.Certificate(
                id=found.arn, chain_pem=chain, key_pem=key, names=tuple(dict.fromkeys(names)) if result else ()
            )
        )
        if len(result) > 1:
            taken.update(names)
    return tuple(result)


# ---- rules ----------------------------------------------------------------------------------------------------------


def _rules(tables: Tables, row: model.Listener) -> list[driver.Rule]:
    rows = sorted(tables.rules.by(listener_arn=row.arn), key=lambda rule: rule.priority)
    return [
        driver.Rule(
            priority=rule.priority,
            conditions=tuple(each for wire in rule.conditions for each in conditions(wire)),
            action=_action(tables, rule.actions, row.port),
        )
        for rule in rows
    ]


_CONFIGS = {
    "host-header": ("host", "HostHeaderConfig"),
    "path-pattern": ("path", "PathPatternConfig"),
    "http-header": ("header", "HttpHeaderConfig"),
    "http-request-method": ("method", "HttpRequestMethodConfig"),
    "query-string": ("query", "QueryStringConfig"),
    "source-ip": ("source-ip", "SourceIpConfig"),
}


def conditions(wire: Wire) -> tuple[driver.Condition, ...]:
    """One condition of a rule; values stand in `Values` or in the member of its kind."""
    field, member = _CONFIGS[wire["Field"]]
    config: Wire = wire.get(member) or {}
    name = config.get("HttpHeaderName") or ""
    patterns = config.get("RegexValues") or wire.get("RegexValues") or ()
    if patterns:
        return (driver.Condition(field=field, values=tuple(patterns), name=name, is_regex=True),)
    values = config.get("Values") or wire.get("Values") or ()
    if field == "query":
        values = tuple(
            f"{value.get('Key') or ''}={value.get('Value') or ''}" if isinstance(value, Mapping) else value
            for value in values
        )
    return (driver.Condition(field=field, values=tuple(values), name=name),)


def _action(tables: Tables, actions: tuple[Wire, ...], port: int) -> driver.Action:
    """The last action by order is the one that answers (those before it authenticate). `port`: the listener's."""
    last = max(actions, key=lambda action: int(action.get("Order") or 0), default={})
    match last.get("Type"):
        case "redirect":
            return _redirect(last["RedirectConfig"], port)
        case "fixed-response":
            return _fixed_response(last["FixedResponseConfig"])
    return _forward(tables, last)


def _forward(tables: Tables, action: Wire) -> driver.Forward:
    config: Wire = action.get("ForwardConfig") or {}
    tuples: Iterable[Wire] = config.get("TargetGroups") or ({"TargetGroupArn": action.get("TargetGroupArn") or ""},)
    groups = tuple(
        driver.WeightedGroup(target_group_id=each["TargetGroupArn"], weight=_weight(each))
        for each in tuples
        if tables.target_groups.get(each["TargetGroupArn"])
    )
    sticky: Wire = config.get("TargetGroupStickinessConfig") or {}
    seconds = int(sticky.get("DurationSeconds") or 0) if sticky.get("Enabled") else 0
    return driver.Forward(groups=groups, sticky_seconds=seconds)


def _weight(group: Wire) -> int:
    weight = group.get("Weight")
    return 1 if weight is None else int(weight)


def _redirect(config: Wire, port: int) -> driver.Redirect:
    given = {
        name: config[member]
        for name, member in (("protocol", "Protocol"), ("host", "Host"), ("path", "Path"))
        if config.get(member)
    }
    query, wanted = config.get("Query"), config.get("Port") or "#{port}"
    return driver.Redirect(
        status=int(str(config["StatusCode"]).removeprefix("HTTP_")),
        port=port if wanted == "#{port}" else int(wanted),
        query="#{query}" if query is None else query,
        **given,
    )


def _fixed_response(config: Wire) -> driver.FixedResponse:
    return driver.FixedResponse(
        status=int(config["StatusCode"]),
        content_type=config.get("ContentType") or "text/plain",
        body=config.get("MessageBody") or "",
    )


# ---- target groups --------------------------------------------------------------------------------------------------


def _target_group(tables: Tables, row: model.TargetGroup) -> driver.TargetGroup:
    attributes = row.attributes
    sticky = attributes.get("stickiness.type", "lb_cookie") if attributes.get("stickiness.enabled") == "true" else ""
    targets = sorted(tables.targets.by(target_group_arn=row.arn), key=lambda target: target.key)
    return driver.TargetGroup(
        id=row.arn,
        protocol=row.protocol,
        protocol_version=row.protocol_version or "HTTP1",
        algorithm=attributes.get("load_balancing.algorithm.type") or "round_robin",
        slow_start_seconds=int(attributes.get("slow_start.duration_seconds") or 0),
        sticky_cookie="AWSALB" if sticky == "lb_cookie" else None,
        sticky_seconds=int(attributes.get(f"stickiness.{sticky}.duration_seconds") or 0),
        sticky_by_source=sticky.startswith("source_ip"),
        proxy_protocol_v2=attributes.get("proxy_protocol_v2.enabled") == "true",
        minimum_healthy_count=int(attributes.get(f"{_FAIL_OPEN}.count") or 1),
        minimum_healthy_percent=int(attributes.get(f"{_FAIL_OPEN}.percentage", "off").replace("off", "0")),
        cut_on_deregistration=attributes.get("deregistration_delay.connection_termination.enabled") == "true",
        targets=tuple(_target(tables, row, target) for target in targets),
    )


def _target(tables: Tables, group: model.TargetGroup, row: model.Target) -> driver.Target:
    """A target that has not passed its health checks yet counts as unhealthy: it is tried when nobody is healthy."""
    if row.state == "draining" or row.drain_until is not None:
        health = "draining"
    else:
        health = "healthy" if row.state == "healthy" else "unhealthy"
    cuts = group.attributes.get(_CUT_UNHEALTHY) == "true" or unhealthy_draining_interval(group) > 0
    cut = row.state == UNHEALTHY and cuts
    return driver.Target(host=_host(tables, group, row), port=row.port, health=health, cut=cut)


def _host(tables: Tables, group: model.TargetGroup, row: model.Target) -> str:
    """An instance is reached at its host's address; an instance that is gone at loopback, where nobody answers for it."""
    if group.target_type != "instance":
        return row.id
    for instance in tables.container_instances.by(ec2_instance_id=row.id):
        return instance.address
    return "127.0.0.1"
