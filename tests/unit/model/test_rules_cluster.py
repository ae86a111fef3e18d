"""Clusters' settings, account settings, and attributes of container instances."""

import pytest

from homeport.model.rules import account, attributes, cluster
from homeport.shapes import ecs as shapes


def setting(value, name="containerInsights"):
    return shapes.ClusterSetting(name=name, value=value)


def test_cluster_settings_when_not_given_then_the_default():
    assert cluster.checked_settings(None, "enabled") == (setting("enabled"),)
    assert cluster.checked_settings((setting("enhanced"),), "enabled") == (setting("enhanced"),)


@pytest.mark.parametrize("wrong", [setting("on"), setting(None), setting("enabled", None)])
def test_cluster_settings_when_wrong_then_refused(wrong):
    with pytest.raises(shapes.InvalidParameterException):
        cluster.checked_settings((wrong,), "disabled")


def execute(logging=None, **log):
    configuration = shapes.ExecuteCommandLogConfiguration(**log) if log else None
    return shapes.ClusterConfiguration(
        execute_command_configuration=shapes.ExecuteCommandConfiguration(
            logging=logging, log_configuration=configuration
        )
    )


@pytest.mark.parametrize(
    "configuration",
    [None, shapes.ClusterConfiguration(), execute(), execute("NONE"), execute("DEFAULT"),
     execute("OVERRIDE", cloud_watch_log_group_name="g", cloud_watch_encryption_enabled=True),
     execute("OVERRIDE", s3_bucket_name="b", s3_encryption_enabled=True, s3_key_prefix="p")],
)  # fmt: skip
def test_configuration_when_allowed_then_passes(configuration):
    cluster.check_configuration(configuration)


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        (execute("OVERRIDE"), "must be specified when logging is set to OVERRIDE"),
        (execute("NONE", s3_bucket_name="b"), "can only be specified when logging is set to OVERRIDE"),
        (execute(None, s3_bucket_name="b"), "can only be specified when logging is set to OVERRIDE"),
        (execute("OVERRIDE", s3_key_prefix="p"), "at least one of cloudWatchLogGroupName and s3BucketName"),
        (
            execute("OVERRIDE", s3_bucket_name="b", cloud_watch_encryption_enabled=True),
            "cloudWatchLogGroupName is required",
        ),
        (execute("OVERRIDE", cloud_watch_log_group_name="g", s3_encryption_enabled=True), "s3BucketName is required"),
    ],
)
def test_configuration_when_wrong_then_refused_with_the_sentence(configuration, sentence):
    with pytest.raises(shapes.InvalidParameterException, match=sentence):
        cluster.check_configuration(configuration)


def test_not_built_when_asked_for_then_refused_and_empty_is_nothing():
    cluster.check_not_built((), (), shapes.ClusterServiceConnectDefaultsRequest(namespace=""))
    cluster.check_not_built(None, None, None)
    with pytest.raises(shapes.ClientException, match="Capacity providers"):
        cluster.check_not_built(("FARGATE",), None, None)
    with pytest.raises(shapes.ClientException, match="Capacity providers"):
        cluster.check_not_built(None, (shapes.CapacityProviderStrategyItem(capacity_provider="FARGATE"),), None)
    with pytest.raises(shapes.ClientException, match="Service Connect"):
        cluster.check_not_built(None, None, shapes.ClusterServiceConnectDefaultsRequest(namespace="n"))


def test_account_rules_when_listed_then_every_setting_of_the_model_is_there_and_defaults_are_allowed():
    assert set(account.RULES) == set(shapes.SettingName.__args__)
    for rule in account.RULES.values():
        assert rule.default in rule.values
        assert rule.default not in rule.unbuilt
        assert set(rule.unbuilt) < set(rule.values)


@pytest.mark.parametrize(
    ("name", "value"),
    [("containerInsights", "enhanced"), ("taskLongArnFormat", "enabled"), ("awsvpcTrunking", "disabled"),
     ("fargateTaskRetirementWaitPeriod", "14"), ("defaultLogDriverMode", "blocking"), ("tagResourceAuthorization", "off")],
)  # fmt: skip
def test_account_setting_when_allowed_then_kept(name, value):
    assert account.check_setting(name, value) == value
    assert account.setting_type(name) == "user"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("taskLongArnFormat", "disabled", shapes.InvalidParameterException),
        ("containerInsights", "on", shapes.InvalidParameterException),
        ("containerInsights", "", shapes.InvalidParameterException),
        ("guardDutyActivate", "on", shapes.InvalidParameterException),
        ("defaultLogDriverMode", "enabled", shapes.InvalidParameterException),
        ("awsvpcTrunking", "enabled", shapes.ClientException),
        ("fargateFIPSMode", "enabled", shapes.ClientException),
        ("tagResourceAuthorization", "on", shapes.ClientException),
        ("fargateEventWindows", "enabled", shapes.ClientException),
    ],
)
def test_account_setting_when_not_allowed_then_refused(name, value, error):
    with pytest.raises(error):
        account.check_setting(name, value)


def attribute(name, value=None):
    return shapes.Attribute(name=name, value=value)


@pytest.mark.parametrize(
    "one",
    [
        attribute("a"),
        attribute("x" * 128, "v" * 128),
        attribute("a-b_c/d\\e.f", "A @:/\\._-z"),
        attribute("stack", "p"),
    ],
)
def test_attribute_when_allowed_then_passes(one):
    attributes.check_attribute(one)


@pytest.mark.parametrize(
    "one",
    [attribute(""), attribute("x" * 129), attribute("a b"), attribute("a:b"), attribute("a", ""), attribute("a", " b"),
     attribute("a", "b "), attribute("a", "v" * 129), attribute("a", "ä"), attribute("ecs.os-type", "linux"),
     attribute("com.amazonaws.ecs.capability.x"), attribute("a", "b\n")],
)  # fmt: skip
def test_attribute_when_not_allowed_then_refused(one):
    with pytest.raises(shapes.InvalidParameterException):
        attributes.check_attribute(one)


def test_with_attributes_when_over_ten_of_ones_own_then_refused():
    ten = tuple(attribute(f"a{number}") for number in range(10))
    registered = (attribute("ecs.os-type", "linux"),)
    full = attributes.with_attributes(registered, ten)
    assert len(full) == 11
    assert attributes.with_attributes(full, (attribute("a0", "x"),))[1] == attribute("a0", "x")
    with pytest.raises(shapes.AttributeLimitExceededException):
        attributes.with_attributes(full, (attribute("one-more"),))


def test_with_attributes_when_the_agent_brought_more_than_ten_then_they_can_be_changed_but_not_added_to():
    twelve = tuple(attribute(f"a{number}") for number in range(12))
    assert len(attributes.with_attributes(twelve, (attribute("a3", "x"),))) == 12
    with pytest.raises(shapes.AttributeLimitExceededException):
        attributes.with_attributes(twelve, (attribute("new"),))


def test_without_attributes_when_a_value_is_given_then_it_must_match():
    existing = (attribute("a", "1"), attribute("b", "2"), attribute("ecs.os-type", "linux"))
    assert attributes.without_attributes(existing, (attribute("a"),)) == (existing[1:], existing[:1])
    assert attributes.without_attributes(existing, (attribute("a", "2"), attribute("z"))) == (existing, ())
    assert attributes.without_attributes(existing, (attribute("ecs.os-type"),)) == (existing, ())
