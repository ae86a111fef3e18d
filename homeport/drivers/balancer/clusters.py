"""Target groups as Envoy's clusters and endpoints (pure): a target changes without touching its cluster."""

from typing import Any

from homeport.drivers.balancer import Target, TargetGroup
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]
_HTTP = ("HTTP", "HTTPS")
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LB_POLICY = {"round_robin": "ROUND_ROBIN", "least_outstanding_requests": "LEAST_REQUEST", "weighted_random": "RANDOM"}
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "draining": "DRAINING"}


def cluster(group: TargetGroup) -> Json:
    """A target group without its targets. With all targets unhealthy every one is tried (ELB fails open)."""
    result: Json = {
        "name": group.id,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "connect_timeout": "5s",
        "lb_policy": "MAGLEV" if group.sticky_by_source else _LB_POLICY[group.algorithm],
        "common_lb_config": {"healthy_panic_threshold": {"value": 1.0}},
        "close_connections_on_host_health_failure": group.cut_on_unhealthy,
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000, "max_retries": 1000}
            ]
        },
    }
    if group.slow_start_seconds and group.algorithm == "round_robin":
        result["round_robin_lb_config"] = {"slow_start_config": {"slow_start_window": f"{group.slow_start_seconds}s"}}
    if group.protocol in _HTTP:
        result["typed_extension_protocol_options"] = {_HTTP_OPTIONS: _upstream_http(group)}
    transport = _upstream_transport(group)
    if transport:
        result["transport_socket"] = transport
    return result


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


def endpoints(group: TargetGroup) -> Json:
    """The targets with their health; draining ones keep what they have and get nothing new.

    When none is healthy every target that is there gets requests. Those that drain must not, so they are left out then;
    their open connections go on.
    """
    fails_open = all(target.health != "healthy" for target in group.targets)
    there = [target for target in group.targets if target.health != "draining" or not fails_open]
    return {
        "cluster_name": group.id,
        "endpoints": [{"lb_endpoints": [_endpoint(group, target) for target in there]}],
    }


def _endpoint(group: TargetGroup, target: Target) -> Json:
    protocol = "UDP" if group.protocol == "UDP" else "TCP"
    address = {"socket_address": {"protocol": protocol, "address": target.host, "port_value": target.port}}
    return {
        "endpoint": {"address": address},
        "health_status": _HEALTH[target.health],
        "load_balancing_weight": target.weight,
    }
