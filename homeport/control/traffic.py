"""Traffic of a service's two revisions, written into listener rules: the only place where deployments change them.

A rule may be a rule's row, the default rule of a listener, or (network load balancers) a listener itself. Rows are
written only where they differ, so that a look that changes nothing leaves the data plane alone.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from homeport.model.deployment import Deployment
from homeport.model.load_balancer import default_rule_arn, listener_arn_of_rule
from homeport.model.traffic import other_group, shifted, target_group_of
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

Entries = Iterable[shapes.LoadBalancer]


def rules_of(entries: Entries) -> list[str]:
    """ARNs of all rules that the entries have shifted."""
    advanced = [entry.advanced_configuration for entry in entries if entry.advanced_configuration is not None]
    return [arn for each in advanced for arn in (each.production_listener_rule, each.test_listener_rule) if arn]


def missing_rule(tables: Tables, entries: Entries) -> str | None:
    """A rule of the entries that is not there any more; None if all are."""
    return next((arn for arn in rules_of(entries) if _actions(tables, arn) is None), None)


def load_balancers_behind(tables: Tables, entries: Entries) -> set[str]:
    """ARNs of the load balancers whose rules those are."""
    listeners = [
        tables.listeners.get(arn) or tables.listeners.get(listener_arn_of_rule(arn)) for arn in rules_of(entries)
    ]
    return {listener.load_balancer_arn for listener in listeners if listener is not None}


def write_traffic(tx: Tx, entries: Entries, green: Deployment, production: float, test: float) -> bool:
    """Give green these percents of production and test traffic, and the other target group the rest.

    Returns whether that changed any rule.
    """
    is_changed = False
    for entry in entries:
        rest, advanced = other_group(green, entry), entry.advanced_configuration
        if rest is None or advanced is None:
            continue
        to = target_group_of(green, entry)
        shares = {advanced.production_listener_rule: production}
        if advanced.test_listener_rule and advanced.test_listener_rule != advanced.production_listener_rule:
            shares[advanced.test_listener_rule] = test
        for arn, percent in shares.items():
            if arn:
                is_changed |= _write(tx, arn, to, rest, percent)
    return is_changed


def _write(tx: Tx, arn: str, to: str, rest: str, percent: float) -> bool:
    before = _actions(tx, arn)
    if before is None:
        return False
    after = shifted(before, to, rest, percent)
    if after == before:
        return False
    rule = tx.rules.get(arn)
    if rule is not None:
        tx.rules.put(replace(rule, actions=after))
        return True
    listener = tx.listeners.get(arn) or tx.listeners[listener_arn_of_rule(arn)]
    tx.listeners.put(replace(listener, default_actions=after))
    return True


def _actions(tables: Tables, arn: str) -> tuple[dict[str, Any], ...] | None:
    rule = tables.rules.get(arn)
    if rule is not None:
        return rule.actions
    listener = tables.listeners.get(arn)
    if listener is not None:
        return listener.default_actions
    listener = tables.listeners.get(listener_arn_of_rule(arn))
    return None if listener is None or default_rule_arn(listener.arn) != arn else listener.default_actions
