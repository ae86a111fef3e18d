"""EC2's default VPC as boto3 and Terraform look at it."""

import pytest
from botocore.exceptions import ClientError

from tests.builders import ACCOUNT_ID, REGION, a_region


@pytest.fixture
def region():
    made = a_region()
    yield made
    made.close()


@pytest.fixture
def ec2(region):
    return region.client("ec2")


def only(items):
    assert len(items) == 1, items
    return items[0]


def test_default_vpc_when_described_then_complete(ec2):
    vpc = only(ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"])
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["State"], vpc["InstanceTenancy"]) == (
        "172.31.0.0/16",
        True,
        "available",
        "default",
    )
    assert only(vpc["CidrBlockAssociationSet"])["CidrBlockState"]["State"] == "associated"
    assert vpc["VpcId"].startswith("vpc-") and vpc["DhcpOptionsId"].startswith("dopt-")
    assert ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"] == [vpc]
    assert ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["false"]}])["Vpcs"] == []


def test_default_vpc_when_of_another_region_process_then_same_ids(ec2):
    other = a_region(seed=7)
    try:
        assert other.client("ec2").describe_vpcs()["Vpcs"] == ec2.describe_vpcs()["Vpcs"]
    finally:
        other.close()


def test_subnets_when_described_then_one_a_zone(ec2):
    vpc_id = only(ec2.describe_vpcs()["Vpcs"])["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["Subnets"]
    assert [(s["AvailabilityZone"], s["CidrBlock"], s["AvailabilityZoneId"]) for s in subnets] == [
        (f"{REGION}a", "172.31.0.0/20", "use1-az1"),
        (f"{REGION}b", "172.31.16.0/20", "use1-az2"),
        (f"{REGION}c", "172.31.32.0/20", "use1-az3"),
    ]
    assert all(s["DefaultForAz"] and s["MapPublicIpOnLaunch"] and s["AvailableIpAddressCount"] == 4091 for s in subnets)
    chosen = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["*b", "nowhere"]}])["Subnets"]
    assert chosen == [subnets[1]]
    assert ec2.describe_subnets(SubnetIds=[subnets[2]["SubnetId"]])["Subnets"] == [subnets[2]]


def test_default_security_group_when_described_then_open_inside_and_out(ec2):
    group = only(
        ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
    )
    inside, out = only(group["IpPermissions"]), only(group["IpPermissionsEgress"])
    assert only(inside["UserIdGroupPairs"])["GroupId"] == group["GroupId"]
    assert only(out["IpRanges"])["CidrIp"] == "0.0.0.0/0"
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}])
    assert sorted(rule["IsEgress"] for rule in rules["SecurityGroupRules"]) == [False, True]
    assert ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"] == [group]


def test_wiring_when_described_then_as_in_a_default_vpc(ec2):
    table = only(ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])["RouteTables"])
    gateway = only(ec2.describe_internet_gateways()["InternetGateways"])
    assert [(r["DestinationCidrBlock"], r["GatewayId"]) for r in table["Routes"]] == [
        ("172.31.0.0/16", "local"),
        ("0.0.0.0/0", gateway["InternetGatewayId"]),
    ]
    acl = only(ec2.describe_network_acls(Filters=[{"Name": "default", "Values": ["true"]}])["NetworkAcls"])
    assert len(acl["Associations"]) == 3 and len(acl["Entries"]) == 4


def test_vpc_attribute_when_described_then_dns_is_on(ec2):
    vpc_id = only(ec2.describe_vpcs()["Vpcs"])["VpcId"]
    answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"] == {"Value": True}
    answer = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableNetworkAddressUsageMetrics")
    assert answer["EnableNetworkAddressUsageMetrics"] == {"Value": False}


def test_zones_and_account_when_described_then_three_and_a_default_vpc(ec2):
    zones = ec2.describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == [f"{REGION}{letter}" for letter in "abc"]
    attributes = ec2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]
    vpc = only(ec2.describe_vpcs()["Vpcs"])
    assert only(only(attributes)["AttributeValues"])["AttributeValue"] == vpc["VpcId"] and vpc["OwnerId"] == ACCOUNT_ID


def test_tags_when_created_and_deleted_then_seen_and_filtered_by(ec2):
    subnet = ec2.describe_subnets()["Subnets"][1]["SubnetId"]
    ec2.create_tags(Resources=[subnet], Tags=[{"Key": "tier", "Value": "web"}, {"Key": "x", "Value": ""}])
    found = ec2.describe_subnets(Filters=[{"Name": "tag:tier", "Values": ["we?"]}])["Subnets"]
    assert only(found)["Tags"] == [{"Key": "tier", "Value": "web"}, {"Key": "x", "Value": ""}]
    assert (
        only(ec2.describe_subnets(Filters=[{"Name": "tag-key", "Values": ["tier"]}])["Subnets"])["SubnetId"] == subnet
    )
    described = ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["subnet"]}])["Tags"]
    assert {"Key": "tier", "ResourceId": subnet, "ResourceType": "subnet", "Value": "web"} in described
    ec2.delete_tags(Resources=[subnet], Tags=[{"Key": "tier", "Value": "other"}, {"Key": "x"}])
    assert [tag["Key"] for tag in ec2.describe_tags()["Tags"]] == ["tier"]
    ec2.delete_tags(Resources=[subnet])
    assert ec2.describe_tags()["Tags"] == []


def test_pages_when_limited_then_all_in_turn(ec2):
    vpc = only(ec2.describe_vpcs()["Vpcs"])["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(12)])
    pages = list(ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Tags"]) for page in pages] == [5, 5, 2]


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("describe_vpcs", {"VpcIds": ["vpc-1"]}, "InvalidVpcID.NotFound"),
        ("describe_subnets", {"SubnetIds": ["subnet-1"]}, "InvalidSubnetID.NotFound"),
        ("describe_security_groups", {"GroupIds": ["sg-1"]}, "InvalidGroup.NotFound"),
        ("describe_route_tables", {"RouteTableIds": ["rtb-1"]}, "InvalidRouteTableID.NotFound"),
        ("describe_vpcs", {"Filters": [{"Name": "nonsense", "Values": ["1"]}]}, "InvalidParameterValue"),
        ("describe_vpcs", {"DryRun": True}, "DryRunOperation"),
        ("describe_vpcs", {"MaxResults": 1}, "InvalidParameterValue"),
        ("create_tags", {"Resources": ["vpc-1"], "Tags": [{"Key": "a", "Value": "b"}]}, "InvalidID"),
        ("create_vpc", {"CidrBlock": "10.0.0.0/16"}, "UnsupportedOperation"),
        ("run_instances", {"MinCount": 1, "MaxCount": 1}, "UnsupportedOperation"),
    ],
)
def test_bad_request_when_sent_then_named_as_ec2_names_it(ec2, operation, arguments, code):
    with pytest.raises(ClientError) as caught:
        getattr(ec2, operation)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["RequestId"]
