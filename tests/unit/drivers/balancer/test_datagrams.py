"""Listeners of datagrams: all their groups are one cluster of their own."""

import warnings

from msgspec.structs import replace

from homeport.drivers.balancer import Configuration, Forward, Listener, Target, TargetGroup, WeightedGroup
from homeport.drivers.balancer.resources import render
from homeport.drivers.balancer.wire import encode_resource, type_urls

BLUE = TargetGroup(id="blue", protocol="UDP", targets=(Target(host="10.0.0.1", port=1),))
GREEN = TargetGroup(id="green", protocol="UDP", targets=(Target(host="10.0.0.2", port=1, health="unhealthy"),))


def a_listener(*weights, protocol="UDP"):
    groups = tuple(
        WeightedGroup(target_group_id=name, weight=weight)
        for name, weight in zip(("blue", "green"), weights, strict=False)
    )
    return Listener(id="l", address="10.0.0.9", port=53, protocol=protocol, default=Forward(groups=groups))


def rendered(listener, *groups):
    return render(Configuration(listeners=(listener,), target_groups=groups or (BLUE, GREEN)), "/s")


def shares(resources):
    return {
        each["locality"]["zone"]: each.get("load_balancing_weight")
        for each in resources.endpoints["l/udp"]["endpoints"]
    }


def test_groups_when_weighted_then_localities_of_the_listeners_cluster():
    found = rendered(a_listener(3, 0))
    assert shares(found) == {"blue": 3, "green": None}
    assert set(found.clusters) == {"l/udp"}, "nobody else forwards to them"
    assert found.endpoints["l/udp"]["policy"]["overprovisioning_factor"] >= 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for url, items in zip(type_urls(), found, strict=True):
            assert all(encode_resource(url, item) for item in items.values())


def test_weights_when_they_change_then_only_the_endpoints_do():
    before, after = rendered(a_listener(1, 0)), rendered(a_listener(0, 1))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]
    alone = rendered(a_listener(1))
    assert [one == other for one, other in zip(before, alone, strict=True)] == [True, False, True, True]


def test_group_when_it_fails_open_then_its_targets_get_datagrams_whatever_the_other_has():
    (blue, green) = rendered(a_listener(1, 1)).endpoints["l/udp"]["endpoints"]
    assert [each["lb_endpoints"][0]["health_status"] for each in (blue, green)] == ["HEALTHY", "HEALTHY"]


def test_cluster_when_a_group_is_sticky_then_the_clients_address_decides_whatever_the_weights():
    sticky = replace(GREEN, sticky_by_source=True)
    for weights in ((1, 1), (1, 0)):
        assert rendered(a_listener(*weights), BLUE, sticky).clusters["l/udp"]["lb_policy"] == "MAGLEV"
    assert rendered(a_listener(1), BLUE, sticky).clusters["l/udp"]["lb_policy"] == "ROUND_ROBIN"


def test_listener_when_of_both_protocols_then_groups_are_there_for_connections_too():
    both = (replace(BLUE, protocol="TCP_UDP"), replace(GREEN, protocol="TCP_UDP"))
    found = rendered(a_listener(1, 1, protocol="TCP_UDP"), *both)
    assert set(found.clusters) == {"blue", "green", "l/udp"}
    assert {"l/tcp", "l/udp"} <= set(found.listeners)
    endpoint = found.endpoints["l/udp"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"]["protocol"] == "UDP"
    assert "health_check_config" not in endpoint


def test_listener_when_its_groups_are_gone_then_its_cluster_is_empty():
    listener = replace(a_listener(1), default=Forward(groups=()))
    assert shares(rendered(listener)) == {}
