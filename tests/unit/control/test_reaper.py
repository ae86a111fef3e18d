"""What is forgotten, when, and what must not be; in virtual time."""

from msgspec.structs import replace

from homeport.control.instance import judge
from homeport.model.account import ClientToken
from homeport.model.cluster import Cluster
from homeport.model.status import StopCode, TaskStatus
from homeport.model.task_definition import TaskDefinition
from tests.control_plane import CLUSTER, DEFINITION, INSTANCE, Plane, a_definition, a_task, an_instance
from tests.sim.loop import run_virtually


def virtually(scenario, **config):
    async def main(clock):
        plane = Plane(clock, **({"instance_lost_after": 1e9} | config))
        try:
            await scenario(plane)
        finally:
            await plane.close()

    run_virtually(main, 1)


def test_stopped_task_when_retention_is_over_then_deleted_and_not_before():
    async def scenario(plane):
        plane.put(a_task(1).stopped(plane.clock.now()), a_task(2))
        await plane.clock.sleep(3599)
        assert plane.task(1) is not None
        await plane.clock.sleep(60)
        assert plane.task(1) is None
        assert plane.task(2) is not None

    virtually(scenario)


def test_stopped_tasks_when_thousands_then_all_go_in_several_transactions():
    async def scenario(plane):
        plane.put(*(a_task(number).stopped(plane.clock.now()) for number in range(2500)))
        before = plane.store.version
        await plane.clock.sleep(60)
        assert len(plane.store.read.tasks) == 0
        assert plane.store.version - before == 3

    virtually(scenario, task_retention=10.0)


def test_client_token_when_expired_then_deleted():
    async def scenario(plane):
        now = plane.clock.now()
        tokens = [
            ClientToken(key=name, fingerprint="", result=(), expires_at=now + after)
            for name, after in (("a", 10), ("b", 1000))
        ]
        plane.store.update(lambda tx: [tx.client_tokens.put(token) for token in tokens])
        await plane.clock.sleep(100)
        assert [token.key for token in plane.store.read.client_tokens] == ["b"]

    virtually(scenario)


def test_task_definition_when_being_deleted_then_goes_with_its_last_task():
    async def scenario(plane):
        row = TaskDefinition(
            arn=DEFINITION, family="web", revision=1, definition=a_definition(), status="DELETE_IN_PROGRESS"
        )
        plane.put(row, a_task())
        await plane.clock.sleep(100)
        assert DEFINITION in plane.store.read.task_definitions
        plane.put(plane.task().stopped(plane.clock.now()))
        await plane.clock.sleep(100)
        assert DEFINITION not in plane.store.read.task_definitions

    virtually(scenario)


def test_inactive_instance_and_cluster_when_retention_is_over_then_deleted_in_that_order():
    async def scenario(plane):
        cluster = Cluster(arn=CLUSTER, name="default", status="INACTIVE", deleted_at=plane.clock.now())
        plane.put(an_instance(status="INACTIVE"), cluster)
        await plane.clock.sleep(3000)
        assert plane.instance() is not None
        await plane.clock.sleep(700)
        assert plane.instance() is None
        assert CLUSTER not in plane.store.read.clusters

    virtually(scenario)


def test_lost_instance_when_its_agent_may_return_then_kept_for_a_week():
    async def scenario(plane):
        await plane.clock.sleep(100)
        assert plane.instance().is_lost
        await plane.clock.sleep(6 * 86400)
        assert plane.instance() is not None
        await plane.clock.sleep(2 * 86400)
        assert plane.instance() is None

    virtually(scenario, instance_lost_after=60.0)


def test_protection_when_expired_then_lifted():
    async def scenario(plane):
        plane.put(a_task(protection_enabled=True, protection_expires_at=plane.clock.now() + 100))
        await plane.clock.sleep(99)
        assert plane.task().protection_enabled
        await plane.clock.sleep(2)
        assert not plane.task().protection_enabled
        assert plane.task().protection_expires_at is None

    virtually(scenario)


def test_stopping_task_when_its_instance_is_gone_then_stopped_with_its_own_reason():
    async def scenario(plane):
        task = a_task(container_instance_arn=INSTANCE[:-1] + "f", last_status=TaskStatus.RUNNING)
        plane.put(task.stopping(StopCode.USER_INITIATED, "enough", plane.clock.now()))
        await plane.clock.sleep(1)
        assert plane.task().last_status is TaskStatus.STOPPED
        assert plane.task().stopped_reason == "enough"
        assert plane.task().stopped_at == plane.clock.now() - 1

    virtually(scenario)


def test_unplaced_task_when_stopped_then_stopped_at_once():
    async def scenario(plane):
        plane.put(a_task(container_instance_arn=None, last_status=TaskStatus.PROVISIONING))
        await plane.clock.sleep(1)
        assert plane.task().last_status is TaskStatus.PROVISIONING
        plane.stop()
        await plane.clock.sleep(1)
        assert plane.task().last_status is TaskStatus.STOPPED

    virtually(scenario)


def test_draining_instance_when_connected_or_not_then_tasks_are_left_alone():
    async def scenario(plane):
        plane.put(a_task(last_status=TaskStatus.RUNNING), replace(plane.instance(), status="DRAINING"))
        await plane.clock.sleep(1)
        assert plane.task().desired_status == "RUNNING"

    virtually(scenario)


def test_judge_when_connected_away_or_lost_then_the_next_instant_to_look():
    instance = an_instance(registered_at=5.0)
    away = replace(instance, disconnected_at=100.0)
    assert judge(replace(away, agent_connected=True), 0, 60, 1000) == judge(away, 0, 60, 0).__class__()
    assert (judge(away, 0, 60, 101).is_disconnected, judge(away, 0, 60, 101).at) == (False, 105)
    assert (judge(away, 0, 60, 105).is_disconnected, judge(away, 0, 60, 105).at) == (True, 160)
    assert judge(away, 0, 60, 160).is_lost
    assert not judge(away, 110, 60, 160).is_lost
    assert judge(instance, 0, 60, 65).is_lost
