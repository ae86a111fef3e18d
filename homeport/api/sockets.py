"""The agents' websockets as the front door sees them: one object for both kinds, `acs` and `tcs`."""

import asyncio
from collections.abc import Mapping

from homeport.api.acs import AcsServer
from homeport.api.agent_queries import Refusal
from homeport.api.operation import World
from homeport.api.tcs import TcsServer
from homeport.base.config import ServerConfig
from homeport.base.log import get_logger
from homeport.base.socket import Socket

log = get_logger("agent_sockets")
ACS = "acs"
INTERNAL_ERROR = 1011


class AgentSockets:
    """`kind` is `acs` or `tcs`. The query's values are already URL-decoded. `acs` is control's `Sessions`."""

    def __init__(self, world: World, config: ServerConfig) -> None:
        common = (world.store, world.arns, world.clock, world.ids)
        self.acs = AcsServer(*common, heartbeat_interval=config.heartbeat_interval)
        self.tcs = TcsServer(*common, heartbeat_interval=config.heartbeat_interval)

    def refuse(self, kind: str, query: Mapping[str, str]) -> Refusal | None:
        """Status and body with which to answer the upgrade instead; None to go on."""
        return self.acs.refuse(query) if kind == ACS else self.tcs.refuse(query)

    async def accept(self, kind: str, query: Mapping[str, str], socket: Socket, endpoint: str = "") -> None:
        """Serve an upgraded connection to its end. `endpoint` is our base URL as the agent addressed it.

        What goes wrong with one connection ends that connection only.
        """
        try:
            if kind == ACS:
                await self.acs.accept(query, socket, endpoint)
            else:
                await self.tcs.accept(query, socket)
        except Exception:
            log.exception("connection_failed", kind=kind)
            await socket.close(INTERNAL_ERROR, "internal error")

    async def close(self) -> None:
        """Close all connections actively, so that agents reconnect at once instead of waiting for a time-out."""
        await asyncio.gather(self.acs.close(), self.tcs.close())
