"""Listeners: a port of a load balancer, its certificates, and what is done with what no rule takes."""

from typing import Any

import msgspec
from msgspec.structs import replace

from homeport.api.elbv2.find import check_arn, chosen_by, find_listener, find_load_balancer, new_arn, page
from homeport.api.elbv2.forwarding import check_groups
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import Listener, LoadBalancer
from homeport.model.rules.elbv2 import LIMITS, ValidationError, check_tags
from homeport.model.rules.elbv2_actions import shown_actions, stored_actions
from homeport.model.rules.elbv2_attributes import defaults, listener_table
from homeport.model.rules.elbv2_tls import DEFAULT_POLICY, POLICIES
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

_PROTOCOLS = {"application": ("HTTP", "HTTPS"), "network": ("TCP", "TLS", "UDP", "TCP_UDP")}
_WITH_TLS = ("HTTPS", "TLS")
_TLS_MEMBERS = ("ssl_policy", "certificates", "alpn_policy", "mutual_authentication")
_ALPN_POLICIES = ("HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None")
Wanted = shapes.CreateListenerInput | shapes.ModifyListenerInput


@operation(shapes.SERVICE, "CreateListener")
def create_listener(ctx: Context, tx: Tx, request: shapes.CreateListenerInput) -> shapes.CreateListenerOutput:
    """One that is there with the same settings is given back, so that a call may be repeated."""
    balancer = find_load_balancer(tx, request.load_balancer_arn)
    if request.protocol is None:
        raise ValidationError("A listener protocol must be specified")
    if request.port is None:
        raise ValidationError("A listener port must be specified")
    _check_protocol(balancer, request.protocol)
    resource = f"listener/{balancer.arn.partition(':loadbalancer/')[2]}/{tx.ids.hex32()[:16]}"
    row = Listener(
        arn=new_arn(ctx, resource),
        load_balancer_arn=balancer.arn,
        port=request.port,
        protocol=request.protocol,
        default_actions=_actions(tx, balancer.arn, request.protocol, request.default_actions),
        created_at=tx.now,
        written_version=tx.version,
        written_at=tx.now,
        attributes=defaults(listener_table(request.protocol)),
        tags=check_tags(request.tags),
        **_tls(tx, request.protocol, request, None),
    )
    present = _on_port(tx, balancer, row.port)
    if present is not None:
        if not _is_same(present, row):
            raise _duplicate(balancer)
        return shapes.CreateListenerOutput(listeners=(shown_listener(present),))
    most = LIMITS[f"listeners-per-{balancer.type}-load-balancer"]
    if tx.listeners.count(load_balancer_arn=balancer.arn) >= most:
        raise shapes.TooManyListenersException(f"The maximum number of listeners is {most}")
    tx.listeners.put(row)
    return shapes.CreateListenerOutput(listeners=(shown_listener(row),))


def _check_protocol(balancer: LoadBalancer, protocol: str) -> None:
    allowed = _PROTOCOLS[balancer.type]
    if protocol not in allowed:
        raise ValidationError(f"Listener protocol '{protocol}' must be one of '{', '.join(allowed)}'")


def _on_port(tx: Tx, balancer: LoadBalancer, port: int) -> Listener | None:
    return next((row for row in tx.listeners.by(load_balancer_arn=balancer.arn) if row.port == port), None)


def _duplicate(balancer: LoadBalancer) -> shapes.DuplicateListenerException:
    return shapes.DuplicateListenerException(
        f"A listener already exists on this port for this load balancer '{balancer.arn}'"
    )


def _is_same(existing: Listener, wanted: Listener) -> bool:
    """Whether CreateListener asked for what is there; certificates added for SNI are no part of it, nor are tags."""
    same = ("protocol", "default_actions", "ssl_policy", "alpn_policy")
    return existing.certificates[:1] == wanted.certificates and all(
        getattr(existing, name) == getattr(wanted, name) for name in same
    )


def _actions(
    tx: Tx, load_balancer_arn: str, protocol: str, actions: tuple[shapes.Action, ...]
) -> tuple[dict[str, Any], ...]:
    stored = stored_actions(actions, protocol)
    check_groups(tx, load_balancer_arn, protocol, stored)
    return stored


def _tls(tx: Tx, protocol: str, request: Wanted, before: Listener | None) -> dict[str, Any]:
    """The row's members about TLS; what a plain listener is given of them is an error."""
    if request.mutual_authentication is not None and request.mutual_authentication.mode not in (None, "off"):
        raise shapes.InvalidConfigurationRequestException("Homeport does not support mutual TLS authentication yet")
    _check_alpn(protocol, request.alpn_policy or ())
    if protocol not in _WITH_TLS:
        for name in _TLS_MEMBERS:
            if getattr(request, name):
                raise shapes.InvalidConfigurationRequestException(
                    f"{name} cannot be specified for a listener with protocol '{protocol}'"
                )
        return {"ssl_policy": None, "certificates": (), "alpn_policy": ()}
    policy = request.ssl_policy or (before.ssl_policy if before else None) or DEFAULT_POLICY
    if policy not in POLICIES:
        raise shapes.SSLPolicyNotFoundException(f"SSL policy '{policy}' not found")
    more = before.certificates[1:] if before else ()
    default = _default_certificate(tx, request, before)
    alpn = request.alpn_policy if request.alpn_policy is not None else before.alpn_policy if before else ()
    return {
        "ssl_policy": policy,
        "certificates": (default, *(name for name in more if name != default)),
        "alpn_policy": alpn,
    }


def _check_alpn(protocol: str, policies: tuple[str, ...]) -> None:
    if len(policies) > 1 or any(name not in _ALPN_POLICIES for name in policies):
        raise shapes.ALPNPolicyNotSupportedException(f"ALPN policy '{', '.join(policies)}' is not supported")
    if policies and protocol != "TLS":
        raise shapes.InvalidConfigurationRequestException("An ALPN policy can only be specified for TLS listeners")


def _default_certificate(tx: Tx, request: Wanted, before: Listener | None) -> str:
    given = request.certificates or ()
    if len(given) > 1:
        raise shapes.TooManyCertificatesException("Only one default certificate can be specified")
    if given and given[0].is_default is not None:
        raise ValidationError("You cannot specify 'IsDefault' of the default certificate")
    name = given[0].certificate_arn if given else before.certificates[0] if before and before.certificates else None
    if not name:
        raise shapes.CertificateNotFoundException("A certificate must be specified for HTTPS and TLS listeners")
    if name not in tx.certificates:
        raise shapes.CertificateNotFoundException(f"Certificate '{name}' not found")
    return name


@operation(shapes.SERVICE, "ModifyListener")
def modify_listener(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.ModifyListenerInput,
) -> shapes.ModifyListenerOutput:
    """Only what is given changes. Another protocol must still suit the listener's rules."""
    before = find_listener(tx, request.listener_arn)
    balancer = find_load_balancer(tx, before.load_balancer_arn)
    protocol, port = request.protocol or before.protocol, request.port or before.port
    _check_protocol(balancer, protocol)
    if port != before.port and _on_port(tx, balancer, port) is not None:
        raise _duplicate(balancer)
    if request.default_actions is not None:
        actions = _actions(tx, balancer.arn, protocol, request.default_actions)
    else:
        actions = before.default_actions
        check_groups(tx, balancer.arn, protocol, actions)
    for rule in tx.rules.by(listener_arn=before.arn) if protocol != before.protocol else ():
        check_groups(tx, balancer.arn, protocol, rule.actions)
    table = defaults(listener_table(protocol))
    row = replace(
        before,
        protocol=protocol,
        port=port,
        default_actions=actions,
        attributes={**table, **{key: value for key, value in before.attributes.items() if key in table}},
        **_tls(tx, protocol, request, before if before.protocol in _WITH_TLS else None),
    )
    if request.default_actions is not None:
        row = replace(row, written_version=tx.version, written_at=tx.now)
    tx.listeners.put(row)
    return shapes.ModifyListenerOutput(listeners=(shown_listener(row),))


@operation(shapes.SERVICE, "DeleteListener")
def delete_listener(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.DeleteListenerInput,
) -> shapes.DeleteListenerOutput:
    row = find_listener(tx, request.listener_arn)
    for rule in tx.rules.by(listener_arn=row.arn):
        tx.rules.delete(rule.arn)
    tx.listeners.delete(row.arn)
    return shapes.DeleteListenerOutput()


@operation(shapes.SERVICE, "DescribeListeners")
def describe_listeners(
    ctx: Context,  # noqa: ARG001
    tx: Tables,
    request: shapes.DescribeListenersInput,
) -> shapes.DescribeListenersOutput:
    if bool(request.load_balancer_arn) == bool(request.listener_arns):
        raise ValidationError("You must specify either listener ARNs or a load balancer ARN")
    marker = None
    if request.load_balancer_arn:
        balancer = find_load_balancer(tx, request.load_balancer_arn)
        rows = tx.listeners.by(load_balancer_arn=balancer.arn)
        shown, marker = page(rows, "arn", request.marker, request.page_size)
    else:
        for arn in request.listener_arns or ():
            check_arn(arn, "listener")
        missing = shapes.ListenerNotFoundException
        shown = tuple(chosen_by(list(tx.listeners), request.listener_arns, "arn", missing, "Listeners") or ())
    return shapes.DescribeListenersOutput(listeners=tuple(map(shown_listener, shown)), next_marker=marker)


def shown_listener(row: Listener) -> shapes.Listener:
    is_secure = row.protocol in _WITH_TLS
    certificates = tuple(shapes.Certificate(certificate_arn=name) for name in row.certificates[:1])
    return shapes.Listener(
        listener_arn=row.arn,
        load_balancer_arn=row.load_balancer_arn,
        port=row.port,
        protocol=msgspec.convert(row.protocol, shapes.ProtocolEnum),
        certificates=certificates if is_secure else None,
        ssl_policy=row.ssl_policy,
        default_actions=shown_actions(row.default_actions),
        alpn_policy=row.alpn_policy or None,
        mutual_authentication=shapes.MutualAuthenticationAttributes(mode="off") if row.protocol == "HTTPS" else None,
    )
