"""Listeners as Envoy's: sockets, certificates, and the HTTP connection manager (pure)."""

from typing import Any

from homeport.drivers.balancer import Certificate, Listener
from homeport.drivers.balancer.datagrams import UDP_SOCKET, udp_proxy
from homeport.drivers.balancer.headers import appends_client_port
from homeport.drivers.balancer.logs import access_log, connection_logs
from homeport.drivers.balancer.matching import SOURCE_KEY, STICKY_FILTER, STICKY_FILTER_TYPE, TYPE
from homeport.drivers.balancer.replies import local_replies
from homeport.drivers.balancer.streams import tcp_proxy

Json = dict[str, Any]
HTTP = ("HTTP", "HTTPS")


def listeners(listener: Listener) -> dict[str, Json]:
    """One listener; TCP_UDP is two sockets."""
    if listener.protocol == "TCP_UDP":
        return {
            f"{listener.id}/tcp": _stream_listener(f"{listener.id}/tcp", listener),
            f"{listener.id}/udp": _udp_listener(f"{listener.id}/udp", listener),
        }
    if listener.protocol == "UDP":
        return {listener.id: _udp_listener(listener.id, listener)}
    return {listener.id: _stream_listener(listener.id, listener)}


def _udp_listener(name: str, listener: Listener) -> Json:
    return {
        "name": name,
        "address": _address(listener, "UDP"),
        "udp_listener_config": {"downstream_socket_config": UDP_SOCKET},
        "listener_filters": [udp_proxy(listener)],
    }


def _address(listener: Listener, protocol: str) -> Json:
    return {"socket_address": {"protocol": protocol, "address": listener.address, "port_value": listener.port}}


def _stream_listener(name: str, listener: Listener) -> Json:
    """HTTP, HTTPS, TCP and TLS: one filter chain, or one a certificate."""
    is_http = listener.protocol in HTTP
    filters = [_source(), _connection_manager(listener)] if is_http else [tcp_proxy(listener)]
    result: Json = {
        "name": name,
        "address": _address(listener, "TCP"),
        # Few connections that stay (HTTP/2, gRPC, pools of clients) are dealt out evenly among the threads.
        "connection_balance_config": {"exact_balance": {}},
    }
    if listener.connection_log_path:
        result["access_log"] = connection_logs(listener.connection_log_path, listener)
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
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": listener.dns_name,
            "allow_custom_methods": True,
        },
        "rds": {"route_config_name": listener.id, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "stream_idle_timeout": f"{listener.idle_timeout_seconds}s",
        "request_timeout": "0s",
        "common_http_protocol_options": {
            "idle_timeout": f"{listener.idle_timeout_seconds}s",
            "max_connection_duration": f"{listener.client_keep_alive_seconds}s",
            "headers_with_underscores_action": "ALLOW",
        },
        "use_remote_address": True,
        "skip_xff_append": listener.xff_mode != "append" or appends_client_port(listener),
        "append_x_forwarded_port": True,
        "normalize_path": False,
        "server_name": "awselb/2.0",
        "server_header_transformation": "APPEND_IF_ABSENT" if listener.server_header else "PASS_THROUGH",
        "generate_request_id": False,
        "local_reply_config": local_replies(),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [_sticky_filter(), _router()],
    }
    if listener.drop_invalid_headers:
        manager["early_header_mutation_extensions"] = [_without_invalid_headers()]
    if listener.access_log_path:
        manager["access_log"] = [access_log(listener.access_log_path, listener)]
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


def _without_invalid_headers() -> Json:
    """Names of valid headers have letters, digits and hyphens; those that begin with a colon are the request line."""
    invalid = {"safe_regex": {"regex": "[^:a-z0-9-].*|[a-z0-9-].*[^a-z0-9-].*"}}
    config = {
        "@type": f"{TYPE}envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove_on_match": {"key_matcher": invalid}}],
    }
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": config}


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
