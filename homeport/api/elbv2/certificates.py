"""The certificates of a listener beside its default one (chosen by SNI), and the security policies there are."""

from msgspec.structs import replace

from homeport.api.elbv2.find import find_listener, page
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import Listener
from homeport.model.rules.elbv2 import LIMITS, ValidationError
from homeport.model.rules.elbv2_tls import POLICIES
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

_MOST = LIMITS["certificates-per-application-load-balancer"]


@operation(shapes.SERVICE, "AddListenerCertificates")
def add_listener_certificates(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.AddListenerCertificatesInput,
) -> shapes.AddListenerCertificatesOutput:
    """Those that the listener has already stay where they are."""
    row = _secure_listener(tx, request.listener_arn)
    names = _names(request.certificates)
    for name in names:
        if name not in tx.certificates:
            raise shapes.CertificateNotFoundException(f"Certificate '{name}' not found")
    row = replace(row, certificates=tuple(dict.fromkeys((*row.certificates, *names))))
    if len(row.certificates) - 1 > _MOST:
        raise shapes.TooManyCertificatesException(f"The maximum number of certificates is {_MOST}")
    tx.listeners.put(row)
    added = tuple(shapes.Certificate(certificate_arn=name, is_default=name == row.certificates[0]) for name in names)
    return shapes.AddListenerCertificatesOutput(certificates=added)


@operation(shapes.SERVICE, "RemoveListenerCertificates")
def remove_listener_certificates(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.RemoveListenerCertificatesInput,
) -> shapes.RemoveListenerCertificatesOutput:
    row = _secure_listener(tx, request.listener_arn)
    names = _names(request.certificates)
    if row.certificates[0] in names:
        raise shapes.OperationNotPermittedException("The default certificate of a listener cannot be removed")
    tx.listeners.put(replace(row, certificates=tuple(name for name in row.certificates if name not in names)))
    return shapes.RemoveListenerCertificatesOutput()


def _secure_listener(tx: Tx, arn: str) -> Listener:
    row = find_listener(tx, arn)
    if not row.certificates:
        raise ValidationError(f"Certificates cannot be specified for a listener with protocol '{row.protocol}'")
    return row


def _names(certificates: tuple[shapes.Certificate, ...]) -> tuple[str, ...]:
    names = tuple(item.certificate_arn or "" for item in certificates)
    if not names or "" in names:
        raise ValidationError("A certificate ARN must be specified")
    if any(item.is_default is not None for item in certificates):
        raise ValidationError("You cannot specify 'IsDefault'")
    return names


@operation(shapes.SERVICE, "DescribeListenerCertificates")
def describe_listener_certificates(
    ctx: Context,  # noqa: ARG001
    tx: Tables,
    request: shapes.DescribeListenerCertificatesInput,
) -> shapes.DescribeListenerCertificatesOutput:
    row = find_listener(tx, request.listener_arn)
    rows = [
        shapes.Certificate(certificate_arn=name, is_default=number == 0) for number, name in enumerate(row.certificates)
    ]
    shown, marker = page(rows, "certificate_arn", request.marker, request.page_size)
    return shapes.DescribeListenerCertificatesOutput(certificates=shown, next_marker=marker)


@operation(shapes.SERVICE, "DescribeSSLPolicies")
def describe_ssl_policies(
    ctx: Context,  # noqa: ARG001
    tx: Tables,  # noqa: ARG001
    request: shapes.DescribeSSLPoliciesInput,
) -> shapes.DescribeSSLPoliciesOutput:
    for name in request.names or ():
        if name not in POLICIES:
            raise shapes.SSLPolicyNotFoundException(f"SSL policy '{name}' not found")
    rows = [
        shapes.SslPolicy(
            name=name,
            ssl_protocols=policy.protocols,
            ciphers=tuple(shapes.Cipher(name=item, priority=n) for n, item in enumerate(policy.ciphers, start=1)),
            supported_load_balancer_types=("application", "network"),
        )
        for name, policy in POLICIES.items()
        if (not request.names or name in request.names) and request.load_balancer_type != "gateway"
    ]
    shown, marker = page(rows, "name", request.marker, request.page_size)
    return shapes.DescribeSSLPoliciesOutput(ssl_policies=shown, next_marker=marker)
