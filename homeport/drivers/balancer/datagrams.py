"""UDP: listeners, and what they forward to (pure).

Envoy cannot split datagrams among clusters by weight. So all groups of a listener are one cluster of its own, a
locality each, with the groups' weights: whichever target a flow (one client's address and port) got first it keeps.
Neither weights nor targets touch the cluster itself: a change of that moves flows.
"""

from collections.abc import Mapping
from typing import Any

from homeport.drivers.balancer import Listener, TargetGroup, WeightedGroup
from homeport.drivers.balancer.clusters import common, lb_endpoint
from homeport.drivers.balancer.matching import TYPE
from homeport.drivers.balancer.streams import forwarded

Json = dict[str, Any]
DATAGRAMS = ("UDP", "TCP_UDP")
#: Weights are the groups', however few of a group's targets are healthy. In percent; Envoy's own is 140.
_OVERPROVISIONING = 1_000_000
#: What one packet of a VPC carries (9001 bytes with its headers). Envoy drops larger ones, and by itself those above 1500:
#: a name server's longest answers have 4096.
UDP_SOCKET: Json = {"max_rx_datagram_size": 8973}


def cluster_name(listener: Listener) -> str:
    return f"{listener.id}/udp"


def udp_proxy(listener: Listener) -> Json:
    """The filter that has flows; one that is silent for two minutes is over."""
    route = {
        "@type": f"{TYPE}envoy.extensions.filters.udp.udp_proxy.v3.Route",
        "cluster": cluster_name(listener),
    }
    proxy = {
        "@type": f"{TYPE}envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
        "stat_prefix": "nlb",
        "idle_timeout": "120s",
        "upstream_socket_config": UDP_SOCKET,
        "hash_policies": [{"source_ip": True}],
        "matcher": {"on_no_match": {"action": {"name": "route", "typed_config": route}}},
    }
    return {"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}


def datagram_cluster(listener: Listener, groups: Mapping[str, TargetGroup]) -> Json:
    """Sticky to the client's address if a group is; whatever the weights, for a change of the cluster moves flows."""
    is_sticky = any(group.sticky_by_source for group, _ in _groups(listener, groups))
    result = common(cluster_name(listener), "MAGLEV" if is_sticky else "ROUND_ROBIN")
    return {**result, "common_lb_config": {**result["common_lb_config"], "locality_weighted_lb_config": {}}}


def datagram_endpoints(listener: Listener, groups: Mapping[str, TargetGroup]) -> Json:
    """A locality without a weight gets no new flows, and keeps those that it has."""
    return {
        "cluster_name": cluster_name(listener),
        "endpoints": [_locality(group, weight) for group, weight in _groups(listener, groups)],
        "policy": {"overprovisioning_factor": _OVERPROVISIONING},
    }


def _groups(listener: Listener, groups: Mapping[str, TargetGroup]) -> list[tuple[TargetGroup, int]]:
    named: tuple[WeightedGroup, ...] = forwarded(listener)
    return [(groups[each.target_group_id], each.weight) for each in named if each.target_group_id in groups]


def _locality(group: TargetGroup, weight: int) -> Json:
    fails_open = group.fails_open
    there = [lb_endpoint(target, "UDP", fails_open=fails_open) for target in group.targets]
    return {"locality": {"zone": group.id}, "lb_endpoints": there} | (
        {"load_balancing_weight": weight} if weight else {}
    )
