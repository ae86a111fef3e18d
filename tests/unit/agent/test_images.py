"""The four pull behaviours, with a fake engine in virtual time."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from homeport.agent.image_book import FileImageBook, KnownImage, MemoryImageBook
from homeport.agent.images import Images, PullFailed, registry_of, removable
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.errors import Permanent, Transient
from homeport.drivers.engine import RegistryAuth
from homeport.drivers.engine.fake import Behaviour, FakeEngine
from tests.sim.loop import VirtualClock, run_virtually

IMAGE = "registry.local:5000/app:1"
DOWN = Behaviour(registry_error="dial tcp: lookup registry.local: no such host")
LOCAL_DOWN = Behaviour(local=True, registry_error="dial tcp: lookup registry.local: no such host")


def config(**changes: object) -> AgentConfig:
    return AgentConfig(data_dir=Path("/nowhere"), endpoint="http://localhost", **changes)  # type: ignore[arg-type]


class Scene:
    """An engine, the images of one agent, and how long things take."""

    def __init__(self, clock: Clock, behavior: str = "default", image: Behaviour | None = None) -> None:
        self.clock = clock
        self.engine = FakeEngine(clock, random.Random(1), {IMAGE: image or Behaviour()})
        self.lookups = 0
        real = self.engine.manifest_digest

        async def counted(name: str, auth: RegistryAuth | None) -> str:
            self.lookups += 1
            return await real(name, auth)

        self.engine.manifest_digest = counted  # type: ignore[method-assign]
        self.book = MemoryImageBook()
        self.images = Images(self.engine, clock, config(image_pull_behavior=behavior), self.book)

    async def timed(self, call: Awaitable[object]) -> float:
        began = self.clock.monotonic()
        with contextlib.suppress(PullFailed):
            await call
        return self.clock.monotonic() - began


def play(body: Callable[[VirtualClock], Awaitable[None]]) -> None:
    run_virtually(body)


def test_default_when_absent_then_pulled_with_its_digest() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        pulled = await scene.images.pull(IMAGE)
        assert (pulled.from_cache, pulled.note) == (False, None)
        assert pulled.digest is not None
        assert pulled.digest.startswith("sha256:")
        assert scene.engine.pulls == [IMAGE]
        assert scene.lookups == 0

    play(body)


def test_default_when_the_digest_is_unchanged_then_nothing_is_fetched() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        await scene.images.pull(IMAGE)
        await clock.sleep(60)
        assert (await scene.images.pull(IMAGE)).from_cache
        assert (scene.lookups, len(scene.engine.pulls)) == (1, 1)
        assert (await scene.images.pull(IMAGE)).from_cache
        assert scene.lookups == 1

    play(body)


def test_default_when_the_tag_moved_then_fetched_again() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        first = await scene.images.pull(IMAGE)
        scene.engine.push(IMAGE)
        await clock.sleep(6)
        second = await scene.images.pull(IMAGE)
        assert not second.from_cache
        assert second.digest != first.digest

    play(body)


def test_default_when_the_registry_is_silent_then_the_copy_within_two_seconds_and_then_at_once() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=LOCAL_DOWN)

        async def silent(name: str, auth: RegistryAuth | None) -> str:
            await clock.sleep(60)
            raise AssertionError("never heard")

        scene.engine.manifest_digest = silent  # type: ignore[method-assign]
        assert await scene.timed(scene.images.pull(IMAGE)) < 2.1
        assert await scene.timed(scene.images.pull(IMAGE)) < 0.01
        pulled = await scene.images.pull(IMAGE)
        assert pulled.from_cache
        assert "no answer from registry.local:5000" in (pulled.note or "")
        await clock.sleep(31)
        assert await scene.timed(scene.images.pull(IMAGE)) > 1

    play(body)


def test_default_when_the_registry_refuses_then_the_copy_is_used_and_not_asked_again_for_a_while() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=Behaviour(local=True, pull_denied=True))
        assert (await scene.images.pull(IMAGE)).from_cache
        assert (await scene.images.pull(IMAGE)).from_cache
        assert scene.lookups == 1
        assert not (await scene.images.pull(IMAGE, RegistryAuth("AWS", "token"))).from_cache

    play(body)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Behaviour(pull_denied=True), "CannotPullContainerError: Error response from daemon: pull access denied"),
        (Behaviour(pull_error="manifest unknown"), "CannotPullContainerError: Error response from daemon: manifest"),
        (DOWN, "CannotPullContainerError: Error response from daemon: dial tcp"),
    ],
)
def test_default_when_absent_and_not_to_be_had_then_fails_with_the_registrys_words(
    image: Behaviour, reason: str
) -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=image)
        with pytest.raises(PullFailed) as caught:
            await scene.images.pull(IMAGE)
        assert caught.value.reason.startswith(reason)

    play(body)


def test_pull_when_the_registry_returns_between_tries_then_succeeds() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=DOWN)
        asyncio.get_running_loop().call_later(3, scene.engine.behaviours.clear)
        assert not (await scene.images.pull(IMAGE)).from_cache

    play(body)


@pytest.mark.parametrize("behavior", ["always", "once"])
def test_strict_behaviours_when_the_registry_is_away_then_the_copy_is_not_used(behavior: str) -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, behavior, LOCAL_DOWN)
        with pytest.raises(PullFailed, match="CannotPullImageManifestError: Error response from daemon: dial tcp"):
            await scene.images.pull(IMAGE)

    play(body)


def test_always_when_just_compared_then_asked_again() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, "always")
        await scene.images.pull(IMAGE)
        await scene.images.pull(IMAGE)
        await scene.images.pull(IMAGE)
        assert (scene.lookups, len(scene.engine.pulls)) == (2, 1)

    play(body)


def test_once_when_fetched_in_an_earlier_life_then_not_asked_again() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, "once")
        await scene.images.pull(IMAGE)
        scene.engine.push(IMAGE)
        reborn = Images(scene.engine, clock, config(image_pull_behavior="once"), scene.book)
        assert (await reborn.pull(IMAGE)).from_cache
        assert scene.lookups == 0

    play(body)


def test_prefer_cached_when_there_is_a_copy_then_the_registry_is_not_asked() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, "prefer-cached", LOCAL_DOWN)
        assert await scene.timed(scene.images.pull(IMAGE)) < 0.01
        assert scene.lookups == 0

    play(body)


def test_pull_when_many_tasks_want_one_image_then_one_pull() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        results = await asyncio.gather(*(scene.images.pull(IMAGE) for _ in range(20)))
        assert len(scene.engine.pulls) == 1
        assert len({result.image_id for result in results}) == 1

    play(body)


def test_pull_when_many_wait_for_one_that_fails_then_all_fail_together() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=DOWN)
        results = await asyncio.gather(*(scene.timed(scene.images.pull(IMAGE)) for _ in range(20)))
        assert max(results) < 20

    play(body)


def test_pull_when_the_first_caller_is_cancelled_then_another_takes_over() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        first = asyncio.create_task(scene.images.pull(IMAGE))
        second = asyncio.create_task(scene.images.pull(IMAGE))
        await clock.sleep(0.1)
        first.cancel()
        assert not (await second).from_cache

    play(body)


def test_pull_when_another_image_is_slow_then_not_held_back() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock, image=Behaviour(pull_takes=600))
        slow = asyncio.create_task(scene.images.pull(IMAGE))
        assert await scene.timed(scene.images.pull("other:1")) < 1
        slow.cancel()

    play(body)


def test_pull_when_the_engine_is_away_then_transient() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        scene.engine.down = True
        with pytest.raises(Transient):
            await scene.images.pull(IMAGE)

    play(body)


def test_pull_when_the_name_is_a_digest_that_is_here_then_no_lookup() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        pinned = "app@sha256:" + "a" * 64
        await scene.images.pull(pinned)
        await clock.sleep(100)
        assert (await scene.images.pull(pinned)).from_cache
        assert scene.lookups == 0

    play(body)


def test_images_when_the_behaviour_is_unknown_then_refused() -> None:
    async def body(clock: VirtualClock) -> None:
        with pytest.raises(Permanent, match="sometimes"):
            Scene(clock, "sometimes")

    play(body)


def test_clean_when_images_are_old_and_unused_then_removed_and_pulled_again_later() -> None:
    async def body(clock: VirtualClock) -> None:
        scene = Scene(clock)
        await scene.images.pull(IMAGE)
        assert await scene.images.clean(frozenset()) == ()
        await clock.sleep(3601)
        assert await scene.images.clean(frozenset({IMAGE})) == ()
        assert await scene.images.clean(frozenset()) == (IMAGE,)
        assert scene.book.load() == ()
        assert not (await scene.images.pull(IMAGE)).from_cache

    play(body)


def test_removable_when_many_are_free_then_five_least_recently_used() -> None:
    known = [KnownImage(name=f"i{n}", image_id=f"sha256:{n}", pulled_at=0, used_at=100 - n) for n in range(10)]
    chosen = removable(known, frozenset({"i9", "sha256:8"}), 10_000, config())
    assert [image.name for image in chosen] == ["i7", "i6", "i5", "i4", "i3"]
    assert removable(known, frozenset(), 3600, config()) == ()
    assert removable(known, frozenset(), 10_000, config(images_per_cleanup=1))[0].name == "i9"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", "docker.io"),
        ("library/busybox:1", "docker.io"),
        ("localhost/app", "localhost"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000"),
        ("public.ecr.aws/x/y@sha256:0", "public.ecr.aws"),
    ],
)
def test_registry_of_when_the_name_has_a_host_then_that_host(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_file_image_book_when_saved_then_loaded_and_a_torn_file_is_empty(tmp_path: Path) -> None:
    book = FileImageBook(tmp_path / "images.json")
    assert book.load() == ()
    images = (KnownImage(name="a", image_id="sha256:1", pulled_at=1.5, used_at=2.5),)
    book.save(images)
    assert book.load() == images
    (tmp_path / "images.json").write_text('[{"na')
    assert book.load() == ()
