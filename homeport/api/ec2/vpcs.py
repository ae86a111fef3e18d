"""The default VPC and its subnets."""

from homeport.api.ec2 import errors
from homeport.api.ec2.select import by_id, filtered, page, refuse_dry_run, tags_of, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.vpc import VPC_CIDR, Subnet
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

_VPC_FIELDS = {
    "cidr": lambda vpc: [vpc.cidr_block],
    "cidr-block-association.association-id": lambda vpc: [x.association_id for x in vpc.cidr_block_association_set],
    "cidr-block-association.cidr-block": lambda vpc: [x.cidr_block for x in vpc.cidr_block_association_set],
    "cidr-block-association.state": lambda vpc: [x.cidr_block_state.state for x in vpc.cidr_block_association_set],
    "dhcp-options-id": lambda vpc: [vpc.dhcp_options_id],
    "is-default": lambda vpc: [vpc.is_default],
    "isDefault": lambda vpc: [vpc.is_default],
    "owner-id": lambda vpc: [vpc.owner_id],
    "state": lambda vpc: [vpc.state],
    "vpc-id": lambda vpc: [vpc.vpc_id],
    "ipv6-cidr-block-association.ipv6-cidr-block": lambda _: [],
    "ipv6-cidr-block-association.association-id": lambda _: [],
}
_SUBNET_FIELDS = {
    "availability-zone": lambda subnet: [subnet.availability_zone],
    "availabilityZone": lambda subnet: [subnet.availability_zone],
    "availability-zone-id": lambda subnet: [subnet.availability_zone_id],
    "availabilityZoneId": lambda subnet: [subnet.availability_zone_id],
    "available-ip-address-count": lambda subnet: [subnet.available_ip_address_count],
    "cidr-block": lambda subnet: [subnet.cidr_block],
    "cidr": lambda subnet: [subnet.cidr_block],
    "cidrBlock": lambda subnet: [subnet.cidr_block],
    "default-for-az": lambda subnet: [subnet.default_for_az],
    "defaultForAz": lambda subnet: [subnet.default_for_az],
    "ipv6-native": lambda subnet: [subnet.ipv6_native],
    "ipv6-cidr-block-association.ipv6-cidr-block": lambda _: [],
    "map-public-ip-on-launch": lambda subnet: [subnet.map_public_ip_on_launch],
    "outpost-arn": lambda _: [],
    "owner-id": lambda subnet: [subnet.owner_id],
    "state": lambda subnet: [subnet.state],
    "subnet-arn": lambda subnet: [subnet.subnet_arn],
    "subnet-id": lambda subnet: [subnet.subnet_id],
    "vpc-id": lambda subnet: [subnet.vpc_id],
}


@operation(shapes.SERVICE, "DescribeVpcs")
def describe_vpcs(ctx: Context, tx: Tables, request: shapes.DescribeVpcsRequest) -> shapes.DescribeVpcsResult:
    refuse_dry_run(request.dry_run)
    chosen = by_id([_vpc(ctx, tx)], request.vpc_ids, lambda vpc: vpc.vpc_id, errors.InvalidVpcIDNotFound, "vpc ID")
    rows, token = page(filtered(chosen, request.filters, _VPC_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeVpcsResult(vpcs=rows, next_token=token)


def _vpc(ctx: Context, tx: Tables) -> shapes.Vpc:
    vpc = the_vpc(ctx)
    return shapes.Vpc(
        owner_id=vpc.account_id,
        instance_tenancy="default",
        cidr_block_association_set=(
            shapes.VpcCidrBlockAssociation(
                association_id=vpc.cidr_association_id,
                cidr_block=VPC_CIDR,
                cidr_block_state=shapes.VpcCidrBlockState(state="associated"),
            ),
        ),
        is_default=True,
        tags=tags_of(tx, vpc.id),
        vpc_id=vpc.id,
        state="available",
        cidr_block=VPC_CIDR,
        dhcp_options_id=vpc.dhcp_options_id,
    )


@operation(shapes.SERVICE, "DescribeVpcAttribute")
def describe_vpc_attribute(
    ctx: Context,
    tx: Tables,  # noqa: ARG001 - every handler is called alike
    request: shapes.DescribeVpcAttributeRequest,
) -> shapes.DescribeVpcAttributeResult:
    """One attribute a call, as it is for default VPCs: DNS support and host names on."""
    refuse_dry_run(request.dry_run)
    vpc = the_vpc(ctx)
    if request.vpc_id != vpc.id:
        raise errors.InvalidVpcIDNotFound(f"The vpc ID '{request.vpc_id}' does not exist")
    value = shapes.AttributeBooleanValue(value=request.attribute != "enableNetworkAddressUsageMetrics")
    if request.attribute == "enableDnsSupport":
        return shapes.DescribeVpcAttributeResult(vpc_id=vpc.id, enable_dns_support=value)
    if request.attribute == "enableDnsHostnames":
        return shapes.DescribeVpcAttributeResult(vpc_id=vpc.id, enable_dns_hostnames=value)
    return shapes.DescribeVpcAttributeResult(vpc_id=vpc.id, enable_network_address_usage_metrics=value)


@operation(shapes.SERVICE, "DescribeSubnets")
def describe_subnets(ctx: Context, tx: Tables, request: shapes.DescribeSubnetsRequest) -> shapes.DescribeSubnetsResult:
    refuse_dry_run(request.dry_run)
    rows = [_subnet(ctx, tx, subnet) for subnet in the_vpc(ctx).subnets]
    chosen = by_id(rows, request.subnet_ids, lambda row: row.subnet_id, errors.InvalidSubnetIDNotFound, "subnet ID")
    shown, token = page(filtered(chosen, request.filters, _SUBNET_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeSubnetsResult(subnets=shown, next_token=token)


def _subnet(ctx: Context, tx: Tables, subnet: Subnet) -> shapes.Subnet:
    vpc = the_vpc(ctx)
    taken = sum(1 for row in tx.load_balancers if vpc.subnet_of(row.address) == subnet)
    return shapes.Subnet(
        availability_zone_id=subnet.zone.id,
        map_customer_owned_ip_on_launch=False,
        owner_id=vpc.account_id,
        assign_ipv6_address_on_creation=False,
        ipv6_cidr_block_association_set=(),
        tags=tags_of(tx, subnet.id),
        subnet_arn=f"arn:aws:ec2:{vpc.region}:{vpc.account_id}:subnet/{subnet.id}",
        enable_dns64=False,
        ipv6_native=False,
        private_dns_name_options_on_launch=shapes.PrivateDnsNameOptionsOnLaunch(
            hostname_type="ip-name",
            enable_resource_name_dns_a_record=False,
            enable_resource_name_dns_aaaa_record=False,
        ),
        subnet_id=subnet.id,
        state="available",
        vpc_id=vpc.id,
        cidr_block=subnet.cidr,
        available_ip_address_count=subnet.size - taken,
        availability_zone=subnet.zone.name,
        default_for_az=True,
        map_public_ip_on_launch=True,
    )
