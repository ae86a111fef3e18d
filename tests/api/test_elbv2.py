"""Load balancers, target groups, targets, tags and attributes through boto3."""

import ipaddress

import pytest
from botocore.exceptions import ClientError

from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.shapes import elbv2 as shapes
from tests.builders import a_region


@pytest.fixture
def region():
    made = a_region()
    yield made
    made.close()


@pytest.fixture
def elb(region):
    return region.client("elbv2")


def only(items):
    assert len(items) == 1, items
    return items[0]


def error_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def network(region):
    ec2 = region.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    return ec2.describe_vpcs()["Vpcs"][0]["VpcId"], subnets


def a_balancer(region, name="web", **more):
    subnets = network(region)[1]
    answer = region.client("elbv2").create_load_balancer(**{"Name": name, "Subnets": subnets, **more})
    return only(answer["LoadBalancers"])


def a_group(region, name="app", **more):
    settings = {"Protocol": "HTTP", "Port": 80, "VpcId": network(region)[0], "TargetType": "ip", **more}
    return only(region.client("elbv2").create_target_group(Name=name, **settings)["TargetGroups"])


def a_listener(region, balancer, group, **more):
    settings = {"Protocol": "HTTP", "Port": 80, **more}
    if group is not None:
        settings.setdefault("DefaultActions", [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}])
    answer = region.client("elbv2").create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **settings)
    return only(answer["Listeners"])


# ---- load balancers -------------------------------------------------------------------------------------------------


def address_in_name(balancer):
    """The number in a load balancer's name is its address."""
    return ipaddress.ip_address(int(balancer["DNSName"].split(".")[0].rsplit("-", 1)[1]))


def test_load_balancer_when_created_then_provisioning_with_an_address_in_its_name(region, elb):
    made = a_balancer(region, Tags=[{"Key": "a", "Value": "1"}])
    vpc, subnets = network(region)
    assert made["LoadBalancerArn"].startswith(
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/"
    )
    assert made["DNSName"].startswith("web-") and made["DNSName"].endswith(".us-east-1.elb.homeport.internal")
    assert address_in_name(made) in ipaddress.ip_network("172.31.0.0/20")
    assert (made["State"]["Code"], made["Type"], made["Scheme"], made["VpcId"], made["IpAddressType"]) == (
        "provisioning",
        "application",
        "internet-facing",
        vpc,
        "ipv4",
    )
    assert [zone["SubnetId"] for zone in made["AvailabilityZones"]] == subnets
    assert made["CanonicalHostedZoneId"] == "Z35SXDOTRQ7X7K" and len(made["SecurityGroups"]) == 1
    assert only(elb.describe_load_balancers(Names=["web"])["LoadBalancers"]) == made
    assert only(elb.describe_load_balancers(LoadBalancerArns=[made["LoadBalancerArn"]])["LoadBalancers"]) == made
    tags = elb.describe_tags(ResourceArns=[made["LoadBalancerArn"]])["TagDescriptions"]
    assert only(tags)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_load_balancer_when_created_again_then_the_same_unless_it_differs(region, elb):
    made = a_balancer(region)
    assert a_balancer(region) == made
    assert error_of(elb.create_load_balancer, Name="web", Subnets=network(region)[1], Scheme="internal") == (
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'web' exists, but with different settings",
    )


def test_load_balancers_when_several_then_each_has_its_address_and_freed_ones_come_back(region, elb):
    names = [a_balancer(region, f"lb-{n}")["DNSName"] for n in range(3)]
    assert len(set(names)) == 3
    arn = only(elb.describe_load_balancers(Names=["lb-1"])["LoadBalancers"])["LoadBalancerArn"]
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert a_balancer(region, "again")["DNSName"].removeprefix("again") == names[1].removeprefix("lb-1")
    assert error_of(elb.describe_load_balancers, Names=["lb-1"])[0] == "LoadBalancerNotFound"


def test_network_load_balancer_when_created_then_one_subnet_suffices_and_no_security_group(region):
    made = a_balancer(region, "tcp", Type="network", Subnets=network(region)[1][1:2])
    assert (made["Type"], made["SecurityGroups"]) == ("network", [])
    assert "/net/tcp/" in made["LoadBalancerArn"]
    assert address_in_name(made) in ipaddress.ip_network("172.31.16.0/20")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Name": "-x"}, "ValidationError"),
        ({"Name": "x" * 33}, "ValidationError"),
        ({"Name": "internal-x"}, "ValidationError"),
        ({"Subnets": []}, "ValidationError"),
        ({"Subnets": ["subnet-0"]}, "SubnetNotFound"),
        ({"SecurityGroups": ["sg-0"]}, "InvalidSecurityGroup"),
        ({"Type": "gateway"}, "InvalidConfigurationRequest"),
        ({"IpAddressType": "dualstack"}, "InvalidConfigurationRequest"),
        ({"Type": "classic"}, "ValidationError"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "DuplicateTagKeys"),
        ({"Tags": [{"Key": "aws:x", "Value": "1"}]}, "ValidationError"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "TooManyTags"),
    ],
)
def test_load_balancer_when_it_may_not_be_then_refused(region, elb, change, code):
    wanted = {"Name": "web", "Subnets": network(region)[1], **change}
    assert error_of(elb.create_load_balancer, **wanted)[0] == code
    assert elb.describe_load_balancers()["LoadBalancers"] == []


def test_application_load_balancer_when_in_one_zone_then_refused(region, elb):
    one = network(region)[1][:1]
    assert error_of(elb.create_load_balancer, Name="x", Subnets=one)[0] == "ValidationError"
    assert error_of(elb.create_load_balancer, Name="x", Subnets=one * 2)[0] == "InvalidConfigurationRequest"
    mapping = [{"SubnetId": one[0], "AllocationId": "eipalloc-1"}]
    assert (
        error_of(elb.create_load_balancer, Name="x", Type="network", SubnetMappings=mapping)[0]
        == "AllocationIdNotFound"
    )


def test_subnets_and_groups_when_set_then_given_back(region, elb):
    made = a_balancer(region)
    arn, subnets = made["LoadBalancerArn"], network(region)[1]
    answer = elb.set_subnets(LoadBalancerArn=arn, Subnets=subnets[1:])
    assert [zone["SubnetId"] for zone in answer["AvailabilityZones"]] == subnets[1:]
    again = elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=made["SecurityGroups"])
    assert again["SecurityGroupIds"] == made["SecurityGroups"]
    assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    described = only(elb.describe_load_balancers()["LoadBalancers"])
    assert described["DNSName"] == made["DNSName"] and len(described["AvailabilityZones"]) == 2


def test_load_balancers_when_paged_then_each_once(region, elb):
    for number in range(5):
        a_balancer(region, f"lb-{number}")
    pages = elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2})
    names = [item["LoadBalancerName"] for page in pages for item in page["LoadBalancers"]]
    assert sorted(names) == [f"lb-{number}" for number in range(5)]
    assert error_of(elb.describe_load_balancers, Marker="?")[0] == "ValidationError"


def test_interface_when_load_balancer_is_there_then_described_as_elbs(region, elb):
    made = a_balancer(region)
    ec2 = region.client("ec2")
    filters = [
        {"Name": "attachment.instance-owner-id", "Values": ["amazon-elb"]},
        {"Name": "description", "Values": [f"ELB {made['LoadBalancerArn'].split(':loadbalancer/')[1]}"]},
    ]
    found = only(ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])
    assert found["PrivateIpAddress"] == str(address_in_name(made)) and found["SubnetId"] == network(region)[1][0]
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    assert ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"] == []


# ---- target groups --------------------------------------------------------------------------------------------------


def test_target_group_when_created_then_complete_with_defaults(region, elb):
    made = a_group(region, TargetType="instance")
    assert {
        "Protocol": "HTTP",
        "ProtocolVersion": "HTTP1",
        "TargetType": "instance",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "Matcher": {"HttpCode": "200"},
        "IpAddressType": "ipv4",
        "LoadBalancerArns": [],
    }.items() <= made.items()
    assert only(elb.describe_target_groups(Names=["app"])["TargetGroups"]) == made
    assert a_group(region, TargetType="instance") == made
    code, _ = error_of(elb.create_target_group, Name="app", Protocol="HTTP", Port=81, VpcId=made["VpcId"])
    assert code == "DuplicateTargetGroupName"


def test_target_groups_of_other_kinds_when_created_then_their_own_defaults(region):
    tcp = a_group(region, "tcp", Protocol="TCP")
    assert (tcp["HealthCheckProtocol"], tcp["HealthCheckTimeoutSeconds"]) == ("TCP", 10)
    assert "Matcher" not in tcp and "ProtocolVersion" not in tcp and "HealthCheckPath" not in tcp
    often = a_group(region, "often", Protocol="TCP", HealthCheckIntervalSeconds=10)
    assert (often["HealthCheckIntervalSeconds"], often["HealthCheckTimeoutSeconds"]) == (10, 10)
    mixed = a_group(region, "mixed", Protocol="UDP", HealthCheckProtocol="HTTP")
    assert (mixed["Matcher"], mixed["HealthCheckTimeoutSeconds"]) == ({"HttpCode": "200-399"}, 6)
    grpc = a_group(region, "grpc", ProtocolVersion="GRPC")
    assert (grpc["HealthCheckPath"], grpc["Matcher"]) == ("/AWS.ALB/healthcheck", {"GrpcCode": "12"})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Name": "a_b"}, "ValidationError"),
        ({"Protocol": None}, "ValidationError"),
        ({"Port": None}, "ValidationError"),
        ({"Port": 0}, "ValidationError"),
        ({"VpcId": "vpc-0"}, "ValidationError"),
        ({"VpcId": None}, "ValidationError"),
        ({"TargetType": "lambda"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb"}, "InvalidConfigurationRequest"),
        ({"Protocol": "GENEVE"}, "InvalidConfigurationRequest"),
        ({"Protocol": "TCP", "ProtocolVersion": "HTTP2"}, "InvalidConfigurationRequest"),
        ({"ProtocolVersion": "HTTP9"}, "ValidationError"),
        ({"IpAddressType": "ipv6"}, "InvalidConfigurationRequest"),
        ({"HealthCheckProtocol": "TCP"}, "InvalidConfigurationRequest"),
        ({"HealthCheckEnabled": False}, "InvalidConfigurationRequest"),
        ({"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5}, "ValidationError"),
        ({"Protocol": "TCP", "HealthCheckIntervalSeconds": 9}, "ValidationError"),
        ({"HealthCheckIntervalSeconds": 4}, "ValidationError"),
        ({"HealthCheckPort": "99999"}, "ValidationError"),
        ({"HealthCheckPath": "x"}, "ValidationError"),
        ({"Matcher": {"HttpCode": "200-"}}, "ValidationError"),
        ({"Matcher": {"HttpCode": "500"}}, "ValidationError"),
        ({"Matcher": {"GrpcCode": "0"}}, "ValidationError"),
        ({"Protocol": "TCP", "HealthCheckPath": "/"}, "InvalidConfigurationRequest"),
    ],
)
def test_target_group_when_it_may_not_be_then_refused(region, elb, change, code):
    wanted = {"Name": "app", "Protocol": "HTTP", "Port": 80, "VpcId": network(region)[0], **change}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    assert error_of(elb.create_target_group, **wanted)[0] == code


def test_target_group_when_modified_then_only_what_is_given_changes(region, elb):
    arn = a_group(region)["TargetGroupArn"]
    elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/up", Matcher={"HttpCode": "200,202,300-399"})
    changed = only(elb.modify_target_group(TargetGroupArn=arn, HealthCheckIntervalSeconds=10)["TargetGroups"])
    assert (changed["HealthCheckPath"], changed["HealthCheckIntervalSeconds"]) == ("/up", 10)
    assert changed["Matcher"] == {"HttpCode": "200,202,300-399"}
    code, _ = error_of(elb.modify_target_group, TargetGroupArn=arn, HealthCheckTimeoutSeconds=10)
    assert code == "ValidationError"


def test_target_group_when_used_then_names_its_load_balancer_and_cannot_be_deleted(region, elb):
    balancer, group = a_balancer(region), a_group(region)
    listener = a_listener(region, balancer, group)
    arn = group["TargetGroupArn"]
    described = only(elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"])
    assert described["LoadBalancerArns"] == [balancer["LoadBalancerArn"]]
    assert error_of(elb.delete_target_group, TargetGroupArn=arn)[0] == "ResourceInUse"
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    elb.delete_target_group(TargetGroupArn=arn)
    elb.delete_target_group(TargetGroupArn=arn)
    assert error_of(elb.describe_target_groups, TargetGroupArns=[arn])[0] == "TargetGroupNotFound"


# ---- targets --------------------------------------------------------------------------------------------------------


def health(elb, arn, **more):
    described = elb.describe_target_health(TargetGroupArn=arn, **more)["TargetHealthDescriptions"]
    return [
        (d["Target"]["Id"], d["Target"]["Port"], d["TargetHealth"]["State"], d["TargetHealth"].get("Reason"))
        for d in described
    ]


def test_targets_when_registered_then_unused_until_a_listener_forwards_to_them(region, elb):
    balancer, group = a_balancer(region), a_group(region)
    arn = group["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.1", "Port": 81}])
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}])
    assert health(elb, arn) == [
        ("10.0.0.1", 80, "unused", "Target.NotInUse"),
        ("10.0.0.1", 81, "unused", "Target.NotInUse"),
    ]
    a_listener(region, balancer, group)
    assert health(elb, arn)[0] == ("10.0.0.1", 80, "initial", "Elb.RegistrationInProgress")
    asked = health(elb, arn, Targets=[{"Id": "10.0.0.1", "Port": 81}, {"Id": "10.0.0.9"}])
    assert asked == [
        ("10.0.0.1", 81, "initial", "Elb.RegistrationInProgress"),
        ("10.0.0.9", 80, "unused", "Target.NotRegistered"),
    ]


def test_targets_when_deregistered_then_drain_and_may_come_back(region, elb):
    group = a_group(region)
    a_listener(region, a_balancer(region), group)
    arn = group["TargetGroupArn"]
    target = [{"Id": "172.31.0.99"}]
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    elb.deregister_targets(TargetGroupArn=arn, Targets=target)
    assert health(elb, arn) == [("172.31.0.99", 80, "draining", "Target.DeregistrationInProgress")]
    row = only(list(region.world.store.read.targets))
    assert abs(row.drain_until - region.clock.now() - 300) < 5
    elb.register_targets(TargetGroupArn=arn, Targets=target)
    assert health(elb, arn)[0][2] == "initial"
    elb.modify_target_group_attributes(
        TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    )
    elb.deregister_targets(TargetGroupArn=arn, Targets=[*target, {"Id": "10.9.9.9"}])
    assert health(elb, arn) == []


def test_instances_when_registered_then_only_those_with_an_agent(region, elb):
    arn = a_group(region, TargetType="instance")["TargetGroupArn"]
    instance = ContainerInstance(
        arn=region.world.arns.container_instance("default", "1" * 32),
        cluster_arn=region.world.arns.cluster("default"),
        ec2_instance_id="i-0123456789abcdef0",
        registered=Resources(),
    )
    region.world.store.update(lambda tx: tx.container_instances.put(instance))
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0123456789abcdef0", "Port": 32768}])
    assert health(elb, arn) == [("i-0123456789abcdef0", 32768, "unused", "Target.NotInUse")]
    assert error_of(elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "i-1"}])[0] == "InvalidTarget"


@pytest.mark.parametrize(
    "target", [{"Id": "8.8.8.8"}, {"Id": "x"}, {"Id": "::1"}, {"Id": "172.31.0.9", "AvailabilityZone": "us-east-1b"}]
)
def test_address_when_it_is_public_or_none_then_refused(region, elb, target):
    arn = a_group(region)["TargetGroupArn"]
    assert error_of(elb.register_targets, TargetGroupArn=arn, Targets=[target])[0] == "InvalidTarget"
    assert health(elb, arn) == []


# ---- tags and the rest ----------------------------------------------------------------------------------------------


def test_tags_when_added_and_removed_then_on_every_kind(region, elb):
    balancer, group = a_balancer(region), a_group(region)
    listener = a_listener(region, balancer, group)
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    arns = [balancer["LoadBalancerArn"], group["TargetGroupArn"], listener["ListenerArn"], only(rules)["RuleArn"]]
    elb.add_tags(ResourceArns=arns, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    elb.remove_tags(ResourceArns=arns, TagKeys=["a", "nothing"])
    described = elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [item["ResourceArn"] for item in described] == arns
    assert all(item["Tags"] == [{"Key": "b", "Value": "2"}] for item in described)
    assert error_of(elb.describe_tags, ResourceArns=["x"])[0] == "ValidationError"
    gone = balancer["LoadBalancerArn"] + "0"
    assert error_of(elb.add_tags, ResourceArns=[gone], Tags=[{"Key": "a", "Value": ""}])[0] == "LoadBalancerNotFound"


def test_limits_policies_and_capacity_when_described_then_there(region, elb):
    limits = {item["Name"]: item["Max"] for item in elb.describe_account_limits()["Limits"]}
    assert limits["rules-per-application-load-balancer"] == "100"
    policies = elb.describe_ssl_policies(Names=["ELBSecurityPolicy-TLS13-1-2-2021-06"])["SslPolicies"]
    assert only(policies)["SslProtocols"] == ["TLSv1.2", "TLSv1.3"]
    assert error_of(elb.describe_ssl_policies, Names=["x"])[0] == "SSLPolicyNotFound"
    arn = a_balancer(region)["LoadBalancerArn"]
    assert "MinimumLoadBalancerCapacity" not in elb.describe_capacity_reservation(LoadBalancerArn=arn)


def test_operations_when_all_are_asked_for_then_all_are_served():
    from homeport.api.coverage import served_operations

    assert {("elbv2", name) for name in shapes.OPERATIONS} <= served_operations()
