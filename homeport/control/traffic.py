"""Traffic of a service's two revisions, written into listener rules: the only place where deployments change them.

A rule may be a rule's row, the default rule of a listener, or (network load balancers) a listener itself. Rows are
written only where they differ, so that a look that changes nothing leaves the data plane alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from homeport.model.deployment import Deployment
from homeport.model.load_balancer import Listener, Rule, default_rule_arn, listener_arn_of_rule
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
    return next((arn for arn in rules_of(entries) if _holder(tables, arn) is None), None)


def load_balancers_behind(tables: Tables, entries: Entries) -> set[str]:
    """ARNs of the load balancers whose rules those are."""
    listeners = [
        tables.listeners.get(arn) or tables.listeners.get(listener_arn_of_rule(arn)) for arn in rules_of(entries)
    ]
    return {listener.load_balancer_arn for listener in listeners if listener is not None}


class Written(NamedTuple):
    """A version of the store, and its instant."""

    version: int = 0
    at: float = 0.0


def last_written(tables: Tables, entries: Entries) -> Written:
    """When the rules of the entries were last written, by a deployment or by a user: the data plane has to follow both."""
    rows = [_holder(tables, arn) for arn in rules_of(entries)]
    return max((Written(row.written_version, row.written_at) for row in rows if row is not None), default=Written())


def write_traffic(tx: Tx, entries: Entries, green: Deployment, production: float, test: float) -> None:
    """Give green these percents of production and test traffic, and the other target group the rest."""
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
                _write(tx, arn, to, rest, percent)


def _write(tx: Tx, arn: str, to: str, rest: str, percent: float) -> None:
    row = _holder(tx, arn)
    if row is None:
        return
    before = row.actions if isinstance(row, Rule) else row.default_actions
    after = shifted(before, to, rest, percent)
    if after == before:
        return
    if isinstance(row, Rule):
        tx.rules.put(replace(row, actions=after, written_version=tx.version, written_at=tx.now))
    else:
        tx.listeners.put(replace(row, default_actions=after, written_version=tx.version, written_at=tx.now))


def _holder(tables: Tables, arn: str) -> Rule | Listener | None:
    """The row that has the actions of what the ARN names: a rule, a listener, or the default rule of one."""
    row = tables.rules.get(arn) or tables.listeners.get(arn)
    if row is not None:
        return row
    listener = tables.listeners.get(listener_arn_of_rule(arn))
    return None if listener is None or default_rule_arn(listener.arn) != arn else listener
