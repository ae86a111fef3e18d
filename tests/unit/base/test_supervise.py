"""Children of a supervisor: their failures are its own, and none outlives it."""

import asyncio
import itertools

import pytest

from homeport.base.supervise import Supervisor
from tests.sim.loop import run_virtually


def test_close_when_a_child_loses_its_cancellation_then_it_is_cancelled_again():
    async def body(clock):
        supervisor, ended = Supervisor(clock), []

        async def stubborn():
            try:
                await clock.sleep(1000)
            except asyncio.CancelledError:
                await clock.sleep(1000)  # the first one is lost
            finally:
                ended.append(clock.monotonic())

        supervisor.spawn("stubborn", stubborn())
        await clock.sleep(1)
        await supervisor.close()
        assert len(ended) == 1

    run_virtually(body)


def test_failure_when_a_child_crashes_then_the_supervisor_tells():
    async def body(clock):
        supervisor = Supervisor(clock)

        async def crash():
            raise RuntimeError("broken")

        supervisor.spawn("crash", crash())
        with pytest.raises(RuntimeError, match="broken"):
            await supervisor.failed
        await supervisor.close()

    run_virtually(body)


def test_keep_when_the_body_fails_then_it_is_started_again_after_growing_pauses():
    async def body(clock):
        supervisor, starts = Supervisor(clock), []

        async def fail():
            starts.append(clock.monotonic())
            raise RuntimeError("again")

        supervisor.keep("fail", fail)
        await clock.sleep(5)
        await supervisor.close()
        pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
        assert pauses == sorted(pauses)
        assert len(starts) >= 4

    run_virtually(body)
