"""The network interfaces of load balancers: one a load balancer, in its first subnet, with the address it listens on."""

import hashlib

from homeport.api.ec2 import errors
from homeport.api.ec2.select import by_id, filtered, page, refuse_dry_run, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import LoadBalancer
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

_FIELDS = {
    "addresses.private-ip-address": lambda row: [item.private_ip_address for item in row.private_ip_addresses],
    "attachment.attachment-id": lambda row: [row.attachment.attachment_id],
    "attachment.instance-id": lambda _: [],
    "attachment.instance-owner-id": lambda row: [row.attachment.instance_owner_id],
    "attachment.status": lambda row: [row.attachment.status],
    "availability-zone": lambda row: [row.availability_zone],
    "description": lambda row: [row.description],
    "group-id": lambda row: [group.group_id for group in row.groups],
    "group-name": lambda row: [group.group_name for group in row.groups],
    "interface-type": lambda row: [row.interface_type],
    "mac-address": lambda row: [row.mac_address],
    "network-interface-id": lambda row: [row.network_interface_id],
    "owner-id": lambda row: [row.owner_id],
    "private-ip-address": lambda row: [row.private_ip_address],
    "requester-id": lambda row: [row.requester_id],
    "requester-managed": lambda row: [row.requester_managed],
    "status": lambda row: [row.status],
    "subnet-id": lambda row: [row.subnet_id],
    "vpc-id": lambda row: [row.vpc_id],
}


@operation(shapes.SERVICE, "DescribeNetworkInterfaces")
def describe_network_interfaces(
    ctx: Context, tx: Tables, request: shapes.DescribeNetworkInterfacesRequest
) -> shapes.DescribeNetworkInterfacesResult:
    refuse_dry_run(request.dry_run)
    rows = [_interface(ctx, row) for row in tx.load_balancers]
    chosen = by_id(
        rows,
        request.network_interface_ids,
        lambda row: row.network_interface_id,
        errors.InvalidNetworkInterfaceIDNotFound,
        "networkInterface ID",
    )
    shown, token = page(filtered(chosen, request.filters, _FIELDS), request.next_token, request.max_results)
    return shapes.DescribeNetworkInterfacesResult(network_interfaces=shown, next_token=token)


def _interface(ctx: Context, row: LoadBalancer) -> shapes.NetworkInterface:
    vpc = the_vpc(ctx)
    digest = hashlib.sha256(row.arn.encode()).hexdigest()
    subnet = vpc.subnet_of(row.address) or vpc.subnets[0]
    host_name = f"ip-{row.address.replace('.', '-')}.{vpc.region}.compute.internal"
    mac = ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])
    is_network = row.type == "network"
    attachment = shapes.NetworkInterfaceAttachment(
        attach_time=row.created_at,
        attachment_id=f"ela-attach-{digest[:17]}",
        delete_on_termination=False,
        device_index=1,
        instance_owner_id="amazon-aws" if is_network else "amazon-elb",
        status="attached",
    )
    return shapes.NetworkInterface(
        attachment=attachment,
        availability_zone=subnet.zone.name,
        availability_zone_id=subnet.zone.id,
        description=f"ELB {row.arn.partition(':loadbalancer/')[2]}",
        groups=tuple(shapes.GroupIdentifier(group_id=item, group_name="default") for item in row.security_groups),
        interface_type="network_load_balancer" if is_network else "interface",
        ipv6_addresses=(),
        mac_address=mac,
        network_interface_id=f"eni-{digest[:17]}",
        owner_id=vpc.account_id,
        private_dns_name=host_name,
        private_ip_address=row.address,
        private_ip_addresses=(
            shapes.NetworkInterfacePrivateIpAddress(
                primary=True, private_dns_name=host_name, private_ip_address=row.address
            ),
        ),
        requester_id="amazon-elb",
        requester_managed=True,
        source_dest_check=True,
        status="in-use",
        subnet_id=subnet.id,
        tag_set=(),
        vpc_id=vpc.id,
    )
