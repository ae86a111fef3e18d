"""A balancer configuration as Envoy's resources (pure): listeners, routes, clusters, endpoints, each by name.

Routes and endpoints are resources of their own, so that a rule, a weight or a target changes without touching its
listener or cluster: none of these changes closes a connection.
"""

from typing import Any, NamedTuple

from homeport.drivers.balancer import (
    Certificate,
    Configuration,
    Forward,
    Listener,
    Target,
    TargetGroup,
    WeightedGroup,
)
from homeport.drivers.balancer.matching import SOURCE_KEY, STICKY_FILTER, STICKY_FILTER_TYPE, TYPE, route_matcher

Json = dict[str, Any]
_HTTP_LISTENERS = ("HTTP", "HTTPS")
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LB_POLICY = {"round_robin": "ROUND_ROBIN", "least_outstanding_requests": "LEAST_REQUEST", "weighted_random": "RANDOM"}
_HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "draining": "DRAINING"}


class Resources(NamedTuple):
    """Envoy resources of each type by name, in the order in which Envoy wants to be told of them."""

    clusters: dict[str, Json]
    endpoints: dict[str, Json]
    listeners: dict[str, Json]
    routes: dict[str, Json]


def render(configuration: Configuration) -> Resources:
    """All resources of a configuration."""
    groups = {group.id: group for group in configuration.target_groups}
    listeners: dict[str, Json] = {}
    for listener in configuration.listeners:
        listeners |= _listener(listener)
    return Resources(
        clusters={group.id: cluster(group) for group in configuration.target_groups},
        endpoints={group.id: endpoints(group) for group in configuration.target_groups},
        listeners=listeners,
        routes={item.id: routes(item, groups) for item in configuration.listeners if item.protocol in _HTTP_LISTENERS},
    )


# ---- clusters and endpoints -----------------------------------------------------------------------------------------


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
    if group.protocol in _HTTP_LISTENERS:
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


# ---- listeners ------------------------------------------------------------------------------------------------------


def _listener(listener: Listener) -> dict[str, Json]:
    """One listener; TCP_UDP is two sockets."""
    if listener.protocol == "TCP_UDP":
        return {
            f"{listener.id}/tcp": _stream_listener(f"{listener.id}/tcp", listener),
            f"{listener.id}/udp": _udp_listener(f"{listener.id}/udp", listener),
        }
    if listener.protocol == "UDP":
        return {listener.id: _udp_listener(listener.id, listener)}
    return {listener.id: _stream_listener(listener.id, listener)}


def _address(listener: Listener, protocol: str) -> Json:
    return {"socket_address": {"protocol": protocol, "address": listener.address, "port_value": listener.port}}


def _stream_listener(name: str, listener: Listener) -> Json:
    """HTTP, HTTPS, TCP and TLS: one filter chain, or one a certificate."""
    is_http = listener.protocol in _HTTP_LISTENERS
    filters = [_source(), _connection_manager(listener)] if is_http else [_tcp_proxy(listener)]
    result: Json = {
        "name": name,
        "address": _address(listener, "TCP"),
        # Few connections that stay (HTTP/2, gRPC, pools of clients) are dealt out evenly among the threads.
        "connection_balance_config": {"exact_balance": {}},
    }
    if listener.protocol not in ("HTTPS", "TLS"):
        return result | {"filter_chains": [{"filters": filters}]}
    inspector = {"@type": f"{TYPE}envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}
    chains = [_tls_chain(listener, certificate, filters) for certificate in listener.certificates if certificate.names]
    default = next((item for item in listener.certificates if not item.names), listener.certificates[0])
    return result | {
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "filter_chains": chains,
        "default_filter_chain": _tls_chain(listener, default, filters, match_any=True),
    }


def _tls_chain(listener: Listener, certificate: Certificate, filters: list[Json], *, match_any: bool = False) -> Json:
    common: Json = {
        "tls_certificates": [
            {
                "certificate_chain": {"inline_string": certificate.chain_pem},
                "private_key": {"inline_string": certificate.key_pem},
            }
        ],
        "tls_params": _tls_parameters(listener),
    }
    if listener.protocol == "HTTPS":
        common["alpn_protocols"] = ["h2", "http/1.1"] if listener.http2 else ["http/1.1"]
    elif listener.alpn:
        common["alpn_protocols"] = list(listener.alpn)
    context = {
        "@type": f"{TYPE}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
    }
    chain: Json = {
        "name": "default" if match_any else certificate.id,
        "filters": filters,
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }
    if not match_any:
        chain["filter_chain_match"] = {"server_names": list(certificate.names)}
    return chain


def _tls_parameters(listener: Listener) -> Json:
    """Versions, and the ciphers of those below TLS 1.3 (none: the library's own)."""
    versions = {
        "tls_minimum_protocol_version": listener.tls_minimum,
        "tls_maximum_protocol_version": listener.tls_maximum,
    }
    return versions | ({"cipher_suites": list(listener.tls_ciphers)} if listener.tls_ciphers else {})


def _connection_manager(listener: Listener) -> Json:
    """The HTTP connection manager. Its routes come as a resource of their own under the listener's id."""
    manager: Json = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "alb",
        "codec_type": "AUTO",
        "rds": {"route_config_name": listener.id, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "stream_idle_timeout": f"{listener.idle_timeout_seconds}s",
        "request_timeout": "0s",
        "common_http_protocol_options": {
            "idle_timeout": f"{listener.idle_timeout_seconds}s",
            "max_connection_duration": f"{listener.client_keep_alive_seconds}s",
            "headers_with_underscores_action": "DROP_HEADER" if listener.drop_invalid_headers else "ALLOW",
        },
        "use_remote_address": True,
        "skip_xff_append": listener.xff_mode != "append",
        "append_x_forwarded_port": True,
        "normalize_path": False,
        "server_name": "awselb/2.0",
        "server_header_transformation": "APPEND_IF_ABSENT",
        "generate_request_id": False,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [_sticky_filter(), _router()],
    }
    if listener.access_log_path:
        manager["access_log"] = [_access_log(listener.access_log_path, listener)]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _source() -> Json:
    """Note a connection's address, once, where the rules can match it (`matching`): the peer's, whatever headers say."""
    note = {
        "object_key": SOURCE_KEY,
        "factory_key": "envoy.string",
        "format_string": {"text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}},
    }
    config = {
        "@type": f"{TYPE}envoy.extensions.filters.network.set_filter_state.v3.Config",
        "on_new_connection": [note],
    }
    return {"name": "envoy.filters.network.set_filter_state", "typed_config": config}


def _sticky_filter() -> Json:
    """Always there and off by itself: the routes of sticky target groups switch it on."""
    return {"name": STICKY_FILTER, "disabled": True, "typed_config": {"@type": f"{TYPE}{STICKY_FILTER_TYPE}"}}


def _router() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }


def _access_log(path: str, listener: Listener) -> Json:
    """The fields of ELB's access log entries that Envoy knows, in ELB's order."""
    kind = "https" if listener.protocol == "HTTPS" else "http"
    line = (
        f"{kind} %START_TIME% {listener.id} %DOWNSTREAM_REMOTE_ADDRESS% %UPSTREAM_HOST% %REQUEST_DURATION% "
        "%RESPONSE_DURATION% %RESPONSE_TX_DURATION% %RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% "
        '"%REQ(:METHOD)% %REQ(:AUTHORITY)%%REQ(:PATH)% %PROTOCOL%" "%REQ(USER-AGENT)%" %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_TLS_VERSION% %UPSTREAM_CLUSTER%\n'
    )
    config = {
        "@type": f"{TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"text_format_source": {"inline_string": line}},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}


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


def _tcp_proxy(listener: Listener) -> Json:
    proxy: Json = {
        "@type": f"{TYPE}envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "nlb",
        "idle_timeout": f"{listener.idle_timeout_seconds}s",
        "hash_policy": [{"source_ip": {}}],
        **_weighted(listener),
    }
    if listener.access_log_path:
        proxy["access_log"] = [_access_log(listener.access_log_path, listener)]
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def _udp_listener(name: str, listener: Listener) -> Json:
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
    return {
        "name": name,
        "address": _address(listener, "UDP"),
        "udp_listener_config": {},
        "listener_filters": [{"name": "envoy.filters.udp_listener.udp_proxy", "typed_config": proxy}],
    }


def routes(listener: Listener, groups: dict[str, TargetGroup]) -> Json:
    """The listener's rules as one virtual host."""
    host = {"name": "all", "domains": ["*"], "matcher": route_matcher(listener.rules, listener.default, groups)}
    forwarded_for = ["x-forwarded-for"] if listener.xff_mode == "remove" else []
    return {
        "name": listener.id,
        "virtual_hosts": [host],
        "request_headers_to_remove": ["x-envoy-external-address", *forwarded_for],
    }
