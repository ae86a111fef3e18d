"""Watching: whole transactions in order, only the kinds asked for, and a marker instead of an endless queue."""

import asyncio

from test_table import a_store, a_task

from homeport.model.cluster import Cluster


async def take(subscription, count):
    batches = []
    async for batch in subscription:
        batches.append(batch)
        if len(batches) == count:
            return batches
    return batches


def test_subscribe_when_rows_change_then_their_net_change_per_transaction():
    store = a_store()
    subscription = store.subscribe(["task"])
    first, second = a_task("t0"), a_task("t0", cluster="c1")
    store.update(lambda tx: [tx.tasks.put(first), tx.tasks.put(second)])
    store.update(lambda tx: tx.clusters.put(Cluster(arn="c", name="c")))
    store.update(lambda tx: tx.tasks.delete("t0"))
    batches = asyncio.run(take(subscription, 2))
    assert [(batch.version, batch.resync) for batch in batches] == [(1, False), (3, False)]
    assert [(change.before, change.after) for batch in batches for change in batch.changes] == [
        (None, second),
        (second, None),
    ]


def test_subscribe_when_a_transaction_fails_then_nothing_is_told():
    store = a_store()
    subscription = store.subscribe(["task"])
    try:
        store.update(lambda tx: (tx.tasks.put(a_task("t0")), 1 / 0))
    except ZeroDivisionError:
        store.update(lambda tx: tx.tasks.put(a_task("t1")))
    (batch,) = asyncio.run(take(subscription, 1))
    assert [change.key for change in batch.changes] == ["t1"]


def test_subscribe_when_too_much_happens_then_one_resync_and_what_follows():
    store = a_store()
    subscription = store.subscribe(["task"], limit=3)
    for each in range(4):
        store.update(lambda tx, each=each: tx.tasks.put(a_task(f"t{each}")))
    store.update(lambda tx: tx.tasks.put(a_task("later")))
    resync, after = asyncio.run(take(subscription, 2))
    assert (resync.resync, resync.changes, resync.version) == (True, (), 4)
    assert [change.key for change in after.changes] == ["later"]


def test_subscribe_when_one_transaction_alone_is_too_much_then_a_resync():
    store = a_store()
    subscription = store.subscribe(["task"], limit=3)
    store.update(lambda tx: [tx.tasks.put(a_task(f"t{each}")) for each in range(4)])
    (batch,) = asyncio.run(take(subscription, 1))
    assert batch.resync


def test_subscribe_when_the_reader_waits_then_it_is_woken():
    store = a_store()
    subscription = store.subscribe(["task"])

    async def scenario():
        reader = asyncio.ensure_future(take(subscription, 2))
        for each in range(2):
            await asyncio.sleep(0)
            store.update(lambda tx, each=each: tx.tasks.put(a_task(f"t{each}")))
        return await asyncio.wait_for(reader, 5)

    assert [batch.version for batch in asyncio.run(scenario())] == [1, 2]


def test_unsubscribe_when_done_then_nothing_more_is_queued():
    store = a_store()
    subscription = store.subscribe(["task"])
    store.unsubscribe(subscription)
    store.update(lambda tx: tx.tasks.put(a_task()))
    assert not subscription._batches
