"""The rolling arithmetic by worked examples, and by thousands of random rollouts that must stay within the limits."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.control.rollout import Blocked, Condition, Limits, LiveTask, plan_rollout

H, U, S, W = Condition.HEALTHY, Condition.UNHEALTHY, Condition.STARTING, Condition.WAITING


def tasks(deployment, *conditions, **more):
    return [
        LiveTask(f"{deployment}-{number}", deployment, condition, **more) for number, condition in enumerate(conditions)
    ]


@pytest.mark.parametrize(
    ("limits", "old", "new", "start", "stops"),
    [
        (Limits(3, 100, 200), [H, H, H], [], 3, 0),
        (Limits(3, 100, 200), [H, H, H], [S, S, S], 0, 0),
        (Limits(3, 100, 200), [H, H, H], [H, W, W], 0, 1),
        (Limits(3, 100, 200), [], [H, H, H], 0, 0),
        (Limits(4, 50, 100), [H, H, H, H], [], 0, 2),
        (Limits(4, 50, 100), [H, H], [], 2, 0),
        (Limits(4, 50, 100), [H, H], [W, W], 0, 0),
        (Limits(1, 0, 100), [H], [], 0, 1),
        (Limits(3, 100, 125), [H, H, H], [], 0, 0),
        (Limits(2, 75, 100), [H, H], [], 0, 0),
        (Limits(0, 100, 200), [H], [H, S], 0, 3),
        (Limits(3, 100, 200), [S, S, H], [], 3, 0),
        (Limits(2, 100, 200), [], [H, U], 1, 0),
        (Limits(2, 100, 200), [], [H, U, W], 0, 0),
        (Limits(2, 100, 200), [], [H, U, H], 0, 1),
        (Limits(2, 100, 200), [], [H, U, U], 1, 1),
        (Limits(2, 50, 100), [], [H, U], 0, 1),
        (Limits(3, 100, 200), [], [H, H, H, H, S], 0, 2),
    ],
)
def test_round_when_tasks_are_as_given_then_starts_and_stops_follow_the_limits(limits, old, new, start, stops):
    plan = plan_rollout(limits, "new", {"old": len(old)}, tasks("old", *old) + tasks("new", *new))
    assert (plan.start, len(plan.stop)) == (start, stops)


@pytest.mark.parametrize(
    ("limits", "old", "new", "outgoing", "start", "stops"),
    [
        (Limits(1, 0, 100), [], [], 1, 0, 0),
        (Limits(1, 0, 100), [], [], 0, 1, 0),
        (Limits(4, 50, 100), [H, H], [], 2, 0, 0),
        (Limits(4, 50, 100), [H, H], [], 1, 1, 0),
        (Limits(4, 50, 150), [H, H], [S, S], 2, 0, 0),
        (Limits(3, 0, 100), [], [U, U], 1, 0, 0),
        (Limits(3, 100, 200), [], [H, H], 3, 1, 0),
    ],
)
def test_round_when_tasks_are_stopping_then_they_count_until_they_have(limits, old, new, outgoing, start, stops):
    older = {"old": len(old)}
    plan = plan_rollout(limits, "new", older, tasks("old", *old) + tasks("new", *new), outgoing=outgoing)
    assert (plan.start, len(plan.stop), plan.blocked) == (start, stops, None)


def test_round_when_limits_leave_no_room_then_it_says_so():
    plan = plan_rollout(Limits(3, 100, 125), "new", {"old": 3}, tasks("old", H, H, H))
    assert plan.blocked is Blocked.CONFIGURATION


def test_round_when_old_tasks_are_protected_then_they_stay_and_it_says_so():
    plan = plan_rollout(Limits(1, 100, 200), "new", {"old": 1}, tasks("old", H, is_protected=True) + tasks("new", H))
    assert (plan.stop, plan.blocked) == ((), Blocked.PROTECTED)


def test_round_when_an_old_task_died_below_the_floor_then_its_own_revision_comes_back():
    plan = plan_rollout(Limits(3, 100, 200), "new", {"old": 3}, tasks("old", H, H) + tasks("new", U, U, U))
    assert plan.restart == {"old": 1}


def test_round_when_an_old_task_is_unhealthy_then_its_own_revision_replaces_it_before_it_stops():
    old = tasks("old", H, H, U)
    plan = plan_rollout(Limits(3, 100, 250), "new", {"old": 3}, old + tasks("new", S, S))
    assert (plan.restart, plan.stop) == ({"old": 1}, ())
    replaced = [*old, LiveTask("old-3", "old", S)]
    assert plan_rollout(Limits(3, 100, 200), "new", {"old": 3}, replaced + tasks("new", S, S)).stop == ("old-2",)


def test_round_when_an_old_task_is_unhealthy_and_there_is_no_room_then_it_makes_room_for_its_replacement():
    frozen = plan_rollout(Limits(3, 100, 100), "new", {"old": 3}, tasks("old", H, H, U), may_start=False)
    assert frozen.stop == ("old-2",)
    assert plan_rollout(Limits(3, 100, 100), "new", {"old": 3}, tasks("old", H, H), may_start=False).restart == {
        "old": 1
    }


def test_round_when_new_tasks_only_start_then_old_ones_that_died_come_back():
    plan = plan_rollout(Limits(3, 100, 200), "new", {"old": 3}, tasks("old", H, H) + tasks("new", S, S, S))
    assert plan.restart == {"old": 1}


def test_round_when_the_new_revision_is_held_back_then_old_tasks_that_died_still_come_back():
    plan = plan_rollout(Limits(3, 100, 200), "new", {"old": 3}, tasks("old", H, H), may_start=False)
    assert (plan.start, plan.restart) == (0, {"old": 1})


def test_round_when_an_instance_drains_then_its_task_is_replaced_before_it_stops():
    leaving = tasks("new", H, is_leaving=True)
    plan = plan_rollout(Limits(1, 100, 200), "new", {}, leaving)
    assert (plan.start, plan.stop) == (1, ())
    fresh = [LiveTask("fresh", "new", H)]
    assert plan_rollout(Limits(1, 100, 200), "new", {}, leaving + fresh).stop == (leaving[0].arn,)


def test_round_when_starts_are_held_back_then_nothing_starts_and_nothing_healthy_below_the_floor_stops():
    plan = plan_rollout(Limits(4, 50, 100), "new", {"old": 4}, tasks("old", H, H, H, H), may_start=False)
    assert (plan.start, plan.stop) == (0, ())


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 8), st.integers(0, 100), st.integers(100, 250))
def test_rollout_when_health_is_random_then_limits_hold_and_it_converges(seed, desired, minimum, maximum):
    """Random starts, health flaps and crashes for 60 rounds, then calm: never past the limits, and it ends."""
    rng = random.Random(seed)
    limits = Limits(desired, minimum, maximum)
    live = {task.arn: task for task in tasks("old", *[H] * desired)}
    older, counter, outgoing = {"old": desired}, 0, 0
    for round_number in range(200):
        storm = round_number < 60
        plan = plan_rollout(limits, "new", older, list(live.values()), outgoing=outgoing)
        starts = plan.start + sum(plan.restart.values())
        assert starts == 0 or len(live) + outgoing + starts <= limits.ceiling
        healthy = sum(task.condition is H for task in live.values())
        stopped_healthy = sum(live[arn].condition is H for arn in plan.stop)
        assert stopped_healthy == 0 or healthy - stopped_healthy >= limits.floor
        outgoing = rng.randrange(outgoing + 1) + len(plan.stop)
        for arn in plan.stop:
            live.pop(arn)
        for deployment, number in [("new", plan.start), *plan.restart.items()]:
            for _ in range(number):
                counter += 1
                live[f"{deployment}-{counter}"] = LiveTask(f"{deployment}-{counter}", deployment, S)
        older["old"] = min(older["old"], older["old"] - sum(arn.startswith("old") for arn in plan.stop))
        for arn, task in list(live.items()):
            if storm and rng.random() < 0.05:
                live.pop(arn)
            elif storm and rng.random() < 0.1:
                live[arn] = task._replace(condition=rng.choice([H, U, W]))
            elif rng.random() < 0.6:
                live[arn] = task._replace(condition=H)
        if plan.is_complete and not storm:
            break
    stuck = limits.ceiling <= limits.floor and desired > 0
    assert plan.is_complete or stuck or plan.blocked is Blocked.CONFIGURATION
    if not stuck:
        assert plan.is_complete
