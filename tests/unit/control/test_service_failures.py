"""Starts that fail, deployments that fail, room that lacks: what the service scheduler does, in virtual time."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import GROUP, World

BALANCER = (shapes.LoadBalancer(target_group_arn=GROUP, container_name="main", container_port=80),)
BREAKER = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)


def breaker(**more):
    return shapes.DeploymentCircuitBreaker(**({"enable": True, "rollback": False} | more))


def failing_revision(number):
    """An agent on which tasks of this revision never start."""
    return lambda task: "STOPPED" if task.task_definition_arn.endswith(f":{number}") else "RUNNING"


def starts(world):
    return len(world.store.read.tasks)


def test_starts_when_they_fail_then_the_wait_doubles_from_10_seconds_to_27_minutes():
    world = World()
    world.on_start = lambda task: "STOPPED"
    world.create(1)
    times, seen = [], 0
    for _ in range(7000):
        world.run(1)
        if starts(world) > seen:
            times.append(world.now)
            seen = starts(world)
    gaps = [round(after - before) for before, after in pairwise(times)]
    assert gaps[1:4] == [21, 41, 81]
    assert gaps[0] in (10, 11)
    assert max(gaps) <= 27 * 60 + 2
    assert gaps[-1] >= 27 * 60
    message = "(service web) is unable to consistently start tasks successfully."
    assert len(world.events(message)) == 1


def test_starts_when_a_task_runs_then_failures_are_forgotten():
    world = World()
    world.on_start = lambda task: "STOPPED"
    world.create(1)
    world.run(100)
    assert world.primary.start_failures >= 2
    world.on_start = lambda task: "RUNNING"
    world.run(100)
    assert world.primary.start_failures == 0
    assert world.primary.start_after is None


def test_starts_when_a_new_task_definition_comes_then_it_starts_at_once():
    world = World()
    world.define(2)
    world.on_start = failing_revision(1)
    world.create(2)
    world.run(400)
    world.deploy(2)
    world.settle()
    assert len(world.revision_tasks(2)) == 2


def test_troubles_when_the_service_is_steady_again_then_they_are_forgotten():
    world = World()
    world.define(2)
    world.on_start = failing_revision(1)
    world.create(2)
    world.run(400)
    assert "starts" in world.service.told
    world.deploy(2)
    world.steady()
    assert world.service.told == {}


def test_starts_when_tasks_end_after_running_then_nothing_is_held_back():
    world = World()
    world.create(1)
    for _ in range(5):
        world.run(3)
        world.end_task(world.tasks[0])
    assert world.primary.start_failures == 0
    world.settle()
    assert len(world.tasks) == 1


def test_starts_when_containers_exit_at_once_after_running_then_restarts_become_rarer():
    world = World(start_time=0.2)
    world.create(1)
    for _ in range(1200):
        world.run(0.5, tick=0.5)
        for task in world.tasks:
            if task.started_at is not None:
                world.container(task, exit_code=1)
                world.end_task(world.store.read.tasks[task.arn])
    assert 30 <= starts(world) <= 60, "about four a minute"


def test_starts_when_containers_are_killed_soon_after_running_then_they_are_replaced_at_once():
    world = World()
    world.create(1)
    for _ in range(8):
        world.run(1)
        task = world.tasks[0]
        world.container(task, exit_code=137)
        world.end_task(world.store.read.tasks[task.arn])
        world.settle()
        assert len(world.tasks) == 1


@pytest.mark.parametrize(("desired", "failures"), [(1, 3), (8, 4)])
def test_breaker_when_as_many_tasks_as_its_threshold_failed_then_the_deployment_fails_and_nothing_starts(
    desired, failures
):
    world = World()
    world.on_start = lambda task: "STOPPED"
    world.create(desired, breaker=breaker())
    world.run(300)
    assert world.primary.rollout_state == "FAILED"
    assert world.primary.failed_tasks >= failures
    assert world.primary.rollout_state_reason.startswith("ECS deployment circuit breaker: tasks failed to start")
    assert world.attempt.status == "STOPPED"
    assert world.attempt.breaker_status == "TRIGGERED"
    assert world.events("deployment failed: tasks failed to start.")
    before = starts(world)
    world.run(3600, tick=60)
    assert starts(world) == before


def test_breaker_when_it_rolls_back_then_the_newest_completed_deployment_is_in_progress_and_completes():
    world = World()
    world.define(2)
    world.create(3, breaker=BREAKER)
    world.steady()
    first = world.primary
    world.on_start = failing_revision(2)
    world.deploy(2)
    for _ in range(200):
        world.run(1)
        assert len(world.revision_tasks(1)) == 3, "the old tasks are not touched"
        if world.attempt.status == "ROLLBACK_IN_PROGRESS":
            break
    assert world.attempt.rollback_deployment_id == first.id
    world.run(10)
    assert world.primary.id == first.id
    assert world.service.task_definition_arn.endswith("web:1")
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert world.primary.rollout_state == "COMPLETED"
    assert [each.status for each in world.deployments] == ["PRIMARY"]


def test_breaker_when_there_is_nothing_to_go_back_to_then_the_rollback_fails():
    world = World()
    world.on_start = lambda task: "STOPPED"
    world.create(1, breaker=BREAKER)
    world.run(200)
    assert world.attempt.status == "ROLLBACK_FAILED"
    assert world.primary.rollout_state == "FAILED"


def test_breaker_when_not_enabled_then_the_deployment_goes_on_for_ever():
    world = World()
    world.on_start = lambda task: "STOPPED"
    world.create(1)
    world.run(3000, tick=5)
    assert world.primary.rollout_state == "IN_PROGRESS"
    assert world.primary.failed_tasks > 3


@pytest.mark.parametrize(("resets", "state"), [(True, "IN_PROGRESS"), (False, "FAILED")])
def test_breaker_when_healthy_tasks_come_between_failures_then_it_counts_on_only_if_told_to(resets, state):
    world = World(start_time=None)
    world.create(6, breaker=breaker(reset_on_healthy_task=resets))
    world.settle()
    for _ in range(3):
        pending = [task for task in world.tasks if task.started_at is None]
        world.run_task(pending[0])
        world.settle()
        world.fail_task(pending[1])
        world.settle()
        world.clock.instant += 100
        world.settle()
    assert world.primary.rollout_state == state


def test_breaker_when_health_checks_fail_after_tasks_ran_then_they_count():
    world = World()
    world.create(1, breaker=breaker(), load_balancers=BALANCER)
    for _ in range(3):
        world.run(3)
        for task in world.tasks:
            world.target(task, "unhealthy", reason="Target.FailedHealthChecks", description="Health checks failed")
    world.run(3)
    for task in world.tasks:
        world.target(task, "unhealthy")
    world.settle()
    for _ in range(5):
        world.run(3)
        for task in world.tasks:
            world.target(task, "unhealthy")
    assert world.primary.rollout_state == "FAILED"


def test_breaker_when_tasks_find_no_room_then_they_are_failures_and_it_rolls_back():
    world = World(instances=2, cpu=100)
    world.define(2, cpu=101)
    world.create(2, breaker=BREAKER)
    world.steady()
    first = world.primary.id
    world.deploy(2)
    world.run(29)
    assert world.primary.failed_tasks == 0
    world.run(2)
    assert world.primary.failed_tasks == 2
    world.run(29)
    assert world.primary.id == first
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert len(world.revision_tasks(1)) == 2
    assert world.events("deployment failed: tasks failed to start.")


def test_breaker_when_room_is_found_in_time_then_nothing_has_failed():
    world = World(instances=1, cpu=20)
    world.create(4, breaker=BREAKER)
    world.run(25)
    world.add_instance(7, cpu=20)
    world.run(100)
    assert (world.primary.failed_tasks, world.primary.rollout_state) == (0, "COMPLETED")
    assert world.primary.unplaced_since is None


def test_breaker_when_not_enabled_then_tasks_without_room_are_counted_and_waited_for():
    world = World(instances=0)
    world.create(1)
    world.run(1000, tick=5)
    assert (world.primary.failed_tasks, world.primary.rollout_state) == (33, "IN_PROGRESS")
    world.add_instance(0)
    world.run(100)
    assert (world.primary.failed_tasks, world.primary.rollout_state) == (0, "COMPLETED")


@pytest.mark.parametrize(("given", "tried"), [(BREAKER, 3), (None, 23)])
def test_breaker_when_three_tasks_could_not_tell_what_the_image_is_then_the_deployment_fails(given, tried):
    world = World(image="registry:5000/nothing:1")
    world.on_start = lambda task: "STOPPED"
    world.create(20, breaker=given)
    world.run(100)
    assert starts(world) == tried
    assert world.primary.rollout_state == ("IN_PROGRESS" if given is None else "FAILED")


def test_stop_request_when_a_newer_deployment_begins_then_the_former_attempt_is_stopped():
    world = World(start_time=None)
    world.define(2)
    world.create(1)
    world.settle()
    first = world.attempt
    world.deploy(2)
    world.settle()
    row = world.store.read.service_deployments[first.arn]
    assert row.status == "STOPPED"
    assert row.stopped_at is not None
    assert world.attempt.status == "IN_PROGRESS"


def test_rollback_request_when_made_during_a_deployment_then_the_completed_one_takes_over():
    world = World()
    world.define(2)
    world.create(2)
    world.steady()
    first = world.primary
    world.deploy(2)
    world.settle()
    asked = replace(world.attempt, status="ROLLBACK_REQUESTED")
    world.update(lambda tx: tx.service_deployments.put(asked))
    world.step()
    assert world.primary.id == first.id
    assert world.primary.rollout_state_reason == f"ECS deployment {first.id} in progress."
    world.run(60)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert len(world.revision_tasks(1)) == 2
    assert not world.revision_tasks(2)


def test_room_when_it_lacks_then_one_event_says_where_it_is_closest_and_the_task_starts_when_there_is_some():
    world = World(instances=1, cpu=1000)
    world.define(1, cpu=600)
    world.create(2)
    world.run(60)
    assert len(world.tasks) == 1
    instance_id = world.instances()[0].rsplit("/", 1)[1]
    (event,) = world.events("was unable to place a task")
    assert f"(container-instance {instance_id}) has insufficient CPU units available." in event
    assert world.step().backoff
    world.add_instance(5, cpu=1000)
    world.settle()
    assert len(world.tasks) == 2


def test_room_when_it_lacks_for_long_then_the_event_is_repeated_after_six_hours():
    world = World(instances=1, cpu=1000)
    world.define(1, cpu=600)
    world.create(2)
    world.run(6 * 3600 + 600, tick=300)
    assert len(world.events("was unable to place a task")) == 2


def test_room_when_there_is_no_instance_then_the_event_says_so():
    world = World(instances=0)
    world.create(2)
    world.run(60)
    assert len(world.events("No Container Instances were found in your cluster.")) == 1


def test_waiting_service_when_another_service_frees_room_then_it_is_woken():
    world = World(instances=1, cpu=1000)
    world.define(1, cpu=600)
    world.create(2)
    world.settle()
    task = world.tasks[0]
    world.end_task(task)
    stopped = world.store.read.tasks[task.arn]
    assert world.service.arn in list(world.reconciler.wakes["task"](stopped))
