"""The agent and its control plane in virtual time: registration, the link, reports, and what it is told there."""

import pytest
from msgspec.structs import replace

from homeport.agent.backend import Refused
from homeport.agent.registration import RegistrationRefused
from homeport.base.errors import Transient
from homeport.shapes import acs
from tests.unit.agent.host_world import HostWorld, in_world
from tests.unit.agent.scripted import INSTANCE_ARN, a_container, a_stop, a_task, task_arn

ARN = task_arn(1)


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
