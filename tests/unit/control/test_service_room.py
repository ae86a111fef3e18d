"""Services whose tasks have no room while old, draining or unhealthy ones take it, in virtual time."""

import pytest

from homeport.model.status import DesiredStatus, TaskStatus
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import World

PORT = {"port_mappings": (shapes.PortMapping(container_port=80, host_port=80),)}


def fewest_running(world, seconds):
    """The smallest number of tasks that ran at once while time passed."""
    counts = []
    for _ in range(seconds):
        world.run(1)
        counts.append(sum(task.last_status is TaskStatus.RUNNING for task in world.tasks))
    return min(counts)


@pytest.mark.parametrize(("minimum", "fewest"), [(50, 2), (75, 3), (0, 0)])
def test_update_when_the_cluster_is_full_then_old_tasks_make_room_within_the_minimum(minimum, fewest):
    world = World(instances=2, cpu=20)
    world.create(4, minimum=minimum, maximum=200)
    world.steady()
    world.define(2)
    world.deploy(2)
    assert fewest_running(world, 400) == fewest
    assert len(world.revision_tasks(2)) == 4
    assert world.primary.rollout_state == "COMPLETED"


def test_update_when_the_minimum_lets_none_go_then_it_waits_and_says_so():
    world = World(instances=2, cpu=20)
    world.create(4, minimum=100, maximum=200)
    world.steady()
    world.define(2)
    world.deploy(2)
    world.run(400)
    assert len(world.revision_tasks(1)) == 4
    assert world.events("has insufficient CPU units available.")


def test_update_when_host_ports_are_fixed_then_each_host_gets_its_turn():
    world = World(instances=3)
    world.define(1, **PORT)
    world.define(2, **PORT)
    world.create(3, minimum=50, maximum=200)
    world.steady()
    world.deploy(2)
    assert fewest_running(world, 300) == 2
    assert len(world.revision_tasks(2)) == 3


def test_update_when_every_instance_has_its_distinct_task_then_old_ones_go_first():
    world = World(instances=3)
    distinct = (shapes.PlacementConstraint(type="distinctInstance"),)
    world.create(3, minimum=50, maximum=200, placement_constraints=distinct)
    world.steady()
    world.define(2)
    world.deploy(2)
    assert fewest_running(world, 300) == 2
    assert len(world.revision_tasks(2)) == 3


def test_update_when_the_new_task_needs_the_place_of_two_then_both_go_from_one_instance():
    world = World(instances=2, cpu=20)
    world.create(4, minimum=50, maximum=200)
    world.steady()
    world.define(2, cpu=20)
    world.deploy(2)
    world.settle()
    going = [task for task in world.live if task.desired_status is DesiredStatus.STOPPED]
    assert (len(going), len({task.container_instance_arn for task in going})) == (2, 1)
    world.run(60)
    assert len(world.revision_tasks(2)) == 1


@pytest.mark.parametrize("more", [{"cpu": 21}, {"constraint": "attribute:disk == fast"}])
def test_update_when_giving_way_would_not_help_then_nobody_does(more):
    world = World(instances=2, cpu=20)
    world.create(4, minimum=50, maximum=200)
    world.steady()
    world.define(2, cpu=more.get("cpu", 10))
    constraint = more.get("constraint")
    constraints = (shapes.PlacementConstraint(type="memberOf", expression=constraint),) if constraint else ()
    world.deploy(2, placement_constraints=constraints)
    world.run(200)
    assert len(world.revision_tasks(1)) == 4


def test_update_when_the_task_in_the_way_is_protected_then_another_goes():
    world = World(instances=2, cpu=20)
    world.create(4, minimum=50, maximum=200)
    world.steady()
    kept = world.tasks[:2]
    for task in kept:
        world.put_task(task, protection_enabled=True, protection_expires_at=world.now + 7200)
    world.define(2)
    world.deploy(2)
    world.run(400)
    assert {task.arn for task in world.revision_tasks(1)} == {task.arn for task in kept}
    assert len(world.revision_tasks(2)) == 2


def test_unhealthy_tasks_when_there_is_no_room_for_replacements_then_they_go_first_one_at_a_time():
    world = World(instances=1, cpu=20)
    world.define(1, health_check=True)
    world.create(2, minimum=50, maximum=200)
    world.run(5)
    for task in world.tasks:
        world.container(task, health_status="HEALTHY")
    world.settle()
    bad = world.tasks
    for task in bad:
        world.container(task, health_status="UNHEALTHY")
    world.settle()
    assert len(world.tasks) == 1
    world.run(2)
    world.run(5)
    assert len(world.tasks) == 2
    assert not {task.arn for task in bad} & {task.arn for task in world.tasks}


@pytest.mark.parametrize(("minimum", "left"), [(50, 0), (100, 2)])
def test_draining_instance_when_there_is_no_room_elsewhere_then_its_tasks_stop_within_the_minimum(minimum, left):
    world = World(instances=2, cpu=20)
    world.create(4, minimum=minimum, maximum=200)
    world.steady()
    drained = world.instances()[0]
    world.change_instance(drained, status="DRAINING")
    world.run(100)
    assert sum(task.container_instance_arn == drained for task in world.tasks) == left
