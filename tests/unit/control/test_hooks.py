"""Lambda lifecycle hooks: what functions are told, what their answers do, and that a restart loses none."""

import asyncio
import itertools

import msgspec
import pytest
from msgspec.structs import replace

from homeport.control.hooks import LONGEST_CALL, HookReconciler
from homeport.drivers.hooks import CallFailed, Returned, Unreachable
from homeport.drivers.hooks.fake import FakeFunctions
from homeport.model.deployment import ENDED
from tests.unit.control.blue_green_world import (
    BLUE,
    GREEN,
    LAMBDA,
    BlueGreenWorld,
    configuration,
    lambda_hook,
)

ALL = (
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
)


class HookWorld(BlueGreenWorld):
    """Functions are called as their hooks fall due, by a reconciler that forgets everything in between."""

    def __init__(self, *answers, hooks=(), strategy="BLUE_GREEN", **more):
        super().__init__()
        self.functions = FakeFunctions(*answers)
        self.serve(2, configuration(strategy, hooks=hooks, **more))

    def call_functions(self):
        """One look at every hook, as the runner does it: step, actions, record."""
        reconciler = HookReconciler(self.functions, self.clock)
        for key in [
            key for row in self.store.read.service_deployments for key in reconciler.wakes["service_deployment"](row)
        ]:
            self.update(lambda tx, key=key: reconciler.step(tx, key, tx.now))
            actions = reconciler.actions(self.store.read, key)
            results = [asyncio.run(reconciler.act(action)) for action in actions]
            if results:
                self.update(lambda tx, key=key, results=results: reconciler.record(tx, key, results))

    def settle(self):
        super().settle()
        for _ in range(20):
            version = self.store.version
            self.call_functions()
            super().settle()
            if self.store.version == version:
                return
        raise AssertionError("the hooks do not come to rest")

    def stages_called(self):
        return [payload["lifecycleStage"] for payload in self.functions.payloads]


def test_hooks_when_they_succeed_then_each_stage_calls_its_function_once():
    world = HookWorld(hooks=(lambda_hook(*ALL),))
    world.deploy(2)
    world.run(400)
    assert world.stages_called() == list(ALL)
    assert {call.function_arn for call in world.functions.calls} == {LAMBDA}
    assert {call.timeout for call in world.functions.calls} == {LONGEST_CALL}
    world.assert_serves(2, GREEN, 2)


def test_payload_when_traffic_shifts_then_it_tells_the_weights_of_both_revisions():
    world = HookWorld(hooks=(lambda_hook(*ALL),))
    blue = world.primary.revision_arn
    world.deploy(2)
    world.run(400)
    green = world.attempt.target_revision_arn
    told = {payload["lifecycleStage"]: payload["executionDetails"] for payload in world.functions.payloads}
    assert told["TEST_TRAFFIC_SHIFT"]["testTrafficWeights"] == {green: 100, blue: 0}
    assert told["TEST_TRAFFIC_SHIFT"]["productionTrafficWeights"] == {}
    assert told["PRE_PRODUCTION_TRAFFIC_SHIFT"]["productionTrafficWeights"] == {green: 0, blue: 100}
    assert told["PRODUCTION_TRAFFIC_SHIFT"]["productionTrafficWeights"] == {green: 100, blue: 0}
    assert told["POST_SCALE_UP"] == {
        "serviceArn": world.service.arn,
        "targetServiceRevisionArn": green,
        "testTrafficWeights": {},
        "productionTrafficWeights": {},
    }
    first = world.functions.payloads[0]
    assert first["resourceArn"] == world.attempt.arn
    assert len(first["executionId"]) == 36
    assert "hookDetails" not in first


def test_canary_when_it_has_two_steps_then_the_shift_hooks_are_called_at_both():
    world = HookWorld(
        hooks=(lambda_hook("PRODUCTION_TRAFFIC_SHIFT"),), strategy="CANARY", step=12.5, step_bake=1, bake=0
    )
    world.deploy(2)
    world.run(200)
    green = world.attempt.target_revision_arn
    weights = [payload["executionDetails"]["productionTrafficWeights"][green] for payload in world.functions.payloads]
    assert weights == [12.5, 100]


def test_rollback_when_traffic_was_shifted_then_its_hooks_hear_that_blue_has_it_again():
    world = HookWorld(hooks=(lambda_hook("PRODUCTION_TRAFFIC_SHIFT"),), bake=60)
    world.deploy(2)
    world.run(60)
    world.request("ROLLBACK_REQUESTED")
    world.run(60)
    green = world.attempt.target_revision_arn
    weights = [payload["executionDetails"]["productionTrafficWeights"][green] for payload in world.functions.payloads]
    assert weights == [100, 0]
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"


@pytest.mark.parametrize("stage", ALL)
@pytest.mark.parametrize(
    "answer",
    [
        {"hookStatus": "FAILED"},
        {"hookStatus": "WELL"},
        {},
        Returned(b"null"),
        Returned(b"not json"),
        CallFailed("The function failed: boom"),
    ],
)
def test_hook_when_it_fails_at_a_stage_then_the_deployment_rolls_back(stage, answer):
    world = HookWorld(answer, hooks=(lambda_hook(stage),))
    world.deploy(2)
    world.run(90)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert LAMBDA in world.attempt.rollback_reason and stage in world.attempt.rollback_reason
    world.assert_serves(1, BLUE, 2)


def test_hook_when_it_is_in_progress_then_it_is_called_again_after_thirty_seconds_with_its_details():
    answers = (
        {"hookStatus": "IN_PROGRESS", "hookDetails": {"seen": 1}},
        {"hookStatus": "IN_PROGRESS", "callBackDelay": 90, "hookDetails": {"more": True}},
        {"hookStatus": "IN_PROGRESS", "callBackDelaySeconds": 200},
        {"hookStatus": "SUCCEEDED"},
    )
    world = HookWorld(*answers, hooks=(lambda_hook("POST_SCALE_UP", details={"bucket": "b"}),))
    world.deploy(2)
    world.run(10)
    called_at = [(len(world.functions.calls), world.now)]
    while len(world.functions.calls) < 4:
        world.run(1)
        if len(world.functions.calls) != called_at[-1][0]:
            called_at.append((len(world.functions.calls), world.now))
    gaps = [after[1] - before[1] for before, after in itertools.pairwise(called_at[1:])]
    assert gaps == [90, 200]
    details = [payload["hookDetails"] for payload in world.functions.payloads]
    both = {"bucket": "b", "seen": 1, "more": True}
    assert details == [{"bucket": "b"}, {"bucket": "b", "seen": 1}, both, both]
    world.run(400)
    world.assert_serves(2, GREEN, 2)


def test_hook_when_it_stays_in_progress_then_it_times_out_and_rolls_back():
    world = HookWorld({"hookStatus": "IN_PROGRESS", "callBackDelay": 3600}, hooks=(lambda_hook("POST_SCALE_UP"),))
    world.deploy(2)
    world.run(23 * 3600, tick=600)
    assert world.attempt.stage == "POST_SCALE_UP"
    world.run(2 * 3600, tick=600)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert "timed out" in world.attempt.rollback_reason


def test_hook_when_its_endpoint_cannot_be_reached_then_it_is_tried_again():
    world = HookWorld(Unreachable("refused"), {"hookStatus": "SUCCEEDED"}, hooks=(lambda_hook("PRE_SCALE_UP"),))
    world.deploy(2)
    world.settle()
    assert world.attempt.hooks[0].reason == "refused"
    world.run(400)
    assert len(world.functions.calls) == 2
    world.assert_serves(2, GREEN, 2)


def test_hook_when_no_endpoint_is_configured_any_more_then_the_deployment_rolls_back():
    world = HookWorld(hooks=(lambda_hook("PRE_SCALE_UP"),))
    world.functions = None
    world.deploy(2)
    world.run(60)
    assert world.attempt.status == "ROLLBACK_SUCCESSFUL"
    assert "No Lambda endpoint" in world.attempt.rollback_reason


def test_hooks_when_two_are_at_a_stage_then_both_are_called_at_once():
    world = HookWorld(
        {"hookStatus": "IN_PROGRESS"},
        hooks=(lambda_hook("PRE_SCALE_UP"), lambda_hook("PRE_SCALE_UP", details={"n": 2})),
    )
    world.deploy(2)
    world.settle()
    assert len(world.functions.calls) == 2


def test_answer_when_the_deployment_was_stopped_in_the_meantime_then_it_is_too_late():
    world = HookWorld({"hookStatus": "IN_PROGRESS"}, hooks=(lambda_hook("POST_SCALE_UP"),))
    world.deploy(2)
    world.run(10)
    attempt = world.attempt
    key = f"{attempt.arn} {attempt.hooks[0].id}"
    world.deploy(3)
    reconciler = HookReconciler(world.functions, world.clock)
    late = Returned(msgspec.json.encode({"hookStatus": "SUCCEEDED"}))
    world.update(lambda tx: reconciler.record(tx, key, [late]))
    assert world.store.read.service_deployments[attempt.arn].hooks == attempt.hooks
    world.settle()
    assert world.store.read.service_deployments[attempt.arn].status in ENDED


def test_call_when_the_process_ends_before_its_answer_then_it_is_made_again():
    world = HookWorld(hooks=(lambda_hook("PRE_SCALE_UP"),))
    world.deploy(2)
    BlueGreenWorld.settle(world)
    reconciler = HookReconciler(world.functions, world.clock)
    key = f"{world.attempt.arn} {world.attempt.hooks[0].id}"
    for _ in range(2):
        assert len(reconciler.actions(world.store.read, key)) == 1
    due = replace(world.attempt.hooks[0], call_after=world.now + 5)
    world.hook(call_after=due.call_after)
    assert world.update(lambda tx: reconciler.step(tx, key, tx.now)).at == world.now + 5
    assert reconciler.actions(world.store.read, key) == ()
