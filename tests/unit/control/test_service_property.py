"""A service under random updates, crashes, drains and losses: floor and ceiling hold, and calm brings the desired state.

Each step of the scheduler is watched: what it starts must fit under the ceiling, what it stops must leave enough
healthy tasks. After the storm the service must be steady on its newest (or rolled back) revision.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.control.health import judge
from homeport.control.rollout import Condition, limits_of
from homeport.control.service_round import begin_round
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.task_report import ended_task
from homeport.shapes import ecs as shapes
from tests.unit.control.service_world import World

BREAKER = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)


class Watched(World):
    """Checks floor and ceiling at every step."""

    def step(self):
        before = self._counts()
        wake = super().step()
        self._check(before)
        return wake

    def _counts(self):
        """(tasks that are to run, ARNs of the healthy ones), or None if there is nothing to hold the scheduler to."""
        if self.service is None:
            return None
        round_ = begin_round(self.store.look(), self.fleet, self.service, self.now)
        healthy = set()
        for task in round_.kept:
            if judge(task, (), 0, 0.0, self.now).condition is Condition.HEALTHY:
                healthy.add(task.arn)
        return {task.arn for task in round_.kept}, healthy

    def _check(self, before):
        kept, healthy = before
        limits = limits_of(self.service.deployment_configuration, self.service.desired_count)
        now_kept = {task.arn for task in self.tasks}
        if now_kept - kept:
            stopping = [task for task in self.live if task.arn not in now_kept | kept]
            assert len(now_kept) + len(stopping) <= max(limits.ceiling, 0), "started above the ceiling"
        stopped = {
            arn for arn in healthy - now_kept if self.store.read.tasks[arn].desired_status is DesiredStatus.STOPPED
        }
        if stopped:
            assert len(healthy) - len(stopped) >= limits.floor, "stopped below the floor"


def storm(world, rng, rounds):
    revision = 1
    for _ in range(rounds):
        world.clock.instant += rng.choice((0.5, 3.0, 20.0, 45.0))
        dice = rng.random()
        if dice < 0.08:
            revision += 1
            world.define(revision)
            world.deploy(revision)
        elif dice < 0.16:
            world.change(desired_count=rng.randrange(8))
        elif dice < 0.3 and world.live:
            world.end_task(rng.choice(world.live))
        elif dice < 0.36:
            arn = rng.choice(world.instances())
            status = rng.choice(("DRAINING", "ACTIVE", "ACTIVE"))
            world.change_instance(arn, status=status)
        elif dice < 0.4:
            lose(world, rng.choice(world.instances()))
        for task in world.live:
            agent(world, task, rng)
        if rng.random() < 0.7:
            world.settle()
    return revision


def agent(world, task, rng):
    if rng.random() < 0.4:
        return
    if task.desired_status is DesiredStatus.STOPPED:
        world.end_task(task)
    elif task.last_status is TaskStatus.PENDING:
        if rng.random() < 0.2:
            world.fail_task(task)
        else:
            world.run_task(task)


def lose(world, arn):
    """All tasks of the instance end, as `control.instance` has them end."""

    def change(tx):
        for task in tx.tasks.by(live_on=arn):
            tx.tasks.put(ended_task(task, StopCode.TERMINATION_NOTICE, "Host EC2 (instance i) terminated.", tx.now))

    world.update(change)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    minimum=st.sampled_from((0, 30, 50, 100)),
    maximum=st.sampled_from((150, 200, 250)),
    has_breaker=st.booleans(),
)
def test_service_when_shaken_then_limits_hold_and_calm_makes_it_steady(seed, minimum, maximum, has_breaker):
    rng = random.Random(seed)
    world = Watched(instances=4)
    world.create(4, minimum=minimum, maximum=maximum, breaker=BREAKER if has_breaker else None)
    storm(world, rng, 60)
    for arn in world.instances():
        world.change_instance(arn, status="ACTIVE")
    world.change(desired_count=4)
    if world.primary.rollout_state == "FAILED":
        world.define(99)
        world.deploy(99)
    world.run(3600, tick=20)
    assert len(world.tasks) == 4
    assert {task.started_by for task in world.tasks} == {world.primary.id}
    assert world.service.steady_since is not None
    assert [each.status for each in world.deployments] == ["PRIMARY"]
    assert world.primary.rollout_state == "COMPLETED"
    open_attempts = [row.status for row in world.store.read.service_deployments if row.finished_at is None]
    assert open_attempts == []


@pytest.mark.parametrize("seed", range(5))
def test_service_when_deleted_amid_a_storm_then_it_is_inactive_and_nothing_is_left(seed):
    rng = random.Random(seed)
    world = World(instances=4)
    world.create(4)
    storm(world, rng, 30)
    world.update(lambda tx: tx.services.put(replace(world.service, status="DRAINING", desired_count=0)))
    world.run(60)
    assert world.service.status == "INACTIVE"
    assert not world.live
