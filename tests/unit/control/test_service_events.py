"""Health checks that fail, and what the service says of that and of everything else, in virtual time."""

import pytest

from homeport.model.service_events import MOST_EVENTS, announce
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import GROUP, World

BALANCER = (shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80),)


def test_container_check_when_it_fails_then_the_replacement_starts_before_the_unhealthy_task_stops():
    world = World()
    world.define(1, health_check=True)
    world.create(2)
    world.run(2)
    for task in world.tasks:
        world.container(task, health_status="HEALTHY")
    world.settle()
    assert world.primary.rollout_state == "COMPLETED"
    sick = world.tasks[0]
    world.container(sick, health_status="UNHEALTHY")
    world.settle()
    assert len(world.tasks) == 3
    world.run(2)
    fresh = world.tasks[-1]
    world.container(fresh, health_status="HEALTHY")
    world.settle()
    assert sick.arn not in {task.arn for task in world.tasks}
    assert world.store.read.tasks[sick.arn].stopped_reason == "Task failed container health checks"
    assert world.events("health checks") == [f"(service web) (task {sick.id}) failed container health checks."]


def test_service_when_its_last_superfluous_task_stops_then_it_says_so_before_that_it_is_steady():
    world = World()
    world.create(2)
    world.steady()
    world.change(desired_count=1)
    world.settle()
    *_, stopped, steady = world.events()
    assert "has stopped 1 running tasks" in stopped
    assert steady == "(service web) has reached a steady state."


def test_load_balancer_when_targets_are_initial_then_tasks_do_not_count_as_healthy():
    world = World()
    world.create(2, load_balancers=BALANCER)
    world.run(100)
    assert world.primary.rollout_state == "IN_PROGRESS"
    for task in world.tasks:
        world.target(task, "initial")
    world.settle()
    assert world.primary.rollout_state == "IN_PROGRESS"
    for task in world.tasks:
        world.target(task, "healthy")
    world.settle()
    assert world.primary.rollout_state == "COMPLETED"


@pytest.mark.parametrize("state", ["unhealthy", "unhealthy.draining"])
def test_load_balancer_when_a_target_is_unhealthy_then_the_event_and_the_reason_name_its_group(state):
    world = World()
    world.create(1, load_balancers=BALANCER)
    world.run(2)
    world.target(world.tasks[0], "healthy")
    world.settle()
    sick = world.tasks[0]
    world.target(sick, state, description="Health checks failed with these codes: [500]")
    world.run(2)
    world.target(world.tasks[-1], "healthy")
    world.settle()
    assert world.store.read.tasks[sick.arn].stopped_reason == f"Task failed ELB health checks in (target-group {GROUP})"
    assert world.events(
        f"(task {sick.id}) (instance i-1) (port 80) is unhealthy in (target-group {GROUP}) due to (reason Health"
    )


def test_grace_period_when_not_over_then_failed_checks_are_not_believed():
    world = World()
    world.create(1, load_balancers=BALANCER, health_check_grace_period_seconds=60)
    world.run(2)
    task = world.tasks[0]
    world.target(task, "unhealthy")
    world.run(50)
    assert [each.arn for each in world.tasks] == [task.arn]
    world.run(20)
    assert len(world.tasks) == 2, "now a replacement is started"


def test_events_when_there_are_more_than_100_then_the_newest_are_kept():
    world = World()
    world.create(0)
    for number in range(MOST_EVENTS + 30):
        world.clock.instant += 1
        world.update(lambda tx, number=number: announce(tx, world.service, f"said {number}."))
    events = world.events()
    assert len(events) == MOST_EVENTS
    assert events[-1] == f"(service web) said {MOST_EVENTS + 29}."


def test_events_when_said_in_one_step_then_their_keys_keep_the_order():
    world = World()
    world.create(1)
    world.steady()
    rows = sorted(world.store.read.service_events, key=lambda row: row.key)
    assert [row.message.split(") ")[-1] for row in rows][-2:] == [
        "deployment completed.",
        "has reached a steady state.",
    ]


def test_steady_state_when_it_lasts_then_the_event_is_repeated_after_six_hours():
    world = World()
    world.create(1)
    world.run(60)
    assert len(world.events("steady state")) == 1
    world.run(6 * 3600, tick=300)
    assert len(world.events("steady state")) == 2


def test_events_when_tasks_stop_that_never_ran_then_they_are_told_apart():
    world = World(start_time=None)
    world.create(3)
    world.settle()
    world.run_task(world.tasks[0])
    world.change(desired_count=0)
    world.settle()
    assert len(world.events("(service web) has stopped 1 running tasks: (task ")) == 1
    assert world.events("pending") == ["(service web) stopped 2 pending tasks."]


def test_events_when_new_tasks_replace_unhealthy_ones_then_the_start_says_so():
    world = World()
    world.create(2, load_balancers=BALANCER)
    world.run(2)
    for task in world.tasks:
        world.target(task, "healthy")
    world.settle()
    world.target(world.tasks[0], "unhealthy")
    world.change(desired_count=3)
    world.settle()
    (event,) = world.events("has started 2 tasks: (task ")[1:]
    assert event.endswith("). Amazon ECS replaced 1 tasks due to an unhealthy status.")


def test_events_when_lost_tasks_are_started_again_then_nothing_was_replaced():
    world = World()
    world.create(2)
    world.steady()
    world.end_task(world.tasks[0])
    world.settle()
    assert not world.events("unhealthy")
