"""Which targets may keep their connections, and in which order Envoy is told of changes."""

from msgspec.structs import replace

from homeport.drivers.balancer import Configuration, Target, TargetGroup
from homeport.drivers.balancer.clusters import cluster, endpoints, kept
from homeport.drivers.balancer.cutting import CUTTING
from homeport.drivers.balancer.resources import Resources, render
from homeport.drivers.balancer.transition import steps

ONE, TWO = (Target(host="10.0.0.1", port=port) for port in (1, 2))
GROUP = TargetGroup(id="g", protocol="TCP", targets=(ONE, TWO), cut_on_deregistration=True)
NOTHING = Resources({}, {}, {}, {})


def rendered(*groups):
    return render(Configuration(target_groups=groups), "/s")


def kept_names(routes):
    return [name for host in routes[CUTTING]["virtual_hosts"] if host["name"] == "kept" for name in host["domains"]]


def names(group):
    """What Envoy asks for each target."""
    found = endpoints(group, "/s")["endpoints"][0]["lb_endpoints"]
    return [each["endpoint"]["health_check_config"]["hostname"] for each in found]


def statuses(item):
    found = item["endpoints"][0]["lb_endpoints"]
    return [(each["endpoint"]["address"]["socket_address"]["port_value"], each["health_status"]) for each in found]


def test_cluster_when_it_has_connections_then_they_can_be_cut_and_requests_cannot():
    for protocol in ("TCP", "TLS", "TCP_UDP"):
        assert cluster(replace(GROUP, protocol=protocol))["close_connections_on_host_health_failure"]
    for protocol in ("HTTP", "HTTPS", "UDP"):
        group = replace(GROUP, protocol=protocol)
        assert "health_checks" not in cluster(group)
        (first, _) = endpoints(group, "/s")["endpoints"][0]["lb_endpoints"]
        assert "health_check_config" not in first["endpoint"]
        assert kept_names(rendered(group).routes) == []


def test_targets_when_some_are_to_be_cut_then_the_others_are_kept_and_all_are_when_the_group_fails_open():
    sick = replace(TWO, health="unhealthy", cut=True)
    assert kept(replace(GROUP, targets=(ONE, sick))) == [ONE]
    for health in ("unhealthy", "draining"):
        first = replace(ONE, health=health)
        assert kept(replace(GROUP, targets=(first, sick))) == [first, sick]


def test_names_when_groups_share_a_target_then_they_differ():
    assert not set(names(GROUP)) & set(names(replace(GROUP, id="other")))
    assert sorted(names(GROUP)) == kept_names(rendered(GROUP).routes)


def test_steps_when_nothing_was_told_then_clusters_come_before_listeners_and_nothing_before_them():
    wanted = rendered(GROUP)
    first, second, last = steps(NOTHING, wanted)
    assert set(first) == {"clusters", "endpoints"}
    assert set(second) == {"listeners", "routes"}
    assert last == wanted._asdict()


def test_steps_when_a_target_comes_then_first_of_all_it_may_have_connections():
    former, wanted = rendered(replace(GROUP, targets=(ONE,))), rendered(GROUP)
    first, second, *_ = steps(former, wanted)
    assert set(first) == {"routes"}
    assert kept_names(first["routes"]) == sorted(names(GROUP))
    assert statuses(second["endpoints"]["g"]) == [(1, "HEALTHY"), (2, "HEALTHY")]


def test_steps_when_a_target_goes_then_it_drains_before_its_connections_are_cut_and_it_is_forgotten():
    former, wanted = rendered(GROUP), rendered(replace(GROUP, targets=(ONE,)))
    first, second, last = steps(former, wanted)
    assert statuses(first["endpoints"]["g"]) == [(1, "HEALTHY"), (2, "DRAINING")]
    assert len(kept_names(second["routes"])) == 1
    assert statuses(last["endpoints"]["g"]) == [(1, "HEALTHY")]


def test_steps_when_one_target_comes_for_another_then_the_table_lets_both_go_on_until_the_end():
    former, wanted = rendered(replace(GROUP, targets=(ONE,))), rendered(replace(GROUP, targets=(TWO,)))
    first, second, third, last = steps(former, wanted)
    assert len(kept_names(first["routes"])) == 2
    assert statuses(second["endpoints"]["g"]) == [(2, "HEALTHY"), (1, "DRAINING")]
    assert len(kept_names(third["routes"])) == len(kept_names(last["routes"])) == 1


def test_steps_when_connections_outlive_their_targets_then_those_go_at_once():
    group = replace(GROUP, cut_on_deregistration=False)
    first, *_ = steps(rendered(group), rendered(replace(group, targets=(ONE,))))
    assert statuses(first["endpoints"]["g"]) == [(1, "HEALTHY")]


def test_steps_when_a_group_goes_then_it_stays_until_nothing_refers_to_it():
    first, second, last = steps(rendered(GROUP), rendered())
    assert set(first["clusters"]) == set(first["endpoints"]) == {"g"}
    assert set(second["listeners"]) == {CUTTING}
    assert last["clusters"] == last["endpoints"] == {}


def test_fails_open_when_healthy_targets_are_fewer_than_count_or_share():
    def group(count=1, percent=0, **numbers):
        targets = [replace(ONE, health=health) for health, number in numbers.items() for _ in range(number)]
        return TargetGroup(
            id="g",
            protocol="HTTP",
            targets=tuple(targets),
            minimum_healthy_count=count,
            minimum_healthy_percent=percent,
        )

    assert group(unhealthy=3).fails_open
    assert not group(healthy=1, unhealthy=3).fails_open
    assert group(count=2, healthy=1, unhealthy=3).fails_open
    assert group(percent=50, healthy=1, unhealthy=2).fails_open
    assert not group(percent=50, healthy=1, unhealthy=1).fails_open
    assert not group(percent=100, healthy=2, draining=5).fails_open, "those that leave do not count"
    assert group(count=3, healthy=2).fails_open
    assert group().fails_open
