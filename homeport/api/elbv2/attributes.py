"""Attributes of load balancers, target groups and listeners. What each does is in `rules.elbv2_attributes`."""

from msgspec.structs import replace

from homeport.api.elbv2.find import find_listener, find_load_balancer, find_target_group
from homeport.api.operation import Context, operation
from homeport.model.rules.elbv2_attributes import changed, effective, table_of
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

# Every handler is called alike, whether it needs its context or not.
# ruff: noqa: ARG001


def _balancer_attributes(values: dict[str, str]) -> tuple[shapes.LoadBalancerAttribute, ...]:
    return tuple(shapes.LoadBalancerAttribute(key=key, value=value) for key, value in values.items())


@operation(shapes.SERVICE, "DescribeLoadBalancerAttributes")
def describe_load_balancer_attributes(
    ctx: Context, tx: Tables, request: shapes.DescribeLoadBalancerAttributesInput
) -> shapes.DescribeLoadBalancerAttributesOutput:
    row = find_load_balancer(tx, request.load_balancer_arn)
    return shapes.DescribeLoadBalancerAttributesOutput(attributes=_balancer_attributes(effective(row)))


@operation(shapes.SERVICE, "ModifyLoadBalancerAttributes")
def modify_load_balancer_attributes(
    ctx: Context, tx: Tx, request: shapes.ModifyLoadBalancerAttributesInput
) -> shapes.ModifyLoadBalancerAttributesOutput:
    row = find_load_balancer(tx, request.load_balancer_arn)
    given = [(item.key, item.value) for item in request.attributes]
    row = replace(row, attributes=changed(table_of(row), row.attributes, given))
    tx.load_balancers.put(row)
    return shapes.ModifyLoadBalancerAttributesOutput(attributes=_balancer_attributes(effective(row)))


def _group_attributes(values: dict[str, str]) -> tuple[shapes.TargetGroupAttribute, ...]:
    return tuple(shapes.TargetGroupAttribute(key=key, value=value) for key, value in values.items())


@operation(shapes.SERVICE, "DescribeTargetGroupAttributes")
def describe_target_group_attributes(
    ctx: Context, tx: Tables, request: shapes.DescribeTargetGroupAttributesInput
) -> shapes.DescribeTargetGroupAttributesOutput:
    row = find_target_group(tx, request.target_group_arn)
    return shapes.DescribeTargetGroupAttributesOutput(attributes=_group_attributes(effective(row)))


@operation(shapes.SERVICE, "ModifyTargetGroupAttributes")
def modify_target_group_attributes(
    ctx: Context, tx: Tx, request: shapes.ModifyTargetGroupAttributesInput
) -> shapes.ModifyTargetGroupAttributesOutput:
    row = find_target_group(tx, request.target_group_arn)
    given = [(item.key, item.value) for item in request.attributes]
    row = replace(row, attributes=changed(table_of(row), row.attributes, given))
    tx.target_groups.put(row)
    return shapes.ModifyTargetGroupAttributesOutput(attributes=_group_attributes(effective(row)))


def _listener_attributes(values: dict[str, str]) -> tuple[shapes.ListenerAttribute, ...]:
    return tuple(shapes.ListenerAttribute(key=key, value=value) for key, value in values.items())


@operation(shapes.SERVICE, "DescribeListenerAttributes")
def describe_listener_attributes(
    ctx: Context, tx: Tables, request: shapes.DescribeListenerAttributesInput
) -> shapes.DescribeListenerAttributesOutput:
    row = find_listener(tx, request.listener_arn)
    return shapes.DescribeListenerAttributesOutput(attributes=_listener_attributes(effective(row)))


@operation(shapes.SERVICE, "ModifyListenerAttributes")
def modify_listener_attributes(
    ctx: Context, tx: Tx, request: shapes.ModifyListenerAttributesInput
) -> shapes.ModifyListenerAttributesOutput:
    row = find_listener(tx, request.listener_arn)
    given = [(item.key, item.value) for item in request.attributes]
    row = replace(row, attributes=changed(table_of(row), row.attributes, given))
    tx.listeners.put(row)
    return shapes.ModifyListenerAttributesOutput(attributes=_listener_attributes(effective(row)))
