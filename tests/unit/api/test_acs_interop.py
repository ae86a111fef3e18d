"""The agent link against an agent that behaves exactly as the Amazon ECS agent does, in virtual time."""

from msgspec.structs import replace

from homeport.model.status import TaskStatus
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import acs
from tests.control_plane import DEFINITION, INSTANCE, ByTheBook, Plane, a_definition, a_task, an_instance
from tests.sim.loop import run_virtually

ROLE = "arn:aws:iam::123456789012:role/path/app"


def virtually(scenario, **config):
    """Run `scenario(plane, agent)` with a connected control plane and an agent that has not connected yet."""

    async def main(clock):
        plane = Plane(clock, **config)
        try:
            await scenario(plane, ByTheBook(plane))
        finally:
            await plane.close()
        if plane.supervisor.failed.done() and not plane.supervisor.failed.cancelled():
            raise plane.supervisor.failed.exception()

    for seed in (None, 1, 2):
        run_virtually(main, seed)


def with_role(plane, **more):
    definition = a_definition(task_role_arn=ROLE, **more)
    plane.put(TaskDefinition(arn=DEFINITION, family="web", revision=1, definition=definition))


def test_connect_when_instance_is_registered_then_row_shows_the_agent():
    async def scenario(plane, agent):
        await agent.connect()
        instance = plane.instance()
        assert instance.agent_connected
        assert (instance.agent_version, instance.docker_version) == ("1.105.1", "20.10.24+dfsg1")
        assert instance.disconnected_at is None
        assert agent.of(acs.HeartbeatMessage)
        assert len(agent.of(acs.TaskManifestMessage)) == 1

    virtually(scenario)


def test_task_when_agent_is_connected_then_payload_comes_at_once_and_once():
    async def scenario(plane, agent):
        await agent.connect()
        before = plane.clock.now()
        plane.put(a_task())
        await plane.clock.sleep(0.001)
        assert [task.arn for task in agent.tasks_received()] == [a_task().arn]
        assert plane.clock.now() - before < 0.01
        await plane.clock.sleep(600)
        assert len(agent.tasks_received()) == 1

    virtually(scenario)


def test_task_when_agent_connects_later_then_payload_comes_before_the_manifest():
    async def scenario(plane, agent):
        plane.put(a_task())
        await agent.connect()
        kinds = [type(message).__name__ for message in agent.received if not isinstance(message, acs.HeartbeatMessage)]
        assert kinds == ["PayloadMessage", "TaskManifestMessage"]
        assert agent.of(acs.TaskManifestMessage)[0].timeline > agent.of(acs.PayloadMessage)[0].seq_num
        assert not agent.stopped_by_manifest

    virtually(scenario)


def test_many_tasks_when_put_at_once_then_payloads_carry_ten_each():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(*(a_task(number) for number in range(25)))
        await plane.clock.sleep(0.1)
        assert [len(payload.tasks) for payload in agent.of(acs.PayloadMessage)] == [10, 10, 5]

    virtually(scenario)


def test_payload_when_never_acknowledged_then_resent_alone_with_growing_pauses():
    async def scenario(plane, agent):
        agent.acknowledges = False
        await agent.connect()
        plane.put(a_task(1), a_task(2))
        await plane.clock.sleep(100)
        sizes = [len(payload.tasks) for payload in agent.of(acs.PayloadMessage)]
        assert sizes == [2, 1, 1, 1, 1]
        assert plane.task(1).last_status is TaskStatus.PENDING

    virtually(scenario)


def test_connection_when_replaced_then_pending_tasks_are_sent_again_and_running_ones_not():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task(1), a_task(2))
        await plane.clock.sleep(0.1)
        plane.report(1, TaskStatus.RUNNING)
        await agent.lose_connection()
        assert not plane.instance().agent_connected
        agent.received.clear()
        await agent.connect()
        assert [task.arn for task in agent.tasks_received()] == [a_task(2).arn]
        assert plane.instance().agent_connected

    virtually(scenario)


def test_task_when_stopped_was_reported_then_never_sent_again():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        plane.put(plane.task().stopped(plane.clock.now()))
        await agent.lose_connection()
        agent.received.clear()
        await agent.connect()
        assert agent.tasks_received() == []

    virtually(scenario)


def test_stop_when_task_runs_then_only_arn_and_status_are_sent_until_done():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        plane.report(1, TaskStatus.RUNNING)
        plane.stop()
        await plane.clock.sleep(0.1)
        assert agent.tasks_received()[-1] == acs.Task(arn=a_task().arn, desired_status="STOPPED")
        agent.received.clear()
        await agent.lose_connection()
        await agent.connect()
        assert agent.tasks_received() == [acs.Task(arn=a_task().arn, desired_status="STOPPED")]

    virtually(scenario)


def test_stop_when_agent_never_heard_of_the_task_then_whole_task_is_sent_as_stopped():
    async def scenario(plane, agent):
        plane.put(a_task())
        plane.stop()
        await agent.connect()
        (sent,) = agent.tasks_received()
        assert sent.desired_status == "STOPPED"
        assert [container.name for container in sent.containers] == ["main"]

    virtually(scenario)


def test_manifest_when_agent_runs_a_task_nobody_knows_then_it_is_told_to_stop_only_that():
    async def scenario(plane, agent):
        plane.put(a_task(1))
        agent.running = {a_task(1).arn: "RUNNING", a_task(9).arn: "RUNNING"}
        await agent.connect()
        assert agent.stopped_by_manifest == [a_task(9).arn]

    virtually(scenario)


def test_manifest_when_server_was_restarted_then_its_number_is_above_all_before():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task(1))
        await plane.clock.sleep(0.1)
        agent.running[a_task(7).arn] = "RUNNING"
        await plane.restart()
        assert not plane.instance().agent_connected
        await agent.connect()
        assert agent.stopped_by_manifest == [a_task(7).arn]
        assert plane.instance().agent_connected

    virtually(scenario)


def test_credentials_when_task_has_a_role_then_payload_carries_them_and_they_are_renewed():
    async def scenario(plane, agent):
        with_role(plane)
        await agent.connect()
        plane.put(a_task(credentials_id="cred-1"))
        await plane.clock.sleep(0.1)
        first = agent.tasks_received()[0].role_credentials
        assert first.credentials_id == "cred-1"
        assert first.role_arn == ROLE
        plane.report(1, TaskStatus.RUNNING)
        await plane.clock.sleep(1801)
        (renewed,) = agent.of(acs.IAMRoleCredentialsMessage)
        assert renewed.role_credentials.credentials_id == "cred-1"
        assert renewed.role_credentials.expiration > first.expiration
        assert renewed.role_type == "TaskApplication"
        await plane.clock.sleep(1800)
        assert len(agent.of(acs.IAMRoleCredentialsMessage)) == 2

    virtually(scenario, credentials_lifetime=3600.0)


def test_credentials_when_agent_process_is_new_then_pushed_for_live_tasks():
    async def scenario(plane, agent):
        with_role(plane, execution_role_arn=ROLE + "-x")
        await agent.connect()
        plane.put(a_task(credentials_id="cred-1", execution_credentials_id="cred-2"))
        await plane.clock.sleep(0.1)
        plane.report(1, TaskStatus.RUNNING)
        await agent.lose_connection()
        await agent.connect()
        assert not agent.of(acs.IAMRoleCredentialsMessage)
        await agent.lose_connection()
        agent.crash()
        await agent.connect()
        assert set(agent.credentials) == {"cred-1", "cred-2"}
        assert {message.role_type for message in agent.of(acs.IAMRoleCredentialsMessage)} == {
            "TaskApplication",
            "TaskExecution",
        }

    virtually(scenario)


def test_heartbeats_when_unanswered_then_connection_is_closed():
    async def scenario(plane, agent):
        agent.answers_heartbeats = False
        await agent.connect()
        await plane.clock.sleep(19)
        assert agent.socket.closed_with is None
        await plane.clock.sleep(12)
        assert agent.socket.closed_with == 1001
        assert not plane.instance().agent_connected

    virtually(scenario, instance_lost_after=600.0)


def test_heartbeats_when_answered_then_connection_lives_and_beats_each_10_seconds():
    async def scenario(plane, agent):
        await agent.connect()
        await plane.clock.sleep(300)
        assert agent.socket.closed_with is None
        assert len(agent.of(acs.HeartbeatMessage)) == 31

    virtually(scenario)


def test_second_connection_when_first_is_still_open_then_it_replaces_it():
    async def scenario(plane, agent):
        await agent.connect()
        first = agent.socket
        await agent.connect()
        assert first.closed_with == 4000
        assert agent.socket.closed_with is None
        assert plane.instance().agent_connected
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        assert agent.tasks_received()

    virtually(scenario)


def test_frame_when_malformed_then_connection_is_closed_and_nothing_else_suffers():
    async def scenario(plane, agent):
        await agent.connect()
        for frame in (b"{", b"\xff\xfe", b'{"type": 3}', b'{"type":"AckRequest","message":{}}'):
            await agent.socket.send(frame)
            await plane.clock.sleep(0.1)
            assert agent.socket.closed_with == 1007
            await agent.connect()
        assert plane.instance().agent_connected

    virtually(scenario)


def test_frame_when_of_an_unknown_type_then_ignored():
    async def scenario(plane, agent):
        await agent.connect()
        await agent.socket.send(b'{"type":"Novelty","message":{"a":1}}')
        await plane.clock.sleep(0.1)
        assert agent.socket.closed_with is None

    virtually(scenario)


def test_agent_when_away_too_long_then_instance_is_inactive_and_tasks_stopped():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        plane.report(1, TaskStatus.RUNNING)
        await agent.lose_connection()
        await plane.clock.sleep(29)
        assert plane.instance().status == "ACTIVE"
        assert plane.task().connectivity == "DISCONNECTED"
        await plane.clock.sleep(2)
        assert plane.instance().status == "INACTIVE"
        assert plane.task().last_status is TaskStatus.STOPPED
        assert plane.task().stopped_reason == "Host EC2 (instance i-1) terminated."
        assert plane.task().stop_code == "TerminationNotice"

    virtually(scenario)


def test_agent_when_it_returns_after_all_then_instance_is_active_and_its_old_tasks_are_stopped():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        await agent.lose_connection()
        await plane.clock.sleep(100)
        await agent.connect()
        assert plane.instance().status == "ACTIVE"
        assert plane.instance().status_reason is None
        assert agent.stopped_by_manifest == [a_task().arn]

    virtually(scenario)


def test_agent_when_server_restarts_then_gets_the_full_time_again():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await agent.lose_connection()
        await plane.clock.sleep(50)
        await plane.restart()
        await plane.clock.sleep(50)
        assert plane.instance().status == "ACTIVE"
        await agent.connect()
        await plane.clock.sleep(100)
        assert plane.instance().status == "ACTIVE"
        assert plane.task().connectivity == "CONNECTED"

    virtually(scenario, instance_lost_after=60.0)


def test_agent_when_clock_is_set_or_process_stood_still_then_gets_the_full_time_again():
    async def scenario(plane, agent):
        await agent.connect()
        await agent.lose_connection()
        await plane.clock.sleep(10)
        plane.clock.offset += 7200
        await plane.clock.sleep(55)
        assert plane.instance().status == "ACTIVE"
        await plane.clock.sleep(65)
        assert plane.instance().status == "INACTIVE"

    virtually(scenario, instance_lost_after=60.0)


def test_instance_when_deregistered_then_connection_is_closed_and_tasks_stop():
    async def scenario(plane, agent):
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        plane.put(replace(plane.instance(), status="INACTIVE"))
        await plane.clock.sleep(0.1)
        assert agent.socket.closed_with == 1001
        assert plane.task().last_status is TaskStatus.STOPPED
        status, body = plane.acs.refuse(agent.query())
        assert status == 400
        assert b"InactiveInstanceException" in body

    virtually(scenario)


def test_task_when_its_definition_cannot_be_sent_then_it_fails_to_start():
    async def scenario(plane, agent):
        definition = a_definition(network_mode="awsvpc")
        plane.put(TaskDefinition(arn=DEFINITION, family="web", revision=1, definition=definition))
        await agent.connect()
        plane.put(a_task())
        await plane.clock.sleep(0.1)
        assert plane.task().last_status is TaskStatus.STOPPED
        assert plane.task().stop_code == "TaskFailedToStart"
        assert agent.tasks_received() == []

    virtually(scenario)


def test_refuse_when_query_is_wrong_then_modelled_error():
    async def scenario(plane, agent):
        def code(**changes):
            refusal = plane.acs.refuse(agent.query() | changes)
            return None if refusal is None else next(iter(__import__("json").loads(refusal[1])))

        plane.put(an_instance(arn=INSTANCE[:-1] + "b", cluster_arn=INSTANCE))
        assert code() is None
        assert code(clusterArn=an_instance().cluster_arn) is None
        assert code(clusterArn="other") == "InvalidClusterException"
        assert code(containerInstanceArn="") == "InvalidInstanceException"
        assert code(containerInstanceArn="arn:aws:ecs:eu-west-1:1:container-instance/default/x") == (
            "InvalidInstanceException"
        )
        assert code(containerInstanceArn=INSTANCE[:-1] + "c") == "InactiveInstanceException"
        assert code(containerInstanceArn=INSTANCE[:-1] + "b") == "InvalidInstanceException"

    virtually(scenario)


def test_close_when_the_server_ends_then_agents_are_told_and_none_gets_in_again():
    async def scenario(plane, agent):
        await agent.connect()
        await plane.acs.close()
        await plane.clock.sleep(0.1)
        assert agent.socket.closed_with == 1001
        assert not plane.instance().agent_connected
        status, body = plane.acs.refuse(agent.query())
        assert (status, b"ServerException" in body) == (503, True)

    virtually(scenario)
