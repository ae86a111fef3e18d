"""What every engine driver must do: the same scenes with the fake, and with Docker where there is one."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homeport.base.clock import SystemClock
from homeport.base.errors import NotFound, Permanent, Transient
from homeport.cli.demo_image import build_demo_image
from homeport.drivers.engine import Engine, EngineEvent, RegistryUnreachable
from homeport.drivers.engine.docker import DockerEngine
from homeport.drivers.engine.fake import Behaviour, FakeEngine

IMAGE = "homeport/test-busybox:latest"
SOCKET = Path("/var/run/docker.sock")
LABEL = f"hp-engine-{os.getpid()}"


class Kit:
    """An engine and the container configurations that make it show each behaviour."""

    def __init__(self, engine: Engine, config: Callable[[str], dict[str, Any]]) -> None:
        self.engine = engine
        self._config = config
        self._count = 0

    def config(self, behaviour: str, **host_config: Any) -> dict[str, Any]:
        """`behaviour` is sleeper, exits-3, broken or stubborn."""
        config = self._config(behaviour)
        exposed = {key: {} for key in host_config.get("PortBindings", ())}
        labels = {"hp-test": LABEL, "n": behaviour}
        return {**config, "Labels": labels, "ExposedPorts": exposed, "HostConfig": host_config}

    def name(self) -> str:
        self._count += 1
        return f"{LABEL}-{self._count}"

    async def run(self, behaviour: str, **host_config: Any) -> str:
        container_id = await self.engine.create(self.name(), self.config(behaviour, **host_config))
        await self.engine.start(container_id)
        return container_id


FAKES = {
    "sleeper": Behaviour(local=True, start_takes=0.01),
    "exits-3": Behaviour(local=True, exit_after=0.02, exit_code=3, start_takes=0.01),
    "broken": Behaviour(local=True, start_error="exec: no-such-program: not found"),
    "stubborn": Behaviour(local=True, stop_takes=None, start_takes=0.01),
    "127.0.0.1:9/nothing:1": Behaviour(registry_error="connect: connection refused"),
}
COMMANDS = {
    "sleeper": ["sh", "-c", "trap 'exit 143' TERM; while true; do sleep 0.02; done"],
    "exits-3": ["sh", "-c", "exit 3"],
    "broken": ["no-such-program"],
    "stubborn": ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"],
}


@asynccontextmanager
async def kit_of(kind: str) -> AsyncIterator[Kit]:
    if kind == "fake":
        yield Kit(FakeEngine(SystemClock(), random.Random(1), FAKES), lambda behaviour: {"Image": behaviour})
        return
    engine = DockerEngine("unix:///var/run/docker.sock", SystemClock())
    try:
        yield Kit(engine, lambda behaviour: {"Image": IMAGE, "Cmd": COMMANDS[behaviour]})
    finally:
        for state in await engine.list({"hp-test": LABEL}):
            await engine.remove(state.id)
        await engine.close()


Scene = Callable[[Callable[[Kit], Coroutine[Any, Any, None]]], None]


@pytest.fixture(
    params=["fake", pytest.param("docker", marks=pytest.mark.skipif(not SOCKET.exists(), reason="no Docker"))]
)
def scene(request: pytest.FixtureRequest) -> Scene:
    if request.param == "docker":
        build_demo_image(IMAGE)

    def play(body: Callable[[Kit], Coroutine[Any, Any, None]]) -> None:
        async def with_kit() -> None:
            async with kit_of(request.param) as kit:
                await body(kit)

        asyncio.run(with_kit())

    return play


async def until(events: AsyncIterator[EngineEvent], container_id: str, action: str) -> list[EngineEvent]:
    """The container's events up to and including the action."""
    seen = []
    async with asyncio.timeout(20):
        async for event in events:
            if event.container_id == container_id:
                seen.append(event)
                if event.action == action:
                    break
    return seen


def test_info_when_the_engine_is_up_then_tells_the_hosts_size(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        info = await kit.engine.info()
        assert info.cpu_count >= 1
        assert info.memory_mib > 256
        assert info.cgroup_version in ("1", "2")
        await kit.engine.ping()

    scene(body)


def test_create_when_the_name_exists_then_returns_the_same_container(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        name = kit.name()
        first = await kit.engine.create(name, kit.config("sleeper"))
        assert await kit.engine.create(name, kit.config("sleeper")) == first
        state = await kit.engine.inspect(first)
        assert (state.name, state.status, state.exit_code, state.started_at) == (name, "created", None, None)

    scene(body)


def test_create_when_the_image_is_missing_then_not_found(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        with pytest.raises(NotFound):
            await kit.engine.create(kit.name(), {"Image": "hp-engine/never-built:1"})

    async def fake_without_images(kit: Kit) -> None:
        if isinstance(kit.engine, FakeEngine):
            kit.engine.behaviours.clear()
        await body(kit)

    scene(fake_without_images)


def test_start_when_it_runs_already_then_left_alone(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        container_id = await kit.run("sleeper")
        before = await kit.engine.inspect(container_id)
        await kit.engine.start(container_id)
        assert await kit.engine.inspect(container_id) == before
        assert before.status == "running"
        assert before.pid > 0
        assert before.started_at is not None

    scene(body)


def test_start_when_the_program_is_missing_then_permanent_with_the_engines_words(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        container_id = await kit.engine.create(kit.name(), kit.config("broken"))
        with pytest.raises(Permanent, match="no-such-program"):
            await kit.engine.start(container_id)
        assert "no-such-program" in (await kit.engine.inspect(container_id)).error

    scene(body)


def test_events_when_a_container_lives_and_dies_then_told_in_order(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        events = kit.engine.events()
        container_id = await kit.run("exits-3")
        seen = await until(events, container_id, "die")
        assert [event.action for event in seen] == ["create", "start", "die"]
        assert seen[-1].attributes["exitCode"] == "3"
        assert seen[-1].attributes["hp-test"] == LABEL
        state = await kit.engine.inspect(container_id)
        assert (state.status, state.exit_code, state.pid) == ("exited", 3, 0)
        assert state.finished_at is not None

    scene(body)


def test_start_when_exited_then_runs_again(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        events = kit.engine.events()
        container_id = await kit.run("exits-3")
        await until(events, container_id, "die")
        await kit.engine.start(container_id)
        assert [event.action for event in await until(events, container_id, "die")] == ["start", "die"]

    scene(body)


def test_stop_when_the_container_heeds_the_signal_then_its_own_exit_code(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        container_id = await kit.run("sleeper")
        await asyncio.sleep(0.3)  # The shell needs a moment to set its trap.
        await kit.engine.stop(container_id, 10)
        assert (await kit.engine.inspect(container_id)).exit_code == 143
        await kit.engine.stop(container_id, 10)

    scene(body)


def test_stop_when_the_container_ignores_the_signal_then_killed_and_nobody_else_waits(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        stubborn = await kit.run("stubborn")
        await asyncio.sleep(0.3)
        loop = asyncio.get_running_loop()
        began = loop.time()
        stopping = asyncio.create_task(kit.engine.stop(stubborn, 1))
        other = await kit.run("sleeper")
        await kit.engine.remove(other)
        assert not stopping.done() or loop.time() - began >= 1
        await stopping
        assert (await kit.engine.inspect(stubborn)).exit_code == 137

    scene(body)


def test_missing_containers_when_stopped_or_removed_then_done_else_not_found(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        await kit.engine.stop("hp-engine-none", 1)
        await kit.engine.remove("hp-engine-none")
        for call in (kit.engine.inspect, kit.engine.start, lambda name: kit.engine.kill(name, "KILL")):
            with pytest.raises(NotFound):
                await call("hp-engine-none")

    scene(body)


def test_list_when_labels_are_given_then_only_those_that_carry_them(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        running = await kit.run("sleeper")
        created = await kit.engine.create(kit.name(), kit.config("exits-3"))
        found = await kit.engine.list({"hp-test": LABEL})
        assert {state.id for state in found} == {running, created}
        assert {state.status for state in found} == {"running", "created"}
        assert [state.id for state in await kit.engine.list({"hp-test": LABEL, "n": "sleeper"})] == [running]
        assert {state.id for state in await kit.engine.list({"hp-test": ""})} >= {running, created}
        await kit.engine.remove(running)
        assert [state.id for state in await kit.engine.list({"hp-test": LABEL})] == [created]

    scene(body)


def test_ports_when_published_then_inspect_tells_the_host_port(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        container_id = await kit.run("sleeper", PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]})
        (binding,) = (await kit.engine.inspect(container_id)).ports
        assert (binding.container_port, binding.protocol, binding.host_ip) == (80, "tcp", "127.0.0.1")
        assert binding.host_port >= 1024
        wish = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(binding.host_port)}]}
        second = await kit.engine.create(kit.name(), kit.config("sleeper", PortBindings=wish))
        with pytest.raises(Permanent, match="already"):
            await kit.engine.start(second)

    scene(body)


def test_kill_when_running_then_exits_137_and_a_second_kill_does_nothing(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        events = kit.engine.events()
        container_id = await kit.run("sleeper")
        await kit.engine.kill(container_id, "SIGKILL")
        await until(events, container_id, "die")
        await kit.engine.kill(container_id, "SIGKILL")
        assert (await kit.engine.inspect(container_id)).exit_code == 137

    scene(body)


def test_process_end_when_killed_then_told_and_else_not_found(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        container_id = await kit.run("sleeper")
        pid = (await kit.engine.inspect(container_id)).pid
        waiting = asyncio.create_task(kit.engine.process_end(container_id, pid))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await kit.engine.kill(container_id, "SIGKILL")
        async with asyncio.timeout(10):
            await waiting
        for elsewhere in (os.getpid(), 2**22 + 1):
            with pytest.raises(NotFound):
                await kit.engine.process_end(container_id, elsewhere)

    scene(body)


def test_volumes_when_made_twice_then_one_volume(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        name = kit.name()
        assert not await kit.engine.volume_exists(name)
        await kit.engine.create_volume(name, "local", {}, {"hp-test": LABEL})
        await kit.engine.create_volume(name, "local", {}, {"hp-test": LABEL})
        assert await kit.engine.volume_exists(name)
        await kit.engine.remove_volume(name)
        await kit.engine.remove_volume(name)
        assert not await kit.engine.volume_exists(name)

    scene(body)


def test_images_when_local_then_found_and_kept_while_in_use(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        name = kit.config("sleeper")["Image"]
        image = await kit.engine.image(name)
        assert image.id.startswith("sha256:")
        assert image in await kit.engine.images()
        await kit.run("sleeper")
        with pytest.raises(Permanent):
            await kit.engine.remove_image(image.id)
        with pytest.raises(NotFound):
            await kit.engine.image("hp-engine/never-built:1@sha256:" + "0" * 64)
        await kit.engine.remove_image("hp-engine/never-built:1")

    scene(body)


def test_registry_when_nobody_listens_then_unreachable(scene: Scene) -> None:
    async def body(kit: Kit) -> None:
        for call in (kit.engine.manifest_digest, kit.engine.pull):
            with pytest.raises(RegistryUnreachable):
                await call("127.0.0.1:9/nothing:1", None)

    scene(body)


def test_engine_when_down_then_every_verb_is_transient() -> None:
    async def body(engine: Engine) -> None:
        for call in (engine.info, engine.ping, engine.images, lambda: engine.inspect("x"), lambda: engine.stop("x", 1)):
            with pytest.raises(Transient):
                await call()
        with pytest.raises(Transient):
            await anext(engine.events())
        await engine.close()

    async def both() -> None:
        fake = FakeEngine(SystemClock(), random.Random(1))
        fake.down = True
        await body(fake)
        await body(DockerEngine("unix:///nonexistent/docker.sock", SystemClock()))

    asyncio.run(both())
