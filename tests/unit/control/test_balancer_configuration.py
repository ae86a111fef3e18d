"""Rows of load balancers to what a data plane serves."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from homeport.base.clock import SystemClock
from homeport.base.ids import system_ids
from homeport.control.balancer_configuration import Surroundings, conditions, configurations, tls_limits, whole
from homeport.drivers import balancer as driver
from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.shapes.ecs import Attribute
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.balancing import (
    a_certificate,
    a_listener,
    a_load_balancer,
    a_rule,
    a_target,
    a_target_group,
    fixed,
    forward,
    path_is,
    redirect,
)

AROUND = Surroundings(open_key=lambda sealed: None if sealed == "lost" else f"key of {sealed}", log_dir=Path("/logs"))
TABLES = {
    "LoadBalancer": "load_balancers",
    "TargetGroup": "target_groups",
    "Target": "targets",
    "Listener": "listeners",
    "Rule": "rules",
    "Certificate": "certificates",
    "ContainerInstance": "container_instances",
}


def part_of(balancer, *rows):
    """The configuration of `balancer` among these rows."""
    store = Store(MemoryJournal(), SystemClock(), system_ids())
    store.load()
    store.update(lambda tx: [getattr(tx, TABLES[type(row).__name__]).put(row) for row in (balancer, *rows)])
    return configurations(store.read, AROUND)[balancer.arn]


BALANCER, GROUP, OTHER = a_load_balancer(), a_target_group("one"), a_target_group("two")


def test_part_when_a_listener_forwards_then_group_targets_and_address_are_there():
    listener = a_listener(BALANCER, forward(GROUP))
    part = part_of(BALANCER, GROUP, a_target(GROUP, 8080), listener)
    assert part.listeners[0].address == BALANCER.address
    assert part.listeners[0].default == driver.Forward(groups=(driver.WeightedGroup(target_group_id=GROUP.arn),))
    assert part.target_groups[0].targets == (driver.Target(host="127.0.0.1", port=8080),)


def test_part_when_a_group_is_used_by_nobody_then_it_is_left_out():
    assert part_of(BALANCER, GROUP, OTHER, a_listener(BALANCER, forward(GROUP))).target_groups[0].id == GROUP.arn
    assert part_of(BALANCER, GROUP) == driver.Configuration()


def test_part_when_weights_and_stickiness_are_set_then_kept():
    action = forward(GROUP, OTHER, weights=[90, 0], sticky_seconds=60)
    default = part_of(BALANCER, GROUP, OTHER, a_listener(BALANCER, action)).listeners[0].default
    assert [group.weight for group in default.groups] == [90, 0]
    assert default.sticky_seconds == 60


@pytest.mark.parametrize(
    ("state", "drain_until", "health"),
    [
        ("healthy", None, "healthy"),
        ("initial", None, "unhealthy"),
        ("unhealthy", None, "unhealthy"),
        ("unhealthy.draining", None, "unhealthy"),
        ("draining", 5.0, "draining"),
    ],
)
def test_target_when_in_a_state_then_it_gets_requests_accordingly(state, drain_until, health):
    target = a_target(GROUP, 1, state=state, drain_until=drain_until)
    part = part_of(BALANCER, GROUP, target, a_listener(BALANCER, forward(GROUP)))
    assert part.target_groups[0].targets[0].health == health


@pytest.mark.parametrize(
    ("state", "is_on", "seconds", "is_cut"),
    [
        ("healthy", "true", 0, False),
        ("initial", "true", 0, False),
        ("unhealthy", "true", 0, True),
        ("unhealthy", "false", 0, False),
        ("unhealthy.draining", "false", 30, False),
        ("unhealthy", "false", 30, True),
    ],
)
def test_target_when_unhealthy_then_its_connections_end_if_the_group_says_so(state, is_on, seconds, is_cut):
    unhealthy = "target_health_state.unhealthy"
    attributes = {
        f"{unhealthy}.connection_termination.enabled": is_on,
        f"{unhealthy}.draining_interval_seconds": str(seconds),
    }
    group = a_target_group(protocol="TCP", attributes=attributes)
    balancer = a_load_balancer(kind="network")
    listener = a_listener(balancer, forward(group), protocol="TCP")
    served = part_of(balancer, group, a_target(group, 1, state=state), listener).target_groups[0]
    assert served.targets[0].cut is is_cut


def test_group_when_attributes_say_when_it_fails_open_and_cuts_then_kept():
    minimum = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
    attributes = {
        f"{minimum}.count": "3",
        f"{minimum}.percentage": "40",
        "deregistration_delay.connection_termination.enabled": "true",
    }
    group = replace(GROUP, attributes=attributes)
    served = part_of(BALANCER, group, a_listener(BALANCER, forward(group))).target_groups[0]
    assert (served.minimum_healthy_count, served.minimum_healthy_percent) == (3, 40)
    assert served.cut_on_deregistration
    group = replace(GROUP, attributes={f"{minimum}.percentage": "off"})
    served = part_of(BALANCER, group, a_listener(BALANCER, forward(group))).target_groups[0]
    assert (served.minimum_healthy_count, served.minimum_healthy_percent) == (1, 0)


def test_target_when_an_instance_then_its_hosts_address_is_used():
    group = a_target_group(target_type="instance")
    instance = ContainerInstance(
        arn="arn:x/y/z",
        cluster_arn="c",
        ec2_instance_id="i-1",
        registered=Resources(),
        attributes=(Attribute(name="homeport.address", value="10.0.0.7"),),
    )
    rows = (group, instance, a_target(group, 1, host="i-1"), a_target(group, 2, host="i-gone"))
    part = part_of(BALANCER, *rows, a_listener(BALANCER, forward(group)))
    assert {(target.host, target.port) for target in part.target_groups[0].targets} == {
        ("10.0.0.7", 1),
        ("127.0.0.1", 2),
    }


def test_rules_when_several_then_by_priority_with_conditions_and_actions():
    listener = a_listener(BALANCER, fixed(404, "nothing here"))
    rules = (
        a_rule(listener, 20, redirect(Path="/#{path}/x"), path_is("/b")),
        a_rule(listener, 3, fixed(200), path_is("/a")),
    )
    served = part_of(BALANCER, listener, *rules).listeners[0]
    assert [rule.priority for rule in served.rules] == [3, 20]
    assert served.rules[1].action == driver.Redirect(status=301, port=80, path="/#{path}/x")
    assert served.default == driver.FixedResponse(status=404, body="nothing here")


@pytest.mark.parametrize(
    ("wire", "condition"),
    [
        ({"Field": "host-header", "Values": ["a.*"]}, driver.Condition(field="host", values=("a.*",))),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1"]}},
            driver.Condition(field="header", name="X-A", values=("1",)),
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "2"}]}},
            driver.Condition(field="query", values=("v=1", "=2")),
        ),
        (
            {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a+$"]}},
            driver.Condition(field="path", values=("^/a+$",), is_regex=True),
        ),
        (
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
            driver.Condition(field="source-ip", values=("10.0.0.0/8",)),
        ),
    ],
)
def test_condition_when_of_a_kind_then_its_values_are_found(wire, condition):
    assert conditions(wire) == (condition,)


def test_certificates_when_names_overlap_then_each_name_goes_to_one():
    rows = [
        a_certificate("a", "A", "ka"),
        a_certificate("b", "B", "kb", names=("x.test", "y.test")),
        a_certificate("c", "C", "kc", names=("X.test", "z.test")),
        a_certificate("d", "D", "lost"),
    ]
    listener = a_listener(
        BALANCER,
        fixed(200),
        protocol="HTTPS",
        certificates=tuple(row.arn for row in rows),
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
    )
    served = part_of(BALANCER, listener, *rows).listeners[0].certificates
    assert [(item.names, item.key_pem) for item in served] == [
        ((), "key of ka"),
        (("x.test", "y.test"), "key of kb"),
        (("z.test",), "key of kc"),
    ]


def test_secure_listener_when_no_key_can_be_opened_then_left_out():
    row = a_certificate("d", "D", "lost")
    listener = a_listener(BALANCER, fixed(200), protocol="HTTPS", certificates=(row.arn,))
    assert part_of(BALANCER, listener, row).listeners == ()


@pytest.mark.parametrize(
    ("policy", "least", "most"),
    [
        ("ELBSecurityPolicy-2016-08", "TLSv1_0", "TLSv1_2"),
        ("ELBSecurityPolicy-TLS-1-1-2017-01", "TLSv1_1", "TLSv1_2"),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", "TLSv1_2", "TLSv1_3"),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", "TLSv1_3", "TLSv1_3"),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", "TLSv1_2", "TLSv1_2"),
    ],
)
def test_tls_limits_when_a_policy_is_named_then_its_versions_and_ciphers(policy, least, most):
    limits = tls_limits(policy)
    assert (limits["tls_minimum"], limits["tls_maximum"]) == (least, most)
    assert not any(name.startswith("TLS_") for name in limits["tls_ciphers"])
    assert ("AES128-SHA" in limits["tls_ciphers"]) == (policy.endswith(("2016-08", "2017-01")))


def test_access_log_when_enabled_then_a_file_below_the_log_directory_whatever_the_prefix_says():
    attributes = {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "logs",
        "access_logs.s3.prefix": "../../etc/web",
    }
    balancer = replace(BALANCER, attributes=attributes)
    served = part_of(balancer, a_listener(balancer, fixed(200))).listeners[0]
    assert (served.access_log_path, served.connection_log_path) == ("/logs/logs/etc/web/web.log", None)


def test_connection_log_when_enabled_then_another_file_even_in_the_same_place_and_only_of_applications():
    attributes = {
        f"{kind}_logs.s3.{name}": value
        for kind in ("access", "connection")
        for name, value in (("enabled", "true"), ("bucket", "logs"))
    }
    balancer = replace(BALANCER, attributes=attributes)
    served = part_of(balancer, a_listener(balancer, fixed(200))).listeners[0]
    assert (served.access_log_path, served.connection_log_path) == ("/logs/logs/web.log", "/logs/logs/conn_log_web.log")
    assert served.load_balancer == "app/web/1"
    network = a_load_balancer("net", kind="network", attributes=attributes)
    part = part_of(network, GROUP, a_listener(network, forward(GROUP), protocol="TCP"))
    assert part.listeners[0].connection_log_path is None


def test_attributes_when_set_then_they_reach_listener_and_group():
    balancer = replace(BALANCER, attributes={"idle_timeout.timeout_seconds": "7", "routing.http2.enabled": "false"})
    group = replace(
        GROUP,
        attributes={
            "stickiness.enabled": "true",
            "stickiness.type": "lb_cookie",
            "stickiness.lb_cookie.duration_seconds": "9",
            "load_balancing.algorithm.type": "least_outstanding_requests",
        },
    )
    part = part_of(balancer, group, a_listener(balancer, forward(group)))
    assert (part.listeners[0].idle_timeout_seconds, part.listeners[0].http2) == (7, False)
    served = part.target_groups[0]
    assert (served.sticky_cookie, served.sticky_seconds, served.algorithm) == (
        "AWSALB",
        9,
        "least_outstanding_requests",
    )


def test_application_cookies_when_a_row_has_them_then_there_is_no_cookie_of_ours():
    group = replace(GROUP, attributes={"stickiness.enabled": "true", "stickiness.type": "app_cookie"})
    assert part_of(BALANCER, group, a_listener(BALANCER, forward(group))).target_groups[0].sticky_cookie is None


def test_headers_when_attributes_name_them_then_the_listener_sets_them():
    attributes = {
        "routing.http.response.server.enabled": "false",
        "routing.http.response.x_frame_options.header_value": "DENY",
        "routing.http.response.content_security_policy.header_value": "",
    }
    served = part_of(BALANCER, a_listener(BALANCER, fixed(200), attributes=attributes)).listeners[0]
    assert served.response_headers == (("x-frame-options", "DENY"),)
    assert not served.server_header
    assert part_of(BALANCER, a_listener(BALANCER, fixed(200))).listeners[0].server_header


@pytest.mark.parametrize(
    ("is_enabled", "names", "expected"),
    [
        ("false", {"routing.http.request.x_amzn_tls_version.header_name": "V"}, ("", "")),
        ("true", {}, ("x-amzn-tls-version", "x-amzn-tls-cipher-suite")),
        ("true", {"routing.http.request.x_amzn_tls_version.header_name": "V"}, ("v", "x-amzn-tls-cipher-suite")),
    ],
)
def test_tls_headers_when_the_load_balancer_adds_them_then_by_the_listeners_names(is_enabled, names, expected):
    balancer = replace(BALANCER, attributes={"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": is_enabled})
    served = part_of(balancer, a_listener(balancer, fixed(200), attributes=names)).listeners[0]
    assert (served.tls_version_header, served.tls_cipher_header) == expected


def test_network_listener_when_its_group_is_gone_then_it_forwards_to_nobody():
    balancer = a_load_balancer(kind="network")
    part = part_of(balancer, a_listener(balancer, forward(GROUP), protocol="TCP"))
    assert part.listeners[0].default == driver.Forward(groups=())
    assert part.listeners[0].idle_timeout_seconds == 350


def test_whole_when_parts_share_a_group_then_it_is_there_once():
    other = a_load_balancer("other", address="172.31.0.11")
    parts = [part_of(each, GROUP, a_listener(each, forward(GROUP))) for each in (BALANCER, other)]
    joined = whole(parts)
    assert len(joined.listeners) == 2
    assert len(joined.target_groups) == 1
