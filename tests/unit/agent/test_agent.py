"""An agent against a fake engine and a scripted control plane, in virtual time."""

from pathlib import Path

from msgspec.structs import replace

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
