"""The loop behind every controller, in virtual time, against a store whose journal can hold back."""

import asyncio
import random

import pytest

from homeport.base.ids import Ids
from homeport.base.supervise import Supervisor
from homeport.control.runner import FORGET, Controller, Reconciler, Wake
from homeport.model.cluster import Cluster
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.sim.loop import Deadlock, run_virtually


class Counting(Reconciler):
    """Remembers every look; what a look does is set by the test."""

    name = "counting"

    def __init__(self, step=lambda tx, key, now: FORGET, todo=(), act=None, workers=1):
        self.wakes = {"cluster": lambda row: (row.name,)}
        self.workers = workers
        self.looks, self.acts, self.recorded = [], [], []
        self._step, self._todo, self._act = step, todo, act

    def seeds(self):
        return ("seed",)

    def listen(self, wake):
        self.wake = wake

    def step(self, tx, key, now):
        self.looks.append((key, now))
        return self._step(tx, key, now)

    def actions(self, read, key):
        return self._todo

    async def act(self, action):
        self.acts.append(action)
        return None if self._act is None else await self._act(action)

    def record(self, tx, key, results):
        self.recorded.append((key, results))

    @property
    def keys(self):
        return [key for key, _ in self.looks]


class HeldJournal(MemoryJournal):
    """Nothing is durable until the test says so."""

    def __init__(self):
        super().__init__()
        self.released = asyncio.Event()

    async def durable(self, version):
        await self.released.wait()


def put(store, name):
    store.update(lambda tx: tx.clusters.put(Cluster(arn=f"arn:{name}", name=name)))


def controlled(scenario, *, journal=MemoryJournal, existing=()):
    async def main(clock):
        store = Store(journal(), clock, Ids(random.Random(1)))
        for name in existing:
            put(store, name)
        supervisor = Supervisor(clock)
        try:
            await scenario(store, clock, lambda reconciler: started(store, clock, supervisor, reconciler), supervisor)
        finally:
            await supervisor.close()

    run_virtually(main)


def started(store, clock, supervisor, reconciler):
    controller = Controller(store, clock, supervisor, [reconciler])
    controller.start()
    return controller


def test_start_when_rows_exist_then_every_key_and_every_seed_is_looked_at_once():
    async def scenario(store, clock, start, _):
        reconciler = Counting()
        start(reconciler)
        await clock.sleep(1)
        assert reconciler.keys == ["seed", "a", "b"]

    controlled(scenario, existing=("a", "b"))


def test_change_when_row_is_put_or_deleted_then_its_key_is_looked_at():
    async def scenario(store, clock, start, _):
        reconciler = Counting()
        start(reconciler)
        put(store, "a")
        await clock.sleep(1)
        store.update(lambda tx: tx.clusters.delete("arn:a"))
        await clock.sleep(1)
        assert reconciler.keys == ["seed", "a", "a"]

    controlled(scenario)


def test_act_when_step_is_not_durable_then_waits_for_it():
    async def scenario(store, clock, start, _):
        reconciler = Counting(todo=("effect",))
        start(reconciler)
        await clock.sleep(1)
        assert (reconciler.keys, reconciler.acts) == (["seed"], [])
        store._journal.released.set()
        await clock.sleep(1)
        assert reconciler.acts == ["effect"]

    controlled(scenario, journal=HeldJournal)


def test_results_when_an_effect_gives_one_then_recorded_without_the_empty_ones():
    async def act(action):
        return action or None

    async def scenario(store, clock, start, _):
        reconciler = Counting(todo=("x", ""), act=act)
        start(reconciler)
        await clock.sleep(1)
        assert reconciler.recorded == [("seed", ["x"])]

    controlled(scenario)


def test_step_when_it_fails_then_retried_with_backoff_and_nothing_of_it_is_kept():
    failures = iter([True, True, False])

    def step(tx, key, now):
        if key == "seed":
            tx.clusters.put(Cluster(arn="arn:made", name="made"))
            if next(failures, False):
                raise RuntimeError("no")
        return FORGET

    async def scenario(store, clock, start, supervisor):
        reconciler = Counting(step=step)
        start(reconciler)
        await clock.sleep(0.05)
        assert store.read.clusters.get("arn:made") is None
        await clock.sleep(5)
        assert [round(at - reconciler.looks[0][1], 3) for _, at in reconciler.looks[:3]] == [0, 0.1, 0.3]
        assert not supervisor.failed.done()

    controlled(scenario)


def test_act_when_it_fails_then_key_is_retried_and_other_keys_go_on():
    async def act(action):
        raise RuntimeError("no")

    async def scenario(store, clock, start, _):
        reconciler = Counting(todo=("x",), act=act)
        start(reconciler)
        put(store, "a")
        await clock.sleep(1)
        assert reconciler.keys.count("a") > 1
        assert reconciler.keys.count("seed") > 1

    controlled(scenario)


def test_wake_when_a_time_is_given_then_looked_at_then():
    async def scenario(store, clock, start, _):
        began = clock.now()
        reconciler = Counting(step=lambda tx, key, now: Wake(at=began + 100 * (1 + int((now - began) // 100))))
        start(reconciler)
        await clock.sleep(350)
        assert [round(at - began) for _, at in reconciler.looks] == [0, 100, 200, 300]

    controlled(scenario)


def test_workers_when_one_effect_is_slow_then_other_keys_are_served():
    async def scenario(store, clock, start, _):
        async def act(action):
            await clock.sleep(1000)

        reconciler = Counting(todo=("slow",), act=act, workers=2)
        start(reconciler)
        put(store, "a")
        await clock.sleep(1)
        assert reconciler.keys == ["seed", "a"]
        put(store, "a")
        await clock.sleep(1)
        assert reconciler.keys == ["seed", "a"]
        await clock.sleep(1000)
        assert reconciler.keys.count("a") == 2

    controlled(scenario)


def test_watch_when_it_overflows_then_every_key_is_looked_at_again():
    async def scenario(store, clock, start, _):
        reconciler = Counting()
        start(reconciler)
        await clock.sleep(1)
        reconciler.looks.clear()

        def many(tx):
            for number in range(10_001):
                tx.clusters.put(Cluster(arn=f"arn:{number}", name=str(number)))

        store.update(many)
        await clock.sleep(1)
        assert len(set(reconciler.keys)) == 10_002

    controlled(scenario)


def test_stop_when_called_then_no_key_is_looked_at_any_more():
    async def scenario(store, clock, start, _):
        reconciler = Counting()
        controller = start(reconciler)
        await clock.sleep(1)
        await controller.stop()
        put(store, "a")
        await clock.sleep(1)
        assert reconciler.keys == ["seed"]

    controlled(scenario)


def test_journal_when_it_fails_then_the_process_is_told_to_end():
    class Broken(MemoryJournal):
        async def durable(self, version):
            raise OSError("disk full")

    async def scenario(store, clock, start, supervisor):
        start(Counting(todo=("x",)))
        await clock.sleep(1)
        with pytest.raises(Exception, match="the journal failed"):
            await asyncio.shield(supervisor.failed)

    controlled(scenario, journal=Broken)


def test_loop_when_everything_waits_for_everything_then_deadlock_is_raised():
    async def main(clock):
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtually(main)
