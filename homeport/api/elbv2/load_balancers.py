"""Load balancers: application and network, each with an address of its own in the default VPC.

A new one is `provisioning` until the data plane serves it. The name its clients use says the address itself, so that
resolving it needs no state. Subnets and zones are kept and given back; one address serves all of them.
"""

import hashlib
import ipaddress

from msgspec.structs import replace

from homeport.api.elbv2.find import check_arn, chosen_by, find_load_balancer, new_arn, page, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import LoadBalancer
from homeport.model.rules.elbv2 import LIMITS, ValidationError, check_name, check_tags
from homeport.model.rules.elbv2_attributes import balancer_table, defaults
from homeport.model.vpc import free_address
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

#: Route 53's hosted zones of ELB in us-east-1; elsewhere the ids are made up, but always the same.
_HOSTED_ZONES = {
    ("us-east-1", "application"): "Z35SXDOTRQ7X7K",
    ("us-east-1", "network"): "Z26RNL4JYFTOTI",
}
_SHORT = {"application": "app", "network": "net"}


@operation(shapes.SERVICE, "CreateLoadBalancer")
def create_load_balancer(
    ctx: Context, tx: Tx, request: shapes.CreateLoadBalancerInput
) -> shapes.CreateLoadBalancerOutput:
    name, kind = check_name(request.name, "Load balancer"), request.type or "application"
    _check_supported(request, kind)
    tags = check_tags(request.tags)
    subnets = _subnets(ctx, kind, request.subnets, request.subnet_mappings)
    row = LoadBalancer(
        arn=new_arn(ctx, f"loadbalancer/{_SHORT[kind]}/{name}/{tx.ids.hex32()[:16]}"),
        name=name,
        dns_name="",
        address="",
        type=kind,
        scheme=request.scheme or "internet-facing",
        vpc_id=the_vpc(ctx).id,
        subnet_ids=subnets,
        security_groups=_security_groups(ctx, kind, request.security_groups),
        ip_address_type="ipv4",
        created_at=tx.now,
        attributes=defaults(balancer_table(kind)),
        tags=tags,
    )
    existing = next((other for other in tx.load_balancers if other.name == name), None)
    if existing is not None:
        if not _is_same(existing, row):
            raise shapes.DuplicateLoadBalancerNameException(
                f"A load balancer with the same name '{name}' exists, but with different settings"
            )
        return shapes.CreateLoadBalancerOutput(load_balancers=(shown_load_balancer(ctx, existing),))
    if sum(1 for other in tx.load_balancers if other.type == kind) >= LIMITS[f"{kind}-load-balancers"]:
        raise shapes.TooManyLoadBalancersException("The maximum number of load balancers has been reached")
    row = _with_address(ctx, tx, row)
    tx.load_balancers.put(row)
    return shapes.CreateLoadBalancerOutput(load_balancers=(shown_load_balancer(ctx, row),))


def _check_supported(request: shapes.CreateLoadBalancerInput, kind: str) -> None:
    if kind == "gateway":
        raise shapes.InvalidConfigurationRequestException("Homeport does not support Gateway Load Balancers")
    _check_ip_type(request.ip_address_type)
    for name in ("customer_owned_ipv4_pool", "ipam_pools"):
        if getattr(request, name) is not None:
            raise shapes.InvalidConfigurationRequestException(f"Homeport does not support {name} of load balancers")
    if request.enable_prefix_for_ipv6_source_nat == "on":
        raise shapes.InvalidConfigurationRequestException("Homeport's load balancers have IPv4 addresses only")


def _check_ip_type(ip_address_type: str | None) -> None:
    if ip_address_type not in (None, "ipv4"):
        raise shapes.InvalidConfigurationRequestException(
            "You must specify subnets with an associated IPv6 CIDR block."
        )


def _subnets(
    ctx: Context, kind: str, names: tuple[str, ...] | None, mappings: tuple[shapes.SubnetMapping, ...] | None
) -> tuple[str, ...]:
    """The subnets' ids in the order given; raises for none, unknown ones, two in a zone, and one zone for an ALB."""
    if names and mappings:
        raise ValidationError("You can specify either subnets or subnet mappings, not both")
    for mapping in mappings or ():
        _check_mapping(mapping)
    chosen = names or tuple(mapping.subnet_id or "" for mapping in mappings or ())
    if not chosen:
        raise ValidationError("At least one subnet must be specified")
    vpc = the_vpc(ctx)
    for name in chosen:
        if vpc.subnet(name) is None:
            raise shapes.SubnetNotFoundException(f"The subnet ID '{name}' does not exist")
    if len(set(chosen)) != len(chosen):  # A zone of the default VPC has one subnet, and there is no other VPC.
        raise shapes.InvalidConfigurationRequestException(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        )
    if kind == "application" and len(chosen) == 1:
        raise ValidationError("At least two subnets in two different Availability Zones must be specified")
    return chosen


def _check_mapping(mapping: shapes.SubnetMapping) -> None:
    if mapping.allocation_id is not None:
        raise shapes.AllocationIdNotFoundException(f"The allocation ID '{mapping.allocation_id}' does not exist")
    if mapping.private_i_pv4_address or mapping.i_pv6_address or mapping.source_nat_ipv6_prefix:
        raise shapes.InvalidConfigurationRequestException("Homeport chooses the addresses of load balancers itself")


def _security_groups(ctx: Context, kind: str, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The groups given; an ALB without any gets the VPC's default group."""
    own = the_vpc(ctx).security_group_id
    for name in names or ():
        if name != own:
            raise shapes.InvalidSecurityGroupException(f"The security group '{name}' does not exist")
    return tuple(dict.fromkeys(names or ())) or ((own,) if kind == "application" else ())


def _is_same(existing: LoadBalancer, wanted: LoadBalancer) -> bool:
    return (
        existing.type == wanted.type
        and existing.scheme == wanted.scheme
        and set(existing.subnet_ids) == set(wanted.subnet_ids)
        and set(existing.security_groups) == set(wanted.security_groups)
    )


def _with_address(ctx: Context, tx: Tx, row: LoadBalancer) -> LoadBalancer:
    """The load balancer with a free address of its first subnet and the name that says it."""
    subnet = the_vpc(ctx).subnet(row.subnet_ids[0])
    address = free_address(subnet, (other.address for other in tx.load_balancers)) if subnet else None
    if address is None:
        raise shapes.InvalidSubnetException("There are not enough free IP addresses in the subnet")
    number = int(ipaddress.IPv4Address(address))
    host = f"{row.name}-{number:010d}.{ctx.arns.region}.elb.homeport.internal"
    return replace(row, address=address, dns_name=host)


@operation(shapes.SERVICE, "DeleteLoadBalancer")
def delete_load_balancer(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.DeleteLoadBalancerInput,
) -> shapes.DeleteLoadBalancerOutput:
    """With its listeners and rules. One that is not there is as good as deleted; target groups stay."""
    row = tx.load_balancers.get(check_arn(request.load_balancer_arn, "loadbalancer"))
    if row is None:
        return shapes.DeleteLoadBalancerOutput()
    if row.attributes.get("deletion_protection.enabled") == "true":
        raise shapes.OperationNotPermittedException(
            f"Load balancer '{row.arn}' cannot be deleted because deletion protection is enabled"
        )
    for listener in tx.listeners.by(load_balancer_arn=row.arn):
        for rule in tx.rules.by(listener_arn=listener.arn):
            tx.rules.delete(rule.arn)
        tx.listeners.delete(listener.arn)
    tx.load_balancers.delete(row.arn)
    return shapes.DeleteLoadBalancerOutput()


@operation(shapes.SERVICE, "DescribeLoadBalancers")
def describe_load_balancers(
    ctx: Context, tx: Tables, request: shapes.DescribeLoadBalancersInput
) -> shapes.DescribeLoadBalancersOutput:
    if request.load_balancer_arns and request.names:
        raise ValidationError("Load balancer names and load balancer ARNs cannot be specified at the same time")
    for arn in request.load_balancer_arns or ():
        check_arn(arn, "loadbalancer")
    rows, missing = list(tx.load_balancers), shapes.LoadBalancerNotFoundException
    chosen = chosen_by(rows, request.load_balancer_arns, "arn", missing, "Load balancers")
    if chosen is None:
        chosen = chosen_by(rows, request.names, "name", missing, "Load balancers")
    marker = None
    if chosen is None:
        shown, marker = page(rows, "arn", request.marker, request.page_size)
        chosen = list(shown)
    return shapes.DescribeLoadBalancersOutput(
        load_balancers=tuple(shown_load_balancer(ctx, row) for row in chosen), next_marker=marker
    )


def shown_load_balancer(ctx: Context, row: LoadBalancer) -> shapes.LoadBalancer:
    is_guarded = row.type == "network" and row.security_groups
    return shapes.LoadBalancer(
        load_balancer_arn=row.arn,
        dns_name=row.dns_name,
        canonical_hosted_zone_id=_hosted_zone(ctx.arns.region, row.type),
        created_time=row.created_at,
        load_balancer_name=row.name,
        scheme=row.scheme,  # type: ignore[arg-type]  # rows keep the model's own words
        vpc_id=row.vpc_id,
        state=shapes.LoadBalancerState(code=row.state, reason=row.state_reason),  # type: ignore[arg-type]
        type=row.type,  # type: ignore[arg-type]
        availability_zones=_zones(ctx, row),
        security_groups=row.security_groups,
        ip_address_type=row.ip_address_type,  # type: ignore[arg-type]
        enforce_security_group_inbound_rules_on_private_link_traffic="on" if is_guarded else None,
        enable_prefix_for_ipv6_source_nat="off" if row.type == "network" else None,
    )


def _hosted_zone(region: str, kind: str) -> str:
    digest = hashlib.sha256(f"{region}:{kind}".encode()).hexdigest().upper()
    return _HOSTED_ZONES.get((region, kind), f"Z{digest[:13]}")


def _zones(ctx: Context, row: LoadBalancer) -> tuple[shapes.AvailabilityZone, ...]:
    vpc = the_vpc(ctx)
    subnets = [subnet for name in row.subnet_ids if (subnet := vpc.subnet(name)) is not None]
    return tuple(
        shapes.AvailabilityZone(zone_name=subnet.zone.name, subnet_id=subnet.id, load_balancer_addresses=())
        for subnet in subnets
    )


@operation(shapes.SERVICE, "SetSubnets")
def set_subnets(ctx: Context, tx: Tx, request: shapes.SetSubnetsInput) -> shapes.SetSubnetsOutput:
    """The zones change, the address stays."""
    row = find_load_balancer(tx, request.load_balancer_arn)
    _check_ip_type(request.ip_address_type)
    if request.enable_prefix_for_ipv6_source_nat == "on":
        raise shapes.InvalidConfigurationRequestException("Homeport's load balancers have IPv4 addresses only")
    row = replace(row, subnet_ids=_subnets(ctx, row.type, request.subnets, request.subnet_mappings))
    tx.load_balancers.put(row)
    return shapes.SetSubnetsOutput(availability_zones=_zones(ctx, row), ip_address_type="ipv4")


@operation(shapes.SERVICE, "SetSecurityGroups")
def set_security_groups(ctx: Context, tx: Tx, request: shapes.SetSecurityGroupsInput) -> shapes.SetSecurityGroupsOutput:
    row = find_load_balancer(tx, request.load_balancer_arn)
    if row.type == "network" and not row.security_groups:
        raise shapes.InvalidConfigurationRequestException(
            "You cannot set security groups for a Network Load Balancer that was created without any"
        )
    if request.enforce_security_group_inbound_rules_on_private_link_traffic == "off":
        raise shapes.InvalidConfigurationRequestException("Homeport has no PrivateLink traffic to make exceptions for")
    if not request.security_groups:
        raise ValidationError("At least one security group must be specified")
    row = replace(row, security_groups=_security_groups(ctx, row.type, request.security_groups))
    tx.load_balancers.put(row)
    return shapes.SetSecurityGroupsOutput(security_group_ids=row.security_groups)


@operation(shapes.SERVICE, "SetIpAddressType")
def set_ip_address_type(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.SetIpAddressTypeInput,
) -> shapes.SetIpAddressTypeOutput:
    find_load_balancer(tx, request.load_balancer_arn)
    _check_ip_type(request.ip_address_type)
    return shapes.SetIpAddressTypeOutput(ip_address_type="ipv4")
