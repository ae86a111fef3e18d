"""Tables and transactions against a plain dictionary: rows, indexes, undo, versions and what the journal is told."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.base.clock import SystemClock
from homeport.base.errors import Bug
from homeport.base.ids import Ids
from homeport.model.resources import Resources
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from homeport.store.table import Table


def a_store(journal=None):
    store = Store(journal or MemoryJournal(), SystemClock(), Ids(random.Random(0)))
    store.load()
    return store


def a_task(name="t0", cluster="c0", instance=None, desired=DesiredStatus.RUNNING, last=TaskStatus.PENDING):
    return Task(
        arn=name,
        cluster_arn=cluster,
        task_definition_arn="web:1",
        family="web",
        group="family:web",
        created_at=0.0,
        resources=Resources(),
        containers=(),
        container_instance_arn=instance,
        desired_status=desired,
        last_status=last,
    )


def test_put_when_outside_of_a_transaction_then_a_bug():
    store = a_store()
    with pytest.raises(Bug, match="outside of a transaction"):
        store.read.tasks.put(a_task())
    with pytest.raises(Bug, match="outside of a transaction"):
        store.read.tasks.delete("t0")


def test_update_when_inside_another_then_a_bug():
    store = a_store()
    with pytest.raises(Bug, match="inside a transaction"):
        store.update(lambda tx: store.update(lambda inner: None))
    store.update(lambda tx: tx.tasks.put(a_task()))
    assert len(store.read.tasks) == 1


def test_put_when_a_row_is_replaced_then_the_old_one_is_returned_and_indexes_follow():
    store = a_store()
    first, second = a_task(cluster="c0"), a_task(cluster="c1")
    assert store.update(lambda tx: tx.tasks.put(first))[0] is None
    assert store.update(lambda tx: tx.tasks.put(second))[0] is first
    assert store.read.tasks.by(cluster_arn="c0") == []
    assert store.read.tasks.by(cluster_arn="c1") == [second]
    assert store.read.tasks.count(cluster_arn="c1") == 1
    assert "t0" in store.read.tasks
    assert store.read.tasks["t0"] is second


def test_delete_when_the_row_is_not_there_then_nothing_happens():
    store = a_store()
    assert store.update(lambda tx: tx.tasks.delete("t0")) == (None, 0)


def test_update_when_nothing_changes_in_the_end_then_no_version():
    store = a_store()

    def put_and_delete(tx):
        tx.tasks.put(a_task())
        tx.tasks.delete("t0")

    assert store.update(put_and_delete)[1] == 0
    row = a_task()
    assert store.update(lambda tx: tx.tasks.put(row))[1] == 1
    assert store.update(lambda tx: tx.tasks.put(row))[1] == 1


def test_by_when_rows_are_changed_while_iterating_then_safe():
    store = a_store()
    store.update(lambda tx: [tx.tasks.put(a_task(f"t{each}")) for each in range(5)])
    store.update(lambda tx: [tx.tasks.delete(task.arn) for task in tx.tasks.by(cluster_arn="c0")])
    store.update(lambda tx: [tx.tasks.put(a_task(task.arn)) for task in tx.tasks])
    assert len(store.read.tasks) == 0
    assert store.read.tasks.keys_by(cluster_arn="c0") == {}


def test_rng_when_asked_at_the_same_version_then_the_same():
    store = a_store()
    draws = [store.update(lambda tx: tx.rng("key").random())[0] for _ in range(2)]
    assert draws[0] == draws[1]
    store.update(lambda tx: tx.tasks.put(a_task()))
    assert store.update(lambda tx: tx.rng("key").random())[0] != draws[0]


some_tasks = st.builds(
    a_task,
    st.sampled_from(["t0", "t1", "t2", "t3"]),
    st.sampled_from(["c0", "c1"]),
    st.sampled_from([None, "i0", "i1"]),
    st.sampled_from(DesiredStatus),
    st.sampled_from([TaskStatus.PENDING, TaskStatus.STOPPED]),
)
writes = st.lists(st.one_of(some_tasks, st.sampled_from(["t0", "t1", "t2", "t3"])), max_size=5)
INDEXES = {
    "cluster_arn": lambda row: row.cluster_arn,
    "container_instance_arn": lambda row: row.container_instance_arn,
    "cluster_desired": lambda row: (row.cluster_arn, row.desired_status.value),
    "stopped": lambda row: row.is_stopped or None,
}


@settings(max_examples=150)
@given(st.lists(st.tuples(writes, st.booleans()), max_size=8))
def test_store_when_transactions_succeed_and_fail_then_it_equals_a_dictionary_and_its_own_reload(history):
    """A write is a row to put or a key to delete; a transaction may fail after its last write."""
    journal = MemoryJournal()
    store, model, versions = a_store(journal), {}, 0
    for rows, is_failing in history:
        expected = dict(model)
        for write in rows:
            if isinstance(write, str):
                expected.pop(write, None)
            else:
                expected[write.arn] = write

        def change(tx, rows=rows, is_failing=is_failing, expected=expected):
            for write in rows:
                tx.tasks.delete(write) if isinstance(write, str) else tx.tasks.put(write)
            assert {row.arn: row for row in tx.tasks} == expected
            if is_failing:
                raise ZeroDivisionError

        if is_failing:
            with pytest.raises(ZeroDivisionError):
                store.update(change)
        else:
            version = store.update(change)[1]
            assert version >= versions
            assert version == versions + 1 or expected == model
            model, versions = expected, version
        check(store.read.tasks, model)
    check(a_store(journal).read.tasks, model)
    assert a_store(journal).version == versions


def check(table: Table, model: dict):
    assert {row.arn: row for row in table} == model
    for name, value_of in INDEXES.items():
        values = {value_of(row) for row in model.values()} - {None}
        assert set(table._indexes[name]) == values
        for value in values:
            assert {row.arn for row in table.by(**{name: value})} == {
                arn for arn, row in model.items() if value_of(row) == value
            }
