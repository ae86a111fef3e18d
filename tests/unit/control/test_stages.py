"""The machine of lifecycle stages: every stage in order, every fault at every stage, and that it always ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.control.stages import (
    DEPLOYMENT_LIMIT,
    LONGEST_SETTLE,
    PATIENCE,
    SETTLE,
    STAGE_LIMIT,
    plan_blue_green,
    steps_of,
    wanted,
)
from homeport.model import lifecycle_hooks as hooks
from homeport.model.deployment import ENDED
from homeport.model.rules.deployment_configuration import step_bake
from homeport.shapes import ecs as shapes
from tests.unit.control.blue_green_world import configuration, lambda_hook, pause
from tests.unit.control.stages_machine import HOOK_STAGES, PAUSABLE, Machine

ALL_HOOKS = (lambda_hook(*HOOK_STAGES),)


def stages_of(machine):
    return [stage for stage, _ in machine.entered]


def test_stages_when_all_goes_well_then_they_come_in_order():
    machine = Machine(configuration(hooks=(lambda_hook(*HOOK_STAGES),), bake=5))
    machine.go_on("SUCCESSFUL")
    assert stages_of(machine) == [
        "PRE_SCALE_UP",
        "SCALE_UP",
        "POST_SCALE_UP",
        "TEST_TRAFFIC_SHIFT",
        "POST_TEST_TRAFFIC_SHIFT",
        "PRE_PRODUCTION_TRAFFIC_SHIFT",
        "PRODUCTION_TRAFFIC_SHIFT",
        "POST_PRODUCTION_TRAFFIC_SHIFT",
        "BAKE_TIME",
        "CLEAN_UP",
    ]
    assert (machine.attempt.traffic_percent, machine.attempt.test_traffic_percent) == (100.0, 100.0)


def test_stages_when_another_revision_still_runs_then_it_is_reconciled_first():
    machine = Machine(configuration(), others=3)
    machine.stuck = True
    machine.look()
    assert machine.attempt.stage == "RECONCILE_SERVICE"
    machine.now += STAGE_LIMIT - 1
    machine.look()
    assert machine.attempt.stage == "RECONCILE_SERVICE"
    machine.others = 0
    machine.look()
    assert machine.attempt.stage == "SCALE_UP"


def test_linear_when_steps_divide_a_hundred_then_the_shift_stages_recur_with_each():
    config = configuration("LINEAR", step=25.0, step_bake=3, hooks=ALL_HOOKS)
    machine = Machine(config)
    machine.go_on("BAKE_TIME")
    shifts = [look for look in machine.entered if look[0] in HOOK_STAGES[4:6]]
    assert shifts == [(stage, step) for step in range(4) for stage in HOOK_STAGES[4:6]]


def test_linear_when_a_step_is_baked_then_it_takes_its_time_and_the_last_does_not():
    machine = Machine(configuration("LINEAR", step=50.0, step_bake=3, bake=0))
    machine.go_on("PRODUCTION_TRAFFIC_SHIFT")
    assert (machine.attempt.traffic_percent, machine.at) == (50.0, machine.now + 180)
    machine.now += 179
    machine.look()
    assert machine.attempt.traffic_percent == 50.0
    machine.now += 1
    machine.look()
    assert (machine.attempt.traffic_percent, machine.at) == (100.0, machine.now + SETTLE)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (configuration("LINEAR", step=10.0), (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)),
        (configuration("LINEAR", step=33.3), (33.3, 66.6, 99.9, 100.0)),
        (configuration("LINEAR", step=40.0), (40.0, 80.0, 100.0)),
        (configuration("LINEAR", step=100.0), (100.0,)),
        (configuration("CANARY", step=0.1), (0.1, 100.0)),
        (configuration("CANARY", step=100.0), (100.0,)),
        (configuration("BLUE_GREEN"), (100.0,)),
    ],
)
def test_steps_of_each_strategy_end_at_a_hundred(config, expected):
    assert steps_of(config, has_blue=True) == expected
    assert steps_of(config, has_blue=False) == (100.0,)


def test_step_bake_when_nothing_is_configured_then_linear_six_and_canary_ten_minutes():
    assert step_bake(shapes.DeploymentConfiguration(strategy="LINEAR")) == 360.0
    assert step_bake(shapes.DeploymentConfiguration(strategy="CANARY")) == 600.0
    assert step_bake(shapes.DeploymentConfiguration(strategy="BLUE_GREEN")) == 0.0


def test_first_deployment_when_there_is_no_blue_then_it_shifts_at_once_and_does_not_bake():
    machine = Machine(configuration("CANARY", step=5.0, step_bake=10, bake=1000), has_blue=False)
    begun = machine.now
    machine.go_on("SUCCESSFUL")
    assert machine.now - begun < 60


AT_STAGES = (*HOOK_STAGES, "BAKE_TIME")
FAULTS = ("hook", "breaker", "request", "stop", "time-out")


@pytest.mark.parametrize("stage", AT_STAGES)
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_when_it_comes_at_a_stage_then_production_traffic_goes_back_first(stage, fault):
    hooked = (lambda_hook(stage),) if stage != "BAKE_TIME" else ()
    machine = Machine(configuration(hooks=hooked, bake=5))
    machine.go_on(stage)
    shifted = machine.attempt.traffic_percent
    if fault in ("hook", "time-out") and stage == "BAKE_TIME":
        return
    if fault == "hook":
        machine.answer("FAILED")
    elif fault == "time-out":
        machine.now = hooks.open_until(machine.attempt)
    elif fault in ("request", "stop"):
        status = "ROLLBACK_REQUESTED" if fault == "request" else "STOP_REQUESTED"
        machine.attempt = replace(machine.attempt, status=status)
    machine.look("the breaker has tripped" if fault == "breaker" else "")
    assert machine.attempt.status in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL")
    assert machine.attempt.traffic_percent == 0.0
    if shifted:
        assert machine.attempt.stage == "PRODUCTION_TRAFFIC_SHIFT"
        assert wanted(machine.attempt, 2).green == 2
    machine.go_on("ROLLBACK_SUCCESSFUL")
    assert (machine.attempt.traffic_percent, machine.attempt.test_traffic_percent) == (0.0, 0.0)
    assert (machine.green, machine.blue) == (0, 2)
    assert machine.attempt.rollback_reason and machine.attempt.rollback_started_at is not None


def test_rollback_when_traffic_was_shifted_then_its_hooks_are_called_again():
    machine = Machine(configuration(hooks=(lambda_hook("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"),)))
    machine.go_on("BAKE_TIME")
    machine.attempt = replace(machine.attempt, status="ROLLBACK_REQUESTED")
    machine.look()
    assert [state.stage for state in machine.attempt.hooks] == ["PRODUCTION_TRAFFIC_SHIFT"]
    assert machine.attempt.test_traffic_percent == 100.0
    machine.answer("FAILED")
    machine.look()
    machine.wait()
    machine.look()
    assert [state.stage for state in machine.attempt.hooks] == ["TEST_TRAFFIC_SHIFT"]
    machine.go_on("ROLLBACK_SUCCESSFUL")


def test_rollback_when_there_is_no_blue_then_it_fails_and_green_keeps_the_traffic():
    machine = Machine(configuration(), has_blue=False)
    machine.look("the breaker has tripped")
    machine.look("the breaker has tripped")
    assert machine.attempt.status == "ROLLBACK_FAILED"
    assert machine.attempt.traffic_percent == 100.0
    assert "no earlier service revision" in machine.attempt.status_reason


def test_rollback_when_blue_has_no_healthy_task_then_it_gets_a_minute_to_come_back():
    machine = Machine(configuration())
    machine.go_on("BAKE_TIME")
    machine.stuck, machine.blue = True, 0
    machine.attempt = replace(machine.attempt, status="ROLLBACK_REQUESTED")
    machine.look()
    assert (machine.attempt.traffic_percent, machine.at) == (100.0, machine.now + PATIENCE)
    machine.blue = 1
    machine.look()
    assert machine.attempt.traffic_percent == 0.0


def test_shift_when_green_is_not_well_any_more_then_it_waits():
    machine = Machine(configuration(hooks=(pause("PRE_PRODUCTION_TRAFFIC_SHIFT"),)))
    machine.go_on("PRE_PRODUCTION_TRAFFIC_SHIFT")
    machine.stuck, machine.green = True, 1
    machine.answer("SUCCEEDED")
    machine.look()
    assert (machine.attempt.traffic_percent, machine.at) == (0.0, machine.now + STAGE_LIMIT)
    machine.green = 2
    machine.look()
    assert machine.attempt.traffic_percent == 100.0


@pytest.mark.parametrize("stage", ["TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"])
def test_shift_when_the_data_plane_has_not_followed_then_the_stage_waits_for_it(stage):
    machine = Machine(configuration())
    machine.go_on(stage)
    machine.now += 10 * SETTLE
    behind = machine.facts()._replace(is_served=False)
    outcome = plan_blue_green(machine.attempt, behind, str, machine.now)
    assert outcome.attempt == machine.attempt
    machine.go_on("SUCCESSFUL")


def test_rollback_when_the_data_plane_does_not_follow_then_green_stays_for_ten_minutes():
    machine = Machine(configuration())
    machine.go_on("BAKE_TIME")
    machine.attempt = replace(machine.attempt, status="ROLLBACK_REQUESTED")
    behind = machine.facts()._replace(is_served=False)
    for later in (0.0, 10 * SETTLE):
        outcome = plan_blue_green(machine.attempt, behind, str, machine.now + later)
        machine.attempt = outcome.attempt
        assert (outcome.attempt.stage, wanted(outcome.attempt, 2).green) == ("PRODUCTION_TRAFFIC_SHIFT", 2)
    assert outcome.at == machine.now + LONGEST_SETTLE


def test_request_when_blue_is_already_going_then_the_attempt_succeeds():
    machine = Machine(configuration(bake=0))
    machine.go_on("CLEAN_UP")
    machine.blue = 1
    machine.attempt = replace(machine.attempt, status="ROLLBACK_REQUESTED")
    machine.look("too late")
    assert machine.attempt.status == "IN_PROGRESS"
    machine.go_on("SUCCESSFUL")


def test_clean_up_when_protected_tasks_do_not_go_then_it_is_over_after_a_day():
    machine = Machine(configuration(bake=0))
    machine.go_on("CLEAN_UP")
    machine.stuck, machine.blue = True, 1
    machine.look()
    assert machine.attempt.status == "IN_PROGRESS"
    machine.wait()
    machine.look()
    assert machine.attempt.status == "SUCCESSFUL"


def test_scale_up_when_it_takes_a_day_then_it_rolls_back():
    machine = Machine(configuration())
    machine.stuck = True
    machine.look()
    assert machine.attempt.stage == "SCALE_UP"
    assert machine.at == machine.now + STAGE_LIMIT
    machine.wait()
    machine.look()
    assert machine.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert "24 hours" in machine.attempt.rollback_reason


def test_pause_when_its_timeout_says_continue_then_the_deployment_goes_on():
    machine = Machine(configuration(hooks=(pause("POST_SCALE_UP", minutes=10, action="CONTINUE"),)))
    machine.go_on("POST_SCALE_UP")
    assert machine.at == machine.now + 600
    machine.wait()
    machine.look()
    assert machine.attempt.stage == "TEST_TRAFFIC_SHIFT"


def test_pause_when_it_may_wait_longer_than_the_deployment_then_the_deployment_ends_it():
    machine = Machine(configuration(hooks=tuple(pause(stage, minutes=20160) for stage in PAUSABLE)))
    machine.look()
    begun = machine.now
    for stage in PAUSABLE[:2]:
        machine.go_on(stage)
        machine.now = min(machine.at, hooks.open_until(machine.attempt) - 1)
        machine.answer("SUCCEEDED")
    machine.go_on(PAUSABLE[2])
    machine.wait()
    assert machine.now == begun + DEPLOYMENT_LIMIT
    machine.look()
    assert "30 days" in machine.attempt.rollback_reason


def test_hooks_when_two_are_at_one_stage_then_both_must_finish():
    machine = Machine(configuration(hooks=(pause("POST_SCALE_UP"), lambda_hook("POST_SCALE_UP"))))
    machine.go_on("POST_SCALE_UP")
    kinds = [state.status for state in machine.attempt.hooks]
    assert kinds == ["AWAITING_ACTION", "IN_PROGRESS"]
    first, second = machine.attempt.hooks
    machine.attempt = hooks.continued(machine.attempt, first.id, "CONTINUE", machine.now)
    machine.look()
    assert machine.attempt.stage == "POST_SCALE_UP"
    machine.attempt = hooks.with_hook(machine.attempt, replace(second, status="SUCCEEDED"), machine.now)
    machine.look()
    assert machine.attempt.stage == "TEST_TRAFFIC_SHIFT"


def test_continue_when_the_action_is_rollback_then_it_rolls_back():
    machine = Machine(configuration(hooks=(pause("POST_TEST_TRAFFIC_SHIFT"),)))
    machine.go_on("POST_TEST_TRAFFIC_SHIFT")
    hook_id = machine.attempt.hooks[0].id
    machine.attempt = hooks.continued(machine.attempt, hook_id, "ROLLBACK", machine.now)
    assert hooks.continued(machine.attempt, hook_id, "CONTINUE", machine.now) is None
    machine.go_on("ROLLBACK_SUCCESSFUL")


CONFIGURATIONS = st.builds(
    configuration,
    st.sampled_from(["BLUE_GREEN", "LINEAR", "CANARY"]),
    bake=st.sampled_from([0, 5, 1440]),
    step=st.sampled_from([3.0, 33.3, 50.0, 100.0]),
    step_bake=st.sampled_from([0, 6]),
    hooks=st.lists(
        st.one_of(
            st.builds(lambda_hook, st.sampled_from(HOOK_STAGES)),
            st.builds(
                lambda stage, action: pause(stage, minutes=60, action=action),
                st.sampled_from(PAUSABLE),
                st.sampled_from([None, "ROLLBACK", "CONTINUE"]),
            ),
        ),
        max_size=3,
    ),
)
EVENTS = st.lists(
    st.sampled_from(["look", "wait", "succeed", "fail", "breaker", "rollback", "stop", "stick", "free", "lose blue"]),
    max_size=60,
)


@settings(max_examples=150)
@given(config=CONFIGURATIONS, events=EVENTS, has_blue=st.booleans(), others=st.integers(0, 2))
def test_attempt_when_anything_happens_then_it_ends_with_all_traffic_on_one_revision(config, events, has_blue, others):
    machine = Machine(config, has_blue=has_blue, others=others)
    for event in events:
        if machine.attempt.status in ENDED:
            break
        _let_happen(machine, event)
        only_green_is_well = machine.green and not machine.blue
        machine.look("tripped" if event == "breaker" else "")
        assert 0.0 <= machine.attempt.traffic_percent <= 100.0
        if machine.attempt.status == "ROLLBACK_IN_PROGRESS" and machine.attempt.traffic_percent:
            assert only_green_is_well and machine.now < machine.attempt.stage_started_at + PATIENCE
    for _ in range(2000):
        if machine.attempt.status in ENDED:
            break
        machine.look()
        if machine.attempt.status not in ENDED:
            assert machine.at is not None, machine.attempt
            machine.wait()
    assert machine.attempt.status in ENDED
    share = machine.attempt.traffic_percent
    assert share == (0.0 if machine.attempt.status == "ROLLBACK_SUCCESSFUL" else 100.0)
    assert not machine.attempt.hooks


def _let_happen(machine, event):
    match event:
        case "wait":
            machine.wait()
        case "succeed":
            machine.answer("SUCCEEDED")
        case "fail":
            machine.answer("FAILED")
        case "rollback" | "stop":
            if machine.attempt.status == "IN_PROGRESS":
                status = "ROLLBACK_REQUESTED" if event == "rollback" else "STOP_REQUESTED"
                machine.attempt = replace(machine.attempt, status=status)
        case "stick":
            machine.stuck = True
        case "free":
            machine.stuck = False
        case "lose blue":
            machine.blue = 0
