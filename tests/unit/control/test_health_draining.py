"""Targets that fail and keep their connections for a while: unhealthy.draining, in virtual time."""

from homeport.drivers.probe import Failed
from tests.unit.control.health_world import HEALTHY, HOST, REFUSED, SETTINGS, a_group, a_target, virtually

DRAINS = {"target_health_state.unhealthy.draining_interval_seconds": "25"}


async def failing(world):
    """A target that was healthy and has just failed; gives the instant at which it is unhealthy for good."""
    world.prober.answer(HOST, 8000)
    world.put("targets", a_target())
    await world.clock.sleep(1)
    world.prober.answers[HOST, 8000] = Failed("refused")
    while world.target().state == "healthy":
        await world.clock.sleep(0.1)
    assert world.told == ("unhealthy.draining", *REFUSED[1:])
    return world.target().unhealthy_at


@virtually(protocol="TCP", settings=SETTINGS | {"HealthyThresholdCount": 1}, attributes=DRAINS)
async def test_health_when_the_group_has_a_draining_interval_then_unhealthy_exactly_after_it(world):
    at = await failing(world)
    assert 24.8 <= at - world.clock.now() <= 25
    await world.clock.sleep(at - world.clock.now() - 0.01)
    assert world.target().state == "unhealthy.draining"
    await world.clock.sleep(0.02)
    assert world.told == REFUSED
    assert world.target().unhealthy_at is None
    await world.clock.sleep(100)
    assert world.told == REFUSED, "it drains once"


@virtually(protocol="TCP", settings=SETTINGS | {"HealthyThresholdCount": 2}, attributes=DRAINS)
async def test_health_when_it_recovers_while_it_drains_then_healthy_and_drains_anew_next_time(world):
    await failing(world)
    world.prober.answer(HOST, 8000)
    await world.clock.sleep(22)
    assert world.told == HEALTHY
    assert world.target().unhealthy_at is None
    await world.clock.sleep(30)
    world.prober.answers[HOST, 8000] = Failed("refused")
    await world.clock.sleep(22)
    assert world.target().state == "unhealthy.draining"


@virtually(protocol="TCP", settings=SETTINGS | {"HealthyThresholdCount": 1}, attributes=DRAINS)
async def test_health_when_the_check_hangs_then_draining_ends_in_time_all_the_same(world):
    at = await failing(world)

    async def hang(probe):
        await world.clock.sleep(1000)
        return Failed("refused")

    world.prober.answers[HOST, 8000] = hang
    await world.clock.sleep(at - world.clock.now() + 0.01)
    assert world.told == REFUSED


@virtually(protocol="TCP", settings=SETTINGS | {"HealthyThresholdCount": 1}, attributes=DRAINS)
async def test_health_when_the_server_starts_again_or_the_interval_is_taken_away_then_draining_goes_on_or_ends(world):
    at = await failing(world)
    await world.controller.stop()
    world.start()
    await world.clock.sleep(5)
    assert (world.target().state, world.target().unhealthy_at) == ("unhealthy.draining", at)
    world.put("target_groups", a_group(protocol="TCP"))
    await world.clock.sleep(0.1)
    assert world.told == REFUSED


@virtually(protocol="TCP", attributes=DRAINS)
async def test_health_when_a_new_target_never_answers_then_it_has_nothing_to_drain(world):
    world.put("targets", a_target())
    await world.clock.sleep(40)
    assert world.told == REFUSED
