"""Availability Zone rebalancing in virtual time; the examples are the guide's."""

import pytest

from homeport.control.rebalancing import moves_needed
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import GROUP, SERVICE, World


def zones(world):
    counts = {}
    for task in world.tasks:
        counts[task.availability_zone] = counts.get(task.availability_zone, 0) + 1
    return dict(sorted(counts.items()))


def lopsided(desired=6, **more):
    """A steady service all of whose tasks are in one zone, because the others joined later."""
    world = World(instances=1)
    world.create(desired, **({"availability_zone_rebalancing": "ENABLED"} | more))
    world.steady()
    return world


@pytest.mark.parametrize(
    ("counts", "desired", "moves"),
    [
        ([2, 0], 2, 1),
        ([2, 1], 3, 0),
        ([3, 0], 3, 1),
        ([2, 2, 1], 5, 0),
        ([5, 0, 0], 5, 3),
        ([6, 0, 0], 6, 4),
        ([], 3, 0),
    ],
)
def test_moves_when_zones_have_these_counts_then_as_many_tasks_must_change(counts, desired, moves):
    assert moves_needed(counts, desired) == moves


def test_rebalancing_when_zones_join_then_tasks_move_one_for_one_and_events_tell():
    world = lopsided()
    world.add_instance(1, "b")
    world.add_instance(2, "c")
    world.settle()
    assert len(world.tasks) == 10, "replacements first"
    assert zones(world)["a"] == 6
    world.run(30)
    assert zones(world)["a"] == 6, "not before they are healthy"
    world.run(60)
    assert zones(world) == {"a": 2, "b": 2, "c": 2}
    assert world.events("is not AZ balanced with 6 tasks in a, 0 tasks in b, 0 tasks in c. AZ Rebalancing in progress.")
    assert world.events("is AZ balanced with 2 tasks in a, 2 tasks in b, 2 tasks in c.")
    assert world.service.rebalancing_since is None
    for zone in ("b", "c"):
        assert world.events(f"has started 2 tasks in {zone} to AZ Rebalance: (task ")
    assert world.events("has stopped 4 running tasks in a due to AZ rebalancing: (task ")
    reasons = {task.stopped_reason for task in world.store.read.tasks if task.is_stopped}
    assert reasons == {f"Availability-zone rebalancing initiated by (deployment {world.primary.id})"}


def woken_by(world, arn):
    return list(world.reconciler.wakes["container_instance"](world.store.read.container_instances[arn]))


@pytest.mark.parametrize(("rebalancing", "woken"), [("ENABLED", [SERVICE]), ("DISABLED", [])])
def test_rebalancing_when_a_zone_joins_or_leaves_then_the_service_looks_again_though_it_has_no_task_there(
    rebalancing, woken
):
    world = lopsided(availability_zone_rebalancing=rebalancing)
    for arn in world.instances():
        woken_by(world, arn)
    arn = world.add_instance(1, "b")
    assert woken_by(world, arn) == woken
    assert woken_by(world, arn) == [], "once"
    assert woken_by(world, world.add_instance(2, "b")) == [], "a zone that takes tasks already"
    for other in world.instances()[1:]:
        world.change_instance(other, agent_connected=False)
    assert woken_by(world, arn) == woken


@pytest.mark.parametrize(
    "more",
    [
        {"availability_zone_rebalancing": "DISABLED"},
        {"placement_strategy": (shapes.PlacementStrategy(type="binpack", field="cpu"),)},
        {"maximum": 100},
    ],
)
def test_rebalancing_when_not_eligible_then_nothing_moves(more):
    world = World(instances=1)
    world.create(6, **({"availability_zone_rebalancing": "ENABLED"} | more))
    world.steady()
    world.add_instance(1, "b")
    world.run(120, tick=10)
    assert zones(world) == {"a": 6}


def test_rebalancing_when_the_other_zone_has_no_room_then_it_gives_up_for_a_while():
    world = lopsided(desired=4)
    world.add_instance(1, "b", cpu=5)
    world.run(300, tick=10)
    assert zones(world) == {"a": 4}
    assert len(world.events("is not AZ balanced")) == 1
    assert len(world.events("is unable to place a task in b because no container instance met all")) == 1
    assert not world.events("was unable to place")
    world.add_instance(2, "b")
    world.run(700, tick=10)
    assert zones(world) == {"a": 2, "b": 2}


def test_rebalancing_when_a_deployment_begins_then_it_ends():
    world = lopsided()
    world.define(2)
    world.add_instance(1, "b")
    world.settle()
    world.deploy(2)
    world.settle()
    assert world.service.rebalancing_since is None
    assert len(world.events("stopped AZ Rebalancing.")) == 1
    world.run(120)
    assert zones(world) == {"a": 3, "b": 3}


def test_rebalancing_when_an_instance_drains_meanwhile_then_no_more_tasks_are_started_than_may_be():
    world = lopsided()
    (draining,) = world.instances()
    world.add_instance(1, "b")
    world.add_instance(2, "c")
    world.settle()
    assert len(world.tasks) == 10
    world.change_instance(draining, status="DRAINING")
    for _ in range(120):
        world.settle()
        assert len(world.tasks) <= 12
        world.run(1)
    assert zones(world) == {"b": 3, "c": 3}


def test_rebalancing_when_a_task_leaves_a_draining_instance_meanwhile_then_it_is_not_put_down_to_that():
    world = World(instances=3)
    world.create(3, availability_zone_rebalancing="ENABLED")
    world.steady()
    world.add_instance(9, "a")
    world.change_instance(world.instances()[0], status="DRAINING")
    world.settle()
    world.change(rebalancing_since=world.now)
    world.run(60)
    assert len(world.tasks) == 3
    assert world.events("has stopped 1 running tasks: (task ")
    assert not world.events("due to AZ rebalancing")


def test_rebalancing_when_a_task_becomes_unhealthy_meanwhile_then_one_replacement_is_enough():
    entry = shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80)
    world = World(instances=1)
    world.create(2, availability_zone_rebalancing="ENABLED", load_balancers=(entry,))
    world.run(5)
    first, second = world.tasks
    world.target(first, "healthy")
    world.target(second, "healthy")
    world.steady()
    world.add_instance(1, "b")
    world.run(5)
    assert zones(world) == {"a": 2, "b": 1}
    world.target(first, "unhealthy")
    world.run(30)
    assert len(world.tasks) <= 4
    for task in world.tasks:
        world.target(task, "healthy")
    world.run(30)
    assert zones(world) == {"a": 1, "b": 1}
