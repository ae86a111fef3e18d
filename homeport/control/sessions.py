"""How control reaches agents without knowing of websockets: filled in by `api/acs.py` through `server/app.py`."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct


class Link(Protocol):
    """One connection of an agent.

    `session_id` changes with every connection: whoever remembers what was sent must forget it then.
    `wants_credentials`: the agent holds no role credentials (it has just started). `endpoint` is the base URL under
    which the agent reached us, "" if that is not known.
    """

    @property
    def session_id(self) -> str: ...
    @property
    def wants_credentials(self) -> bool: ...
    @property
    def endpoint(self) -> str: ...


class Sessions(Protocol):
    """The live ACS sessions of this process, by container instance ARN."""

    def is_connected(self, container_instance_arn: str) -> bool: ...

    def session_id(self, container_instance_arn: str) -> str | None:
        """Changes with every new connection: whoever remembers what was sent must forget it then. None: no session."""
        ...

    def link(self, container_instance_arn: str) -> Link | None:
        """The live connection; None if there is none."""
        ...

    async def send(self, container_instance_arn: str, message: Struct) -> None:
        """Queue one ACS message (`shapes.acs`); raises Transient if there is no session."""
        ...

    async def disconnect(self, container_instance_arn: str, reason: str) -> None:
        """Close the agent's connection, if it has one."""
        ...

    def on_connected(self, listener: Callable[[str], None]) -> None:
        """Call `listener(container_instance_arn)` whenever an agent has connected."""
        ...

    def on_acknowledged(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(container_instance_arn, message_id)` whenever an agent has acknowledged a message."""
        ...
