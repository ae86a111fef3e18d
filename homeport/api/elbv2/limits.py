"""Quotas, and the capacity that nobody has to reserve here."""

from homeport.api.elbv2.find import find_load_balancer, page
from homeport.api.operation import Context, operation
from homeport.model.rules.elbv2 import LIMITS
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables

# Every handler is called alike, whether it needs its context or not.
# ruff: noqa: ARG001


@operation(shapes.SERVICE, "DescribeAccountLimits")
def describe_account_limits(
    ctx: Context, tx: Tables, request: shapes.DescribeAccountLimitsInput
) -> shapes.DescribeAccountLimitsOutput:
    rows = [shapes.Limit(name=name, max=str(most)) for name, most in LIMITS.items()]
    shown, marker = page(rows, "name", request.marker, request.page_size)
    return shapes.DescribeAccountLimitsOutput(limits=shown, next_marker=marker)


@operation(shapes.SERVICE, "DescribeCapacityReservation")
def describe_capacity_reservation(
    ctx: Context, tx: Tables, request: shapes.DescribeCapacityReservationInput
) -> shapes.DescribeCapacityReservationOutput:
    """None is ever reserved: the data plane has what its host has."""
    find_load_balancer(tx, request.load_balancer_arn)
    return shapes.DescribeCapacityReservationOutput(capacity_reservation_state=())
