"""Availability Zones and what an account may say of itself."""

from homeport.api.ec2 import errors
from homeport.api.ec2.select import by_id, filtered, refuse_dry_run, the_vpc
from homeport.api.operation import Context, operation
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

_FIELDS = {
    "group-name": lambda zone: [zone.group_name],
    "opt-in-status": lambda zone: [zone.opt_in_status],
    "region-name": lambda zone: [zone.region_name],
    "state": lambda zone: [zone.state],
    "zone-id": lambda zone: [zone.zone_id],
    "zone-name": lambda zone: [zone.zone_name],
    "zone-type": lambda zone: [zone.zone_type],
    "message": lambda _: [],
    "parent-zone-id": lambda _: [],
    "parent-zone-name": lambda _: [],
}


@operation(shapes.SERVICE, "DescribeAvailabilityZones")
def describe_availability_zones(
    ctx: Context,
    tx: Tables,  # noqa: ARG001 - every handler is called alike
    request: shapes.DescribeAvailabilityZonesRequest,
) -> shapes.DescribeAvailabilityZonesResult:
    refuse_dry_run(request.dry_run)
    region = ctx.arns.region
    zones = [
        shapes.AvailabilityZone(
            opt_in_status="opt-in-not-required",
            messages=(),
            region_name=region,
            zone_name=zone.name,
            zone_id=zone.id,
            group_name=f"{region}-zg-1",
            network_border_group=region,
            zone_type="availability-zone",
            state="available",
        )
        for zone in the_vpc(ctx).zones
    ]
    chosen = by_id(
        zones, request.zone_names, lambda zone: zone.zone_name, errors.InvalidParameterValue, "availability zone"
    )
    if request.zone_ids:
        chosen = [zone for zone in chosen if zone.zone_id in request.zone_ids]
    return shapes.DescribeAvailabilityZonesResult(availability_zones=tuple(filtered(chosen, request.filters, _FIELDS)))


@operation(shapes.SERVICE, "DescribeAccountAttributes")
def describe_account_attributes(
    ctx: Context,
    tx: Tables,  # noqa: ARG001
    request: shapes.DescribeAccountAttributesRequest,
) -> shapes.DescribeAccountAttributesResult:
    refuse_dry_run(request.dry_run)
    values: dict[str, tuple[str, ...]] = {
        "supported-platforms": ("VPC",),
        "default-vpc": (the_vpc(ctx).id,),
        "max-instances": ("20",),
        "vpc-max-security-groups-per-interface": ("5",),
        "max-elastic-ips": ("5",),
        "vpc-max-elastic-ips": ("5",),
    }
    wanted: tuple[str, ...] = request.attribute_names or tuple(values)
    return shapes.DescribeAccountAttributesResult(
        account_attributes=tuple(
            shapes.AccountAttribute(
                attribute_name=name,
                attribute_values=tuple(shapes.AccountAttributeValue(attribute_value=value) for value in values[name]),
            )
            for name in wanted
        )
    )
