"""Processes that can be killed: every asyncio task started by a process belongs to it, whoever made the task.

A task inherits its process as it inherits its context. `kill` is kill -9 as far as the world can tell: from that
instant the process's disk, sockets and calls are dead (they ask `is_alive`), so whatever its tasks still do while they
unwind reaches nobody.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

_PROCESS: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class CountedTask(asyncio.Task[Any]):
    """Hashes to its number, so that sets of tasks are walked in the same order in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class Process:
    """`name` is how the trace calls it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self._tasks: dict[CountedTask, None] = {}
        self._on_death: list[Any] = []

    def spawn(self, body: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run `body` as a part of this process."""
        context = contextvars.copy_context()
        context.run(_PROCESS.set, self)
        return asyncio.get_running_loop().create_task(body, name=name or self.name, context=context)

    def add(self, task: CountedTask) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: Any) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and not self.is_alive:
            task.exception()  # nobody wants to know how the dead unwound

    def on_death(self, listener: Any) -> None:
        self._on_death.append(listener)

    def kill(self) -> None:
        """The end, in the middle of whatever it does."""
        self.is_alive = False
        for listener in self._on_death:
            listener()
        for task in tuple(self._tasks):
            task.cancel()


def current_process() -> Process | None:
    return _PROCESS.get()


def count_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop number its tasks and give each to its process."""
    numbers = iter(range(1, 1 << 62))

    def make(loop: asyncio.AbstractEventLoop, body: Any, **options: Any) -> asyncio.Task[Any]:
        task = CountedTask(body, loop=loop, **options)
        task.number = next(numbers)
        context = options.get("context")
        process = context.get(_PROCESS) if context is not None else _PROCESS.get()
        if process is not None:
            process.add(task)
        return task

    loop.set_task_factory(make)
