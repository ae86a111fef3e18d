"""The data plane follows the rows; what it refuses holds up nobody else. In virtual time."""

import asyncio
import random
from pathlib import Path

from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.base.supervise import Supervisor
from homeport.control.balancer import BalancerReconciler
from homeport.control.balancer_configuration import Surroundings
from homeport.control.runner import Controller
from homeport.control.served import Served
from homeport.drivers.balancer import Rejected
from homeport.drivers.balancer.fake import FakeBalancer
from homeport.drivers.network.fake import FakeAddresses, FakeHostNames
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.balancing import a_listener, a_load_balancer, a_target, a_target_group, fixed, forward
from tests.sim.loop import run_virtually
from tests.unit.control.test_balancer_configuration import TABLES


class World:
    """A store, the reconciler, and a data plane in memory."""

    def __init__(self, clock, *rows, connected=True):
        self.clock = clock
        self.store = Store(MemoryJournal(), clock, Ids(random.Random(1)))
        self.store.load()
        self.balancer, self.addresses, self.names = FakeBalancer(), FakeAddresses(), FakeHostNames()
        if not connected:
            self.balancer.disconnect()
        around = Surroundings(open_key=lambda sealed: sealed, log_dir=Path("/logs"))
        self.progress = Served()
        reconciler = BalancerReconciler(self.balancer, self.addresses, self.names, around, self.progress)
        self.put(*rows)
        self._supervisor = Supervisor(clock)
        self._controller = Controller(self.store, clock, self._supervisor, [reconciler])
        self._controller.start()

    def put(self, *rows):
        self.store.update(lambda tx: [getattr(tx, TABLES[type(row).__name__]).put(row) for row in rows])

    def delete(self, row):
        self.store.update(lambda tx: getattr(tx, TABLES[type(row).__name__]).delete(row.arn))

    def state(self, row):
        found = self.store.read.load_balancers[row.arn]
        return found.state, found.state_reason

    @property
    def ports(self):
        return sorted(listener.port for listener in self.balancer.serving.listeners)

    async def close(self):
        await self._controller.stop()
        await self._supervisor.close()


def virtually(scenario, *rows, connected=True):
    async def main(clock):
        world = World(clock, *rows, connected=connected)
        try:
            await asyncio.sleep(0.01)
            await scenario(world)
        finally:
            await world.close()

    run_virtually(main, 1)


ONE, TWO = a_load_balancer("one"), a_load_balancer("two", address="172.31.0.11")


def refusing(*ports, named=True):
    def refuse(configuration):
        bad = [listener for listener in configuration.listeners if listener.port in ports]
        return Rejected("cannot bind", tuple(item.id for item in bad) if named else ()) if bad else None

    return refuse


def test_load_balancer_when_created_then_active_with_its_address_and_name():
    async def scenario(world):
        assert world.state(ONE) == ("active", None)
        assert world.addresses.present == {ONE.address}
        assert world.names.names == {ONE.dns_name: ONE.address}
        world.delete(ONE)
        await asyncio.sleep(0.01)
        assert world.addresses.present == set()
        assert world.names.names == {}

    virtually(scenario, ONE)


def test_targets_when_they_change_then_the_data_plane_follows():
    group = a_target_group()

    async def scenario(world):
        world.put(a_target(group, 8080))
        await asyncio.sleep(0.01)
        assert [target.port for target in world.balancer.serving.target_groups[0].targets] == [8080]

    virtually(scenario, ONE, group, a_listener(ONE, forward(group)))


def test_start_when_there_are_no_load_balancers_then_the_data_plane_is_told_so():
    async def scenario(world):
        assert len(world.balancer.history) == 1

    virtually(scenario)


def test_data_plane_when_away_then_provisioning_until_it_is_there():
    async def scenario(world):
        await asyncio.sleep(20)
        assert world.state(ONE)[0] == "provisioning"
        world.balancer.connect()
        await asyncio.sleep(0.01)
        assert world.state(ONE)[0] == "active"
        assert world.ports == [80]

    virtually(scenario, ONE, a_listener(ONE, fixed(200)), connected=False)


def test_refusal_when_one_is_at_fault_then_the_others_are_served_and_it_is_told():
    async def scenario(world):
        world.balancer.refuse = refusing(81)
        bad = a_listener(ONE, fixed(200), port=81)
        world.put(bad, a_listener(TWO, fixed(200), port=82))
        await asyncio.sleep(0.01)
        assert world.ports == [80, 82]
        assert world.state(ONE) == ("active_impaired", "cannot bind")
        assert world.state(TWO) == ("active", None)
        world.delete(bad)
        await asyncio.sleep(0.01)
        assert world.state(ONE) == ("active", None)

    virtually(scenario, ONE, TWO, a_listener(ONE, fixed(200)))


def test_refusal_when_nobody_is_named_then_the_one_at_fault_is_found_by_trying():
    async def scenario(world):
        world.balancer.refuse = refusing(81, named=False)
        world.put(a_listener(ONE, fixed(200), port=81), a_listener(TWO, fixed(200), port=82))
        await asyncio.sleep(0.01)
        assert world.ports == [82]
        assert world.state(ONE) == ("failed", "cannot bind")
        assert world.state(TWO) == ("active", None)

    virtually(scenario, ONE, TWO)


def test_refusal_when_its_cause_goes_away_then_active_without_any_change_of_rows():
    async def scenario(world):
        world.balancer.refuse = refusing(80)
        world.put(a_listener(ONE, fixed(200)))
        await asyncio.sleep(1)
        assert world.state(ONE)[0] == "failed"
        attempts = len(world.balancer.history)
        await asyncio.sleep(5)
        assert len(world.balancer.history) == attempts, "not tried again at once"
        world.balancer.refuse = refusing()
        await asyncio.sleep(20)
        assert world.state(ONE) == ("active", None)

    virtually(scenario, ONE)


def test_refusal_when_the_data_plane_comes_back_and_refuses_then_told():
    async def scenario(world):
        assert world.state(ONE)[0] == "active"
        world.balancer.refuse = refusing(80)
        world.balancer.connect()
        await asyncio.sleep(0.01)
        assert world.state(ONE) == ("failed", "cannot bind")
        assert world.ports == [82]

    virtually(scenario, ONE, TWO, a_listener(ONE, fixed(200)), a_listener(TWO, fixed(200), port=82))


def test_address_when_it_cannot_be_had_then_failed_with_the_remedy_and_the_others_go_on():
    async def scenario(world):
        world.addresses.refused = {TWO.address: "not root"}
        world.put(TWO, a_listener(TWO, fixed(200), port=82))
        await asyncio.sleep(0.01)
        assert world.state(TWO) == ("failed", "not root")
        assert world.ports == [80]
        world.addresses.refused = {}
        await asyncio.sleep(20)
        assert world.state(TWO) == ("active", None)

    virtually(scenario, ONE, a_listener(ONE, fixed(200)))


def test_data_plane_when_nothing_changes_then_it_is_left_alone_but_checked():
    async def scenario(world):
        world.put(replace(ONE, tags={"a": "b"}))
        await asyncio.sleep(9)
        before = len(world.balancer.history)
        world.addresses.present.clear()
        await asyncio.sleep(120)
        assert world.addresses.present == {ONE.address}
        assert len(world.balancer.history) - before <= 3

    virtually(scenario, ONE)


def test_progress_when_one_is_refused_then_only_the_others_are_served_so_far():
    async def scenario(world):
        before = world.progress.version_of([ONE.arn])
        assert before == world.store.version
        world.balancer.refuse = refusing(81)
        world.put(a_listener(ONE, fixed(200), port=81), a_listener(TWO, fixed(200), port=82))
        await asyncio.sleep(1)
        assert world.progress.version_of([ONE.arn]) < world.store.version
        assert world.progress.version_of([TWO.arn]) >= world.store.version - 1
        world.put(replace(TWO, tags={"a": "b"}))
        await asyncio.sleep(1)
        assert world.progress.version_of([ONE.arn, TWO.arn]) == before
        world.balancer.refuse = refusing()
        await asyncio.sleep(20)
        assert world.progress.version_of([ONE.arn, TWO.arn]) >= world.store.version - 1

    virtually(scenario, ONE, TWO, a_listener(ONE, fixed(200)))
