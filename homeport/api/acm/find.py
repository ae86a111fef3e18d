"""From ARNs to certificates, and who uses one."""

from homeport.base.arn import parse_arn
from homeport.model.load_balancer import Certificate
from homeport.shapes import acm as shapes
from homeport.store.schema import Tables


def find_certificate(tx: Tables, text: str) -> Certificate:
    arn = parse_arn(text)
    if arn is None or arn.service != "acm" or arn.kind != "certificate":
        raise shapes.InvalidArnException(f"The ARN {text} is not valid.")
    row = tx.certificates.get(text)
    if row is None:
        raise shapes.ResourceNotFoundException(f"Could not find certificate {text}.")
    return row


def users_of(tx: Tables, certificate_arn: str) -> tuple[str, ...]:
    """ARNs of the load balancers whose listeners have the certificate."""
    return tuple(dict.fromkeys(row.load_balancer_arn for row in tx.listeners if certificate_arn in row.certificates))
