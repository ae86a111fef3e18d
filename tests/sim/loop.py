"""An event loop whose time is a number: nothing ever waits, and a seed decides who goes first.

When nothing is ready, the clock jumps to the next timer. When there is no timer either, everything waits for
everything: that raises at once instead of hanging. The ready queue is shuffled by a seeded source of chance, so that
one seed is one interleaving, and many seeds are many.
"""

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
EPOCH = 1_795_000_000.0
_MOST_TURNS = 1_000_000


class Deadlock(Exception):
    """Nothing is ready and nothing is scheduled."""


class Livelock(Exception):
    """Much happens, and time stands still."""


class _VirtualSelector(selectors.SelectSelector):
    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        self._turns += 1
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        if timeout > 0:
            self._loop.elapsed += timeout
            self._turns = 0
        elif self._turns > _MOST_TURNS:
            raise Livelock(f"{self._turns} turns of the loop at {self._loop.elapsed} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`elapsed` is virtual seconds since the loop was made. `seed` None keeps the usual first-in-first-out order."""

    def __init__(self, seed: int | None = None) -> None:
        self.elapsed = 0.0
        self._chance = None if seed is None else random.Random(seed)
        super().__init__(_VirtualSelector(self))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.elapsed

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """What production does in a thread is done at once: threads have no place in an order that replays."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _run_once(self) -> None:
        if self._chance is not None and len(self._ready) > 1:
            handles = list(self._ready)
            self._chance.shuffle(handles)
            self._ready = deque(handles)
        super()._run_once()


class VirtualClock:
    """The loop's time as a `base.clock.Clock`; `offset` moves the wall clock only."""

    def __init__(self, loop: VirtualLoop, epoch: float = EPOCH) -> None:
        self._loop = loop
        self.offset = epoch

    def now(self) -> float:
        return self.offset + self._loop.elapsed

    def monotonic(self) -> float:
        return self._loop.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run_virtually(main: Any, seed: int | None = None) -> Any:
    """Run `main(clock)` (a coroutine function) to its end in virtual time."""
    loop = VirtualLoop(seed)
    try:
        return loop.run_until_complete(_with_clock(main, VirtualClock(loop)))
    finally:
        cancel_rest(loop)
        loop.close()


async def _with_clock(main: Any, clock: VirtualClock) -> Any:
    body: Coroutine[Any, Any, Any] = main(clock)
    return await body


def cancel_rest(loop: VirtualLoop) -> None:
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
