"""Two ends of a connection in memory: what one sends, the other receives, in order, until either closes."""

import asyncio

from homeport.base.errors import Transient


class MemorySocket:
    """One end. `closed_with` is the code given by whichever end closed first."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.peer: MemorySocket
        self.closed_with: int | None = None

    async def send(self, frame: bytes) -> None:
        if self.closed_with is not None:
            raise Transient("the socket is closed")
        self.peer.inbox.put_nowait(frame)

    async def receive(self) -> bytes | None:
        if self.closed_with is not None and self.inbox.empty():
            return None
        return await self.inbox.get()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        for end in (self, self.peer):
            if end.closed_with is None:
                end.closed_with = code
                end.inbox.put_nowait(None)


def socket_pair() -> tuple[MemorySocket, MemorySocket]:
    left, right = MemorySocket(), MemorySocket()
    left.peer, right.peer = right, left
    return left, right
