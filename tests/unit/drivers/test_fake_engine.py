"""The fake engine's scripts and faults: what the simulation relies on beyond the contract of all engines."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from homeport.base.errors import NotFound, Permanent, Transient
from homeport.drivers.engine import EngineEvent, PullDenied, RegistryAuth
from homeport.drivers.engine.fake import Behaviour, FakeEngine, Faults
from tests.sim.loop import VirtualClock, run_virtually

LOCAL = Behaviour(local=True)


def play(body: Callable[[FakeEngine, VirtualClock], Awaitable[None]], seed: int = 1, **behaviours: Behaviour) -> None:
    async def main(clock: VirtualClock) -> None:
        await body(FakeEngine(clock, random.Random(seed), behaviours or {"app": LOCAL}), clock)

    run_virtually(main)


async def run(engine: FakeEngine, name: str = "one", image: str = "app") -> str:
    container_id = await engine.create(name, {"Image": image, "Labels": {"task": "t"}})
    await engine.start(container_id)
    return container_id


async def collect(events: object, into: list[EngineEvent]) -> None:
    async for event in events:  # type: ignore[attr-defined]
        into.append(event)


def test_health_when_scripted_then_it_flaps_in_time() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        seen: list[EngineEvent] = []
        reading = asyncio.create_task(collect(engine.events(), seen))
        container_id = await run(engine)
        assert (await engine.inspect(container_id)).health == "starting"
        await clock.sleep(31)
        assert (await engine.inspect(container_id)).health == "healthy"
        assert [event.action for event in seen if "health" in event.action] == [
            "health_status: healthy",
            "health_status: unhealthy",
            "health_status: healthy",
        ]
        reading.cancel()

    play(body, app=Behaviour(local=True, health=("healthy", "unhealthy", "healthy"), health_interval=10))


def test_lie_when_a_start_raises_then_the_container_runs_all_the_same() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        container_id = await engine.create("one", {"Image": "app"})
        engine.faults = Faults(lie=1.0)
        with pytest.raises(Transient):
            await engine.start(container_id)
        engine.faults = Faults()
        assert (await engine.inspect(container_id)).status == "running"

    play(body)


def test_error_when_a_start_raises_then_nothing_happened() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        container_id = await engine.create("one", {"Image": "app"})
        engine.faults = Faults(error=1.0)
        with pytest.raises(Transient):
            await engine.start(container_id)
        engine.faults = Faults()
        assert (await engine.inspect(container_id)).status == "created"

    play(body)


def test_slow_when_drawn_then_the_verb_takes_longer() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        engine.faults = Faults(slow=1.0, slow_by=7.0)
        began = clock.monotonic()
        await engine.ping()
        assert clock.monotonic() - began == pytest.approx(7.001)

    play(body)


def test_events_when_faulty_then_duplicated_reordered_or_broken() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        engine.faults = Faults(duplicate_event=1.0)
        seen: list[EngineEvent] = []
        reading = asyncio.create_task(collect(engine.events(), seen))
        await run(engine)
        await clock.sleep(0)
        assert [event.action for event in seen] == ["create", "create", "start", "start"]
        engine.faults = Faults(break_events=1.0)
        await run(engine, "two")
        with pytest.raises(Transient):
            await reading
        engine.faults = Faults(reorder_event=1.0)
        events = engine.events()
        await run(engine, "three")
        assert [(await anext(events)).action for _ in range(2)] == ["start", "create"]

    play(body)


def test_containers_when_no_agent_looks_then_live_on_and_exit_by_script() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        container_id = await run(engine)
        await engine.close()
        await clock.sleep(100)
        state = await engine.inspect(container_id)
        assert (state.status, state.exit_code, state.oom_killed) == ("exited", 9, True)
        assert state.finished_at == pytest.approx((state.started_at or 0) + 20)

    play(body, app=Behaviour(local=True, exit_after=20, exit_code=9, oom_killed=True))


def test_stop_when_the_script_ends_meanwhile_then_returns_then() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        container_id = await run(engine)
        began = clock.monotonic()
        await engine.stop(container_id, 30)
        assert clock.monotonic() - began == pytest.approx(5, abs=0.2)
        assert (await engine.inspect(container_id)).exit_code == 0

    play(body, app=Behaviour(local=True, exit_after=5, stop_takes=None))


def test_reboot_when_containers_run_then_all_dead_and_streams_broken() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        container_id = await run(engine)
        events = engine.events()
        engine.reboot()
        assert (await engine.inspect(container_id)).exit_code == 137
        with pytest.raises(Transient):
            while True:
                await anext(events)

    play(body)


def test_pull_when_denied_or_failing_then_as_scripted() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        with pytest.raises(PullDenied):
            await engine.pull("private", None)
        await engine.pull("private", RegistryAuth("AWS", "token"))
        with pytest.raises(NotFound):
            await engine.pull("missing", None)
        with pytest.raises(Permanent, match="no space left"):
            await engine.pull("broken", None)

    play(
        body,
        private=Behaviour(pull_denied=True),
        missing=Behaviour(pull_error="manifest unknown"),
        broken=Behaviour(pull_error="no space left on device"),
    )


def test_behaviour_when_the_image_is_named_by_its_digest_then_that_of_its_repository() -> None:
    async def body(engine: FakeEngine, clock: VirtualClock) -> None:
        image = f"app@{await engine.manifest_digest('app', None)}"
        await engine.pull(image, None)
        container_id = await run(engine, image=image)
        await clock.sleep(5)
        assert (await engine.inspect(container_id)).exit_code == 3

    play(body, app=Behaviour(exit_after=4.0, exit_code=3))


def test_faults_when_the_seed_is_the_same_then_the_same_story() -> None:
    def story(seed: int) -> list[str]:
        told: list[str] = []

        async def body(engine: FakeEngine, clock: VirtualClock) -> None:
            engine.faults = Faults(error=0.3, lie=0.3)
            for number in range(30):
                try:
                    told.append(await run(engine, str(number)))
                except Transient as error:
                    told.append(f"{clock.monotonic():.3f} {error}")

        play(body, seed)
        return told

    assert story(5) == story(5)
    assert story(5) != story(6)
