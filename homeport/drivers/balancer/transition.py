"""From one state of Envoy's resources to another without a gap (pure): make before break."""

from typing import Any

from homeport.drivers.balancer.cutting import CUTTING, widened
from homeport.drivers.balancer.resources import Resources

Json = dict[str, Any]
Items = dict[str, Json]


def steps(former: Resources, wanted: Resources) -> list[dict[str, Items]]:
    """What to set after what; by the names of `Resources`, and only what a step is about.

    First which connections may go on, so that none is cut by mistake; then clusters and their endpoints, then what
    refers to them, and what goes away last.
    """
    gentle = _widened_table(former, wanted)
    return [
        *([gentle] if gentle else []),
        {"clusters": {**former.clusters, **wanted.clusters}, "endpoints": _widened_endpoints(former, wanted)},
        {"listeners": wanted.listeners, "routes": {**former.routes, **wanted.routes}},
        wanted._asdict(),
    ]


def _widened_table(former: Resources, wanted: Resources) -> dict[str, Items]:
    """Nothing where there is nothing new, or where Envoy was told no table yet."""
    table = former.routes.get(CUTTING)
    if table is None:
        return {}
    wide = widened(table, wanted.routes[CUTTING])
    return {"routes": {**former.routes, CUTTING: wide}} if wide != table else {}


def _widened_endpoints(former: Resources, wanted: Resources) -> Items:
    leaving = {
        name: _with_leaving(former.endpoints[name], item)
        for name, item in wanted.endpoints.items()
        if name in former.endpoints and _is_kept_until_cut(wanted.clusters[name])
    }
    return {**former.endpoints, **wanted.endpoints, **leaving}


def _is_kept_until_cut(cluster: Json) -> bool:
    """Envoy keeps a target that it was told has gone, as what it was last, until its connections are cut."""
    return cluster.get("ignore_health_on_host_removal") is False


def _with_leaving(former: Json, wanted: Json) -> Json:
    """Targets that go drain first: no new connections, and Envoy forgets neither drained nor healthy ones before the cut."""
    there = {_place(each) for each in _targets(wanted)}
    leaving = [{**each, "health_status": "DRAINING"} for each in _targets(former) if _place(each) not in there]
    return {**wanted, "endpoints": [{"lb_endpoints": [*_targets(wanted), *leaving]}]} if leaving else wanted


def _place(target: Json) -> tuple[str, int]:
    address = target["endpoint"]["address"]["socket_address"]
    return address["address"], address["port_value"]


def _targets(item: Json) -> list[Json]:
    (locality,) = item["endpoints"]
    found: list[Json] = locality["lb_endpoints"]
    return found
