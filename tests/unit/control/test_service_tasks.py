"""Which tasks a service starts and gives up: images, tags, draining, protection, scale-in by strategy."""

import pytest

from homeport.control.service_tasks import pinned_image
from homeport.model.status import DesiredStatus
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import DIGEST, World

ZONE = shapes.PlacementStrategy(type="spread", field="attribute:ecs.availability-zone")


def images(world):
    return [task.containers[0].image for task in world.tasks]


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("web", f"web@{DIGEST}"),
        ("web:1.2", f"web@{DIGEST}"),
        ("registry:5000/team/web:1.2", f"registry:5000/team/web@{DIGEST}"),
        ("registry:5000/web", f"registry:5000/web@{DIGEST}"),
    ],
)
def test_image_when_pinned_then_the_digest_takes_the_place_of_the_tag(image, pinned):
    assert pinned_image(image, DIGEST) == pinned


def test_images_when_named_by_tag_then_the_first_task_finds_the_digest_and_the_others_use_it():
    world = World(image="registry/web:latest")
    world.create(5)
    world.settle()
    assert images(world) == ["registry/web:latest"]
    world.container(world.tasks[0], image_digest=DIGEST)
    world.settle()
    assert images(world) == ["registry/web:latest"] + [f"registry/web@{DIGEST}"] * 4
    world.run(60)
    world.change(desired_count=6)
    world.settle()
    assert images(world)[-1] == f"registry/web@{DIGEST}"


def test_images_when_the_first_task_runs_without_a_digest_then_the_others_use_the_tag():
    world = World(image="local")
    world.create(3)
    world.run(2)
    assert images(world) == ["local"] * 3


def test_images_when_three_tries_failed_then_the_deployment_goes_on_without():
    world = World(image="web")
    world.on_start = lambda task: "STOPPED"
    world.create(3)
    world.run(100)
    world.on_start = lambda task: "RUNNING"
    assert len(world.tasks) == 3 or world.primary.start_after is not None
    world.run(60)
    assert images(world) == ["web"] * 3


def test_images_when_consistency_is_disabled_or_a_digest_is_given_then_nobody_waits():
    for more in ({"image": f"web@{DIGEST}"}, {"image": "web", "version_consistency": "disabled"}):
        world = World()
        world.define(1, **more)
        world.create(4)
        world.settle()
        assert images(world) == [more["image"]] * 4


def resolved(world):
    world.create(2)
    world.settle()
    world.container(world.tasks[0], image_digest=DIGEST)
    world.run(60)


def test_images_when_a_new_deployment_is_forced_then_digests_are_resolved_again():
    world = World(image="web")
    resolved(world)
    world.deploy(1, is_forced=True)
    world.settle()
    assert images(world).count("web") == 2, "the first of each deployment"


def test_images_when_a_later_revision_names_the_same_then_it_starts_with_the_known_digests():
    world = World(image="web")
    resolved(world)
    world.define(2, cpu=20)
    world.deploy(2)
    world.settle()
    assert images(world)[-2:] == [f"web@{DIGEST}"] * 2


def test_images_when_a_later_revision_names_another_then_it_is_resolved():
    world = World(image="web")
    resolved(world)
    world.define(2, image="web:2")
    world.deploy(2)
    world.settle()
    assert images(world)[2:] == ["web:2"]


def test_tags_when_propagated_and_managed_then_tasks_have_them():
    world = World()
    world.create(1, tags=(shapes.Tag(key="team", value="a"),), propagate_tags="SERVICE", enable_ecs_managed_tags=True)
    world.settle()
    assert {(tag.key, tag.value) for tag in world.tasks[0].tags} == {
        ("team", "a"),
        ("aws:ecs:clusterName", "default"),
        ("aws:ecs:serviceName", "web"),
    }


def test_new_tasks_when_placed_without_strategy_then_they_are_spread_over_zones_and_instances():
    world = World(instances=6)
    world.create(6)
    world.settle()
    assert len({task.container_instance_arn for task in world.tasks}) == 6


def test_scale_in_when_zones_differ_then_the_fullest_zone_loses_first():
    world = World(instances=1)
    world.create(4)
    world.steady()
    world.add_instance(1, "b")
    world.change(desired_count=6)
    world.run(60)
    world.change(desired_count=4)
    world.settle()
    assert sorted(task.availability_zone for task in world.tasks) == ["a", "a", "b", "b"]


def test_scale_in_when_packed_then_the_emptiest_instance_is_emptied_first():
    world = World(instances=2, zones=("a",), cpu=1000)
    world.define(1, cpu=200)
    world.create(7, placement_strategy=(shapes.PlacementStrategy(type="binpack", field="cpu"),))
    world.steady()
    world.change(desired_count=5)
    world.settle()
    assert len({task.container_instance_arn for task in world.tasks}) == 1


def test_protection_when_it_runs_out_then_looked_at_again_then_and_not_because_it_has_run_out():
    world = World()
    world.create(1)
    world.steady()
    ends_at = world.now + 60
    world.put_task(world.tasks[0], protection_enabled=True, protection_expires_at=ends_at)
    assert world.step().at == ends_at
    world.clock.instant = ends_at
    assert world.step().at > ends_at


def test_protected_tasks_when_scaling_in_then_others_stop_and_an_event_tells_if_none_are_left():
    world = World()
    world.create(3)
    world.steady()
    kept = [task.arn for task in world.tasks[:2]]
    for arn in kept:
        world.put_task(world.store.read.tasks[arn], protection_enabled=True, protection_expires_at=world.now + 600)
    world.change(desired_count=2)
    world.settle()
    assert sorted(task.arn for task in world.tasks) == sorted(kept)
    world.change(desired_count=1)
    world.run(60)
    assert len(world.tasks) == 2
    (event,) = world.events("unable to reach steady state")
    owner = world.primary.id
    assert f"because (taskSet {owner}) was unable to scale in due to (reason 2 tasks under protection)" in event
    world.run(600, tick=10)
    assert len(world.tasks) == 1


def test_draining_instance_when_tasks_run_then_replacements_are_healthy_before_they_stop():
    world = World()
    world.create(3)
    world.steady()
    drained = world.tasks[0]
    world.change_instance(drained.container_instance_arn, status="DRAINING")
    world.settle()
    assert len(world.tasks) == 4
    world.run(30)
    assert drained.arn in {task.arn for task in world.tasks}
    world.run(30)
    assert drained.arn not in {task.arn for task in world.tasks}
    assert len(world.tasks) == 3


def test_draining_instance_when_tasks_are_pending_then_they_stop_at_once():
    world = World(start_time=None)
    world.create(3)
    world.settle()
    drained = world.tasks[0]
    world.change_instance(drained.container_instance_arn, status="DRAINING")
    world.settle()
    assert world.store.read.tasks[drained.arn].desired_status is DesiredStatus.STOPPED
    assert len(world.tasks) == 3


def test_draining_instance_when_the_minimum_is_0_and_the_maximum_100_percent_then_its_task_stops_first():
    world = World()
    world.create(2, minimum=0, maximum=100)
    world.steady()
    drained = world.tasks[0]
    world.change_instance(drained.container_instance_arn, status="DRAINING")
    world.settle()
    assert drained.arn not in {task.arn for task in world.tasks}
    world.run(60)
    assert len(world.tasks) == 2


def test_events_when_tasks_start_and_stop_then_they_are_named():
    world = World()
    world.create(2)
    world.settle()
    first, second = world.tasks
    assert f"(service web) has started 2 tasks: (task {first.id}) (task {second.id})." in world.events()
    world.run(60)
    world.change(desired_count=0)
    world.settle()
    assert world.events("has stopped 2 running tasks:")
