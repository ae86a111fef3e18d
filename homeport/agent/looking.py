"""What the local endpoints look at: the running agent, seen through a keyhole."""

from typing import Protocol

from homeport.agent.record import TaskBook


class Registered(Protocol):
    """A container instance. `cluster` as configured."""

    @property
    def arn(self) -> str: ...


class Located(Protocol):
    @property
    def availability_zone(self) -> str | None: ...


class Host(Protocol):
    """The agent as its endpoints see it; `instance` is None until it has registered."""

    @property
    def tasks(self) -> TaskBook: ...
    @property
    def instance(self) -> Registered | None: ...
    @property
    def identity(self) -> Located: ...
