"""The DAEMON strategy in virtual time."""

import pytest

from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import World


@pytest.fixture
def world():
    return World()


def create(world, minimum=0, **more):
    world.create(0, minimum=minimum, maximum=100, scheduling_strategy="DAEMON", **more)


def where(world):
    return sorted(task.container_instance_arn for task in world.tasks)


def test_daemon_when_created_then_every_instance_has_one_task(world):
    create(world)
    world.run(60)
    assert where(world) == world.instances()
    assert world.service.desired_count == 3
    assert world.primary.rollout_state == "COMPLETED"
    assert world.attempt.status == "SUCCESSFUL"


def test_daemon_when_an_instance_joins_then_it_gets_a_task(world):
    create(world)
    world.run(60)
    world.add_instance(9)
    world.run(60)
    assert len(world.tasks) == 4
    assert world.service.desired_count == 4


def test_daemon_when_constrained_then_only_members_get_a_task_and_others_lose_theirs(world):
    create(world)
    world.run(60)
    expression = "attribute:ecs.availability-zone == a"
    world.change(placement_constraints=(shapes.PlacementConstraint(type="memberOf", expression=expression),))
    world.run(60)
    assert len(world.tasks) == 1
    assert world.service.desired_count == 1


def test_daemon_when_updated_with_minimum_0_then_all_are_replaced_at_once_but_never_two_on_an_instance(world):
    create(world)
    world.define(2)
    world.run(60)
    world.deploy(2)
    world.settle()
    assert len(world.tasks) == 0
    assert len(world.live) == 3
    world.run(60)
    assert len(world.revision_tasks(2)) == 3
    assert where(world) == world.instances()
    assert world.primary.rollout_state == "COMPLETED"


def test_daemon_when_the_minimum_is_60_percent_then_one_of_three_is_replaced_at_a_time(world):
    create(world, minimum=60)
    world.define(2)
    world.run(60)
    world.deploy(2)
    world.settle()
    assert len(world.tasks) == 2
    world.run(200)
    assert len(world.revision_tasks(2)) == 3


def test_daemon_when_the_minimum_is_100_percent_then_it_is_stuck_and_says_so(world):
    create(world, minimum=100)
    world.define(2)
    world.run(60)
    world.deploy(2)
    world.run(60)
    assert len(world.revision_tasks(1)) == 3
    assert len(world.events("because of the service deployment configuration")) == 1


def test_daemon_when_its_instance_drains_then_it_stays_until_other_services_have_left(world):
    create(world)
    world.run(60)
    drained = world.instances()[0]
    other = world.tasks[0]
    world.put_task(other, service_arn="another", container_instance_arn=drained)
    world.run(60)
    world.change_instance(drained, status="DRAINING")
    world.settle()
    assert drained in where(world)
    world.end_task(other)
    world.settle()
    assert drained not in where(world)


def test_daemon_when_an_instance_has_no_room_then_it_waits_there_and_says_so():
    world = World(cpu=1000)
    world.define(1, cpu=600)
    create(world)
    small = world.add_instance(8, cpu=500)
    world.run(60)
    assert small not in where(world)
    assert len(where(world)) == 3
    assert len(world.events("insufficient CPU units")) == 1
    assert world.service.steady_since is None


def test_daemon_when_a_task_dies_then_it_comes_back_on_the_same_instance(world):
    create(world)
    world.run(60)
    lost = world.tasks[1]
    world.end_task(lost)
    world.settle()
    assert lost.container_instance_arn in where(world)


def test_daemon_when_the_breaker_rolls_back_then_what_starts_is_what_ran_before(world):
    world.define(2, image="broken")
    create(world, breaker=shapes.DeploymentCircuitBreaker(enable=True, rollback=True))
    world.run(60)
    world.on_start = lambda task: "STOPPED" if task.containers[0].image == "broken" else "RUNNING"
    world.deploy(2)
    world.run(120)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert {task.containers[0].image for task in world.tasks} == {world.image}
    former = world.primary.id
    assert not [
        task for task in world.store.read.tasks if task.started_by == former and task.is_stopped and not task.started_at
    ]
