"""The fleet equals what the tables say, whatever happened to them."""

import contextlib
import random

from fleets import CLUSTER, a_fleet, a_task, an_instance
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from homeport.base.clock import SystemClock
from homeport.base.ids import Ids
from homeport.model.resources import Resources
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.scheduler.fleet import Fleet
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store

I0 = an_instance("i0").arn


def test_free_when_tasks_run_there_then_what_they_leave_and_the_ports_they_take():
    instance = an_instance("i0", cpu=1000, memory=2000, ports=(22,), gpus=2)
    tasks = [a_task("t0", on="i0", cpu=100, memory=300, ports=(80,), gpus=1), a_task("t1", on="i0", ports_udp=(53,))]
    _, fleet = a_fleet([instance], tasks)
    assert fleet.free(I0) == Resources(cpu_units=644, memory_mib=1188, ports=(22, 80), ports_udp=(53,), gpu_count=1)


def test_free_when_more_is_taken_than_registered_then_zero():
    _, fleet = a_fleet([an_instance("i0", cpu=100)], [a_task(on="i0")])
    assert fleet.free(I0).cpu_units == 0


def test_free_when_the_instance_is_unknown_then_nothing():
    _, fleet = a_fleet()
    assert fleet.free("nobody") == Resources()
    assert fleet.counts("nobody") == (0, 0)


def test_free_when_tasks_are_loaded_before_their_instance_then_the_same():
    tables, fleet = a_fleet([], [a_task(on="i0")])
    tables.container_instances.apply(I0, an_instance("i0", cpu=1000))
    assert fleet.free(I0).cpu_units == 744


def test_free_when_a_task_stops_then_its_resources_are_back():
    tables, fleet = a_fleet([an_instance("i0", cpu=1000)], [a_task(on="i0")])
    task = next(iter(tables.tasks))
    tables.tasks.apply(task.arn, replace(task, desired_status=DesiredStatus.STOPPED))
    assert fleet.free(I0).cpu_units == 744
    tables.tasks.apply(task.arn, replace(task, last_status=TaskStatus.STOPPED))
    assert fleet.free(I0).cpu_units == 1000


def test_counts_when_tasks_are_running_and_pending_then_each_is_counted():
    tasks = [
        a_task("t0", on="i0", last_status=TaskStatus.RUNNING),
        a_task("t1", on="i0", last_status=TaskStatus.RUNNING),
        a_task("t2", on="i0"),
        a_task("t3", on="i0", last_status=TaskStatus.STOPPED),
        a_task("t4"),
    ]
    _, fleet = a_fleet([an_instance("i0")], tasks)
    assert fleet.counts(I0) == (2, 1)
    assert set(fleet.subject(I0).groups) == {"family:web"}


def test_an_instance_when_deregistered_and_gone_then_forgotten():
    tables, fleet = a_fleet([an_instance("i0")], [a_task(on="i0")])
    tables.container_instances.apply(I0, None)
    assert fleet.host(I0) is not None
    for task in tables.tasks:
        tables.tasks.apply(task.arn, None)
    assert fleet.host(I0) is None
    assert fleet.instances(CLUSTER) == []


def test_subject_when_the_instance_is_unknown_then_key_error():
    _, fleet = a_fleet([], [a_task(on="i0")])
    for arn in (I0, "nobody"):
        try:
            fleet.subject(arn)
        except KeyError:
            continue
        raise AssertionError(arn)


steps = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(
            st.one_of(
                st.builds(
                    an_instance,
                    st.sampled_from(["i0", "i1"]),
                    cpu=st.integers(0, 3),
                    ports=st.sampled_from([(), (1,)]),
                ),
                st.builds(
                    a_task,
                    st.sampled_from(["t0", "t1", "t2"]),
                    on=st.sampled_from(["i0", "i1", None]),
                    cpu=st.integers(0, 3),
                    ports=st.sampled_from([(), (1,), (2, 3)]),
                    group=st.sampled_from("gh"),
                    desired_status=st.sampled_from(DesiredStatus),
                    last_status=st.sampled_from(TaskStatus),
                ),
                st.sampled_from([I0, an_instance("i1").arn, a_task("t0").arn, a_task("t1").arn]),
            ),
            max_size=4,
        ),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(steps)
def test_fleet_when_transactions_succeed_and_fail_then_it_equals_a_new_one(history):
    """Each step is a transaction of puts and deletes (by ARN) that may fail at its end."""
    store = Store(MemoryJournal(), SystemClock(), Ids(random.Random(0)))
    fleet = Fleet(store.read)
    for is_failing, writes in history:

        def change(tx, is_failing=is_failing, writes=writes):
            for write in writes:
                if isinstance(write, str):
                    (tx.tasks if "task/" in write else tx.container_instances).delete(write)
                else:
                    (tx.tasks if "task/" in write.arn else tx.container_instances).put(write)
            if is_failing:
                raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError):
            store.update(change)
        fresh = Fleet(store.read)
        for observers in (store.read.tasks.observers, store.read.container_instances.observers):
            observers.pop()
        assert everything(fleet) == everything(fresh)


def everything(fleet):
    hosts = {}
    for arn in (I0, an_instance("i1").arn):
        host = fleet.host(arn)
        if host is not None:
            hosts[arn] = {name: getattr(host, name) for name in type(host).__slots__ if name != "cluster"}
    return hosts
