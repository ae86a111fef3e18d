"""Task sets of a service with the EXTERNAL controller, in virtual time."""

from msgspec.structs import replace

from homeport.base.arn import Arns
from homeport.model.service import Service, TaskSet
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import ARNS, CLUSTER, GROUP, SERVICE, World


def a_service(world, desired=10):
    service = Service(
        arn=SERVICE,
        name="web",
        cluster_arn=CLUSTER,
        task_definition_arn=None,
        desired_count=desired,
        deployment_controller="EXTERNAL",
        deployment_configuration=shapes.DeploymentConfiguration(minimum_healthy_percent=100, maximum_percent=200),
        created_at=world.now,
    )
    world.update(lambda tx: tx.services.put(service))


def a_task_set(world, number, scale, revision=1, **more):
    row = TaskSet(
        arn=Arns.service_child(ARNS, "task-set", "default", "web", f"ecs-svc/{number}"),
        id=f"ecs-svc/{number}",
        service_arn=SERVICE,
        cluster_arn=CLUSTER,
        task_definition_arn=ARNS.task_definition("web", revision),
        created_at=world.now,
        updated_at=world.now,
        scale_percent=scale,
        **more,
    )
    world.update(lambda tx: tx.task_sets.put(row))
    return row.arn


def change(world, arn, **members):
    world.update(lambda tx: tx.task_sets.put(replace(tx.task_sets[arn], **members)))


def row_of(world, arn):
    return world.store.read.task_sets.get(arn)


def test_task_sets_when_scaled_then_each_has_its_share_rounded_up():
    world = World()
    world.define(2)
    a_service(world)
    first, second = a_task_set(world, 1, 75.0), a_task_set(world, 2, 25.0, revision=2)
    world.run(60)
    assert len(world.revision_tasks(1)) == 8
    assert len(world.revision_tasks(2)) == 3
    assert {task.started_by for task in world.revision_tasks(2)} == {"ecs-svc/2"}
    assert row_of(world, first).stability_status == "STEADY_STATE"
    assert row_of(world, second).stability_status == "STEADY_STATE"
    assert world.events("has reached a steady state.")


def test_task_set_when_its_scale_grows_then_it_stabilizes_until_the_new_tasks_are_healthy():
    world = World()
    a_service(world)
    arn = a_task_set(world, 1, 50.0)
    world.run(60)
    change(world, arn, scale_percent=100.0)
    world.settle()
    assert len(world.tasks) == 10
    assert row_of(world, arn).stability_status == "STABILIZING"
    world.run(60)
    assert row_of(world, arn).stability_status == "STEADY_STATE"
    change(world, arn, scale_percent=30.0)
    world.settle()
    assert len(world.tasks) == 3


def test_service_when_it_has_no_task_set_then_it_is_in_no_steady_state():
    world = World()
    a_service(world)
    world.run(60)
    assert (world.events(), world.service.steady_since) == ([], None)
    arn = a_task_set(world, 1, 10.0)
    world.run(60)
    assert world.service.steady_since is not None
    change(world, arn, status="DRAINING", scale_percent=0.0)
    world.run(60)
    assert world.service.steady_since is None
    assert len(world.events("(service web) has reached a steady state.")) == 1


def test_task_set_when_its_share_changes_then_events_name_it():
    world = World()
    a_service(world, desired=1)
    arn = a_task_set(world, 1, 100.0)
    world.run(60)
    first = world.tasks[0].id
    change(world, arn, scale_percent=0.0)
    world.settle()
    assert world.events() == [
        f"(service web, taskSet ecs-svc/1) has started 1 tasks: (task {first}).",
        "(service web, taskSet ecs-svc/1) updated state to STEADY_STATE.",
        "(service web) has reached a steady state.",
        "(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 0.",
        f"(service web, taskSet ecs-svc/1) has stopped 1 running tasks: (task {first}).",
        "(service web, taskSet ecs-svc/1) updated state to STEADY_STATE.",
        "(service web) has reached a steady state.",
    ]


def test_task_set_when_draining_then_it_goes_with_its_last_task():
    world = World()
    a_service(world)
    arn = a_task_set(world, 1, 100.0)
    world.run(60)
    change(world, arn, status="DRAINING", scale_percent=0.0)
    world.settle()
    assert row_of(world, arn) is not None
    world.run(5)
    assert row_of(world, arn) is None
    assert not world.live


def test_task_set_when_a_task_dies_then_it_is_replaced():
    world = World()
    a_service(world, desired=2)
    a_task_set(world, 1, 100.0)
    world.run(60)
    world.end_task(world.tasks[0])
    world.settle()
    assert len(world.tasks) == 2


def test_task_set_when_behind_a_load_balancer_then_it_is_steady_only_while_its_targets_are_healthy():
    world = World()
    a_service(world, desired=2)
    entry = shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80)
    arn = a_task_set(world, 1, 100.0, load_balancers=(entry,))
    world.run(60)
    assert row_of(world, arn).stability_status == "STABILIZING", "no target is registered"
    for task in world.tasks:
        world.target(task, "healthy")
    world.settle()
    assert row_of(world, arn).stability_status == "STEADY_STATE"
    bad = world.tasks[0]
    world.target(bad, "unhealthy")
    world.settle()
    assert row_of(world, arn).stability_status == "STABILIZING"
    assert len(world.tasks) == 3, "its replacement comes first"
    world.run(5)
    for task in world.tasks:
        world.target(task, "unhealthy" if task.arn == bad.arn else "healthy")
    world.settle()
    assert bad.arn not in {task.arn for task in world.tasks}


def test_task_set_when_its_tasks_do_not_start_then_they_are_tried_less_and_less_often():
    world = World()
    world.on_start = lambda task: "STOPPED"
    a_service(world, desired=1)
    arn = a_task_set(world, 1, 100.0)
    world.run(600)
    assert 4 <= len(world.store.read.tasks) <= 8
    assert row_of(world, arn).start_failures >= 4
    assert len(world.events("is unable to consistently start tasks successfully.")) == 1
    world.on_start = lambda task: "RUNNING"
    world.run(700)
    assert (row_of(world, arn).start_failures, row_of(world, arn).stability_status) == (0, "STEADY_STATE")
