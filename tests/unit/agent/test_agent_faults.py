"""The agent in virtual time when something fails: engine, control plane, or the agent itself at any moment."""

import random

import pytest

from homeport.base.errors import Permanent
from homeport.drivers.engine.fake import Faults
from tests.unit.agent.host_world import HostWorld, in_world
from tests.unit.agent.scripted import a_container, a_stop, a_task, task_arn

ARN = task_arn(1)


def test_lost_state_when_the_engine_fails_after_registration_then_it_is_asked_again_before_connecting() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
        world.state = type(world.state)()
        world.engine.faults = Faults(slow=1, slow_by=1)
        async with world.running() as agent:
            await agent.is_registered.wait()
            world.engine.down = True
            await world.clock.sleep(20)
            assert len(world.backend.sockets) == 1
            world.engine.down = False
            await world.until(lambda: len(world.backend.sockets) == 2)
            assert world.agent.tasks.by_arn(ARN) is not None

    in_world(body)


def test_container_when_an_earlier_agents_start_takes_effect_late_then_it_is_found_and_judged() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1), a_task(2, a_container(), a_container("side")))
            await world.reported(ARN, "RUNNING")
            await world.reported(task_arn(2), "RUNNING")
        late = {
            "main of 1": world.container(ARN).docker_id,
            "side of 2": world.container(task_arn(2), "side").docker_id,
        }
        for container_id in late.values():
            world.engine.containers[container_id].status = "created"
        world.state = type(world.state)()
        async with world.running():
            await world.until(lambda: len(world.backend.sockets) == 2)
            assert world.agent.tasks.by_arn(ARN) is None
            for container_id in late.values():
                await world.engine.start(container_id)
            while world.agent.tasks.by_arn(ARN) is None:
                connected = len(world.backend.sockets)
                await world.clock.sleep(0.01)
            await world.until(lambda: len(world.backend.sockets) > connected, 5)  # whose manifest judges the task
            assert world.engine.containers[late["main of 1"]].status == "running"
            await world.until(lambda: world.engine.containers[late["side of 2"]].status == "exited", 30)

    in_world(body)


def test_control_plane_away_then_tasks_go_on_and_reports_wait() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=30, exit_code=5)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
            world.backend.down = True
            await world.backend.socket.close()
            await world.clock.sleep(120)
            assert world.backend.statuses(ARN)[-1] == "RUNNING"
            world.backend.down = False
            await world.reported(ARN, "STOPPED", 60)
            await world.until(lambda: len(world.backend.sockets) == 2, 60)
            assert world.backend.queries[-1]["sendCredentials"] == "false"

    in_world(body)


def test_engine_away_then_the_task_runs_when_it_is_back() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.engine.down = True
            world.engine.break_events()
            world.backend.payload(a_task(1))
            await world.clock.sleep(30)
            world.engine.down = False
            await world.reported(ARN, "RUNNING", 30)

    in_world(body)


def test_event_stream_breaks_then_a_listing_finds_the_exit() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
            await world.clock.sleep(1)
            world.engine.break_events()
            world.engine.exit(world.container(ARN).docker_id, 4)
            await world.reported(ARN, "STOPPED", 20)

    in_world(body)


def test_every_fault_of_the_engine_passes_and_each_task_ends() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("job:latest", exit_after=2, exit_code=0)
        async with world.running():
            await world.connected()
            world.engine.faults = Faults(
                error=0.2, lie=0.2, slow=0.1, duplicate_event=0.2, reorder_event=0.2, break_events=0.05
            )
            for number in range(1, 11):
                world.backend.payload(
                    a_task(number, a_container("main", image="job:latest"), a_container("side", essential=False))
                )
            for number in range(1, 11):
                await world.reported(task_arn(number), "STOPPED", 3600)
            world.engine.faults = Faults()
            await world.clock.sleep(400)
            assert all(container.status != "running" for container in world.engine.containers.values())
            for number in range(1, 11):
                assert world.backend.container(task_arn(number), "main").exit_code == 0

    for seed in range(5):
        in_world(body, seed=seed)


@pytest.mark.parametrize("seed", range(12))
def test_agent_dies_at_any_moment_and_nothing_is_lost_or_started_twice(seed) -> None:
    """Lives of random length, while tasks come, run, exit and are stopped, the engine fails and the link breaks."""

    async def body(world: HostWorld) -> None:
        rng = random.Random(seed)
        world.behave("job:latest", exit_after=3, exit_code=0)
        world.behave("main:latest")
        sent = 0
        for _ in range(8):
            async with world.running():
                world.engine.faults = Faults(
                    error=0.1, lie=0.1, slow=0.05, slow_by=1.0, duplicate_event=0.2, reorder_event=0.2
                )
                await world.connected()
                for _ in range(rng.randrange(3)):
                    sent += 1
                    image = rng.choice(("job:latest", "main:latest"))
                    world.backend.payload(
                        a_task(sent, a_container("main", image=image), a_container("side", image="main:latest"))
                    )
                await world.clock.sleep(rng.random() * 3)
                if sent and rng.random() < 0.3:
                    world.backend.payload(a_stop(rng.randrange(sent) + 1))
                await world.clock.sleep(rng.random())
        world.engine.faults = Faults()
        async with world.running():
            await world.connected()
            for number in range(1, sent + 1):
                task = world.agent.tasks.by_arn(task_arn(number))
                assert task is not None or not world.backend.statuses(task_arn(number))
            await world.clock.sleep(200)
            for task in world.agent.tasks.all():
                assert task.known.name in ("RUNNING", "STOPPED")
                assert (task.sent, task.desired == 6) == (task.known, task.known == 6)
            running = {c.name for c in world.engine.containers.values() if c.status == "running"}
            wanted = {c.docker_name for t in world.agent.tasks.all() for c in t.containers if c.known.name == "RUNNING"}
            assert running == wanted
            assert len(world.engine.started) == len(set(world.engine.started))

    in_world(body, seed=seed)


def test_process_is_over_and_the_engines_event_is_lost_then_the_engine_is_asked() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=3, exit_code=7, teardown_takes=1)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container()))
            await world.reported(ARN, "STOPPING")
            world.engine.faults = Faults(lose_event=1.0)
            await world.reported(ARN, "STOPPED", 6)

    in_world(body)


def test_stop_that_the_engine_refuses_is_asked_for_again_and_told() -> None:
    async def body(world: HostWorld) -> None:
        stop, refusals = world.engine.stop, [Permanent("cannot stop container: did not receive an exit event")] * 3

        async def refusing(container_id: str, timeout_seconds: int) -> None:
            if refusals:
                raise refusals.pop()
            await stop(container_id, timeout_seconds)

        world.engine.stop = refusing
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
            world.backend.payload(a_stop(1))
            await world.reported(ARN, "STOPPED", 60)
            assert world.backend.container(ARN, "main").reason == (
                "CannotStopContainerError: Error response from daemon: "
                "cannot stop container: did not receive an exit event"
            )

    in_world(body)


def test_start_that_takes_effect_after_it_was_given_up_is_stopped() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=1)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "STOPPED")
            world.behave("main:latest")
            await world.engine.start(world.container(ARN).docker_id)
            await world.clock.sleep(310)
            assert world.engine.containers[world.container(ARN).docker_id].status == "exited"

    in_world(body)
