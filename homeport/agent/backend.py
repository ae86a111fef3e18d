"""What the agent needs of a control plane: signed calls and two websockets. Any ECS endpoint would do."""

from typing import Any, Protocol

import msgspec

from homeport.base.errors import Permanent
from homeport.base.socket import Socket


class Refused(Permanent):
    """The control plane answered with an error; `code` is its wire name, such as InvalidParameterException."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Backend(Protocol):
    """Raises Transient when there is no answer (or a 5xx, or throttling), Refused for a 4xx."""

    async def call(self, operation: str, request: msgspec.Struct, *, credentials: Any = None) -> Any:
        """One ECS operation; the answer is the operation's output struct of `shapes.ecs`.

        `credentials` (shapes.acs.RoleCredentials) signs as a task's role instead of as this agent.
        """
        ...

    async def connect(self, url: str, query: dict[str, str]) -> Socket:
        """Open a signed websocket at `<url>/ws` with these query parameters.

        `url` is an endpoint of DiscoverPollEndpoint (http or https, mapped to ws or wss).
        """
        ...
