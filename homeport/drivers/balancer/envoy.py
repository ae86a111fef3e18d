"""The real balancer: an Envoy that takes its configuration over a unix socket, and goes on with it when we are gone."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from homeport.base.supervise import Supervisor
from homeport.drivers.balancer import Configuration
from homeport.drivers.balancer.process import cutting_path, socket_path
from homeport.drivers.balancer.resources import render
from homeport.drivers.balancer.wire import load_classes
from homeport.drivers.balancer.xds import Discovery


class EnvoyBalancer:
    """`drivers.balancer.Balancer` on the one Envoy of a data directory (`drivers.balancer.process`)."""

    def __init__(self, data_dir: Path, supervisor: Supervisor) -> None:
        self._path = socket_path(data_dir)
        self._cutting = str(cutting_path(data_dir))
        self._discovery = Discovery(supervisor)

    async def start(self) -> None:
        """Listen for Envoy; the socket of a former process is replaced."""
        self._path.unlink(missing_ok=True)
        await self._discovery.serve(f"unix:{self._path}")
        self._path.chmod(0o600)

    def is_connected(self) -> bool:
        return self._discovery.is_connected

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._discovery.on_connected(callback)

    async def prepare(self) -> None:
        await asyncio.to_thread(load_classes)

    async def apply(self, configuration: Configuration) -> None:
        """An Envoy that connects later takes the whole state then; until one does this raises Transient."""
        for listener in configuration.listeners:
            for path in filter(None, (listener.access_log_path, listener.connection_log_path)):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
        await self._discovery.publish(render(configuration, self._cutting))

    async def close(self) -> None:
        await self._discovery.close()
