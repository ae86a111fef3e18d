"""What listeners of network load balancers do with connections and datagrams, in Envoy's words (pure)."""

from typing import Any

from homeport.drivers.balancer import Forward, Listener, WeightedGroup
from homeport.drivers.balancer.logs import access_log
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]


def _forwarded(listener: Listener) -> list[WeightedGroup]:
    """The groups that get anything; heaviest first."""
    action = listener.default
    assert isinstance(action, Forward), "stream listeners forward"
    return sorted((group for group in action.groups if group.weight > 0), key=lambda group: -group.weight)


def _weighted(listener: Listener) -> Json:
    groups = _forwarded(listener)
    if len(groups) < 2:
        return {"cluster": groups[0].target_group_id if groups else "none"}
    return {
        "weighted_clusters": {"clusters": [{"name": group.target_group_id, "weight": group.weight} for group in groups]}
    }


def tcp_proxy(listener: Listener) -> Json:
    proxy: Json = {
        "@type": f"{TYPE}envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "nlb",
        "idle_timeout": f"{listener.idle_timeout_seconds}s",
        "hash_policy": [{"source_ip": {}}],
        **_weighted(listener),
    }
    if listener.access_log_path:
        proxy["access_log"] = [access_log(listener.access_log_path, listener)]
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def udp_proxy(listener: Listener) -> Json:
    """Datagrams all go to the heaviest group: they cannot be split by weight."""
    groups = _forwarded(listener)
    target = groups[0].target_group_id if groups else "none"
    proxy = {
        "@type": f"{TYPE}envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
        "stat_prefix": "nlb",
        "idle_timeout": "120s",
        "hash_policies": [{"source_ip": True}],
        "matcher": {
            "on_no_match": {
                "action": {
                    "name": "route",
                    "typed_config": {
                        "@type": f"{TYPE}envoy.extensions.filters.udp.udp_proxy.v3.Route",
                        "cluster": target,
                    },
                }
            }
        },
    }
    return {"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}
