"""How the default VPC is wired: main route table, network ACL, internet gateway. They are described, not enforced."""

from homeport.api.ec2 import errors
from homeport.api.ec2.select import by_id, filtered, page, refuse_dry_run, tags_of, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.vpc import VPC_CIDR
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

_ANYWHERE = "0.0.0.0/0"
_TABLE_FIELDS = {
    "association.main": lambda table: [item.main for item in table.associations],
    "association.route-table-association-id": lambda table: [x.route_table_association_id for x in table.associations],
    "association.route-table-id": lambda table: [item.route_table_id for item in table.associations],
    "association.subnet-id": lambda table: [item.subnet_id for item in table.associations],
    "association.gateway-id": lambda table: [item.gateway_id for item in table.associations],
    "owner-id": lambda table: [table.owner_id],
    "route-table-id": lambda table: [table.route_table_id],
    "route.destination-cidr-block": lambda table: [route.destination_cidr_block for route in table.routes],
    "route.gateway-id": lambda table: [route.gateway_id for route in table.routes],
    "route.nat-gateway-id": lambda _: [],
    "route.origin": lambda table: [route.origin for route in table.routes],
    "route.state": lambda table: [route.state for route in table.routes],
    "vpc-id": lambda table: [table.vpc_id],
}
_ACL_FIELDS = {
    "association.association-id": lambda acl: [item.network_acl_association_id for item in acl.associations],
    "association.network-acl-id": lambda acl: [item.network_acl_id for item in acl.associations],
    "association.subnet-id": lambda acl: [item.subnet_id for item in acl.associations],
    "default": lambda acl: [acl.is_default],
    "network-acl-id": lambda acl: [acl.network_acl_id],
    "owner-id": lambda acl: [acl.owner_id],
    "vpc-id": lambda acl: [acl.vpc_id],
}
_GATEWAY_FIELDS = {
    "attachment.state": lambda gateway: [item.state for item in gateway.attachments],
    "attachment.vpc-id": lambda gateway: [item.vpc_id for item in gateway.attachments],
    "internet-gateway-id": lambda gateway: [gateway.internet_gateway_id],
    "owner-id": lambda gateway: [gateway.owner_id],
}


@operation(shapes.SERVICE, "DescribeRouteTables")
def describe_route_tables(
    ctx: Context, tx: Tables, request: shapes.DescribeRouteTablesRequest
) -> shapes.DescribeRouteTablesResult:
    refuse_dry_run(request.dry_run)
    chosen = by_id(
        [_route_table(ctx, tx)],
        request.route_table_ids,
        lambda row: row.route_table_id,
        errors.InvalidRouteTableIDNotFound,
        "routeTable ID",
    )
    shown, token = page(filtered(chosen, request.filters, _TABLE_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeRouteTablesResult(route_tables=shown, next_token=token)


def _route_table(ctx: Context, tx: Tables) -> shapes.RouteTable:
    vpc = the_vpc(ctx)
    association = shapes.RouteTableAssociation(
        main=True,
        route_table_association_id=vpc.main_association_id,
        route_table_id=vpc.route_table_id,
        association_state=shapes.RouteTableAssociationState(state="associated"),
    )
    local = shapes.Route(destination_cidr_block=VPC_CIDR, gateway_id="local", origin="CreateRouteTable", state="active")
    out = shapes.Route(
        destination_cidr_block=_ANYWHERE, gateway_id=vpc.internet_gateway_id, origin="CreateRoute", state="active"
    )
    return shapes.RouteTable(
        associations=(association,),
        propagating_vgws=(),
        route_table_id=vpc.route_table_id,
        routes=(local, out),
        tags=tags_of(tx, vpc.route_table_id),
        vpc_id=vpc.id,
        owner_id=vpc.account_id,
    )


@operation(shapes.SERVICE, "DescribeNetworkAcls")
def describe_network_acls(
    ctx: Context, tx: Tables, request: shapes.DescribeNetworkAclsRequest
) -> shapes.DescribeNetworkAclsResult:
    refuse_dry_run(request.dry_run)
    chosen = by_id(
        [_network_acl(ctx, tx)],
        request.network_acl_ids,
        lambda row: row.network_acl_id,
        errors.InvalidNetworkAclIDNotFound,
        "networkAcl ID",
    )
    shown, token = page(filtered(chosen, request.filters, _ACL_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeNetworkAclsResult(network_acls=shown, next_token=token)


def _network_acl(ctx: Context, tx: Tables) -> shapes.NetworkAcl:
    """Allows everything, as default ACLs do: rule 100, and the rule that no traffic ever reaches."""
    vpc = the_vpc(ctx)
    associations = tuple(
        shapes.NetworkAclAssociation(
            network_acl_association_id=vpc.acl_association_id(subnet),
            network_acl_id=vpc.network_acl_id,
            subnet_id=subnet.id,
        )
        for subnet in vpc.subnets
    )
    entries = tuple(
        shapes.NetworkAclEntry(
            cidr_block=_ANYWHERE,
            egress=egress,
            protocol="-1",
            rule_action="allow" if number == 100 else "deny",
            rule_number=number,
        )
        for egress in (True, False)
        for number in (100, 32767)
    )
    return shapes.NetworkAcl(
        associations=associations,
        entries=entries,
        is_default=True,
        network_acl_id=vpc.network_acl_id,
        tags=tags_of(tx, vpc.network_acl_id),
        vpc_id=vpc.id,
        owner_id=vpc.account_id,
    )


@operation(shapes.SERVICE, "DescribeInternetGateways")
def describe_internet_gateways(
    ctx: Context, tx: Tables, request: shapes.DescribeInternetGatewaysRequest
) -> shapes.DescribeInternetGatewaysResult:
    refuse_dry_run(request.dry_run)
    vpc = the_vpc(ctx)
    gateway = shapes.InternetGateway(
        attachments=(shapes.InternetGatewayAttachment(state="attached", vpc_id=vpc.id),),
        internet_gateway_id=vpc.internet_gateway_id,
        owner_id=vpc.account_id,
        tags=tags_of(tx, vpc.internet_gateway_id),
    )
    chosen = by_id(
        [gateway],
        request.internet_gateway_ids,
        lambda row: row.internet_gateway_id,
        errors.InvalidInternetGatewayIDNotFound,
        "internetGateway ID",
    )
    shown, token = page(filtered(chosen, request.filters, _GATEWAY_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeInternetGatewaysResult(internet_gateways=shown, next_token=token)
