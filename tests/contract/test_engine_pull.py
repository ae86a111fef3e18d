"""A real engine and a real registry (on loopback): digests, moved tags, credentials, and what cannot be had."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from homeport.agent.images import Images, PullFailed
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.errors import NotFound, Permanent
from homeport.drivers.engine import PullDenied, RegistryAuth
from homeport.drivers.engine.docker import DockerEngine
from tests.contract.registry import Registry

pytestmark = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker")
TAG = f"hp-engine-{os.getpid()}"


def play(body: Callable[[DockerEngine, Registry], Awaitable[None]], password: str | None = None) -> None:
    async def scene() -> None:
        engine = DockerEngine("unix:///var/run/docker.sock", SystemClock())
        try:
            async with Registry(password) as registry:
                try:
                    await body(engine, registry)
                finally:
                    await engine.remove_image(registry.name(TAG))
        finally:
            await engine.close()

    asyncio.run(scene())


def images_of(engine: DockerEngine, behavior: str = "default") -> Images:
    config = AgentConfig(data_dir=Path("/nowhere"), endpoint="http://localhost", image_pull_behavior=behavior)
    return Images(engine, SystemClock(), config)


def test_pull_when_the_tag_exists_then_local_under_the_registrys_digest() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        digest = registry.push(TAG, b"one")
        assert await engine.manifest_digest(registry.name(TAG), None) == digest
        await engine.pull(registry.name(TAG), None)
        image = await engine.image(registry.name(TAG))
        assert registry.name(TAG) in image.names
        assert f"{registry.name(TAG).rpartition(':')[0]}@{digest}" in image.digests

    play(body)


def test_pull_when_credentials_are_wanted_then_denied_without_and_allowed_with_them() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        registry.push(TAG, b"secret")
        for auth in (None, RegistryAuth("AWS", "wrong")):
            with pytest.raises(PullDenied):
                await engine.pull(registry.name(TAG), auth)
            with pytest.raises(PullDenied):
                await engine.manifest_digest(registry.name(TAG), auth)
        await engine.pull(registry.name(TAG), RegistryAuth("AWS", "token"))
        assert (await engine.manifest_digest(registry.name(TAG), RegistryAuth("AWS", "token"))).startswith("sha256:")

    play(body, password="token")


def test_pull_when_the_tag_is_unknown_then_not_found() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        for call in (engine.pull, engine.manifest_digest):
            with pytest.raises(NotFound, match="manifest unknown"):
                await call(registry.name("nothing"), None)

    play(body)


def test_pull_when_a_layer_fails_after_output_began_then_the_last_lines_error() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        registry.push(TAG, os.urandom(100))
        registry.is_broken = True
        with pytest.raises(Permanent):
            await engine.pull(registry.name(TAG), None)

    play(body)


def test_images_when_the_tag_moves_and_the_registry_goes_then_fresh_first_and_cached_after() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        first_digest = registry.push(TAG, b"one")
        first = await images_of(engine).pull(registry.name(TAG))
        assert (first.digest, first.from_cache) == (first_digest, False)
        again = await images_of(engine).pull(registry.name(TAG))
        assert (again.digest, again.from_cache) == (first_digest, True)
        second_digest = registry.push(TAG, b"two")
        second = await images_of(engine).pull(registry.name(TAG))
        assert (second.digest, second.from_cache) == (second_digest, False)
        await registry.__aexit__()
        away = await images_of(engine).pull(registry.name(TAG))
        assert (away.digest, away.from_cache) == (second_digest, True)
        assert "connection refused" in (away.note or "")
        await engine.remove_image(first.image_id)

    play(body)


def test_images_when_the_tag_is_unknown_then_the_reason_is_the_daemons() -> None:
    async def body(engine: DockerEngine, registry: Registry) -> None:
        with pytest.raises(PullFailed) as caught:
            await images_of(engine).pull(registry.name("nothing"))
        assert caught.value.reason.startswith("CannotPullContainerError: Error response from daemon: manifest")

    play(body)
