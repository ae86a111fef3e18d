"""The default VPC of an account and region: what EC2 has before anybody makes a network.

172.31.0.0/16 with a /20 subnet in each of three Availability Zones, a security group, a main route table, a network
ACL and an internet gateway. Nothing of it is stored: every id is a hash of account, region and what it is for, so the
ids are the same for ever and in every process. Only tags that somebody adds are rows (`ResourceTags`).
Source: Amazon VPC User Guide, "Default VPCs".
"""

import hashlib
import ipaddress
from collections.abc import Iterable

from msgspec import Struct

VPC_CIDR = "172.31.0.0/16"
_ZONE_LETTERS = "abc"
_SUBNET_BITS = 20
#: AWS keeps the first four addresses and the last one of a subnet; load balancers begin at .10.
_RESERVED_ADDRESSES = 5
_FIRST_BALANCER_ADDRESS = 10


class ResourceTags(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tags of a resource that is derived and has no row of its own, by its id (`vpc-…`, `subnet-…`)."""

    resource_id: str
    tags: dict[str, str] = {}


class Zone(Struct, frozen=True, kw_only=True):
    """An Availability Zone: name such as `us-east-1a`, id such as `use1-az1`."""

    name: str
    id: str


class Subnet(Struct, frozen=True, kw_only=True):
    id: str
    zone: Zone
    cidr: str

    @property
    def size(self) -> int:
        """How many addresses may be given out."""
        return int(ipaddress.ip_network(self.cidr).num_addresses) - _RESERVED_ADDRESSES


class DefaultVpc:
    """Everything in the default VPC, by name."""

    def __init__(self, account_id: str, region: str) -> None:
        self.account_id = account_id
        self.region = region
        self.id = self._id("vpc")
        self.dhcp_options_id = self._id("dopt")
        self.cidr_association_id = self._id("vpc-cidr-assoc")
        self.security_group_id = self._id("sg")
        self.ingress_rule_id = self._id("sgr", "ingress")
        self.egress_rule_id = self._id("sgr", "egress")
        self.route_table_id = self._id("rtb")
        self.main_association_id = self._id("rtbassoc")
        self.network_acl_id = self._id("acl")
        self.internet_gateway_id = self._id("igw")
        self.zones = tuple(
            Zone(name=f"{region}{letter}", id=f"{zone_prefix(region)}-az{number}")
            for number, letter in enumerate(_ZONE_LETTERS, start=1)
        )
        blocks = ipaddress.ip_network(VPC_CIDR).subnets(new_prefix=_SUBNET_BITS)
        self.subnets = tuple(
            Subnet(id=self._id("subnet", zone.name), zone=zone, cidr=str(block))
            for zone, block in zip(self.zones, blocks, strict=False)
        )

    def _id(self, prefix: str, which: str = "") -> str:
        digest = hashlib.sha256(f"{self.account_id}:{self.region}:{prefix}:{which}".encode()).hexdigest()
        return f"{prefix}-{digest[:17]}"

    def acl_association_id(self, subnet: Subnet) -> str:
        return self._id("aclassoc", subnet.id)

    def subnet(self, subnet_id: str) -> Subnet | None:
        return next((subnet for subnet in self.subnets if subnet.id == subnet_id), None)

    def subnet_of(self, address: str) -> Subnet | None:
        """The subnet an IPv4 address is in; None for one outside of the VPC, or for what is none."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        return next((subnet for subnet in self.subnets if parsed in ipaddress.ip_network(subnet.cidr)), None)

    def resource_ids(self) -> dict[str, str]:
        """Every resource that may be tagged, and its type in EC2's words."""
        return {
            self.id: "vpc",
            self.dhcp_options_id: "dhcp-options",
            self.security_group_id: "security-group",
            self.ingress_rule_id: "security-group-rule",
            self.egress_rule_id: "security-group-rule",
            self.route_table_id: "route-table",
            self.network_acl_id: "network-acl",
            self.internet_gateway_id: "internet-gateway",
            **{subnet.id: "subnet" for subnet in self.subnets},
        }


def zone_prefix(region: str) -> str:
    """How a region begins its zones' ids: `use1` for us-east-1, `apse2` for ap-southeast-2."""
    *places, number = region.split("-")
    short = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    rest = "".join(short.get(place, place[:1]) for place in places[1:])
    return f"{places[0] if places else region}{rest}{number}"


def free_address(subnet: Subnet, taken: Iterable[str]) -> str | None:
    """An address of the subnet that load balancers may use and none has; None when all are taken.

    The search begins at a place that follows from the subnet's id, so that the regions of several data directories on
    one host, which all have this VPC, hardly ever take the same addresses.
    """
    network, used = ipaddress.ip_network(subnet.cidr), set(taken)
    usable = network.num_addresses - 1 - _FIRST_BALANCER_ADDRESS
    start = int(hashlib.sha256(subnet.id.encode()).hexdigest()[:8], 16)
    for step in range(usable):
        address = str(network[_FIRST_BALANCER_ADDRESS + (start + step) % usable])
        if address not in used:
            return address
    return None
