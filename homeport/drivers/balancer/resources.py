"""A balancer configuration as Envoy's resources (pure): listeners, routes, clusters, endpoints, each by name.

Routes and endpoints are resources of their own, so that a rule, a weight or a target changes without touching its
listener or cluster: none of these changes closes a connection.
"""

from typing import Any, NamedTuple

from homeport.drivers.balancer import Configuration, Listener, TargetGroup
from homeport.drivers.balancer.clusters import cluster, endpoints, kept
from homeport.drivers.balancer.cutting import CUTTING, cutting_listener, cutting_table, is_cuttable
from homeport.drivers.balancer.datagrams import DATAGRAMS, cluster_name, datagram_cluster, datagram_endpoints
from homeport.drivers.balancer.headers import header_changes
from homeport.drivers.balancer.listeners import HTTP, listeners
from homeport.drivers.balancer.matching import route_matcher

Json = dict[str, Any]


class Resources(NamedTuple):
    """Envoy resources of each type by name, in the order in which Envoy wants to be told of them."""

    clusters: dict[str, Json]
    endpoints: dict[str, Json]
    listeners: dict[str, Json]
    routes: dict[str, Json]


def render(configuration: Configuration, socket: str) -> Resources:
    """All resources of a configuration. `socket` is where Envoy asks itself whose connections end (`cutting`)."""
    groups = {group.id: group for group in configuration.target_groups}
    apart = [group for group in configuration.target_groups if group.protocol != "UDP"]
    flows = [listener for listener in configuration.listeners if listener.protocol in DATAGRAMS]
    may_go_on = ((group, target) for group in apart if is_cuttable(group) for target in kept(group))
    return Resources(
        clusters={group.id: cluster(group) for group in apart}
        | {cluster_name(listener): datagram_cluster(listener, groups) for listener in flows},
        endpoints={group.id: endpoints(group, socket) for group in apart}
        | {cluster_name(listener): datagram_endpoints(listener, groups) for listener in flows},
        listeners={CUTTING: cutting_listener(socket)}
        | {name: item for each in configuration.listeners for name, item in listeners(each).items()},
        routes={CUTTING: cutting_table(may_go_on)}
        | {item.id: routes(item, groups) for item in configuration.listeners if item.protocol in HTTP},
    )


def routes(listener: Listener, groups: dict[str, TargetGroup]) -> Json:
    """The listener's rules as one virtual host."""
    host = {"name": "all", "domains": ["*"], "matcher": route_matcher(listener.rules, listener.default, groups)}
    return {"name": listener.id, "virtual_hosts": [host], **header_changes(listener)}
