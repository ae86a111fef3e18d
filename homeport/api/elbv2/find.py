"""From ARNs to rows, and who uses which target group. Lookups raise what ELBv2 raises; pages hold `PageSize` items."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import TypeVar

from homeport.api.operation import Context
from homeport.base.arn import parse_arn
from homeport.base.errors import ApiError
from homeport.model.load_balancer import (
    Listener,
    LoadBalancer,
    Rule,
    TargetGroup,
    default_rule_arn,
    forwarded_groups,
    listener_arn_of_rule,
)
from homeport.model.rules.elbv2 import ValidationError
from homeport.model.vpc import DefaultVpc
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables

T = TypeVar("T")
_LARGEST_PAGE = 400
_KINDS = {
    "loadbalancer": "load balancer",
    "targetgroup": "target group",
    "listener": "listener",
    "listener-rule": "listener rule",
}


def the_vpc(ctx: Context) -> DefaultVpc:
    return DefaultVpc(ctx.arns.account_id, ctx.arns.region)


def new_arn(ctx: Context, resource: str) -> str:
    """`resource` is everything after the account, such as `loadbalancer/app/NAME/ID`."""
    return f"arn:aws:elasticloadbalancing:{ctx.arns.region}:{ctx.arns.account_id}:{resource}"


def check_arn(text: str, kind: str) -> str:
    """The ARN, if it is one of this kind (`loadbalancer`, `targetgroup`, `listener`, `listener-rule`)."""
    arn = parse_arn(text)
    if arn is None or arn.service != "elasticloadbalancing" or arn.kind != kind:
        raise ValidationError(f"'{text}' is not a valid {_KINDS[kind]} ARN")
    return text


def find_load_balancer(tx: Tables, arn: str) -> LoadBalancer:
    row = tx.load_balancers.get(check_arn(arn, "loadbalancer"))
    if row is None:
        raise shapes.LoadBalancerNotFoundException(f"Load balancer '{arn}' not found")
    return row


def find_target_group(tx: Tables, arn: str) -> TargetGroup:
    row = tx.target_groups.get(check_arn(arn, "targetgroup"))
    if row is None:
        raise shapes.TargetGroupNotFoundException(f"Target groups '{arn}' not found")
    return row


def find_listener(tx: Tables, arn: str) -> Listener:
    row = tx.listeners.get(check_arn(arn, "listener"))
    if row is None:
        raise shapes.ListenerNotFoundException(f"Listener '{arn}' not found")
    return row


def find_rule(tx: Tables, arn: str) -> Rule | Listener:
    """The rule; for a default rule its listener, which is where its actions are."""
    row = tx.rules.get(check_arn(arn, "listener-rule"))
    if row is not None:
        return row
    listener = tx.listeners.get(listener_arn_of_rule(arn))
    if listener is not None and arn == default_rule_arn(listener.arn):
        return listener
    raise shapes.RuleNotFoundException(f"One or more rules not found: '{arn}'")


def find_own_rule(tx: Tables, arn: str, verb: str) -> Rule:
    """As `find_rule`, but a default rule raises OperationNotPermitted: it cannot be `verb` (deleted, modified)."""
    row = find_rule(tx, arn)
    if isinstance(row, Listener):
        raise shapes.OperationNotPermittedException(f"Default rule '{arn}' cannot be {verb}")
    return row


def rules_of(tx: Tables, listener: Listener) -> list[Rule]:
    return sorted(tx.rules.by(listener_arn=listener.arn), key=lambda rule: rule.priority)


def groups_of_balancer(tx: Tables, load_balancer_arn: str) -> set[str]:
    """Every target group that a listener or rule of the load balancer forwards to."""
    names: set[str] = set()
    for listener in tx.listeners.by(load_balancer_arn=load_balancer_arn):
        names.update(forwarded_groups(listener.default_actions))
        for rule in tx.rules.by(listener_arn=listener.arn):
            names.update(forwarded_groups(rule.actions))
    return names


def balancers_by_group(tx: Tables) -> dict[str, list[str]]:
    """Target group ARN -> ARNs of the load balancers that use it (ELB allows one)."""
    users: dict[str, list[str]] = {}
    for row in tx.load_balancers:
        for name in groups_of_balancer(tx, row.arn):
            users.setdefault(name, []).append(row.arn)
    return users


def is_group_used(tx: Tables, target_group_arn: str) -> bool:
    """Whether any listener or rule forwards to the group."""
    return any(target_group_arn in forwarded_groups(row.default_actions) for row in tx.listeners) or any(
        target_group_arn in forwarded_groups(row.actions) for row in tx.rules
    )


def chosen_by(
    rows: Sequence[T], keys: Iterable[str] | None, key: str, missing: type[ApiError], what: str
) -> list[T] | None:
    """The rows whose attribute `key` is named, in the order of the names; None if nothing is named."""
    if not keys:
        return None
    known = {getattr(row, key): row for row in rows}
    unknown = [name for name in keys if name not in known]
    if unknown:
        raise missing(f"{what} '[{', '.join(unknown)}]' not found")
    return [known[name] for name in dict.fromkeys(keys)]


def page(rows: Sequence[T], key: str, marker: str | None, size: int | None) -> tuple[tuple[T, ...], str | None]:
    """Rows in the order of their attribute `key` after the marker, and the next marker (it holds the last key shown)."""
    ordered = sorted(rows, key=lambda row: getattr(row, key))
    if marker:
        try:
            last = base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
        except (ValueError, binascii.Error):
            raise ValidationError(f"Invalid marker '{marker}'") from None
        ordered = [row for row in ordered if getattr(row, key) > last]
    limit = size or _LARGEST_PAGE
    if len(ordered) <= limit:
        return tuple(ordered), None
    shown = tuple(ordered[:limit])
    return shown, base64.urlsafe_b64encode(getattr(shown[-1], key).encode()).decode()
