"""An agent against a fake engine and a scripted control plane, in virtual time."""

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from homeport.agent.backend import Refused
from homeport.agent.registration import RegistrationRefused
from homeport.base.errors import Permanent, Transient
from homeport.drivers.engine.fake import Faults
from homeport.shapes import acs
from tests.unit.agent.host_world import HostWorld, in_world
from tests.unit.agent.scripted import INSTANCE_ARN, a_container, a_stop, a_task, task_arn

ARN = task_arn(1)


def test_task_runs_and_exits_with_its_code() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=3, exit_code=7)
        async with world.running():
            await world.connected()
            message = world.backend.payload(
                a_task(1, a_container(port_mappings=(acs.PortMapping(container_port=80, host_port=0),)))
            )
            await world.reported(ARN, "STOPPED")
        assert any(
            isinstance(each, acs.AckRequest) and each.message_id == message.message_id
            for each in world.backend.socket.from_agent
        )
        statuses = [status for status in world.backend.statuses(ARN) if status != "PENDING"]
        assert statuses == ["RUNNING", "STOPPING", "STOPPED"]
        running = next(report for report in world.backend.reports(ARN) if report.status == "RUNNING")
        (binding,) = running.containers[0].network_bindings
        assert (binding.container_port, binding.protocol, binding.bind_ip) == (80, "tcp", "0.0.0.0")
        assert binding.host_port >= 32768
        stopped = world.backend.container(ARN, "main")
        assert (stopped.status, stopped.exit_code) == ("STOPPED", 7)
        assert stopped.runtime_id in world.engine.containers

    in_world(body)


def test_stop_is_graceful_and_reported() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", stop_takes=None)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container(stop_timeout=4)))
            await world.reported(ARN, "RUNNING")
            began = world.clock.monotonic()
            world.backend.payload(a_stop(1))
            await world.reported(ARN, "STOPPED")
            assert 4 <= world.clock.monotonic() - began < 5
        assert world.backend.container(ARN, "main").exit_code == 137

    in_world(body)


def test_non_essential_exit_is_reported_at_once_and_the_task_runs_on() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("side:latest", exit_after=5, exit_code=3)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container(), a_container("side", essential=False)))
            await world.reported(ARN, "RUNNING")
            await world.until(lambda: (c := world.backend.container(ARN, "side")) and c.status == "STOPPED", 6)
            assert world.backend.statuses(ARN)[-1] == "RUNNING"
            assert world.backend.container(ARN, "side").exit_code == 3

    in_world(body)


def test_dependencies_order_the_start() -> None:
    needs = lambda name, condition: (acs.ContainerDependency(container_name=name, condition=condition),)

    async def body(world: HostWorld) -> None:
        world.behave("init:latest", exit_after=2)
        world.behave("db:latest", health=("healthy",))
        async with world.running():
            await world.connected()
            world.backend.payload(
                a_task(
                    1,
                    a_container("init", essential=False),
                    a_container(
                        "db",
                        depends_on=needs("init", "SUCCESS"),
                        health_check_type="docker",
                        docker_config=acs.DockerConfig(config='{"Healthcheck":{"Test":["CMD","true"]}}'),
                    ),
                    a_container("web", depends_on=needs("db", "HEALTHY")),
                )
            )
            await world.reported(ARN, "RUNNING")
            init, db, web = (world.container(ARN, name) for name in ("init", "db", "web"))
            assert db.started_at >= init.started_at + 2
            assert web.started_at >= db.started_at + 5

    in_world(body)


def test_failed_pull_stops_the_task_with_the_reason() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", pull_error="manifest unknown: manifest unknown")
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "STOPPED")
        assert world.backend.container(ARN, "main").reason.startswith("CannotPullContainerError:")

    in_world(body)


def test_failed_start_stops_the_task_with_the_reason() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", start_error="exec: no such file")
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "STOPPED")
        assert world.backend.container(ARN, "main").reason.startswith(
            "CannotStartContainerError: Error response from daemon: exec"
        )

    in_world(body)


def test_task_that_does_not_fit_waits_alone() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, memory=6000), a_task(2, memory=6000), a_task(3, memory=500))
            await world.reported(task_arn(1), "RUNNING")
            await world.reported(task_arn(3), "RUNNING", 10)
            assert world.backend.reports(task_arn(2)) == []
            assert world.agent.tasks.blocked(task_arn(2)) == {"": "waiting for MEMORY"}
            world.backend.payload(a_stop(1))
            await world.reported(task_arn(2), "RUNNING", 60)

    in_world(body)


def test_restarted_agent_adopts_and_reports_what_changed() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1), a_task(2))
            await world.reported(task_arn(1), "RUNNING")
            await world.reported(task_arn(2), "RUNNING")
            gone = world.container(task_arn(2)).docker_id
            stays = world.container(task_arn(1)).docker_id
        world.engine.exit(gone, 9)
        async with world.running():
            await world.reported(task_arn(2), "STOPPED", 10)
            assert world.backend.container(task_arn(2), "main").exit_code == 9
            assert world.container(task_arn(1)).docker_id == stays
            assert world.engine.containers[stays].status == "running"
            assert len(world.engine.containers) == 2
            assert world.backend.queries[-1]["containerInstanceArn"] == INSTANCE_ARN
            assert world.backend.queries[-1]["sendCredentials"] == "true"

    in_world(body)


def test_containers_when_another_agent_started_them_then_they_are_left_alone() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
            docker_id = world.container(ARN).docker_id
        world.state = type(world.state)()
        world.config = replace(world.config, data_dir=Path("/elsewhere"))
        async with world.running():
            await world.until(lambda: len(world.backend.sockets) == 2)
            world.backend.manifest()
            await world.clock.sleep(60)
            assert world.agent.tasks.all() == ()
            assert world.engine.containers[docker_id].status == "running"

    in_world(body)


def test_lost_state_is_rebuilt_from_labels_and_stopped_only_when_told() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
        world.state = type(world.state)()
        async with world.running():
            await world.until(lambda: world.agent.tasks.by_arn(ARN) is not None and len(world.backend.sockets) == 2)
            message = world.backend.manifest()
            await world.until(
                lambda: any(
                    isinstance(each, acs.TaskStopVerificationMessage) for each in world.backend.socket.from_agent
                )
            )
            (candidates,) = [
                each for each in world.backend.socket.from_agent if isinstance(each, acs.TaskStopVerificationMessage)
            ]
            assert [each.task_arn for each in candidates.stop_candidates] == [ARN]
            await world.clock.sleep(60)
            assert world.engine.containers[world.container(ARN).docker_id].status == "running"
            world.backend.send(
                acs.TaskStopVerificationAck(message_id="other", generated_at=0, stop_tasks=candidates.stop_candidates)
            )
            world.backend.send(
                acs.TaskStopVerificationAck(
                    message_id=message.message_id, generated_at=0, stop_tasks=candidates.stop_candidates
                )
            )
            await world.reported(ARN, "STOPPED")

    in_world(body)


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


def test_containers_go_after_the_wait_once_stopped_is_acknowledged() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=1)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "STOPPED")
            await world.clock.sleep(3 * 3600 - 120)
            assert len(world.engine.containers) == 1
            await world.clock.sleep(200)
            assert world.engine.containers == {}
            assert world.agent.tasks.by_arn(ARN) is None

    in_world(body)


def test_inactive_saved_instance_is_forgotten_and_registered_anew() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
        world.backend.refusals["RegisterContainerInstance"] = [Refused("ClientException", "The instance is INACTIVE")]
        world.backend.instance_arn = INSTANCE_ARN.replace("1" * 32, "2" * 32)
        async with world.running():
            await world.until(lambda: len(world.backend.sockets) == 2)
            assert world.backend.queries[-1]["containerInstanceArn"] == world.backend.instance_arn
            world.backend.refusals["connect"] = [Refused("InactiveInstanceException", "gone")]
            world.backend.instance_arn = INSTANCE_ARN.replace("1" * 32, "3" * 32)
            await world.backend.socket.close()
            await world.until(lambda: len(world.backend.sockets) == 3)
            assert world.backend.queries[-1]["containerInstanceArn"] == world.backend.instance_arn

    in_world(body)


def test_registration_when_its_answer_is_lost_then_it_is_repeated_under_the_same_token() -> None:
    async def body(world: HostWorld) -> None:
        world.backend.refusals["RegisterContainerInstance"] = [Transient("no answer")]
        async with world.running():
            await world.connected()
        first, second = (each for name, each in world.backend.calls if name == "RegisterContainerInstance")
        assert first.client_token
        assert first == second

    in_world(body)


def test_missing_default_cluster_is_created() -> None:
    async def body(world: HostWorld) -> None:
        world.backend.refusals["RegisterContainerInstance"] = [Refused("ClientException", "Cluster not found.")]
        async with world.running():
            await world.connected()
        assert [operation for operation, _ in world.backend.calls][:3] == [
            "RegisterContainerInstance",
            "CreateCluster",
            "RegisterContainerInstance",
        ]

    in_world(body)


def test_refused_stopped_report_is_sent_again() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", start_error="no")
        world.backend.refusals["SubmitTaskStateChange"] = [Refused("InvalidParameterException", "what task?")] * 3
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.until(
                lambda: (
                    world.backend.statuses(ARN).count("STOPPED") == 4
                    or world.backend.statuses(ARN)[-4:].count("STOPPED") >= 3
                )
            )
            await world.clock.sleep(60)
            task = world.agent.tasks.by_arn(ARN)
            assert task.sent.name == "STOPPED"

    in_world(body)


def test_silent_link_is_replaced() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            for number in range(8):
                await world.clock.sleep(30)
                world.backend.send(acs.HeartbeatMessage(message_id=str(number), healthy=True))
            await world.clock.sleep(1)
            assert len(world.backend.sockets) == 1
            assert (
                len([each for each in world.backend.socket.from_agent if isinstance(each, acs.HeartbeatAckRequest)])
                == 8
            )
            await world.clock.sleep(125)
            assert len(world.backend.sockets) == 2

    in_world(body)


def test_unknown_task_to_be_stopped_is_reported_stopped() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_stop(9))
            await world.reported(task_arn(9), "STOPPED", 5)

    in_world(body)


def test_stop_when_it_comes_before_the_task_itself_then_nothing_is_ever_started() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, desired_status="STOPPED"))
            world.backend.payload(a_task(1))
            await world.reported(ARN, "STOPPED", 5)
            await world.clock.sleep(60)
            assert "RUNNING" not in world.backend.statuses(ARN)
            assert not world.engine.containers

    in_world(body)


def test_data_directory_of_another_cluster_is_refused() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
        world.config = replace(world.config, cluster="other")
        with pytest.raises(RegistrationRefused, match="cluster default") as caught:
            async with world.running():
                pass
        assert caught.value.is_terminal

    in_world(body)


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


def test_taken_dynamic_port_is_replaced_and_a_taken_fixed_one_is_a_reason() -> None:
    async def body(world: HostWorld) -> None:
        await world.engine.pull("other:latest", None)
        taken = {"Image": "other:latest", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "32768"}]}}}
        await world.engine.start(await world.engine.create("other", taken))
        async with world.running():
            await world.connected()
            dynamic, fixed = (
                acs.PortMapping(container_port=80, host_port=0),
                acs.PortMapping(container_port=80, host_port=32768),
            )
            world.backend.payload(a_task(1, a_container(port_mappings=(dynamic,))))
            await world.reported(ARN, "RUNNING")
            (binding,) = world.backend.container(ARN, "main").network_bindings
            assert binding.host_port == 32769
            assert world.container(ARN).docker_id in world.engine.containers
            world.backend.payload(a_task(2, a_container(port_mappings=(fixed,))))
            await world.reported(task_arn(2), "STOPPED")
            assert "port is already allocated" in world.backend.container(task_arn(2), "main").reason

    in_world(body, dynamic_port_range=(32768, 32800))


def test_restart_policy_starts_the_same_container_again_without_a_report() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=61, exit_code=1)
        policy = acs.RestartPolicy(enabled=True, restart_attempt_period=60)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container(restart_policy=policy)))
            await world.reported(ARN, "RUNNING")
            await world.clock.sleep(200)
            container = world.container(ARN)
            assert (container.restart_count, container.known.name) == (3, "RUNNING")
            assert world.engine.started == [container.docker_name] * 4
            assert world.backend.statuses(ARN).count("RUNNING") == 1
            world.behave("main:latest", exit_after=5, exit_code=1)
            await world.reported(ARN, "STOPPED", 100)
            assert world.backend.container(ARN, "main").exit_code == 1

    in_world(body)


def test_process_of_an_essential_container_is_over_then_told_before_the_engine_tells() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=3, exit_code=7, teardown_takes=2)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container()))
            await world.reported(ARN, "STOPPING")
            began = world.clock.monotonic()
            world.backend.payload(a_stop(1))  # as the control plane answers; there is nothing left to stop
            await world.reported(ARN, "STOPPED")
            assert 1.9 <= world.clock.monotonic() - began < 2.1
        assert world.backend.container(ARN, "main").exit_code == 7

    in_world(body)


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


def test_process_under_a_restart_policy_is_over_then_nothing_is_told() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", exit_after=61, exit_code=1, teardown_takes=1)
        policy = acs.RestartPolicy(enabled=True, restart_attempt_period=60)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container(restart_policy=policy)))
            await world.clock.sleep(100)
            assert world.container(ARN).restart_count == 1
            assert "STOPPING" not in world.backend.statuses(ARN)

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


def test_stop_during_a_long_pull_ends_the_task_at_once() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("main:latest", pull_takes=500)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.clock.sleep(5)
            world.backend.payload(a_stop(1))
            await world.reported(ARN, "STOPPED", 5)
            await world.clock.sleep(600)
            assert world.engine.started == []

    in_world(body)


def test_credentials_are_acknowledged_and_go_with_the_task() -> None:
    role = acs.RoleCredentials(
        credentials_id="c1",
        role_arn="r",
        access_key_id="a",
        secret_access_key="s",
        session_token="t",
        expiration="later",
    )

    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, role_credentials=role))
            await world.reported(ARN, "RUNNING")
            fresh = replace(role, secret_access_key="new")
            for arn in (ARN, task_arn(9)):
                world.backend.send(
                    acs.IAMRoleCredentialsMessage(
                        message_id="m2", task_arn=arn, role_type="TaskApplication", role_credentials=fresh
                    )
                )
            await world.clock.sleep(1)
            acks = [
                each for each in world.backend.socket.from_agent if isinstance(each, acs.IAMRoleCredentialsAckRequest)
            ]
            assert [(each.message_id, each.credentials_id) for each in acks] == [("payload-1", "c1"), ("m2", "c1")]
            assert world.credentials.kept == {(ARN, "TaskApplication"): fresh}
            world.backend.payload(a_stop(1))
            await world.reported(ARN, "STOPPED")
            assert world.credentials.kept == {}

    in_world(body)


def test_stale_manifest_and_malformed_frames_are_ignored() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1))
            await world.reported(ARN, "RUNNING")
            for frame in (b"{", b'{"type":"PayloadMessage","message":{}}', b'{"type":"Nonsense"}', b"[]"):
                world.backend.socket.to_agent.put_nowait(frame)
            world.backend.send(
                acs.TaskManifestMessage(
                    message_id="old", cluster_arn="c", container_instance_arn="i", generated_at=0, timeline=1, tasks=()
                )
            )
            world.backend.manifest(ARN)
            await world.clock.sleep(1)
            answers = world.backend.socket.from_agent
            assert [each.message_id for each in answers if isinstance(each, acs.AckRequest)] == [
                "payload-1",
                "manifest-2",
            ]
            assert not [each for each in answers if isinstance(each, acs.TaskStopVerificationMessage)]

    in_world(body)


def test_update_is_declined() -> None:
    async def body(world: HostWorld) -> None:
        async with world.running():
            await world.connected()
            world.backend.send(
                acs.PerformUpdateMessage(
                    message_id="u",
                    cluster_arn="c",
                    container_instance_arn="i",
                    update_info=acs.UpdateInfo(location="l", signature="s"),
                )
            )
            await world.clock.sleep(1)
            (answer,) = world.backend.socket.from_agent
            assert answer == acs.NackRequest(
                cluster="c", container_instance="i", message_id="u", reason="Updates are disabled"
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


def test_pending_report_carries_digests_when_a_pull_takes_long() -> None:
    async def body(world: HostWorld) -> None:
        world.behave("slow:latest", pull_takes=30)
        async with world.running():
            await world.connected()
            world.backend.payload(a_task(1, a_container(), a_container("side", image="slow:latest")))
            await world.reported(ARN, "RUNNING")
            first = world.backend.reports(ARN)[0]
            assert first.status == "PENDING"
            assert first.containers[0].image_digest.startswith("sha256:")
            running = world.backend.reports(ARN)[-1]
            assert running.pull_stopped_at >= running.pull_started_at + 30

    in_world(body)
