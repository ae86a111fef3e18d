"""Whatever happens to a service that shifts traffic, it ends on one revision with all traffic."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.model.deployment import ENDED
from homeport.model.status import DesiredStatus
from homeport.shapes import ecs as shapes
from tests.unit.control.blue_green_world import BLUE, GREEN, BlueGreenWorld, configuration, pause
from tests.unit.control.service_world import SERVICE

BREAKER = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)
PAUSES = ("PRE_SCALE_UP", "POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT")
EVENTS = (
    "wait",
    "wait",
    "deploy",
    "rollback",
    "stop",
    "kill",
    "scale",
    "sick",
    "well",
    "continue",
    "fail hook",
    "rolling",
)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(["BLUE_GREEN", "LINEAR", "CANARY"]))
def test_service_when_anything_happens_then_it_ends_on_one_revision_with_all_traffic(seed, strategy):
    rng = random.Random(seed)
    world = BlueGreenWorld()
    hooks = (pause(rng.choice(PAUSES), minutes=10, action=rng.choice([None, "CONTINUE"])),)
    config = configuration(strategy, bake=rng.choice([0, 2]), step=50.0, step_bake=1, breaker=BREAKER, hooks=hooks)
    world.serve(2, config)
    world.deploy(2)
    for _ in range(rng.randrange(3, 14)):
        _let_happen(world, rng, config)
    world.sick.clear()
    for _ in range(60):
        world.run(60, tick=5)
        if world.attempt.status in ENDED and len(world.deployments) == 1:
            break
    world.run(60, tick=5)
    assert world.attempt.status in ENDED
    if world.attempt.status == "ROLLBACK_FAILED" and not world.attempt.shifts_traffic:
        return  # A rolling deployment that fails stalls, as ECS's do.
    assert [row.status for row in world.deployments] == ["PRIMARY"]
    revision = world.service.task_definition_arn.rsplit(":", 1)[1]
    group = BLUE if world.share(BLUE) == 100.0 else GREEN
    world.assert_serves(int(revision), group, world.service.desired_count)


def _let_happen(world, rng, config):
    attempt = world.attempt
    match rng.choice(EVENTS):
        case "wait":
            world.run(rng.choice([1, 5, 60, 700]), tick=5)
        case "deploy":
            world.deploy(rng.choice([1, 2, 3]), deployment_configuration=config)
        case "rolling":
            world.deploy(rng.choice([1, 2, 3]), deployment_configuration=replace(config, strategy="ROLLING"))
        case "rollback" | "stop" as what:
            if attempt.status in ("PENDING", "IN_PROGRESS") and attempt.shifts_traffic:
                world.request("ROLLBACK_REQUESTED" if what == "rollback" else "STOP_REQUESTED")
        case "kill":
            for task in rng.sample(world.tasks, min(1, len(world.tasks))):
                world.end_task(task)
        case "scale":
            world.change(desired_count=rng.randrange(0, 4))
        case "sick":
            world.sick.add(rng.choice("23"))
        case "well":
            world.sick.clear()
        case "continue" | "fail hook" as what:
            if attempt.hooks and attempt.hooks[0].status == "AWAITING_ACTION":
                world.hook(status="SUCCEEDED" if what == "continue" else "FAILED")
    world.settle()
    assert world.share(BLUE) + world.share(GREEN) == pytest.approx(100.0)
    assert all(task.desired_status is DesiredStatus.RUNNING for task in world.tasks)
    assert world.store.read.services.get(SERVICE) is not None
