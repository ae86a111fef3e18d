"""Target groups as Envoy's clusters and endpoints (pure): a target changes without touching its cluster."""

from typing import Any

from homeport.drivers.balancer import Target, TargetGroup
from homeport.drivers.balancer.cutting import cutting_cluster, cutting_endpoint, is_cuttable
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]
_HTTP = ("HTTP", "HTTPS")
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LB_POLICY = {"round_robin": "ROUND_ROBIN", "least_outstanding_requests": "LEAST_REQUEST", "weighted_random": "RANDOM"}
#: A host that is gone answers nothing, and its health checks take their time to say so. After two attempts at a
#: connection that came to nothing a target gets no new ones for some seconds, as long as half of the targets are left:
#: a target that is alone, and only starts again, is tried at once. Connections that lie idle are found out by keepalive.
_SILENT: Json = {
    "connect_timeout": "2s",
    "outlier_detection": {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "15s",
        "max_ejection_percent": 50,
        "successful_active_health_check_uneject_host": False,  # those checks are none of the target (`cutting`)
    },
    "upstream_connection_options": {
        "tcp_keepalive": {"keepalive_time": 5, "keepalive_interval": 2, "keepalive_probes": 2}
    },
}
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "draining": "DRAINING"}


def cluster(group: TargetGroup) -> Json:
    """A target group without its targets. Who gets requests when too few are healthy is said by the endpoints."""
    result = common(group.id, "MAGLEV" if group.sticky_by_source else _LB_POLICY[group.algorithm]) | _SILENT
    if group.slow_start_seconds and group.algorithm == "round_robin":
        result["round_robin_lb_config"] = {"slow_start_config": {"slow_start_window": f"{group.slow_start_seconds}s"}}
    if group.protocol in _HTTP:
        result["typed_extension_protocol_options"] = {_HTTP_OPTIONS: _upstream_http(group)}
    if is_cuttable(group):
        result |= cutting_cluster(group)
    transport = _upstream_transport(group)
    if transport:
        result["transport_socket"] = transport
    return result


def common(name: str, policy: str) -> Json:
    """What every cluster of targets has."""
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "lb_policy": policy,
        # No panic mode of Envoy's own, and no waiting (a second) for more of what its checks found (`cutting`).
        "common_lb_config": {"healthy_panic_threshold": {"value": 0.0}, "update_merge_window": "0s"},
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000, "max_retries": 1000}
            ]
        },
    }


def _upstream_http(group: TargetGroup) -> Json:
    version = "http_protocol_options" if group.protocol_version == "HTTP1" else "http2_protocol_options"
    return {
        "@type": f"{TYPE}{_HTTP_OPTIONS}",
        "explicit_http_config": {version: {}},
        "common_http_protocol_options": {"idle_timeout": "55s"},
    }


def _upstream_transport(group: TargetGroup) -> Json | None:
    """ELB does not verify targets' certificates, so neither is it done here."""
    inner: Json | None = None
    if group.protocol in ("HTTPS", "TLS"):
        context = {"@type": f"{TYPE}envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
        inner = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    if not group.proxy_protocol_v2:
        return inner
    raw = {
        "name": "raw",
        "typed_config": {"@type": f"{TYPE}envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
    }
    proxied = {
        "@type": f"{TYPE}envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        "config": {"version": "V2"},
        "transport_socket": inner or raw,
    }
    return {"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": proxied}


def endpoints(group: TargetGroup, socket: str) -> Json:
    """The targets with their health; draining ones keep what they have and get nothing new.

    When a group fails open its targets are told as healthy, all but those that drain. `socket`: see `cutting`.
    """
    fails_open = group.fails_open
    there = [_endpoint(group, target, socket, fails_open=fails_open) for target in group.targets]
    return {"cluster_name": group.id, "endpoints": [{"lb_endpoints": there}]}


def kept(group: TargetGroup) -> list[Target]:
    """Targets whose connections go on; when a group fails open that is all of them."""
    fails_open = group.fails_open
    return [target for target in group.targets if fails_open or not target.cut]


def _endpoint(group: TargetGroup, target: Target, socket: str, *, fails_open: bool) -> Json:
    result = lb_endpoint(target, "TCP", fails_open=fails_open)
    if is_cuttable(group):
        result["endpoint"] |= cutting_endpoint(group, target, socket)
    return result


def lb_endpoint(target: Target, protocol: str, *, fails_open: bool) -> Json:
    """`protocol` TCP or UDP."""
    address = {"socket_address": {"protocol": protocol, "address": target.host, "port_value": target.port}}
    is_open = fails_open and target.health != "draining"
    return {
        "endpoint": {"address": address},
        "health_status": "HEALTHY" if is_open else _HEALTH[target.health],
        "load_balancing_weight": target.weight,
    }
