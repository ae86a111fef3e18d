"""Health checks in virtual time: thresholds, timing, reasons, and that nothing is written that did not change."""

import random

import pytest
from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.control.health_checks import target_groups_in, used_groups
from homeport.drivers.probe import Answered, Disturbed, Failed, TimedOut
from homeport.model.load_balancer import Rule, TargetGroup, target_key
from homeport.model.target_health import draining, health_check_of
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.unit.control.health_world import (
    CHECKING,
    GROUP,
    HEALTHY,
    HOST,
    KEY,
    REFUSED,
    SETTINGS,
    a_group,
    a_listener,
    a_target,
    forward_to,
    virtually,
)


@virtually()
async def test_health_when_new_target_answers_then_healthy_after_one_check(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(0.01)
    assert world.told == HEALTHY
    assert world.target().healthy_since is not None
    (probe,) = world.prober.probes
    assert (probe.protocol, probe.path, probe.timeout, probe.version) == ("HTTP", "/ping", 5, "HTTP1")


@virtually()
async def test_health_when_target_takes_time_to_start_then_found_soon_after(world):
    """With checks every 10 s; what is tried in between uses up no threshold."""
    world.put("targets", a_target())
    await world.clock.sleep(7)
    assert world.told == CHECKING
    world.prober.answer(HOST, 8000)
    await world.clock.sleep(1.6)
    assert world.told == HEALTHY


@virtually()
async def test_health_when_new_target_never_answers_then_unhealthy_after_threshold_intervals(world):
    world.put("targets", a_target())
    await world.clock.sleep(18)
    assert world.told == CHECKING
    await world.clock.sleep(7)
    assert world.told == REFUSED


@virtually()
async def test_health_when_target_falls_silent_and_comes_back_then_thresholds_hold(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(0.1)
    world.prober.answers[HOST, 8000] = Answered(503)
    await world.clock.sleep(11)
    assert world.told == HEALTHY
    await world.clock.sleep(11)
    assert world.told == (
        "unhealthy",
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [503]",
    )
    assert world.target().healthy_since is None
    world.prober.answers[HOST, 8000] = TimedOut()
    await world.clock.sleep(11)
    assert world.told == ("unhealthy", "Target.Timeout", "Request timed out")
    world.prober.answer(HOST, 8000, 302)
    await world.clock.sleep(20)
    assert world.target().state == "unhealthy"
    await world.clock.sleep(12)
    assert world.told == HEALTHY


@virtually()
async def test_health_when_nothing_changes_then_nothing_is_written(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target(), a_target(1))
    await world.clock.sleep(60)
    version = world.store.version
    seen = len(world.prober.probes)
    await world.clock.sleep(1000)
    assert world.store.version == version
    assert 190 <= len(world.prober.probes) - seen <= 212


@virtually(protocol="TCP", settings=SETTINGS | {"HealthCheckProtocol": "TCP", "HealthCheckPort": "9000"})
async def test_health_when_group_is_a_network_load_balancers_then_port_setting_and_threshold_count(world):
    world.prober.answer(HOST, 9000, None)
    world.put("targets", a_target())
    await world.clock.sleep(0.05)
    assert world.target().state == "initial"
    await world.clock.sleep(1)
    assert world.told == HEALTHY
    assert {(probe.protocol, probe.port) for probe in world.prober.probes} == {("TCP", 9000)}
    assert len(world.prober.probes) == 3


@virtually()
async def test_health_when_group_is_not_in_use_then_unused_until_a_rule_names_it(world):
    world.prober.answer(HOST, 8000)
    world.put("listeners", a_listener("other"))
    world.put("targets", a_target())
    await world.clock.sleep(100)
    reason = "Target group is not configured to receive traffic from the load balancer"
    assert world.told == ("unused", "Target.NotInUse", reason)
    assert world.prober.probes == []
    rule = Rule(arn="r", listener_arn="l", priority=1, conditions=(), actions=forward_to(GROUP), created_at=1.0)
    world.put("rules", rule)
    await world.clock.sleep(0.1)
    assert world.told == HEALTHY
    world.store.update(lambda tx: tx.rules.delete("r"))
    await world.clock.sleep(0.1)
    assert world.told[1] == "Target.NotInUse"


@virtually()
async def test_health_when_target_drains_then_left_alone(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", draining(a_target(), world.clock.now() + 300))
    await world.clock.sleep(100)
    assert world.target().state == "draining"
    assert world.prober.probes == []


@virtually()
async def test_health_when_target_is_deregistered_during_a_check_then_it_stays_draining(world):
    async def slow(probe):
        await world.clock.sleep(2)
        return Answered(200)

    world.prober.answers[HOST, 8000] = slow
    world.put("targets", a_target())
    await world.clock.sleep(1)
    world.put("targets", draining(world.target(), world.clock.now() + 300))
    await world.clock.sleep(10)
    assert world.target().state == "draining"
    world.store.update(lambda tx: tx.targets.delete(KEY))
    await world.clock.sleep(10)
    assert world.target() is None


@virtually()
async def test_health_when_instance_is_gone_then_unused(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target(), a_target(id="i-2", key=target_key(GROUP, "i-2", 8000)))
    gone = world.store.read.container_instances.get("instance")
    await world.clock.sleep(1)
    assert world.target(target_key(GROUP, "i-2", 8000)).reason == "Target.InvalidState"
    assert world.told == HEALTHY
    world.put("container_instances", replace(gone, status="INACTIVE"))
    await world.clock.sleep(11)
    assert world.told == ("unused", "Target.InvalidState", "Target is in the stopped state")


@virtually(target_type="ip")
async def test_health_when_target_is_an_address_then_that_is_asked(world):
    world.prober.answer("172.31.0.9", 8000)
    world.put("targets", a_target(id="172.31.0.9"))
    await world.clock.sleep(0.1)
    assert world.told == HEALTHY


@virtually(most=10)
async def test_health_when_many_targets_hang_then_few_at_a_time_and_the_others_are_not_held_up(world):
    async def hang(probe):
        await world.clock.sleep(probe.timeout)
        return TimedOut()

    for number in range(50):
        world.prober.answers[HOST, 8000 + number] = hang if number < 30 else Answered(200)
    world.put("targets", *(a_target(number) for number in range(50)))
    await world.clock.sleep(20)
    states = [world.target(target_key(GROUP, "i-1", 8000 + number)).state for number in range(50)]
    assert states[30:] == ["healthy"] * 20
    assert "healthy" not in states[:30]
    assert world.prober.most_under_way == 10


@virtually()
async def test_health_when_prober_crashes_then_internal_error_and_checks_go_on(world):
    def crash(probe):
        raise RuntimeError("oops")

    world.prober.answers[HOST, 8000] = crash
    world.put("targets", a_target())
    await world.clock.sleep(30)
    assert world.target().reason == "Elb.InternalError"
    world.prober.answer(HOST, 8000)
    await world.clock.sleep(35)
    assert world.told == HEALTHY


@virtually()
async def test_health_when_this_process_stood_still_then_targets_are_not_blamed(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(1)
    world.prober.answers[HOST, 8000] = Disturbed()
    await world.clock.sleep(100)
    assert world.told == HEALTHY
    world.prober.answers[HOST, 8000] = TimedOut()
    await world.clock.sleep(23)
    assert world.told[1] == "Target.Timeout"


@virtually()
async def test_health_when_server_starts_again_then_states_stay_and_checks_are_spread(world):
    for number in range(40):
        world.prober.answer(HOST, 8000 + number)
    world.put("targets", *(a_target(number) for number in range(40)))
    await world.clock.sleep(0.5)
    await world.controller.stop()
    version = world.store.version
    world.prober.probes.clear()
    world.start()
    await world.clock.sleep(1)
    assert 0 < len(world.prober.probes) < 15
    await world.clock.sleep(9)
    assert len(world.prober.probes) >= 40
    assert world.store.version == version


@virtually()
async def test_health_when_interval_is_shortened_then_at_once(world):
    world.put("target_groups", a_group(settings=SETTINGS | {"HealthCheckIntervalSeconds": 300}))
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(10)
    world.put("target_groups", a_group(settings=SETTINGS | {"HealthCheckIntervalSeconds": 5}))
    world.prober.answers[HOST, 8000] = Failed("refused")
    await world.clock.sleep(11)
    assert world.told == REFUSED


@virtually()
async def test_health_when_target_is_registered_anew_then_counts_begin_anew(world):
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(0.1)
    world.put("targets", a_target(registered_at=world.clock.now()))
    await world.clock.sleep(0.1)
    assert world.told == HEALTHY
    assert len(world.prober.probes) == 2


@pytest.mark.parametrize(
    ("actions", "groups"),
    [
        (({"Type": "forward", "TargetGroupArn": "a"},), {"a"}),
        (forward_to("a", "b"), {"a", "b"}),
        (({"Type": "redirect", "RedirectConfig": {}},), set()),
    ],
)
def test_target_groups_in_actions(actions, groups):
    assert target_groups_in(actions) == groups


def test_used_groups_when_named_by_listener_or_rule(tmp_path):
    store = Store(MemoryJournal(), None, Ids(random.Random(1)))
    assert used_groups(store.read) == frozenset()


def test_health_check_when_settings_are_missing_then_elbs_defaults():
    check = health_check_of(
        TargetGroup(arn="g", name="g", protocol="TCP", port=1, vpc_id="v", target_type="ip", created_at=0)
    )
    assert (check.protocol, check.port, check.interval, check.first_successes) == ("TCP", None, 30, 5)
    check = health_check_of(a_group(settings={}, protocol_version="GRPC"))
    assert (check.version, check.path, check.codes) == ("GRPC", "/AWS.ALB/healthcheck", "12")
    check = health_check_of(a_group(protocol="TLS", settings={"HealthCheckProtocol": "HTTPS"}))
    assert (check.version, check.codes) == ("HTTP1", "200-399")
