"""Envoy's protobuf messages, from and to plain dicts; the only file that imports their classes (slow to import, so late)."""

from functools import cache
from typing import Any, NamedTuple

_PREFIX = "type.googleapis.com/"
_CLUSTER = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
_ENDPOINTS = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
_LISTENER = f"{_PREFIX}envoy.config.listener.v3.Listener"
_ROUTES = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"


def type_urls() -> tuple[str, str, str, str]:
    """Clusters, endpoints, listeners, routes: the order of `resources.Resources` and of sending."""
    return (_CLUSTER, _ENDPOINTS, _LISTENER, _ROUTES)


class DiscoveryRequest(NamedTuple):
    """`nonce` "" for a first subscription; `error` is Envoy's text when it refused that nonce."""

    type_url: str
    names: tuple[str, ...]
    nonce: str
    error: str


@cache
def _classes() -> dict[str, Any]:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
    from envoy_data_plane.envoy.config.listener.v3 import Listener
    from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

    _register_extensions()
    return {_CLUSTER: Cluster, _ENDPOINTS: ClusterLoadAssignment, _LISTENER: Listener, _ROUTES: RouteConfiguration}


def _register_extensions() -> None:
    """Messages inside `Any` are found by name once their module is imported."""
    from importlib import import_module

    for name in (
        "access_loggers.file.v3",
        "filters.http.router.v3",
        "filters.http.stateful_session.v3",
        "filters.listener.tls_inspector.v3",
        "filters.network.http_connection_manager.v3",
        "filters.network.tcp_proxy.v3",
        "filters.udp.udp_proxy.v3",
        "http.early_header_mutation.header_mutation.v3",
        "http.stateful_session.cookie.v3",
        "matching.input_matchers.ip.v3",
        "transport_sockets.proxy_protocol.v3",
        "transport_sockets.raw_buffer.v3",
        "transport_sockets.tls.v3",
        "upstreams.http.v3",
    ):
        import_module(f"envoy_data_plane.envoy.extensions.{name}")
    import_module("envoy_data_plane.envoy.type.matcher.v3")


def encode_resource(type_url: str, item: dict[str, Any]) -> bytes:
    """The protobuf bytes of one resource."""
    return bytes(_classes()[type_url].from_dict(item))


def parse_request(data: bytes) -> DiscoveryRequest:
    """One request of Envoy's stream."""
    from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryRequest as Message

    message = Message.parse(data)
    error = message.error_detail.message if message.error_detail else ""
    return DiscoveryRequest(message.type_url, tuple(message.resource_names), message.response_nonce, error)


def encode_response(type_url: str, version: str, nonce: str, resources: list[bytes]) -> bytes:
    """A state-of-the-world answer."""
    from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryResponse
    from envoy_data_plane.google.protobuf import Any as AnyMessage

    packed = [AnyMessage(type_url=type_url, value=resource) for resource in resources]
    return bytes(DiscoveryResponse(version_info=version, nonce=nonce, type_url=type_url, resources=packed))
