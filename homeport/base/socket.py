"""A message socket as both ends of the agent link see it: aiohttp's in production, a queue in simulation."""

from typing import Protocol


class Socket(Protocol):
    """Ordered text frames. A closed socket: `receive` gives None, `send` raises Transient."""

    async def send(self, frame: bytes) -> None: ...
    async def receive(self) -> bytes | None: ...
    async def close(self, code: int = 1000, reason: str = "") -> None: ...
