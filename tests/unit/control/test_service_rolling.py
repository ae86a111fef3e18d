"""Rolling deployments of a replica service in virtual time, one documented fact a test."""

import pytest

from homeport.model.status import DesiredStatus, StopCode
from tests.unit.control.service_world import World


def test_new_service_when_created_then_its_tasks_start_in_one_round_and_it_becomes_steady():
    world = World()
    world.create(20)
    world.step()
    assert len(world.tasks) == 20
    assert {task.group for task in world.tasks} == {"service:web"}
    assert {task.started_by for task in world.tasks} == {world.primary.id}
    world.run(60)
    assert world.primary.rollout_state == "COMPLETED"
    assert world.primary.rollout_state_reason == f"ECS deployment {world.primary.id} completed."
    assert world.attempt.status == "SUCCESSFUL"
    assert world.events("has reached a steady state.") == ["(service web) has reached a steady state."]


def test_killed_container_when_it_was_running_then_its_task_is_replaced_in_the_same_step():
    world = World()
    world.create(3)
    world.steady()
    world.end_task(world.tasks[0])
    world.step()
    assert len(world.tasks) == 3


def test_update_when_at_100_and_200_percent_then_old_tasks_stop_only_as_new_ones_are_healthy():
    world = World()
    world.define(2)
    world.create(3)
    world.steady()
    world.deploy(2)
    world.settle()
    assert len(world.revision_tasks(1)) == 3
    assert len(world.revision_tasks(2)) == 3
    world.run(30)
    assert len(world.revision_tasks(1)) == 3, "40 seconds have not passed"
    world.run(20)
    assert len(world.revision_tasks(1)) == 0
    assert [each.status for each in world.deployments] == ["PRIMARY"]
    assert world.attempt.status == "SUCCESSFUL"
    assert [each.stop_code for each in world.store.read.tasks if each.is_stopped] == [
        StopCode.SERVICE_SCHEDULER_INITIATED
    ] * 3


def test_update_when_the_maximum_is_100_percent_then_old_tasks_make_room_first():
    world = World()
    world.define(2)
    world.create(4, minimum=50, maximum=100)
    world.steady()
    world.deploy(2)
    world.step()
    assert len(world.revision_tasks(1)) == 2
    world.run(120)
    assert len(world.revision_tasks(2)) == 4
    assert world.primary.rollout_state == "COMPLETED"


@pytest.mark.parametrize("has_cleaned_up", [True, False])
def test_update_when_there_may_be_no_second_copy_then_the_new_task_waits_for_the_old_one_to_end(has_cleaned_up):
    world = World()
    world.define(2)
    world.create(1, minimum=0, maximum=100)
    world.steady()
    (old,) = world.tasks
    world.deploy(2)
    world.settle()
    assert world.tasks == []
    world.clock.instant += 300
    world.settle()
    assert world.tasks == [], "its processes may run"
    if has_cleaned_up:
        world.end_task(old)
    else:
        world.put_task(old, execution_stopped_at=world.now)
    world.settle()
    assert len(world.revision_tasks(2)) == 1


def test_update_when_nothing_may_stop_or_start_then_an_event_says_so_once():
    world = World()
    world.define(2)
    world.create(2, minimum=100, maximum=100)
    world.steady()
    world.deploy(2)
    world.run(600, tick=30)
    assert len(world.events("because of the service deployment configuration")) == 1
    assert len(world.revision_tasks(1)) == 2


def test_update_when_an_old_task_more_than_wanted_stops_then_the_others_are_still_replaced():
    world = World()
    world.define(2)
    world.create(3)
    world.steady()
    draining = world.tasks[0].container_instance_arn
    world.change_instance(draining, status="DRAINING")
    world.settle()
    assert len(world.tasks) == 4, "the replacement starts first"
    world.change_instance(draining, status="ACTIVE")
    world.on_start = lambda task: "STOPPED"
    world.deploy(2)
    world.settle()
    assert len(world.revision_tasks(1)) == 3
    world.end_task(world.revision_tasks(1)[0])
    world.settle()
    assert len(world.revision_tasks(1)) == 3


def test_desired_count_when_raised_amid_a_deployment_that_does_not_work_then_the_old_revision_grows():
    world = World()
    world.define(2)
    world.create(4)
    world.steady()
    world.on_start = lambda task: "STOPPED" if task.task_definition_arn.endswith(":2") else "RUNNING"
    world.deploy(2)
    world.run(30)
    world.change(desired_count=8)
    world.run(60)
    assert len(world.revision_tasks(1)) == 8
    world.on_start = lambda task: "RUNNING"
    world.run(700)
    assert (len(world.revision_tasks(1)), len(world.revision_tasks(2))) == (0, 8)
    assert world.primary.rollout_state == "COMPLETED"


def test_desired_count_when_raised_while_the_last_old_tasks_stop_then_no_more_of_them_start():
    world = World()
    world.define(2)
    world.create(2)
    world.steady()
    world.deploy(2)
    while world.revision_tasks(1):
        world.clock.instant += 1
        world.play_agent()
        world.settle()
    world.change(desired_count=4)
    world.settle()
    assert (len(world.revision_tasks(1)), len(world.revision_tasks(2))) == (0, 4)


def test_desired_count_when_raised_and_lowered_amid_a_deployment_then_it_ends_all_the_same():
    world = World()
    world.define(2)
    world.create(4)
    world.steady()
    world.deploy(2)
    world.settle()
    world.change(desired_count=6)
    world.run(20)
    world.change(desired_count=2)
    world.run(200)
    assert (len(world.revision_tasks(1)), len(world.revision_tasks(2))) == (0, 2)


def test_desired_count_when_lowered_then_surplus_tasks_stop_at_once():
    world = World()
    world.create(6)
    world.steady()
    world.change(desired_count=3)
    world.step()
    assert len(world.tasks) == 3
    assert len({task.availability_zone for task in world.tasks}) == 3
    stopped = [task for task in world.live if task.desired_status is DesiredStatus.STOPPED]
    assert stopped[0].stopped_reason == f"Scaling activity initiated by (deployment {world.primary.id})"


def test_deletion_when_the_service_drains_then_it_is_inactive_after_its_last_task():
    world = World()
    world.create(3)
    world.steady()
    world.change(status="DRAINING", desired_count=0, deleted_at=world.now)
    world.step()
    assert world.service.status == "DRAINING"
    assert not world.tasks
    world.run(2)
    assert world.service.status == "INACTIVE"
    assert not world.deployments
    world.run(3700, tick=100)
    assert world.service is None
