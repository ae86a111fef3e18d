"""Configurations as Envoy's resources: all of them can be expressed, and changes stay where they belong."""

import warnings

import pytest
from msgspec.structs import replace

from homeport.drivers.balancer import (
    Certificate,
    Configuration,
    FixedResponse,
    Forward,
    Listener,
    Target,
    TargetGroup,
    WeightedGroup,
)
from homeport.drivers.balancer.clusters import endpoints
from homeport.drivers.balancer.resources import render
from homeport.drivers.balancer.wire import encode_resource, type_urls

GROUP = TargetGroup(id="g", protocol="HTTP", targets=(Target(host="10.0.0.1", port=80),))
LISTENER = Listener(
    id="l", address="10.0.0.9", port=80, protocol="HTTP", default=Forward(groups=(WeightedGroup(target_group_id="g"),))
)
PEM = Certificate(id="c", chain_pem="chain", key_pem="key")


def rendered(listener=LISTENER, group=GROUP):
    return render(Configuration(listeners=(listener,), target_groups=(group,)), "/cut.sock")


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP"])
def test_resources_when_of_any_protocol_then_envoys_messages_can_hold_them(protocol):
    certificates = (PEM, replace(PEM, id="d", names=("a.test",))) if protocol in ("HTTPS", "TLS") else ()
    listener = replace(
        LISTENER,
        protocol=protocol,
        certificates=certificates,
        access_log_path="/x.log",
        connection_log_path="/y.log",
        alpn=("h2",),
    )
    group = replace(
        GROUP,
        protocol=protocol,
        proxy_protocol_v2=protocol == "TCP",
        sticky_by_source=protocol == "TCP",
        slow_start_seconds=30,
        sticky_cookie="AWSALB",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for url, items in zip(type_urls(), rendered(listener, group), strict=True):
            for item in items.values():
                assert encode_resource(url, item)


def test_resources_when_a_target_changes_then_only_the_endpoints_do():
    before, after = rendered(), rendered(group=replace(GROUP, targets=()))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]


def test_resources_when_an_action_changes_then_only_the_routes_do():
    before, after = rendered(), rendered(replace(LISTENER, default=FixedResponse(status=200)))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, False]


def test_resources_when_stickiness_is_switched_on_then_no_listener_changes():
    before, after = rendered(), rendered(group=replace(GROUP, sticky_cookie="AWSALB"))
    assert before.listeners == after.listeners


def states(*healths):
    targets = tuple(Target(host=f"10.0.0.{number}", port=80, health=health) for number, health in enumerate(healths))
    found = endpoints(replace(GROUP, targets=targets), "/s")["endpoints"][0]["lb_endpoints"]
    return [each["health_status"] for each in found]


def test_endpoints_when_somebody_is_healthy_then_all_are_told_as_they_are():
    assert states("healthy", "unhealthy", "draining") == ["HEALTHY", "UNHEALTHY", "DRAINING"]


def test_endpoints_when_nobody_is_healthy_then_all_get_requests_but_those_that_leave():
    assert states("unhealthy", "draining") == ["HEALTHY", "DRAINING"]
    assert states("draining") == ["DRAINING"]


def test_listener_when_it_forwards_to_nobody_then_it_is_still_there():
    listener = replace(LISTENER, protocol="TCP", default=Forward(groups=()))
    found = rendered(listener).listeners["l"]
    assert found["filter_chains"][0]["filters"][0]["typed_config"]["cluster"] == "none"
