"""An agent is not told to stop a task while a load balancer still sends it what is under way."""

from msgspec.structs import replace

from homeport.model.deployment import Deployment, ServiceRevision
from homeport.model.load_balancer import Target, TargetGroup, target_key
from homeport.model.status import StopCode, TaskStatus
from homeport.model.target_health import draining
from homeport.model.task import Container
from homeport.shapes import ecs as shapes
from tests.control_plane import ARNS, CLUSTER, DEFINITION, ByTheBook, Plane, a_task
from tests.sim.loop import run_virtually

SERVICE = ARNS.service("default", "web")
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"
TASK = a_task().arn
DELAY = 20


def put(plane, table, row):
    plane.store.update(lambda tx: getattr(tx, table).put(row))


def virtually(scenario):
    """Run `scenario(plane, agent)` with a running task of a service behind a load balancer, and its agent connected."""

    async def main(clock):
        plane = Plane(clock)
        entry = shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80)
        attributes = {"deregistration_delay.timeout_seconds": str(DELAY)}
        common = {"name": "web", "created_at": 1.0}
        put(
            plane,
            "target_groups",
            TargetGroup(
                arn=GROUP, protocol="HTTP", port=80, vpc_id="v", target_type="instance", attributes=attributes, **common
            ),
        )
        agent = ByTheBook(plane)
        await agent.connect()
        binding = shapes.NetworkBinding(container_port=80, host_port=32768, protocol="tcp")
        container = Container(name="main", image="busybox", last_status="RUNNING", network_bindings=(binding,))
        rows = {"service_arn": SERVICE, "cluster_arn": CLUSTER, "task_definition_arn": DEFINITION, "created_at": 1.0}
        put(plane, "service_revisions", ServiceRevision(arn="revision/1", load_balancers=(entry,), **rows))
        put(plane, "deployments", Deployment(id="ecs-svc/1", revision_arn="revision/1", updated_at=1.0, **rows))
        agent.running[TASK] = "RUNNING"
        plane.put(
            a_task(service_arn=SERVICE, started_by="ecs-svc/1", last_status=TaskStatus.RUNNING, containers=(container,))
        )
        await clock.sleep(0.1)
        assert plane.store.read.targets.count(owner=TASK) == 1
        await scenario(plane, agent)
        await plane.close()
        assert plane.supervisor.failed.cancelled()

    for seed in (None, 1, 2):
        run_virtually(main, seed)


def stop(plane):
    task = plane.task()
    plane.put(task.stopping(StopCode.SERVICE_SCHEDULER_INITIATED, "enough", plane.clock.now()))


def test_stop_when_targets_drain_then_agent_hears_of_it_afterwards():
    async def scenario(plane, agent):
        stop(plane)
        await plane.clock.sleep(DELAY - 1)
        assert agent.running[TASK] == "RUNNING"
        assert plane.task().last_status is TaskStatus.DEACTIVATING
        await plane.clock.sleep(1.1)
        assert agent.running[TASK] == "STOPPED"
        assert plane.task().last_status is TaskStatus.STOPPING

    virtually(scenario)


def test_stop_when_agent_reconnects_during_draining_then_manifest_keeps_the_task():
    async def scenario(plane, agent):
        stop(plane)
        await plane.clock.sleep(5)
        await agent.lose_connection()
        await agent.connect()
        assert agent.stopped_by_manifest == []
        assert agent.running[TASK] == "RUNNING"
        await plane.clock.sleep(DELAY)
        assert agent.running[TASK] == "STOPPED"

    virtually(scenario)


def test_stop_when_server_restarts_during_draining_then_the_delay_goes_on():
    async def scenario(plane, agent):
        stop(plane)
        await plane.clock.sleep(5)
        await plane.restart()
        await agent.connect()
        assert agent.running[TASK] == "RUNNING"
        await plane.clock.sleep(DELAY - 6)
        assert agent.running[TASK] == "RUNNING"
        await plane.clock.sleep(1)
        assert agent.running[TASK] == "STOPPED"

    virtually(scenario)


def test_stop_when_an_essential_container_has_died_then_at_once():
    async def scenario(plane, agent):
        task = plane.task()
        dead = tuple(replace(each, last_status="STOPPED") for each in task.containers)
        now = plane.clock.now()
        plane.put(replace(task, containers=dead).stopping(StopCode.ESSENTIAL_CONTAINER_EXITED, "died", now))
        await plane.clock.sleep(0.1)
        assert agent.running[TASK] == "STOPPED"
        assert plane.store.read.targets.count(owner=TASK) == 0

    virtually(scenario)


def test_stop_when_target_group_is_deleted_then_the_task_is_not_held_for_ever():
    async def scenario(plane, agent):
        stop(plane)
        await plane.clock.sleep(1)
        plane.store.update(lambda tx: tx.target_groups.delete(GROUP))
        plane.store.update(lambda tx: [tx.targets.delete(row.key) for row in tx.targets])
        await plane.clock.sleep(0.1)
        assert agent.running[TASK] == "STOPPED"

    virtually(scenario)


def test_target_when_user_deregisters_that_of_a_running_task_then_registered_again_once_drained():
    async def scenario(plane, agent):
        (target,) = plane.store.read.targets
        put(plane, "targets", draining(target, plane.clock.now() + 10))
        await plane.clock.sleep(9)
        assert [each.state for each in plane.store.read.targets] == ["draining"]
        await plane.clock.sleep(2)
        assert [(each.state, each.owner) for each in plane.store.read.targets] == [("initial", TASK)]

    virtually(scenario)


def test_target_when_another_place_of_the_instance_is_registered_by_a_user_then_the_task_is_not_concerned():
    async def scenario(plane, agent):
        key = target_key(GROUP, "i-1", 9999)
        put(plane, "targets", Target(key=key, target_group_arn=GROUP, id="i-1", port=9999, registered_at=1.0))
        stop(plane)
        await plane.clock.sleep(DELAY + 1)
        assert agent.running[TASK] == "STOPPED"
        assert [target.key for target in plane.store.read.targets] == [key]

    virtually(scenario)
