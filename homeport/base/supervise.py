"""Named asyncio tasks that do not die unnoticed.

The only place that starts asyncio tasks. A child that raises takes the supervisor down with it (crash-only) unless it
was spawned with `restart=True`, in which case it is started again after a backoff.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.log import get_logger

log = get_logger("supervise")


class Supervisor:
    """Owns a set of named children. `failed` resolves with the exception of the first child that crashed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._children: set[asyncio.Task[Any]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def spawn(self, name: str, body: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `body` until it returns; an exception it raises is the supervisor's failure."""
        child = asyncio.create_task(body, name=name)
        self._children.add(child)
        child.add_done_callback(self._ended)
        return child

    def keep(self, name: str, make: Callable[[], Awaitable[None]]) -> asyncio.Task[Any]:
        """Run `make()` for ever: start it again after 0.1 s, doubling to 10 s, whenever it raises or returns."""
        return self.spawn(name, self._keep(name, make))

    async def _keep(self, name: str, make: Callable[[], Awaitable[None]]) -> None:
        attempt = 0
        while True:
            started = self._clock.monotonic()
            try:
                await make()
            except Exception as error:  # noqa: BLE001 - the purpose of this loop
                log.warning("child_failed", child=name, error=f"{type(error).__name__}: {error}", attempt=attempt)
            attempt = 0 if self._clock.monotonic() - started > 30 else attempt + 1
            await self._clock.sleep(backoff_seconds(attempt, first=0.1, factor=2, most=10))

    def _ended(self, child: asyncio.Task[Any]) -> None:
        self._children.discard(child)
        if child.cancelled():
            return
        error = child.exception()
        if error is not None and not self.failed.done():
            log.error("child_crashed", child=child.get_name(), error=f"{type(error).__name__}: {error}")
            self.failed.set_exception(error)

    async def close(self) -> None:
        """Cancel every child and wait for them; again after a second, since a cancellation that meets the end of a
        connection can be lost inside the library that was closing it.
        """
        children = set(self._children)
        while children:
            for child in children:
                child.cancel()
            _, children = await asyncio.wait(children, timeout=1)
        if not self.failed.done():
            self.failed.cancel()
        elif not self.failed.cancelled():
            self.failed.exception()
