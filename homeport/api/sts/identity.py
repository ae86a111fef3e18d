"""GetCallerIdentity: the first call of every tool, and the one that needs no permission."""

import hashlib

from homeport.api.operation import Context, Identity, operation
from homeport.base.arn import last_part
from homeport.shapes import sts as shapes
from homeport.store.store import Tx


@operation(shapes.SERVICE, "GetCallerIdentity")
def get_caller_identity(
    ctx: Context,
    tx: Tx,  # noqa: ARG001 - every handler is called alike
    request: shapes.GetCallerIdentityRequest,  # noqa: ARG001
) -> shapes.GetCallerIdentityResponse:
    identity = ctx.identity
    return shapes.GetCallerIdentityResponse(
        user_id=user_id(identity), account=identity.account_id, arn=identity.principal_arn
    )


def user_id(identity: Identity) -> str:
    """The account's id for its root; `ROLE-ID:SESSION` for a role's session, the role's id derived from its ARN.

    Source: IAM User Guide, "Policy variables", table of `aws:userid` by principal.
    """
    if ":assumed-role/" not in identity.principal_arn:
        return identity.account_id
    role, session = identity.principal_arn.rsplit("/", 1)
    digest = hashlib.sha256(last_part(role).encode()).hexdigest().upper()
    return f"AROA{digest[:17]}:{session}"
