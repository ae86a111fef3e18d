"""Listeners and their rules: actions, conditions, priorities, limits."""

import pytest

from tests.api.test_elbv2 import a_balancer, a_group, a_listener, error_of, only
from tests.builders import a_region


@pytest.fixture
def region():
    made = a_region()
    yield made
    made.close()


@pytest.fixture
def elb(region):
    return region.client("elbv2")


@pytest.fixture
def listener(region):
    return a_listener(region, a_balancer(region), a_group(region))


HOST = [{"Field": "host-header", "Values": ["a.example.com"]}]
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "hi"}}]


def a_rule(elb, listener, priority=1, conditions=HOST, actions=FIXED, **more):
    answer = elb.create_rule(
        ListenerArn=listener["ListenerArn"], Priority=priority, Conditions=conditions, Actions=actions, **more
    )
    return only(answer["Rules"])


# ---- listeners ------------------------------------------------------------------------------------------------------


def test_listener_when_created_then_forward_is_given_in_both_forms(elb, region):
    balancer, group = a_balancer(region), a_group(region)
    made = a_listener(region, balancer, group)
    action = only(made["DefaultActions"])
    assert action == {
        "Type": "forward",
        "TargetGroupArn": group["TargetGroupArn"],
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": group["TargetGroupArn"], "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }
    assert made["ListenerArn"].startswith(balancer["LoadBalancerArn"].replace(":loadbalancer/", ":listener/") + "/")
    assert only(elb.describe_listeners(ListenerArns=[made["ListenerArn"]])["Listeners"]) == made
    assert only(elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]) == made


def test_listener_when_created_again_then_the_same_unless_it_differs(elb, region):
    balancer, group = a_balancer(region), a_group(region)
    made = a_listener(region, balancer, group, Tags=[{"Key": "a", "Value": "1"}])
    assert a_listener(region, balancer, group) == made
    assert len(elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]) == 1
    code, message = error_of(a_listener, region=region, balancer=balancer, group=None, DefaultActions=FIXED)
    assert code == "DuplicateListener"
    assert message.startswith("A listener already exists on this port for this load balancer")


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "TCP_UDP"])
def test_network_listener_when_several_groups_have_weights_then_kept(elb, region, protocol):
    balancer = a_balancer(region, "net", Type="network")
    groups = [a_group(region, name, Protocol=protocol)["TargetGroupArn"] for name in ("blue", "green")]
    tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in zip(groups, (90, 10), strict=True)]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}
    made = a_listener(region, balancer, None, Protocol=protocol, DefaultActions=[action])
    assert made["DefaultActions"][0]["ForwardConfig"]["TargetGroups"] == tuples
    tuples.reverse()
    elb.modify_listener(ListenerArn=made["ListenerArn"], DefaultActions=[action])
    shown = only(elb.describe_listeners(ListenerArns=[made["ListenerArn"]])["Listeners"])
    assert shown["DefaultActions"][0]["ForwardConfig"]["TargetGroups"] == tuples


def test_datagram_listener_when_one_of_several_groups_is_sticky_then_refused(elb, region):
    balancer = a_balancer(region, "net", Type="network")
    groups = [a_group(region, name, Protocol="UDP")["TargetGroupArn"] for name in ("blue", "green")]
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    elb.modify_target_group_attributes(TargetGroupArn=groups[1], Attributes=sticky)
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn} for arn in groups]}}
    code, _ = error_of(
        a_listener, region=region, balancer=balancer, group=None, Protocol="UDP", DefaultActions=[action]
    )
    assert code == "InvalidLoadBalancerAction"
    alone = [{"Type": "forward", "TargetGroupArn": groups[1]}]
    assert a_listener(region, balancer, None, Protocol="UDP", DefaultActions=alone)["Protocol"] == "UDP"


def test_listener_when_weighted_then_only_the_configuration_tells(elb, region):
    groups = [a_group(region, name)["TargetGroupArn"] for name in ("blue", "green")]
    config = {
        "TargetGroups": [{"TargetGroupArn": groups[0], "Weight": 0}, {"TargetGroupArn": groups[1], "Weight": 999}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    actions = [{"Type": "forward", "Order": 1, "ForwardConfig": config}]
    made = a_listener(region, a_balancer(region), None, DefaultActions=actions)
    assert made["DefaultActions"] == actions


def test_listener_when_modified_then_only_what_is_given_changes(elb, listener, region):
    arn = listener["ListenerArn"]
    changed = only(elb.modify_listener(ListenerArn=arn, Port=81)["Listeners"])
    assert (changed["Port"], changed["DefaultActions"]) == (81, listener["DefaultActions"])
    changed = only(elb.modify_listener(ListenerArn=arn, DefaultActions=FIXED)["Listeners"])
    assert only(changed["DefaultActions"])["FixedResponseConfig"] == {
        "StatusCode": "200",
        "ContentType": "text/plain",
        "MessageBody": "hi",
    }


def forward(*names, **more):
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": n} for n in names], **more}}]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Protocol": "TCP"}, "ValidationError"),
        ({"Protocol": "HTTPS"}, "CertificateNotFound"),
        ({"Port": 80}, "DuplicateListener"),
        ({"SslPolicy": "ELBSecurityPolicy-2016-08"}, "InvalidConfigurationRequest"),
        ({"DefaultActions": []}, "ValidationError"),
        ({"DefaultActions": FIXED * 2}, "TooManyActions"),
        ({"DefaultActions": [{"Type": "forward"}]}, "ValidationError"),
        ({"DefaultActions": [{"Type": "redirect"}]}, "ValidationError"),
        (
            {"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]},
            "InvalidLoadBalancerAction",
        ),
        (
            {
                "DefaultActions": [
                    {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "x.#{host}"}}
                ]
            },
            "InvalidLoadBalancerAction",
        ),
        (
            {"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "302"}}]},
            "ValidationError",
        ),
        (
            {"DefaultActions": [{"Type": "authenticate-oidc"}, *FIXED]},
            "TooManyActions",
        ),
        ({"DefaultActions": [{"Type": "authenticate-oidc"}]}, "InvalidLoadBalancerAction"),
        ({"MutualAuthentication": {"Mode": "verify"}}, "InvalidConfigurationRequest"),
        (
            {"DefaultActions": forward("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/1")},
            "TargetGroupNotFound",
        ),
    ],
)
def test_listener_when_it_may_not_be_then_refused(elb, region, listener, change, code):
    wanted = {"LoadBalancerArn": listener["LoadBalancerArn"], "Protocol": "HTTP", "Port": 81, "DefaultActions": FIXED}
    assert error_of(elb.create_listener, **{**wanted, **change})[0] == code
    assert len(elb.describe_listeners(LoadBalancerArn=listener["LoadBalancerArn"])["Listeners"]) == 1


def test_target_group_when_it_serves_another_load_balancer_or_protocol_then_refused(elb, region, listener):
    other = a_balancer(region, "other")
    group = only(elb.describe_target_groups(LoadBalancerArn=listener["LoadBalancerArn"])["TargetGroups"])
    wanted = {"LoadBalancerArn": other["LoadBalancerArn"], "Protocol": "HTTP", "Port": 80}
    action = forward(group["TargetGroupArn"])
    assert error_of(elb.create_listener, **wanted, DefaultActions=action)[0] == "TargetGroupAssociationLimit"
    tcp = a_group(region, "tcp", Protocol="TCP")["TargetGroupArn"]
    assert error_of(elb.create_listener, **wanted, DefaultActions=forward(tcp))[0] == "IncompatibleProtocols"
    grpc = a_group(region, "grpc", ProtocolVersion="GRPC")["TargetGroupArn"]
    assert error_of(elb.create_listener, **wanted, DefaultActions=forward(grpc))[0] == "IncompatibleProtocols"
    many = [a_group(region, f"g{n}")["TargetGroupArn"] for n in range(6)]
    assert error_of(elb.create_listener, **wanted, DefaultActions=forward(*many))[0] == "InvalidLoadBalancerAction"
    assert error_of(elb.create_listener, **wanted, DefaultActions=forward(many[0], many[0]))[0] == "ValidationError"


def test_network_listener_when_created_then_forwards_only(elb, region):
    balancer, group = a_balancer(region, "tcp", Type="network"), a_group(region, "tcp", Protocol="TCP")
    made = a_listener(region, balancer, group, Protocol="TCP", Port=5432)
    assert (made["Protocol"], made["Port"]) == ("TCP", 5432)
    wanted = {"LoadBalancerArn": balancer["LoadBalancerArn"], "Protocol": "TCP", "Port": 81, "DefaultActions": FIXED}
    assert error_of(elb.create_listener, **wanted)[0] == "InvalidLoadBalancerAction"
    arguments = {"ListenerArn": made["ListenerArn"], "Priority": 1, "Conditions": HOST, "Actions": FIXED}
    assert error_of(elb.create_rule, **arguments)[0] == "InvalidConfigurationRequest"


def test_listeners_when_neither_named_nor_of_a_load_balancer_then_refused(elb, listener):
    assert error_of(elb.describe_listeners)[0] == "ValidationError"
    assert error_of(elb.describe_listeners, ListenerArns=[listener["ListenerArn"] + "0"])[0] == "ListenerNotFound"
    assert error_of(elb.describe_listeners, LoadBalancerArn="x")[0] == "ValidationError"
    assert error_of(elb.delete_listener, ListenerArn=listener["ListenerArn"] + "0")[0] == "ListenerNotFound"


# ---- rules ----------------------------------------------------------------------------------------------------------


CONDITIONS = [
    {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com", "b.example.org"]}},
    {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/img/*"]}},
    {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Canary", "Values": ["yes"]}},
    {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}},
    {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x"}]}},
    {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
    {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "RegexValues": ["^a+$"]}},
    {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/v[0-9]+/"]}},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition["Field"])
def test_condition_when_given_then_given_back(elb, listener, condition):
    made = a_rule(elb, listener, conditions=[condition])
    shown = only(made["Conditions"])
    assert condition.items() <= shown.items()
    if condition["Field"] in ("host-header", "path-pattern"):
        config = condition[{"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}[condition["Field"]]]
        assert config.items() <= shown.items()
    assert only(elb.describe_rules(RuleArns=[made["RuleArn"]])["Rules"]) == made


def test_condition_when_in_the_old_form_then_given_back_in_both(elb, listener):
    shown = only(a_rule(elb, listener)["Conditions"])
    assert shown == {
        "Field": "host-header",
        "Values": ["a.example.com"],
        "HostHeaderConfig": {"Values": ["a.example.com"]},
    }


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ([], "ValidationError"),
        ([{"Field": "nonsense", "Values": ["x"]}], "ValidationError"),
        ([{"Field": "host-header", "Values": []}], "ValidationError"),
        ([{"Field": "host-header", "Values": ["nodot"]}], "ValidationError"),
        ([{"Field": "path-pattern", "Values": ["/a b"]}], "ValidationError"),
        ([{"Field": "path-pattern", "Values": ["x" * 129]}], "ValidationError"),
        ([*HOST, *HOST], "ValidationError"),
        ([{"Field": "path-pattern", "Values": [f"/{n}" for n in range(6)]}], "ValidationError"),
        ([{"Field": "path-pattern", "Values": ["/*/*/*", "/*/*/*/*"]}], "ValidationError"),
        ([{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}], "ValidationError"),
        (
            [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}}],
            "ValidationError",
        ),
        ([{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}], "ValidationError"),
        ([{"Field": "source-ip", "SourceIpConfig": {"Values": ["2001:db8::/129"]}}], "ValidationError"),
        ([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "x"}]}}], "ValidationError"),
        ([{"Field": "host-header", "PathPatternConfig": {"Values": ["/"]}}], "ValidationError"),
        ([{"Field": "path-pattern", "RegexValues": ["^/x("]}], "ValidationError"),
        ([{"Field": "path-pattern", "RegexValues": ["(?=x)"]}], "ValidationError"),
        ([{"Field": "path-pattern", "RegexValues": ["(x)\\1"]}], "ValidationError"),
        ([{"Field": "path-pattern", "Values": ["/x"], "RegexValues": ["/x"]}], "ValidationError"),
        ([{"Field": "http-request-method", "RegexValues": ["GET"]}], "ValidationError"),
    ],
)
def test_condition_when_it_may_not_be_then_refused(elb, listener, conditions, code):
    arguments = {"ListenerArn": listener["ListenerArn"], "Priority": 1, "Conditions": conditions, "Actions": FIXED}
    assert error_of(elb.create_rule, **arguments)[0] == code


def test_redirect_when_given_then_defaults_are_filled_in(elb, listener):
    config = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    made = a_rule(elb, listener, actions=[{"Type": "redirect", "RedirectConfig": config}])
    assert only(made["Actions"])["RedirectConfig"] == {
        **config,
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
    }


def test_rules_when_described_then_by_priority_and_the_default_last(elb, listener):
    arns = {priority: a_rule(elb, listener, priority)["RuleArn"] for priority in (20, 3, 100)}
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [rule["Priority"] for rule in rules] == ["3", "20", "100", "default"]
    assert [rule["RuleArn"] for rule in rules[:3]] == [arns[3], arns[20], arns[100]]
    assert rules[3]["IsDefault"] and rules[3]["Actions"] == listener["DefaultActions"]
    assert only(elb.describe_rules(RuleArns=[rules[3]["RuleArn"]])["Rules"]) == rules[3]
    pages = elb.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"], PageSize=2)
    assert [rule for page in pages for rule in page["Rules"]] == rules


def test_priorities_when_swapped_then_both_change_and_clashes_are_refused(elb, listener):
    first, second = (a_rule(elb, listener, priority)["RuleArn"] for priority in (1, 2))
    pairs = [{"RuleArn": first, "Priority": 2}, {"RuleArn": second, "Priority": 1}]
    assert [rule["Priority"] for rule in elb.set_rule_priorities(RulePriorities=pairs)["Rules"]] == ["2", "1"]
    clash = [{"RuleArn": first, "Priority": 1}]
    assert error_of(elb.set_rule_priorities, RulePriorities=clash)[0] == "PriorityInUse"
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [rule["RuleArn"] for rule in rules[:2]] == [second, first]
    arguments = {"ListenerArn": listener["ListenerArn"], "Priority": 1, "Conditions": HOST, "Actions": FIXED}
    assert error_of(elb.create_rule, **arguments)[0] == "PriorityInUse"


def test_rule_when_modified_and_deleted_then_so(elb, listener):
    arn = a_rule(elb, listener)["RuleArn"]
    changed = only(elb.modify_rule(RuleArn=arn, Conditions=CONDITIONS[1:2])["Rules"])
    assert (
        only(changed["Conditions"])["Field"] == "path-pattern" and only(changed["Actions"])["Type"] == "fixed-response"
    )
    elb.delete_rule(RuleArn=arn)
    assert error_of(elb.describe_rules, RuleArns=[arn])[0] == "RuleNotFound"
    assert error_of(elb.delete_rule, RuleArn=arn)[0] == "RuleNotFound"


def test_default_rule_when_deleted_or_modified_then_not_permitted(elb, listener):
    arn = only(elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"])["RuleArn"]
    assert error_of(elb.delete_rule, RuleArn=arn)[0] == "OperationNotPermitted"
    assert error_of(elb.modify_rule, RuleArn=arn, Actions=FIXED)[0] == "OperationNotPermitted"
    pairs = [{"RuleArn": arn, "Priority": 5}]
    assert error_of(elb.set_rule_priorities, RulePriorities=pairs)[0] == "OperationNotPermitted"


def test_rules_when_a_hundred_then_no_more(elb, listener):
    for priority in range(1, 101):
        a_rule(elb, listener, priority)
    arguments = {"ListenerArn": listener["ListenerArn"], "Priority": 500, "Conditions": HOST, "Actions": FIXED}
    assert error_of(elb.create_rule, **arguments)[0] == "TooManyRules"


def test_listener_when_deleted_then_its_rules_are_too(elb, listener):
    arn = a_rule(elb, listener)["RuleArn"]
    elb.delete_load_balancer(LoadBalancerArn=listener["LoadBalancerArn"])
    assert error_of(elb.describe_rules, RuleArns=[arn])[0] == "RuleNotFound"
