"""Rules of an Application Load Balancer's listener: conditions, a priority, actions."""

from msgspec.structs import replace

from homeport.api.elbv2.find import find_listener, find_load_balancer, find_own_rule, find_rule, new_arn, page, rules_of
from homeport.api.elbv2.forwarding import check_groups
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import Listener, Rule, default_rule_arn
from homeport.model.rules.elbv2 import LIMITS, ValidationError, check_tags
from homeport.model.rules.elbv2_actions import shown_actions, stored_actions
from homeport.model.rules.elbv2_conditions import shown_conditions, stored_conditions
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

# Every handler is called alike, whether it needs its context or not.
# ruff: noqa: ARG001

_MOST_RULES = LIMITS["rules-per-application-load-balancer"]


@operation(shapes.SERVICE, "CreateRule")
def create_rule(ctx: Context, tx: Tx, request: shapes.CreateRuleInput) -> shapes.CreateRuleOutput:
    listener = find_listener(tx, request.listener_arn)
    balancer = find_load_balancer(tx, listener.load_balancer_arn)
    if balancer.type != "application":
        raise shapes.InvalidConfigurationRequestException("Rules are only supported for Application Load Balancers")
    if request.transforms:
        raise shapes.InvalidConfigurationRequestException("Homeport does not support transforms yet")
    siblings = tx.rules.by(listener_arn=listener.arn)
    if any(rule.priority == request.priority for rule in siblings):
        raise shapes.PriorityInUseException(f"Priority '{request.priority}' is currently in use")
    count = sum(tx.rules.count(listener_arn=row.arn) for row in tx.listeners.by(load_balancer_arn=balancer.arn))
    if count >= _MOST_RULES:
        raise shapes.TooManyRulesException(f"The maximum number of rules is {_MOST_RULES}")
    conditions, actions = stored_conditions(request.conditions), stored_actions(request.actions, listener.protocol)
    check_groups(tx, balancer.arn, listener.protocol, actions)
    resource = f"listener-rule/{listener.arn.partition(':listener/')[2]}/{tx.ids.hex32()[:16]}"
    row = Rule(
        arn=new_arn(ctx, resource),
        listener_arn=listener.arn,
        priority=request.priority,
        conditions=conditions,
        actions=actions,
        created_at=tx.now,
        tags=check_tags(request.tags),
        written_version=tx.version,
        written_at=tx.now,
    )
    tx.rules.put(row)
    return shapes.CreateRuleOutput(rules=(shown_rule(row),))


@operation(shapes.SERVICE, "ModifyRule")
def modify_rule(ctx: Context, tx: Tx, request: shapes.ModifyRuleInput) -> shapes.ModifyRuleOutput:
    row = find_own_rule(tx, request.rule_arn, "modified")
    if request.transforms:
        raise ValidationError("Homeport does not support transforms yet")
    listener = find_listener(tx, row.listener_arn)
    if request.conditions is not None:
        row = replace(row, conditions=stored_conditions(request.conditions))
    if request.actions is not None:
        actions = stored_actions(request.actions, listener.protocol)
        check_groups(tx, listener.load_balancer_arn, listener.protocol, actions)
        row = replace(row, actions=actions, written_version=tx.version, written_at=tx.now)
    tx.rules.put(row)
    return shapes.ModifyRuleOutput(rules=(shown_rule(row),))


@operation(shapes.SERVICE, "DeleteRule")
def delete_rule(ctx: Context, tx: Tx, request: shapes.DeleteRuleInput) -> shapes.DeleteRuleOutput:
    tx.rules.delete(find_own_rule(tx, request.rule_arn, "deleted").arn)
    return shapes.DeleteRuleOutput()


@operation(shapes.SERVICE, "SetRulePriorities")
def set_rule_priorities(ctx: Context, tx: Tx, request: shapes.SetRulePrioritiesInput) -> shapes.SetRulePrioritiesOutput:
    """All at once, so that two rules may change places."""
    changed: list[Rule] = []
    for pair in request.rule_priorities:
        if pair.priority is None:
            raise ValidationError("A priority must be specified")
        changed.append(replace(find_own_rule(tx, pair.rule_arn or "", "modified"), priority=pair.priority))
    for row in changed:
        tx.rules.put(row)
    for listener_arn in {row.listener_arn for row in changed}:
        taken = [rule.priority for rule in tx.rules.by(listener_arn=listener_arn)]
        for priority in taken:
            if taken.count(priority) > 1:
                raise shapes.PriorityInUseException(f"Priority '{priority}' is currently in use")
    return shapes.SetRulePrioritiesOutput(rules=tuple(map(shown_rule, changed)))


@operation(shapes.SERVICE, "DescribeRules")
def describe_rules(ctx: Context, tx: Tables, request: shapes.DescribeRulesInput) -> shapes.DescribeRulesOutput:
    """By rising priority, the default rule last."""
    if bool(request.listener_arn) == bool(request.rule_arns):
        raise ValidationError("You must specify either a listener ARN or rule ARNs")
    if request.rule_arns:
        found: list[Rule | Listener] = [find_rule(tx, arn) for arn in dict.fromkeys(request.rule_arns)]
        return shapes.DescribeRulesOutput(rules=tuple(map(shown_rule, found)))
    listener = find_listener(tx, request.listener_arn or "")
    ordered: list[Rule | Listener] = [*rules_of(tx, listener), listener]
    numbered = [_Numbered(number, shown_rule(row)) for number, row in enumerate(ordered)]
    shown, marker = page(numbered, "order", request.marker, request.page_size)
    return shapes.DescribeRulesOutput(rules=tuple(item.rule for item in shown), next_marker=marker)


class _Numbered:
    """A rule with its place, in a form that sorts and goes into a marker."""

    def __init__(self, number: int, rule: shapes.Rule) -> None:
        self.order = f"{99_999 if rule.is_default else int(rule.priority or number):05d}"
        self.rule = rule


def shown_rule(row: Rule | Listener) -> shapes.Rule:
    """A rule as the API gives it back; a listener stands for its default rule."""
    if isinstance(row, Listener):
        return shapes.Rule(
            rule_arn=default_rule_arn(row.arn),
            priority="default",
            conditions=(),
            actions=shown_actions(row.default_actions),
            is_default=True,
        )
    return shapes.Rule(
        rule_arn=row.arn,
        priority=str(row.priority),
        conditions=shown_conditions(row.conditions),
        actions=shown_actions(row.actions),
        is_default=False,
    )
