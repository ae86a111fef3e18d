"""Bring a container's image to the host, by the four pull behaviours of the Amazon ECS agent, without blocking others.

| behaviour | registry asked | when it cannot be had there |
|---|---|---|
| default | each time | the host's copy is used |
| always | each time | the task fails |
| once | unless this agent fetched the image before | the task fails |
| prefer-cached | only if the host has no copy | the task fails |

Asking means comparing digests; only a different one is fetched. So that tasks start fast, `default` asks again only
after 5 s for a name it just compared, gives a registry 2 s where the host has a copy, and leaves one that did not
answer (or does not know the image) alone for 30 s. The Amazon ECS agent spends half a minute on each such task.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from msgspec import Struct

from homeport.agent.image_book import ImageBook, KnownImage, MemoryImageBook
from homeport.agent.record import TaskBook
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import NotFound, Permanent
from homeport.base.log import get_logger
from homeport.drivers.engine import Engine, ImageState, PullDenied, RegistryAuth, RegistryUnreachable, TimedOut
from homeport.drivers.engine.reference import parse_reference

log = get_logger("images")
T = TypeVar("T")
_Key = tuple[str, RegistryAuth | None]

COMPARED_SECONDS = 5.0
UNHEARD_SECONDS = 30.0
BUDGET_SECONDS = 2.0
PULL_TRIES = 5
JUST_USED_SECONDS = 600.0
LEAST_CLEANUP_INTERVAL = 600.0
BEHAVIOURS = ("default", "always", "once", "prefer-cached")


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


class _Turn:
    """Callers for one image: one of them works, the others wait and take its outcome."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.callers = 0
        self.ended = 0
        self.outcome: PulledImage | PullFailed | None = None


class Images:
    """The images of one host. Calls for the same image with the same credentials share one pull."""

    def __init__(self, engine: Engine, clock: Clock, config: AgentConfig, book: ImageBook | None = None) -> None:
        if config.image_pull_behavior not in BEHAVIOURS:
            raise Permanent(f"image pull behavior {config.image_pull_behavior!r} is none of {', '.join(BEHAVIOURS)}")
        self._engine = engine
        self._clock = clock
        self._config = config
        self._book = book or MemoryImageBook()
        self._known = {image.name: image for image in self._book.load()}
        self._turns: dict[_Key, _Turn] = {}
        self._compared: dict[_Key, tuple[str, float]] = {}  # image id, until when (monotonic)
        self._unheard: dict[_Key, tuple[str, float]] = {}  # by image, or by registry without credentials

    async def pull(self, image: str, auth: RegistryAuth | None = None) -> PulledImage:
        """Have the image by the configured behaviour. Safe to cancel and to repeat.

        Raises PullFailed; Transient when the engine itself (not the registry) is away.
        """
        turn = self._turns.setdefault((image, auth), _Turn())
        turn.callers += 1
        before = turn.ended
        try:
            async with turn.lock:
                if turn.ended == before or turn.outcome is None:
                    turn.outcome = await self._attempt(image, auth)
                    turn.ended += 1
                outcome = turn.outcome
        finally:
            turn.callers -= 1
            if not turn.callers:
                del self._turns[(image, auth)]
        if isinstance(outcome, PullFailed):
            raise PullFailed(*outcome.reason.split(": ", 1))
        self._used(outcome)
        return outcome

    async def clean(self, in_use: frozenset[str]) -> tuple[str, ...]:
        """One clean-up cycle: removes the least recently used of the images this agent fetched; returns their names.

        `in_use` are names and ids of images that tasks still refer to. Images that others brought stay.
        """
        if self._config.image_pull_behavior == "prefer-cached":
            return ()
        now, removed = self._clock.now(), []
        for image in removable(self._known.values(), in_use, now, self._config):
            try:
                await self._engine.remove_image(image.name)
            except Permanent as error:
                log.warning("image_kept", image=image.name, error=str(error))
                continue
            removed.append(image.name)
            del self._known[image.name]
            log.info("image_removed", image=image.name)
        if removed:
            self._book.save(tuple(self._known.values()))
        return tuple(removed)

    async def run(self, tasks: TaskBook) -> None:
        """Clean up every `image_cleanup_interval` (at least 10 minutes apart); never returns."""
        while True:
            await self._clock.sleep(max(LEAST_CLEANUP_INTERVAL, self._config.image_cleanup_interval))
            records = [record for task in tasks.all() for record in task.containers]
            names = {record.spec.image for record in records} | {record.image_id for record in records}
            await self.clean(frozenset(name for name in names if name))

    # ---- one attempt ---------------------------------------------------------------------------------------------

    async def _attempt(self, image: str, auth: RegistryAuth | None) -> PulledImage | PullFailed:
        try:
            return await self._have(image, auth)
        except PullFailed as failed:
            log.warning("pull_failed", image=image, reason=failed.reason)
            return failed

    async def _have(self, image: str, auth: RegistryAuth | None) -> PulledImage:
        behaviour = self._config.image_pull_behavior
        local = await self._local(image)
        if local is None:
            return await self._fetch(image, auth)
        if "@sha256:" in image and behaviour != "always":
            return _cached(image, local)  # The name is the content.
        if behaviour == "prefer-cached" or (behaviour == "once" and image in self._known):
            return _cached(image, local)
        if behaviour == "default":
            return await self._refreshed(image, auth, local)
        return await self._current(image, auth, local)

    async def _refreshed(self, image: str, auth: RegistryAuth | None, local: ImageState) -> PulledImage:
        """Behaviour `default` with a copy on the host: never fails for the registry's sake."""
        now = self._clock.monotonic()
        compared = self._compared.get((image, auth))
        if compared and compared[0] == local.id and now < compared[1]:
            return _cached(image, local)
        for key in ((image, auth), (registry_of(image), None)):
            text, until = self._unheard.get(key, ("", 0.0))
            if now < until:
                return _cached(image, local, note=text)
        try:
            return await self._current(image, auth, local)
        except PullFailed as failed:
            return _cached(image, local, note=failed.reason)

    async def _current(self, image: str, auth: RegistryAuth | None, local: ImageState) -> PulledImage:
        """Compare with the registry and fetch what differs. Raises PullFailed."""
        digest = await self._digest(image, auth)
        if digest is not None and digest == _digest_of(image, local):
            self._is_current(image, auth, local)
            return _cached(image, local)
        return await self._fetch(image, auth)

    async def _digest(self, image: str, auth: RegistryAuth | None) -> str | None:
        """The registry's digest; None where the registry has none to compare (then a pull will tell)."""
        patient = self._config.image_pull_behavior != "default"
        try:
            async with asyncio.timeout(None if patient else BUDGET_SECONDS):
                look: Callable[[], Awaitable[str]] = lambda: self._engine.manifest_digest(image, auth)  # noqa: E731
                return await (self._retried(look) if patient else look())
        except (RegistryUnreachable, TimedOut, TimeoutError) as error:
            text = str(error) or f"no answer from {registry_of(image)} within {BUDGET_SECONDS:g} s"
            raise self._no_manifest((registry_of(image), None), text) from error
        except (PullDenied, NotFound) as error:
            raise self._no_manifest((image, auth), str(error)) from error
        except Permanent as error:
            log.info("manifest_unavailable", image=image, error=str(error))
            return None

    def _no_manifest(self, key: _Key, text: str) -> PullFailed:
        now = self._clock.monotonic()
        self._unheard = {known: seen for known, seen in self._unheard.items() if seen[1] > now}
        self._unheard[key] = (text, now + UNHEARD_SECONDS)
        return PullFailed("CannotPullImageManifestError", _from_daemon(text))

    async def _fetch(self, image: str, auth: RegistryAuth | None) -> PulledImage:
        try:
            await self._retried(lambda: self._engine.pull(image, auth))
        except TimedOut as error:
            raise PullFailed("CannotPullContainerError", str(error)) from error
        except (RegistryUnreachable, Permanent) as error:
            raise PullFailed("CannotPullContainerError", _from_daemon(str(error))) from error
        local = await self._local(image)
        if local is None:
            raise PullFailed("CannotPullContainerError", f"image {image} vanished after it was pulled")
        now = self._clock.now()
        self._known[image] = KnownImage(name=image, image_id=local.id, pulled_at=now, used_at=now)
        self._book.save(tuple(self._known.values()))
        self._is_current(image, auth, local)
        return PulledImage(image=image, image_id=local.id, digest=_digest_of(image, local), from_cache=False)

    def _is_current(self, image: str, auth: RegistryAuth | None, local: ImageState) -> None:
        now = self._clock.monotonic()
        self._compared = {known: seen for known, seen in self._compared.items() if seen[1] > now}
        self._compared[(image, auth)] = (local.id, now + COMPARED_SECONDS)

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """Five tries, 1.1 s, 2.2 s, 4.4 s and 5 s apart, for what may pass: a registry that is not heard."""
        for attempt in range(PULL_TRIES - 1):
            try:
                return await call()
            except RegistryUnreachable as error:
                log.info("registry_unreachable", attempt=attempt, error=str(error))
            await self._clock.sleep(backoff_seconds(attempt, first=1.1, factor=2, most=5))
        return await call()

    async def _local(self, image: str) -> ImageState | None:
        try:
            return await self._engine.image(image)
        except NotFound:
            return None

    def _used(self, pulled: PulledImage) -> None:
        known = self._known.get(pulled.image)
        if known is not None:
            self._known[pulled.image] = KnownImage(
                name=known.name, image_id=pulled.image_id, pulled_at=known.pulled_at, used_at=self._clock.now()
            )


def removable(
    known: Iterable[KnownImage], in_use: frozenset[str], now: float, config: AgentConfig
) -> tuple[KnownImage, ...]:
    """What one cycle may remove, longest unused first: old enough, and neither name nor id in use.

    An image that was used just now may belong to a container that is about to be created.
    """
    free = [
        image
        for image in known
        if not in_use & {image.name, image.image_id}
        and now - image.pulled_at > config.image_minimum_age
        and now - image.used_at > min(JUST_USED_SECONDS, config.image_minimum_age)
    ]
    return tuple(sorted(free, key=lambda image: image.used_at)[: config.images_per_cleanup])


def registry_of(image: str) -> str:
    """The host part of an image name, `docker.io` where it has none."""
    head, slash, _ = image.partition("/")
    return head if slash and ("." in head or ":" in head or head == "localhost") else "docker.io"


def _digest_of(image: str, local: ImageState) -> str | None:
    """The digest under which the image's own repository knows it."""
    repository = _familiar(parse_reference(image).repository)
    pairs = (name.partition("@") for name in local.digests)
    return next((digest for name, _, digest in pairs if _familiar(name) == repository), None)


def _familiar(repository: str) -> str:
    """The short form that Docker itself lists: `busybox` for `docker.io/library/busybox`."""
    return repository.removeprefix("docker.io/").removeprefix("library/")


def _cached(image: str, local: ImageState, note: str | None = None) -> PulledImage:
    return PulledImage(image=image, image_id=local.id, digest=_digest_of(image, local), from_cache=True, note=note)


def _from_daemon(text: str) -> str:
    return f"Error response from daemon: {text}"
