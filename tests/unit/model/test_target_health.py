"""Codes, thresholds and timing of health checks, as rules and as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.model.load_balancer import Target, TargetGroup
from homeport.model.target_health import (
    FAILED,
    SUCCESS,
    HealthCheck,
    Tally,
    answered,
    code_matches,
    deregistration_delay,
    judged,
    next_check,
)

TARGET = Target(key="k", target_group_arn="g", id="i-1", port=80, registered_at=0.0)


def a_check(**more):
    fields = {"protocol": "HTTP", "port": None, "path": "/", "version": "HTTP1", "codes": "200", "interval": 30.0}
    fields |= {"timeout": 5.0, "first_successes": 1, "healthy_threshold": 5, "unhealthy_threshold": 2}
    return HealthCheck(**(fields | more))


@pytest.mark.parametrize(
    ("codes", "good", "bad"),
    [
        ("200", [200], [199, 201, 404]),
        ("200,202,300-399", [200, 202, 300, 399], [201, 299, 400]),
        ("200 - 299, 404", [200, 250, 299, 404], [300, 405]),
        ("0-5,12", [0, 5, 12], [6, 13]),
        ("", [], [0, 200]),
        ("many", [], [200]),
    ],
)
def test_code_matches_when_in_values_or_ranges(codes, good, bad):
    assert all(code_matches(codes, code) for code in good)
    assert not any(code_matches(codes, code) for code in bad)


def test_answered_when_there_is_no_code_then_a_connection_is_success():
    assert answered(a_check(codes=""), None) is SUCCESS


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(2, 5), st.integers(2, 5))
def test_judged_when_any_history_then_only_runs_as_long_as_the_threshold_change_the_state(
    history, first, healthy_threshold, unhealthy_threshold
):
    check = a_check(first_successes=first, healthy_threshold=healthy_threshold, unhealthy_threshold=unhealthy_threshold)
    target, tally = TARGET, Tally()
    for number, is_success in enumerate(history):
        before = target
        target, tally = judged(before, tally, SUCCESS if is_success else FAILED, check, float(number))
        run = history[: number + 1]
        if target.state != before.state:
            needed = (
                unhealthy_threshold
                if target.state == "unhealthy"
                else (first if before.state == "initial" else healthy_threshold)
            )
            assert len(run) >= needed
            assert set(run[-needed:]) == {target.state == "healthy"}
        if target.state == "healthy":
            assert (target.reason, target.description) == (None, None)
            assert target.healthy_since <= number
        else:
            assert target.healthy_since is None
        if target == before:
            assert target is before


def test_judged_when_failure_does_not_count_then_threshold_is_not_used_up():
    target, tally = TARGET, Tally()
    for _ in range(10):
        target, tally = judged(target, tally, FAILED, a_check(), 1.0, counts=False)
    assert (target.state, target.reason) == ("initial", "Elb.InitialHealthChecking")


@given(st.floats(0, 10_000), st.integers(5, 300))
def test_next_check_when_target_starts_then_soon_and_never_later_than_the_interval(elapsed, interval):
    check = a_check(interval=float(interval))
    assert next_check(check, TARGET, 0.0, elapsed) - elapsed <= interval + 1e-6
    delay = next_check(check, TARGET, 0.0, elapsed) - elapsed
    assert delay <= max(0.1, elapsed * 0.2) + 1e-6


def test_deregistration_delay_when_set_missing_or_group_gone():
    group = TargetGroup(arn="g", name="g", protocol="HTTP", port=80, vpc_id="v", target_type="instance", created_at=0.0)
    assert deregistration_delay(group) == 300
    assert deregistration_delay(None) == 0
