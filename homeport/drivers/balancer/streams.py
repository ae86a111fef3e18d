"""What listeners of network load balancers do with connections, in Envoy's words (pure)."""

from typing import Any

from homeport.drivers.balancer import Forward, Listener, WeightedGroup
from homeport.drivers.balancer.logs import access_log
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]
#: A target that takes no connection is passed over; three attempts of two seconds (`clusters`) are enough.
_ATTEMPTS = 3


def forwarded(listener: Listener) -> tuple[WeightedGroup, ...]:
    """The groups of the one action that such a listener has."""
    action = listener.default
    assert isinstance(action, Forward), "stream listeners forward"
    return action.groups


def _weighted(listener: Listener) -> Json:
    groups = [group for group in forwarded(listener) if group.weight > 0]
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
        "max_connect_attempts": _ATTEMPTS,
        **_weighted(listener),
    }
    if listener.access_log_path:
        proxy["access_log"] = [access_log(listener.access_log_path, listener)]
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}
