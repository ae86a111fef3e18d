"""How the connections of a network load balancer's target are ended, when ELB says that they end (pure).

Envoy leaves them open whatever it is told of a target's health, and even when the target goes. It closes them only when
a health check of its own fails. So it is given one: every second it asks itself, over a unix socket, and its answer is
a route table, which changes like any other: 200 for targets whose connections may go on, 503 for all others. No answer
counts for nothing, so a busy Envoy cuts nobody off. Whether a target gets new connections is still said by its
endpoint.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from homeport.drivers.balancer import Target, TargetGroup
from homeport.drivers.balancer.matching import TYPE

Json = dict[str, Any]
#: Name of the listener and of its route table.
CUTTING = "cutting"
_STREAM = ("TCP", "TLS", "TCP_UDP")
_MATCH = {"homeport.cutting": True}


def is_cuttable(group: TargetGroup) -> bool:
    """Whether there are connections to cut: datagrams have none, and requests over HTTP end by themselves."""
    return group.protocol in _STREAM


def cutting_cluster(group: TargetGroup) -> Json:
    """What a cluster needs for it. A target that goes stays until its connections are cut, unless they may go on."""
    check = {
        "timeout": "5s",
        "interval": "1s",
        "no_traffic_interval": "0.1s",
        "no_traffic_healthy_interval": "1s",
        "unhealthy_interval": "0.25s",
        "unhealthy_threshold": 1_000_000_000,  # a wrong answer counts at once, none (almost) never
        "healthy_threshold": 1,
        "http_health_check": {"path": "/"},
        "transport_socket_match_criteria": _MATCH,
    }
    raw = {"@type": f"{TYPE}envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}
    match = {"name": CUTTING, "match": _MATCH, "transport_socket": {"name": "raw", "typed_config": raw}}
    return {
        "close_connections_on_host_health_failure": True,
        "ignore_health_on_host_removal": not group.cut_on_deregistration,
        "health_checks": [check],
        "transport_socket_matches": [match],
    }


def cutting_endpoint(group: TargetGroup, target: Target, socket: str) -> Json:
    return {"health_check_config": {"hostname": _token(group, target), "address": {"pipe": {"path": socket}}}}


def cutting_listener(socket: str) -> Json:
    """Where Envoy asks itself."""
    router = {"@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": CUTTING,
        "rds": {"route_config_name": CUTTING, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": CUTTING,
        "address": {"pipe": {"path": socket, "mode": 0o600}},
        "filter_chains": [{"filters": filters}],
    }


def cutting_table(kept: Iterable[tuple[TargetGroup, Target]]) -> Json:
    """The answers; `kept` are the targets whose connections may go on."""
    return _table(_token(group, target) for group, target in kept)


def widened(one: Json, other: Json) -> Json:
    """The table that lets go on what either lets go on."""
    return _table(token for table in (one, other) for host in table["virtual_hosts"][1:] for token in host["domains"])


def _table(tokens: Iterable[str]) -> Json:
    hosts = [{"name": "cut", "domains": ["*"], "routes": [_answer(503)]}]
    if domains := sorted(set(tokens)):
        hosts.append({"name": "kept", "domains": domains, "routes": [_answer(200)]})
    return {"name": CUTTING, "virtual_hosts": hosts}


def _answer(status: int) -> Json:
    return {"match": {"prefix": "/"}, "direct_response": {"status": status}}


def _token(group: TargetGroup, target: Target) -> str:
    """A target of a group as the name of a host that can be asked for."""
    return hashlib.sha256(f"{group.id} {target.host} {target.port}".encode()).hexdigest()[:32]
