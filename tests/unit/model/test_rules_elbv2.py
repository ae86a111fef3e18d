"""ELBv2's rules on their own: properties that hold for whatever is given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.base.errors import ApiError
from homeport.model.load_balancer import default_rule_arn, listener_arn_of_rule
from homeport.model.rules import elbv2_attributes as attributes
from homeport.model.rules.elbv2_actions import shown_actions, stored_actions
from homeport.model.rules.elbv2_conditions import CONFIGS, shown_conditions, stored_conditions
from homeport.model.rules.elbv2_health_check import health_check
from homeport.model.rules.elbv2_tls import POLICIES
from homeport.model.vpc import DefaultVpc, free_address, zone_prefix
from homeport.shapes import elbv2 as shapes

LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/web/0123456789abcdef/fedcba9876543210"
TABLES = (
    attributes.APPLICATION,
    attributes.NETWORK,
    attributes.HTTP_TARGETS,
    attributes.STREAM_TARGETS,
    attributes.DATAGRAM_TARGETS,
    attributes.HTTPS_LISTENER,
    attributes.TCP_LISTENER,
)
quick = settings(max_examples=100)


def test_default_rule_when_named_then_leads_back_to_its_listener():
    arn = default_rule_arn(LISTENER)
    assert arn.startswith(LISTENER.replace(":listener/", ":listener-rule/") + "/") and len(arn.rpartition("/")[2]) == 16
    assert listener_arn_of_rule(arn) == LISTENER


@pytest.mark.parametrize("table", TABLES)
def test_attributes_when_set_to_their_defaults_then_always_accepted(table):
    found = attributes.changed(table, {}, [(key, item.default) for key, item in table.items()])
    assert found == attributes.defaults(table)


@pytest.mark.parametrize("table", TABLES)
def test_attributes_when_refused_then_no_other_value_is_kept(table):
    for key, item in table.items():
        for value in ("true", "false", "on", "off", "strictest", "2", "x"):
            if item.effect != attributes.REFUSED or value == item.default:
                continue
            with pytest.raises(shapes.InvalidConfigurationRequestException):
                attributes.changed(table, {}, [(key, value)])


@quick
@given(st.sampled_from(TABLES), st.lists(st.tuples(st.text(max_size=40), st.text(max_size=10)), max_size=4))
def test_attributes_when_anything_is_given_then_complete_or_refused(table, pairs):
    try:
        assert set(attributes.changed(table, {}, pairs)) == set(table)
    except shapes.InvalidConfigurationRequestException:
        assert pairs


@quick
@given(
    st.sampled_from(("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP")),
    st.sampled_from(("HTTP1", "HTTP2", "GRPC")),
    st.fixed_dictionaries(
        {},
        optional={
            "HealthCheckProtocol": st.sampled_from(("HTTP", "HTTPS", "TCP", "UDP")),
            "HealthCheckPort": st.sampled_from(("traffic-port", "80", "0", "x")),
            "HealthCheckPath": st.text(max_size=5),
            "HealthCheckIntervalSeconds": st.integers(5, 300),
            "HealthCheckTimeoutSeconds": st.integers(2, 120),
            "Matcher": st.dictionaries(st.sampled_from(("HttpCode", "GrpcCode")), st.text("0123456789-,", max_size=9)),
        },
    ),
)
def test_health_check_when_accepted_then_complete_and_stable(protocol, version, given_settings):
    try:
        found = health_check(protocol, version, given_settings)
    except ApiError as error:
        assert error.status == 400
        return
    assert given_settings.items() <= found.items()
    gap = found["HealthCheckIntervalSeconds"] - found["HealthCheckTimeoutSeconds"]
    assert gap > 0 if protocol in ("HTTP", "HTTPS") else gap >= 0
    assert ("Matcher" in found) == ("HealthCheckPath" in found) == (found["HealthCheckProtocol"] != "TCP")
    assert health_check(protocol, version, {}, found) == found


texts = st.lists(st.text(max_size=12) | st.sampled_from(["*.example.com", "/a/*", "GET", "10.0.0.0/8"]), max_size=3)


@quick
@given(st.sampled_from([*CONFIGS, "nonsense"]), texts)
def test_conditions_when_accepted_then_given_back_and_stored_again_the_same(field, values):
    member = {
        "host-header": {"host_header_config": shapes.HostHeaderConditionConfig(values=tuple(values))},
        "path-pattern": {"values": tuple(values)},
        "http-request-method": {
            "http_request_method_config": shapes.HttpRequestMethodConditionConfig(values=tuple(values))
        },
        "source-ip": {"source_ip_config": shapes.SourceIpConditionConfig(values=tuple(values))},
    }.get(field, {})
    try:
        stored = stored_conditions((shapes.RuleCondition(field=field, **member),))
    except ApiError as error:
        assert error.status == 400
        return
    shown = shown_conditions(stored)
    # What is given back names host and path twice; either way of saying it is the same condition.
    again = [shapes.RuleCondition(**{**_fields(item), "values": None}) for item in shown]
    assert stored_conditions(again) == stored


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@quick
@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.none() | st.integers(-1, 1000)), max_size=6), st.booleans())
def test_forward_when_accepted_then_weights_are_whole_and_stored_again_the_same(groups, sticky):
    tuples = tuple(shapes.TargetGroupTuple(target_group_arn=name, weight=weight) for name, weight in groups)
    config = shapes.ForwardActionConfig(
        target_groups=tuples,
        target_group_stickiness_config=shapes.TargetGroupStickinessConfig(enabled=sticky, duration_seconds=60),
    )
    try:
        stored = stored_actions((shapes.Action(type="forward", forward_config=config),), "HTTP")
    except ApiError as error:
        assert error.status == 400
        return
    assert all(0 <= group["Weight"] <= 999 for group in stored[0]["ForwardConfig"]["TargetGroups"])
    assert stored_actions(shown_actions(stored), "HTTP") == stored


@pytest.mark.parametrize(
    ("region", "prefix"),
    [("us-east-1", "use1"), ("eu-central-1", "euc1"), ("ap-southeast-2", "apse2"), ("us-gov-west-1", "usgw1")],
)
def test_zone_ids_when_of_a_region_then_begin_as_awss(region, prefix):
    assert zone_prefix(region) == prefix


def test_addresses_when_all_are_taken_then_none_and_never_one_twice():
    subnet = DefaultVpc("123456789012", "us-east-1").subnets[0]
    taken: list[str] = []
    for _ in range(50):
        address = free_address(subnet, taken)
        assert address is not None and address not in taken
        assert DefaultVpc("123456789012", "us-east-1").subnet_of(address) == subnet
        taken.append(address)
    assert free_address(subnet, (f"172.31.{high}.{low}" for high in range(16) for low in range(256))) is None


def test_policies_when_listed_then_versions_rise_and_old_ones_lack_new_ciphers():
    for name, policy in POLICIES.items():
        assert list(policy.protocols) == sorted(policy.protocols), name
        assert bool(policy.choosable_ciphers) == (policy.protocols[0] != "TLSv1.3"), name
        assert ("TLS_AES_128_GCM_SHA256" in policy.ciphers) == (policy.protocols[-1] == "TLSv1.3"), name
