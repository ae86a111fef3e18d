"""Envoy's protobuf messages; the only file that imports their classes (which takes a second or two, so it is done late)."""

import warnings
from collections.abc import Iterator
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
    """The generated classes. Loading them warns of deprecations in their own code, which are not for our users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _import_classes()


def load_classes() -> None:
    """Do now what the first resource would have to wait for: a second or two of loading."""
    encode_resource(_CLUSTER, {"name": "none"})


def _import_classes() -> dict[str, Any]:
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
        "access_loggers.filters.cel.v3",
        "filters.http.router.v3",
        "filters.http.stateful_session.v3",
        "filters.listener.tls_inspector.v3",
        "filters.network.http_connection_manager.v3",
        "filters.network.set_filter_state.v3",
        "filters.network.tcp_proxy.v3",
        "filters.udp.udp_proxy.v3",
        "http.early_header_mutation.header_mutation.v3",
        "http.stateful_session.cookie.v3",
        "matching.common_inputs.network.v3",
        "matching.input_matchers.ip.v3",
        "retry.host.previous_hosts.v3",
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


# ---- the two messages of the discovery protocol itself, by hand: they are small, and loading the classes takes seconds


def parse_request(data: bytes) -> DiscoveryRequest:
    """One request of Envoy's stream."""
    names: list[str] = []
    texts = {4: "", 5: ""}
    error = ""
    for number, value in _fields(data):
        if number == 3:
            names.append(value.decode())
        elif number in texts:
            texts[number] = value.decode()
        elif number == 6:  # google.rpc.Status, whose second field is the message
            error = "".join(text.decode() for inner, text in _fields(value) if inner == 2) or "refused"
    return DiscoveryRequest(texts[4], tuple(names), texts[5], error)


def encode_response(type_url: str, version: str, nonce: str, resources: list[bytes]) -> bytes:
    """A state-of-the-world answer."""
    packed = [_field(2, _field(1, type_url.encode()) + _field(2, resource)) for resource in resources]
    return b"".join((_field(1, version.encode()), *packed, _field(4, type_url.encode()), _field(5, nonce.encode())))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; others are skipped."""
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        if tag & 7 == 2:
            size, place = _read_varint(data, place)
            yield tag >> 3, data[place : place + size]
            place += size
        elif tag & 7 == 0:
            _, place = _read_varint(data, place)
        else:
            place += 8 if tag & 7 == 1 else 4


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
