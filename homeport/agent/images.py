"""Bring a container's image to the host, by the four pull behaviours of the Amazon ECS agent, without blocking others."""

from msgspec import Struct

from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.drivers.engine import Engine, RegistryAuth


class PulledImage(Struct, frozen=True, kw_only=True):
    """`image_id` is the engine's `sha256:…`; `digest` the registry's, None for an image that no registry knows.

    `from_cache`: nothing was fetched. `note` says why a registry was not heard, when the cached image is used instead.
    """

    image: str
    image_id: str
    digest: str | None
    from_cache: bool
    note: str | None = None


class PullFailed(Exception):  # noqa: N818 - a fate, like the roots in base.errors
    """The image could not be had; `reason` is `CannotPullContainerError: …` as the control plane is told."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.reason = f"{name}: {text}"


class Images:
    """The images of one host. Calls for the same image share one pull."""

    def __init__(self, engine: Engine, clock: Clock, config: AgentConfig) -> None:
        raise NotImplementedError

    async def pull(self, image: str, auth: RegistryAuth | None = None) -> PulledImage:
        """Have the image by the configured behaviour. Raises PullFailed. Safe to cancel and to repeat."""
        raise NotImplementedError

    async def clean(self, in_use: frozenset[str]) -> tuple[str, ...]:
        """One clean-up cycle: removes least recently used images, `in_use` (names or ids) excepted. Returns their ids."""
        raise NotImplementedError
