"""Attributes of load balancers, target groups and listeners through boto3: defaults, what may be, what is refused."""

import pytest

from tests.api.test_acm import imported
from tests.api.test_elbv2 import a_balancer, a_group, a_listener, error_of
from tests.builders import a_region


@pytest.fixture
def region():
    made = a_region()
    yield made
    made.close()


@pytest.fixture
def elb(region):
    return region.client("elbv2")


def attributes_of(answer):
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def pairs(values):
    return [{"Key": key, "Value": value} for key, value in values.items()]


def test_load_balancer_attributes_when_described_then_aws_defaults(region, elb):
    arn = a_balancer(region)["LoadBalancerArn"]
    found = attributes_of(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    assert len(found) <= 20
    assert {
        "idle_timeout.timeout_seconds": "60",
        "client_keep_alive.seconds": "3600",
        "deletion_protection.enabled": "false",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.xff_header_processing.mode": "append",
        "routing.http2.enabled": "true",
        "load_balancing.cross_zone.enabled": "true",
        "access_logs.s3.enabled": "false",
        "zonal_shift.config.enabled": "false",
    }.items() <= found.items()
    arn = a_balancer(region, "tcp", Type="network")["LoadBalancerArn"]
    found = attributes_of(elb.describe_load_balancer_attributes(LoadBalancerArn=arn))
    assert found["load_balancing.cross_zone.enabled"] == "false" and "idle_timeout.timeout_seconds" not in found


def test_load_balancer_attributes_when_modified_then_kept_and_protection_protects(region, elb):
    arn = a_balancer(region)["LoadBalancerArn"]
    given = {"idle_timeout.timeout_seconds": "4000", "deletion_protection.enabled": "true"}
    assert (
        given.items()
        <= attributes_of(elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs(given))).items()
    )
    assert given.items() <= attributes_of(elb.describe_load_balancer_attributes(LoadBalancerArn=arn)).items()
    assert error_of(elb.delete_load_balancer, LoadBalancerArn=arn)[0] == "OperationNotPermitted"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("idle_timeout.timeout_seconds", "4001"),
        ("idle_timeout.timeout_seconds", "x"),
        ("nonsense", "1"),
        ("connection_logs.s3.enabled", "true"),
        ("routing.http.desync_mitigation_mode", "strictest"),
        ("access_logs.s3.enabled", "true"),
    ],
)
def test_load_balancer_attribute_when_it_may_not_be_then_refused(region, elb, key, value):
    arn = a_balancer(region)["LoadBalancerArn"]
    before = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    wanted = [{"Key": "idle_timeout.timeout_seconds", "Value": "90"}, {"Key": key, "Value": value}]
    code, _ = error_of(elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=wanted)
    assert code == "InvalidConfigurationRequest"
    assert elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"] == before


def test_connection_logs_when_enabled_then_a_bucket_is_needed_and_both_are_kept(region, elb):
    arn = a_balancer(region)["LoadBalancerArn"]
    given = {"connection_logs.s3.enabled": "true"}
    code, _ = error_of(elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=pairs(given))
    assert code == "InvalidConfigurationRequest"
    given |= {"connection_logs.s3.bucket": "logs", "connection_logs.s3.prefix": "web"}
    found = attributes_of(elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs(given)))
    assert given.items() <= found.items()


def test_target_group_attributes_when_described_and_modified_then_kept(region, elb):
    arn = a_group(region)["TargetGroupArn"]
    found = attributes_of(elb.describe_target_group_attributes(TargetGroupArn=arn))
    assert found["deregistration_delay.timeout_seconds"] == "300" and found["stickiness.type"] == "lb_cookie"
    wanted = [
        {"Key": "deregistration_delay.timeout_seconds", "Value": "5"},
        {"Key": "slow_start.duration_seconds", "Value": "30"},
    ]
    found = attributes_of(elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=wanted))
    assert (found["deregistration_delay.timeout_seconds"], found["slow_start.duration_seconds"]) == ("5", "30")
    both = [{"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"}]
    assert (
        error_of(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=both)[0]
        == "InvalidConfigurationRequest"
    )
    tcp = a_group(region, "tcp", Protocol="TCP")["TargetGroupArn"]
    found = attributes_of(elb.describe_target_group_attributes(TargetGroupArn=tcp))
    assert found["proxy_protocol_v2.enabled"] == "false" and "load_balancing.algorithm.type" not in found


def test_listener_attributes_when_described_then_of_its_protocol(region, elb):
    arn = a_listener(region, a_balancer(region), a_group(region))["ListenerArn"]
    assert (
        attributes_of(elb.describe_listener_attributes(ListenerArn=arn))["routing.http.response.server.enabled"]
        == "true"
    )
    tcp = a_balancer(region, "tcp", Type="network")
    arn = a_listener(region, tcp, a_group(region, "tcp", Protocol="TCP"), Protocol="TCP")["ListenerArn"]
    assert attributes_of(elb.describe_listener_attributes(ListenerArn=arn)) == {"tcp.idle_timeout.seconds": "350"}
    wanted = [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]
    assert (
        attributes_of(elb.modify_listener_attributes(ListenerArn=arn, Attributes=wanted))["tcp.idle_timeout.seconds"]
        == "60"
    )


# ---- health and connections of targets ------------------------------------------------------------------------------

FAIL_OPEN = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
ON_DEREGISTRATION = "deregistration_delay.connection_termination.enabled"


@pytest.mark.parametrize("protocol", ["HTTP", "TCP", "UDP"])
def test_fail_open_when_count_and_share_are_set_then_kept(region, elb, protocol):
    arn = a_group(region, Protocol=protocol)["TargetGroupArn"]
    given = {f"{FAIL_OPEN}.count": "3", f"{FAIL_OPEN}.percentage": "50"}
    found = attributes_of(elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=pairs(given)))
    assert given.items() <= found.items()
    for key, value in ((f"{FAIL_OPEN}.count", "0"), (f"{FAIL_OPEN}.count", "off"), (f"{FAIL_OPEN}.percentage", "101")):
        code, _ = error_of(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=pairs({key: value}))
        assert code == "InvalidConfigurationRequest"


@pytest.mark.parametrize(
    ("protocol", "default", "refused"),
    [
        ("TCP", "false", {}),
        ("TLS", "false", {}),
        ("UDP", "true", {ON_DEREGISTRATION: "false", "proxy_protocol_v2.enabled": "true"}),
        ("TCP_UDP", "true", {ON_DEREGISTRATION: "false", "proxy_protocol_v2.enabled": "true"}),
    ],
)
def test_connection_termination_when_datagrams_are_among_it_then_only_as_it_is(region, elb, protocol, default, refused):
    arn = a_group(region, Protocol=protocol)["TargetGroupArn"]
    assert attributes_of(elb.describe_target_group_attributes(TargetGroupArn=arn))[ON_DEREGISTRATION] == default
    for key, value in refused.items():
        code, _ = error_of(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=pairs({key: value}))
        assert code == "InvalidConfigurationRequest"
    if not refused:
        given = {ON_DEREGISTRATION: "true", "proxy_protocol_v2.enabled": "true"}
        found = attributes_of(elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=pairs(given)))
        assert given.items() <= found.items()


ON_UNHEALTHY = "target_health_state.unhealthy.connection_termination.enabled"
INTERVAL = "target_health_state.unhealthy.draining_interval_seconds"


def test_draining_interval_when_unhealthy_targets_keep_their_connections_then_kept(region, elb):
    arn = a_group(region, Protocol="TCP")["TargetGroupArn"]
    code, _ = error_of(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=pairs({INTERVAL: "60"}))
    assert code == "InvalidConfigurationRequest", "connections are terminated by default"
    given = {ON_UNHEALTHY: "false", INTERVAL: "60"}
    found = attributes_of(elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=pairs(given)))
    assert given.items() <= found.items()
    back = {ON_UNHEALTHY: "true"}
    assert error_of(elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=pairs(back))[0] == code
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=pairs(back | {INTERVAL: "0"}))
    udp = a_group(region, "udp", Protocol="UDP")["TargetGroupArn"]
    assert (
        error_of(elb.modify_target_group_attributes, TargetGroupArn=udp, Attributes=pairs({INTERVAL: "60"}))[0] == code
    )


# ---- headers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener(region):
    return a_listener(region, a_balancer(region), a_group(region))["ListenerArn"]


def test_response_headers_when_set_then_kept_until_set_to_nothing(elb, listener):
    key = "routing.http.response.strict_transport_security.header_value"
    given = {key: "max-age=31536000; includeSubDomains", "routing.http.response.server.enabled": "false"}
    found = attributes_of(elb.modify_listener_attributes(ListenerArn=listener, Attributes=pairs(given)))
    assert given.items() <= found.items()
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[{"Key": key, "Value": ""}])
    found = attributes_of(elb.describe_listener_attributes(ListenerArn=listener))
    assert (found[key], found["routing.http.response.server.enabled"]) == ("", "false")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_security_policy", 'a "quoted" word'),
        ("content_security_policy", "two\nlines"),
        ("content_security_policy", "umläut"),
        ("content_security_policy", "x" * 1025),
        ("server", "maybe"),
    ],
)
def test_response_header_when_it_may_not_be_then_refused(elb, listener, name, value):
    kind = "enabled" if name == "server" else "header_value"
    given = [{"Key": f"routing.http.response.{name}.{kind}", "Value": value}]
    code, _ = error_of(elb.modify_listener_attributes, ListenerArn=listener, Attributes=given)
    assert code == "InvalidConfigurationRequest"


VERSION = "routing.http.request.x_amzn_tls_version.header_name"
CIPHER = "routing.http.request.x_amzn_tls_cipher_suite.header_name"


@pytest.fixture
def secure(region):
    certificate = imported(region.client("acm"), "a.test", key="ec")
    return a_listener(
        region, a_balancer(region), a_group(region), Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}]
    )["ListenerArn"]


def test_tls_header_names_when_given_then_kept_and_empty_means_the_default(elb, secure):
    elb.modify_listener_attributes(ListenerArn=secure, Attributes=pairs({VERSION: "My-Tls", CIPHER: "My-Cipher"}))
    found = attributes_of(elb.modify_listener_attributes(ListenerArn=secure, Attributes=pairs({VERSION: ""})))
    assert (found[VERSION], found[CIPHER]) == ("X-Amzn-Tls-Version", "My-Cipher")


@pytest.mark.parametrize(
    "names",
    [
        {VERSION: "a b"},
        {VERSION: ":path"},
        {VERSION: "Content-Length"},
        {VERSION: "host"},
        {VERSION: "Same", CIPHER: "same"},
        {VERSION: "X-Amzn-Tls-Cipher-Suite"},
        {"routing.http.request.x_amzn_mtls_clientcert.header_name": "X-Cert"},
    ],
)
def test_tls_header_names_when_they_may_not_be_then_refused(elb, secure, names):
    code, _ = error_of(elb.modify_listener_attributes, ListenerArn=secure, Attributes=pairs(names))
    assert code == "InvalidConfigurationRequest"


def test_tls_header_names_when_the_listener_has_no_tls_then_not_its_attributes(elb, listener):
    code, _ = error_of(elb.modify_listener_attributes, ListenerArn=listener, Attributes=pairs({VERSION: "X"}))
    assert code == "InvalidConfigurationRequest"


def test_tls_headers_when_enabled_then_kept(region, elb):
    arn = a_balancer(region)["LoadBalancerArn"]
    given = {"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "true"}
    found = attributes_of(elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs(given)))
    assert given.items() <= found.items()
