"""Tags of load balancers, target groups, listeners and rules, by ARN; up to 20 resources a call."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from homeport.api.elbv2.find import find_listener, find_load_balancer, find_rule, find_target_group
from homeport.api.operation import Context, operation
from homeport.base.arn import parse_arn
from homeport.model.load_balancer import Listener, LoadBalancer, Rule, TargetGroup
from homeport.model.rules.elbv2 import ValidationError, merged_tags
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

# Every handler is called alike, whether it needs its context or not.
# ruff: noqa: ARG001

_MOST_RESOURCES = 20
Change = Callable[[Mapping[str, str]], dict[str, str]]


@operation(shapes.SERVICE, "AddTags")
def add_tags(ctx: Context, tx: Tx, request: shapes.AddTagsInput) -> shapes.AddTagsOutput:
    for arn in _checked(request.resource_arns):
        _change(tx, arn, lambda tags: merged_tags(tags, request.tags))
    return shapes.AddTagsOutput()


@operation(shapes.SERVICE, "RemoveTags")
def remove_tags(ctx: Context, tx: Tx, request: shapes.RemoveTagsInput) -> shapes.RemoveTagsOutput:
    for arn in _checked(request.resource_arns):
        _change(tx, arn, lambda tags: {key: value for key, value in tags.items() if key not in request.tag_keys})
    return shapes.RemoveTagsOutput()


@operation(shapes.SERVICE, "DescribeTags")
def describe_tags(ctx: Context, tx: Tables, request: shapes.DescribeTagsInput) -> shapes.DescribeTagsOutput:
    described = []
    for arn in _checked(request.resource_arns):
        row = _find(tx, arn)
        is_default_rule = isinstance(row, Listener) and row.arn != arn
        tags = row.default_rule_tags if isinstance(row, Listener) and is_default_rule else row.tags
        shown = tuple(shapes.Tag(key=key, value=value) for key, value in tags.items())
        described.append(shapes.TagDescription(resource_arn=arn, tags=shown))
    return shapes.DescribeTagsOutput(tag_descriptions=tuple(described))


def _checked(arns: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(arns) <= _MOST_RESOURCES:
        raise ValidationError(f"Between 1 and {_MOST_RESOURCES} resource ARNs must be specified")
    return arns


def _find(tx: Tables, text: str) -> LoadBalancer | TargetGroup | Listener | Rule:
    """The resource; for the ARN of a default rule its listener."""
    arn = parse_arn(text)
    kind = arn.kind if arn is not None and arn.service == "elasticloadbalancing" else ""
    if kind == "loadbalancer":
        return find_load_balancer(tx, text)
    if kind == "targetgroup":
        return find_target_group(tx, text)
    if kind == "listener":
        return find_listener(tx, text)
    if kind == "listener-rule":
        return find_rule(tx, text)
    if kind == "truststore":
        raise shapes.TrustStoreNotFoundException(f"Trust store '{text}' not found")
    raise ValidationError(f"'{text}' is not a valid resource ARN")


def _change(tx: Tx, arn: str, change: Change) -> None:
    row = _find(tx, arn)
    if isinstance(row, LoadBalancer):
        tx.load_balancers.put(replace(row, tags=change(row.tags)))
    elif isinstance(row, TargetGroup):
        tx.target_groups.put(replace(row, tags=change(row.tags)))
    elif isinstance(row, Rule):
        tx.rules.put(replace(row, tags=change(row.tags)))
    elif row.arn == arn:
        tx.listeners.put(replace(row, tags=change(row.tags)))
    else:
        tx.listeners.put(replace(row, default_rule_tags=change(row.default_rule_tags)))
