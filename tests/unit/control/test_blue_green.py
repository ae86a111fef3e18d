"""Deployments that shift traffic, with tasks, targets and listener rules, in virtual time."""

import pytest
from msgspec.structs import replace

from homeport.control.served import Served
from homeport.control.service import ServiceReconciler
from homeport.control.stages import SETTLE
from homeport.model.lifecycle_hooks import continued
from homeport.model.load_balancer import default_rule_arn
from homeport.shapes import ecs as shapes
from tests.unit.control.blue_green_world import (
    BLUE,
    GREEN,
    LISTENER,
    PRODUCTION,
    TEST,
    BlueGreenWorld,
    configuration,
    entry,
    forward,
    pause,
)

DAY = 86400.0
BREAKER = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)
PAUSES = ("PRE_SCALE_UP", "POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT")
PLACES = (*PAUSES, "POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME")


def at_stage(stage, **more):
    """A world whose deployment of revision 2 stands at the stage: by a pause there, or because it bakes."""
    world = BlueGreenWorld()
    hooks = () if stage == "BAKE_TIME" else (pause(stage),)
    world.serve(2, configuration(bake=60, hooks=hooks, **more))
    world.deploy(2)
    world.run(60)
    assert world.attempt.stage == stage
    return world


def test_first_deployment_when_it_succeeds_then_it_uses_the_target_group_itself():
    world = BlueGreenWorld()
    world.serve(2)
    world.assert_serves(1, BLUE, 2)


def test_deployments_when_they_succeed_then_the_roles_of_the_groups_are_swapped():
    world = BlueGreenWorld()
    world.serve(2)
    for revision, group in ((2, GREEN), (3, BLUE), (1, GREEN)):
        world.deploy(revision)
        world.run(400)
        assert world.attempt.status == "SUCCESSFUL"
        world.assert_serves(revision, group, 2)


def test_blue_green_when_it_bakes_then_both_revisions_run_in_full_and_green_has_the_traffic():
    world = at_stage("BAKE_TIME")
    assert len(world.revision_tasks(1)) == len(world.revision_tasks(2)) == 2
    assert (world.share(GREEN), world.share(GREEN, TEST)) == (100.0, 100.0)
    assert world.attempt.sources[0].deployment_id == world.attempt.source_deployment_id


def test_blue_green_when_green_scales_up_then_its_group_is_in_the_rule_without_traffic():
    world = at_stage("POST_SCALE_UP")
    groups = world.store.read.rules[PRODUCTION].actions[0]["ForwardConfig"]["TargetGroups"]
    assert {each["TargetGroupArn"]: each["Weight"] for each in groups} == {BLUE: 100, GREEN: 0}
    assert world.share(GREEN, TEST) == 0.0


def test_blue_green_when_test_traffic_was_shifted_then_production_traffic_was_not():
    world = at_stage("POST_TEST_TRAFFIC_SHIFT")
    assert (world.share(GREEN), world.share(GREEN, TEST)) == (0.0, 100.0)


def test_canary_when_its_share_has_a_decimal_then_the_weights_have_it_too():
    world = BlueGreenWorld()
    world.serve(2, configuration("CANARY", step=2.5, step_bake=10, bake=0))
    world.deploy(2)
    world.run(60)
    assert (world.share(GREEN), world.attempt.traffic_percent) == (2.5, 2.5)
    world.run(560)
    assert world.share(GREEN) == 100.0
    world.run(60)
    world.assert_serves(2, GREEN, 2)


def test_linear_when_it_steps_then_traffic_rises_evenly():
    world = BlueGreenWorld()
    world.serve(2, configuration("LINEAR", step=25.0, step_bake=1, bake=0))
    world.deploy(2)
    world.run(300)
    shares = list(dict.fromkeys(share for _, _, _, share, _ in world.seen))
    assert shares == [0.0, 25.0, 50.0, 75.0, 100.0]
    world.assert_serves(2, GREEN, 2)


def test_headless_service_when_it_deploys_blue_green_then_tasks_are_replaced_without_rules():
    world = BlueGreenWorld()
    world.create(2)
    world.change(deployment_configuration=configuration(bake=1))
    world.run(120)
    world.deploy(2)
    world.run(300)
    assert world.attempt.status == "SUCCESSFUL"
    assert len(world.revision_tasks(2)) == len(world.tasks) == 2
    assert world.share(BLUE) == 100.0


def test_default_rule_when_it_is_the_production_rule_then_the_listener_is_shifted():
    world = BlueGreenWorld()
    default = default_rule_arn(LISTENER)
    advanced = replace(entry().advanced_configuration, production_listener_rule=default, test_listener_rule=None)
    world.serve(2, entries=(replace(entry(), advanced_configuration=advanced),))
    world.deploy(2)
    world.run(60)
    groups = world.store.read.listeners[LISTENER].default_actions[0]["ForwardConfig"]["TargetGroups"]
    assert {each["TargetGroupArn"]: each["Weight"] for each in groups} == {BLUE: 0, GREEN: 100}


@pytest.mark.parametrize("stage", PLACES)
def test_rollback_when_it_is_requested_at_a_stage_then_the_service_is_as_before(stage):
    world = at_stage(stage)
    before = [task.arn for task in world.revision_tasks(1)]
    world.request("ROLLBACK_REQUESTED", "Service deployment was rolled back by a user request.")
    world.settle()
    assert world.share(BLUE) == 100.0
    world.run(60)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    world.assert_serves(1, BLUE, 2)
    assert [task.arn for task in world.tasks] == before
    assert world.attempt.rollback_revision_arn == world.primary.revision_arn


@pytest.mark.parametrize("stage", PLACES)
def test_rollback_when_green_had_traffic_then_green_stays_until_traffic_has_settled(stage):
    world = at_stage(stage)
    had_traffic = world.share(GREEN, TEST) > 0
    world.request("ROLLBACK_REQUESTED")
    world.settle()
    assert bool(world.revision_tasks(2)) == had_traffic
    world.run(SETTLE + 1)
    world.run(SETTLE + 1)
    assert not world.revision_tasks(2)


@pytest.mark.parametrize("stage", PLACES)
def test_new_deployment_when_one_is_at_a_stage_then_it_goes_on_from_what_was_in_production(stage):
    world = at_stage(stage)
    interrupted = world.attempt
    world.change(deployment_configuration=configuration(bake=1))
    world.deploy(3)
    world.settle()
    assert world.store.read.service_deployments[interrupted.arn].status == "STOPPED"
    assert world.share(BLUE) == 100.0
    had_traffic = stage not in ("PRE_SCALE_UP", "POST_SCALE_UP")
    assert bool(world.revision_tasks(2)) == had_traffic
    world.run(SETTLE + 1)
    assert not world.revision_tasks(2)
    world.run(200)
    assert world.attempt.status == "SUCCESSFUL"
    world.assert_serves(3, GREEN, 2)


@pytest.mark.parametrize("stage", PLACES)
def test_rolling_deployment_when_one_is_at_a_stage_then_it_replaces_what_was_in_production(stage):
    world = at_stage(stage)
    rolling = shapes.DeploymentConfiguration(strategy="ROLLING", minimum_healthy_percent=100, maximum_percent=200)
    world.deploy(3, deployment_configuration=rolling)
    world.run(60)
    assert world.attempt.status == "SUCCESSFUL"
    world.assert_serves(3, BLUE, 2)


def test_rolling_deployment_when_the_alternate_group_is_in_production_then_it_stays_there():
    world = BlueGreenWorld()
    world.serve(2)
    world.deploy(2)
    world.run(400)
    rolling = shapes.DeploymentConfiguration(strategy="ROLLING", minimum_healthy_percent=100, maximum_percent=200)
    world.deploy(3, deployment_configuration=rolling)
    world.run(60)
    world.assert_serves(3, GREEN, 2)


@pytest.mark.parametrize("stage", PLACES)
def test_service_when_it_is_deleted_at_a_stage_then_it_ends(stage):
    world = at_stage(stage)
    world.change(status="DRAINING", desired_count=0)
    world.run(30)
    assert world.service.status == "INACTIVE"
    assert not world.tasks


@pytest.mark.parametrize("stage", PLACES)
def test_desired_count_when_it_changes_at_a_stage_then_both_revisions_follow(stage):
    world = at_stage(stage)
    world.change(desired_count=4)
    world.run(30)
    assert len(world.revision_tasks(1)) == 4
    assert len(world.revision_tasks(2)) == (0 if stage == "PRE_SCALE_UP" else 4)
    world.change(desired_count=1)
    world.run(30)
    assert len(world.revision_tasks(1)) == 1


@pytest.mark.parametrize("stage", PLACES)
def test_task_when_it_dies_at_a_stage_then_its_own_revision_replaces_it(stage):
    world = at_stage(stage)
    for revision in (1, 2):
        for task in world.revision_tasks(revision):
            world.end_task(task)
    world.run(30)
    assert len(world.revision_tasks(1)) == 2
    assert len(world.revision_tasks(2)) == (0 if stage == "PRE_SCALE_UP" else 2)


def test_breaker_when_green_never_starts_then_the_deployment_rolls_back():
    world = BlueGreenWorld()
    world.serve(2, configuration(breaker=BREAKER))
    world.on_start = lambda task: "FAILED" if task.task_definition_arn.endswith(":2") else "RUNNING"
    world.deploy(2)
    world.run(300)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert world.attempt.breaker_status == "TRIGGERED"
    assert (
        world.attempt.status_reason
        == "Service deployment rolled back because the circuit breaker threshold was exceeded."
    )
    world.assert_serves(1, BLUE, 2)
    assert world.events("deployment failed: tasks failed to start.")


def test_breaker_when_green_has_no_room_then_the_deployment_rolls_back():
    world = BlueGreenWorld(instances=1, cpu=30)
    world.serve(2, configuration(breaker=BREAKER))
    world.deploy(2)
    world.run(60)
    assert len(world.revision_tasks(2)) == 1
    assert world.events("has insufficient CPU units available.")
    world.run(120)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    world.assert_serves(1, BLUE, 2)


def test_breaker_when_greens_targets_fail_then_no_traffic_reaches_them():
    world = BlueGreenWorld()
    world.sick.add("2")
    world.serve(2, configuration(breaker=BREAKER))
    world.deploy(2)
    world.run(300)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert all(share == 0.0 for _, _, _, share, _ in world.seen)
    world.assert_serves(1, BLUE, 2)


def test_green_when_it_never_starts_and_there_is_no_breaker_then_it_rolls_back_after_a_day():
    world = BlueGreenWorld()
    world.serve(2)
    world.sick.add("2")
    world.deploy(2)
    world.run(600)
    assert (world.attempt.status, world.attempt.stage) == ("IN_PROGRESS", "SCALE_UP")
    world.run(DAY, tick=600)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    world.run(60)
    world.assert_serves(1, BLUE, 2)


def test_first_deployment_when_it_fails_then_there_is_nowhere_to_go_back_to():
    world = BlueGreenWorld()
    world.sick.add("1")
    world.create(2, load_balancers=(entry(),))
    world.change(deployment_configuration=configuration(breaker=BREAKER))
    world.begin(world.service)
    world.run(300)
    assert world.attempt.status == "ROLLBACK_FAILED"
    assert world.primary.rollout_state == "FAILED"
    world.deploy(2)
    world.run(400)
    assert world.attempt.status == "SUCCESSFUL"
    assert len(world.revision_tasks(2)) == len(world.tasks) == 2


def test_rule_when_it_is_deleted_during_a_deployment_then_it_rolls_back():
    world = at_stage("POST_SCALE_UP")
    world.update(lambda tx: tx.rules.delete(TEST))
    world.run(60)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert TEST in world.attempt.rollback_reason
    assert world.share(BLUE) == 100.0


def test_rule_when_it_authenticates_or_is_sticky_then_it_still_does():
    world = BlueGreenWorld()
    world.serve(2)
    sticky = {"Enabled": True, "DurationSeconds": 60}
    action = {**forward(BLUE), "Order": 2}
    action["ForwardConfig"] = {**action["ForwardConfig"], "TargetGroupStickinessConfig": sticky}
    oidc = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {}}
    world.update(lambda tx: tx.rules.put(replace(tx.rules[PRODUCTION], actions=(oidc, action))))
    world.deploy(2)
    world.run(60)
    first, second = world.store.read.rules[PRODUCTION].actions
    assert first == oidc
    assert (second["Order"], second["ForwardConfig"]["TargetGroupStickinessConfig"]) == (2, sticky)
    assert world.share(GREEN) == 100.0


def test_traffic_when_the_data_plane_is_behind_then_blue_stays_until_it_has_followed():
    world = BlueGreenWorld()
    world.serve(2, configuration(bake=0))
    served = Served()
    world.reconciler = ServiceReconciler(world.store.read, world.fleet, served=served)
    world.deploy(2)
    world.run(60)
    assert world.attempt.stage == "TEST_TRAFFIC_SHIFT"
    served.through(world.store.version)
    world.run(60)
    assert (world.attempt.stage, world.share(GREEN)) == ("PRODUCTION_TRAFFIC_SHIFT", 100.0)
    assert len(world.revision_tasks(1)) == 2
    served.through(world.store.version)
    world.run(60)
    world.assert_serves(2, GREEN, 2)


def test_pause_when_it_is_continued_then_the_deployment_ends_well():
    world = at_stage("POST_TEST_TRAFFIC_SHIFT")
    world.run(3600, tick=60)
    assert world.attempt.stage == "POST_TEST_TRAFFIC_SHIFT"
    hook_id = world.attempt.hooks[0].id
    world.update(lambda tx: tx.service_deployments.put(continued(world.attempt, hook_id, "CONTINUE", tx.now)))
    world.run(3700, tick=10)
    assert world.attempt.status == "SUCCESSFUL"
    world.assert_serves(2, GREEN, 2)


def test_protected_task_of_blue_when_green_is_done_then_it_stays_and_the_attempt_ends():
    world = at_stage("BAKE_TIME")
    world.put_task(world.revision_tasks(1)[0], protection_enabled=True)
    world.run(3700, tick=10)
    assert (world.attempt.status, world.attempt.stage) == ("IN_PROGRESS", "CLEAN_UP")
    world.run(DAY + 60, tick=600)
    assert world.attempt.status == "SUCCESSFUL"
