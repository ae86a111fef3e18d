"""How control reaches agents without knowing of websockets: filled in by `api/acs.py` through `server/app.py`."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct


class Sessions(Protocol):
    """The live ACS sessions of this process, by container instance ARN."""

    def is_connected(self, container_instance_arn: str) -> bool: ...

    def session_id(self, container_instance_arn: str) -> str | None:
        """Changes with every new connection: whoever remembers what was sent must forget it then. None: no session."""
        ...

    async def send(self, container_instance_arn: str, message: Struct) -> None:
        """Queue one ACS message (`shapes.acs`); raises Transient if there is no session."""
        ...

    def on_connected(self, listener: Callable[[str], None]) -> None:
        """Call `listener(container_instance_arn)` whenever an agent has connected."""
        ...
