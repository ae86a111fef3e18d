"""What only a real engine can show: task-level limits at work, and its API's version."""

import asyncio
import os
from pathlib import Path

import pytest

from homeport.agent.cgroup import Cgroups
from homeport.base.clock import SystemClock
from homeport.base.errors import NotFound, Permanent, Transient
from homeport.cli.demo_image import ensure_image
from homeport.drivers.engine import PullDenied, RegistryUnreachable
from homeport.drivers.engine.docker import DockerEngine
from homeport.drivers.engine.docker_http import choose_api, failure
from homeport.drivers.engine.docker_json import instant, registry_failure
from homeport.drivers.engine.reference import parse_reference

IMAGE = "homeport/test-busybox:latest"
NAME = f"hp-engine-docker-{os.getpid()}"
needs_docker = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making cgroups needs root")


@needs_docker
@needs_root
def test_task_cgroup_when_containers_exceed_its_memory_then_oom_killed_and_removable() -> None:
    async def body() -> None:
        engine = DockerEngine("unix:///var/run/docker.sock", SystemClock())
        await ensure_image(IMAGE)
        groups = Cgroups.detect(await engine.info(), wanted=True)
        if not groups.enabled:
            pytest.skip("this host has no task-level cgroups")
        try:
            parent = await groups.create(NAME, 0.5, 16, ())
            host = {"CgroupParent": parent, "NetworkMode": "none"}
            hog = ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1"]
            container = await engine.create(NAME, {"Image": IMAGE, "Cmd": hog, "HostConfig": host})
            await engine.start(container)
            async with asyncio.timeout(20):
                while (state := await engine.inspect(container)).status == "running":
                    await asyncio.sleep(0.05)
            assert (state.exit_code, state.oom_killed) == (137, True)
        finally:
            await engine.remove(NAME)
            await engine.close()
        for _ in range(20):  # The container's own group goes a moment after the container.
            try:
                await groups.remove(NAME)
                break
            except Transient:
                await asyncio.sleep(0.1)
        await groups.remove(NAME)

    asyncio.run(body())


@needs_docker
def test_stop_when_many_wait_then_other_verbs_are_quick() -> None:
    """Stops hold connections for as long as their containers take; nothing else may wait for one."""

    async def body() -> None:
        engine = DockerEngine("unix:///var/run/docker.sock", SystemClock())
        await ensure_image(IMAGE)
        stubborn = ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]
        config = {"Image": IMAGE, "Cmd": stubborn, "HostConfig": {"NetworkMode": "none"}}
        container = await engine.create(NAME + "-s", config)
        other = await engine.create(NAME + "-o", config)
        try:
            await engine.start(container)
            await asyncio.sleep(0.2)
            stops = [asyncio.create_task(engine.stop(container, 2)) for _ in range(40)]
            await asyncio.sleep(0.3)
            began = asyncio.get_running_loop().time()
            await engine.inspect(other)
            assert asyncio.get_running_loop().time() - began < 0.5
            assert not any(stop.done() for stop in stops)
            await asyncio.gather(*stops)
        finally:
            await engine.remove(container)
            await engine.remove(other)
            await engine.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("greatest", "least", "chosen"), [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.44"), ("1.40", "1.12", "1.40")]
)
def test_choose_api_when_the_daemon_differs_then_nearest_to_ours(greatest: str, least: str, chosen: str) -> None:
    assert choose_api(greatest, least) == chosen


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "No such container: x", NotFound),
        (400, "bad parameter", Permanent),
        (500, "OCI runtime create failed", Permanent),
        (500, 'connection error: desc = "transport: error while dialing: dial unix', Transient),
        (503, "not ready", Transient),
    ],
)
def test_failure_when_the_daemon_says_no_then_its_fate(status: int, text: str, kind: type[Exception]) -> None:
    assert isinstance(failure(status, text), kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Get https://x/v2/: no basic auth credentials", PullDenied),
        ("unauthorized: authentication required", PullDenied),
        ("pull access denied for x, repository does not exist or may require 'docker login'", PullDenied),
        ("manifest for x:1 not found: manifest unknown: manifest unknown", NotFound),
        ("dial tcp: lookup x: no such host", RegistryUnreachable),
        ("net/http: TLS handshake timeout", RegistryUnreachable),
        ("invalid reference format", Permanent),
    ],
)
def test_registry_failure_when_docker_words_it_then_its_fate(text: str, kind: type[Exception]) -> None:
    assert type(registry_failure(text)) is kind


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("busybox", "latest", None)),
        ("host:5000/a/b:1", ("host:5000/a/b", "1", None)),
        ("host:5000/a", ("host:5000/a", "latest", None)),
        ("a:1@sha256:ff", ("a", None, "sha256:ff")),
    ],
)
def test_parse_reference_when_an_image_is_named_then_taken_apart(image: str, parts: tuple[str, ...]) -> None:
    assert tuple(parse_reference(image)) == parts


def test_instant_when_docker_writes_nanoseconds_or_year_one_then_seconds_or_none() -> None:
    assert instant("2026-11-23T01:15:31.877164577Z") == pytest.approx(1795396531.877164)
    assert instant("0001-01-01T00:00:00Z") is None
