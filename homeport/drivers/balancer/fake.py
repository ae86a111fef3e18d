"""A data plane in memory, for simulations and tests: it serves what it was told, and can be away or refuse."""

from collections.abc import Callable

from homeport.base.errors import Transient
from homeport.drivers.balancer import Configuration, Rejected


class FakeBalancer:
    """`drivers.balancer.Balancer`. `serving` is what it serves now, `history` everything it ever took."""

    def __init__(self) -> None:
        self.serving = Configuration()
        self.history: list[Configuration] = []
        self.refuse: Callable[[Configuration], Rejected | None] = lambda _: None
        self._is_connected = True
        self._callbacks: list[Callable[[], None]] = []

    def is_connected(self) -> bool:
        return self._is_connected

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def disconnect(self) -> None:
        self._is_connected = False

    def connect(self) -> None:
        """Back, with what it served before."""
        self._is_connected = True
        for callback in self._callbacks:
            callback()

    async def prepare(self) -> None:
        pass

    async def apply(self, configuration: Configuration) -> None:
        if not self._is_connected:
            raise Transient("the data plane is not connected")
        refusal = self.refuse(configuration)
        if refusal is not None:
            raise refusal
        self.serving = configuration
        self.history.append(configuration)

    async def close(self) -> None:
        self._is_connected = False
