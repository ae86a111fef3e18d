"""The SQLite journal: what is acknowledged is there again, whatever happens to the process."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_table import a_store, a_task, some_tasks

from homeport.base.errors import Bug
from homeport.store.sqlite import SqliteJournal
from homeport.store.store import UnreadableRow


def reload(path):
    """Rows and version as a new process would load them."""

    async def load():
        journal = SqliteJournal(path)
        store = a_store(journal)
        await store.close()
        return list(store.read.tasks), store.version

    return asyncio.run(load())


def test_load_when_the_file_is_new_then_empty(tmp_path):
    assert reload(tmp_path / "j.db") == ([], 0)


def test_load_when_rows_were_put_replaced_and_deleted_then_the_newest_in_order_of_first_appearance(tmp_path):
    path = tmp_path / "j.db"

    async def scenario():
        store = a_store(SqliteJournal(path))
        store.update(lambda tx: [tx.tasks.put(a_task(f"t{each}")) for each in range(250)])
        store.update(lambda tx: tx.tasks.put(a_task("t7", cluster="c1")))
        _, version = store.update(lambda tx: [tx.tasks.delete(f"t{each}") for each in range(100, 250)])
        await store.durable(version)
        await store.close()
        return list(store.read.tasks), version

    rows, version = asyncio.run(scenario())
    assert reload(path) == (rows, version)
    assert len(rows) == 100


@pytest.mark.parametrize(
    ("kind", "body", "told"), [("novel", "{}", "novel 'k': no such kind of row"), ("task", "{}", "task 'k': .*missing")]
)
def test_load_when_a_row_is_of_another_version_then_it_is_named(tmp_path, kind, body, told):
    path = tmp_path / "j.db"
    reload(path)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO objects (kind, key, version, body) VALUES (?, 'k', 1, ?)", (kind, body))
    connection.close()
    with pytest.raises(UnreadableRow, match=told):
        reload(path)


def test_journal_when_loaded_and_continued_then_rows_keep_one_entry_each(tmp_path):
    path = tmp_path / "j.db"

    async def one_life(cluster):
        store = a_store(SqliteJournal(path))
        _, version = store.update(lambda tx: [tx.tasks.put(a_task(f"t{each}", cluster)) for each in range(3)])
        _, version = store.update(lambda tx: tx.tasks.delete("t1"))
        await store.durable(version)
        await store.close()

    for cluster in ("c0", "c1", "c2"):
        asyncio.run(one_life(cluster))
    rows, version = reload(path)
    assert [(row.arn, row.cluster_arn) for row in rows] == [("t0", "c2"), ("t2", "c2")]
    assert version == 6
    with sqlite3.connect(path) as connection:
        records = [json.loads(changes) for (changes,) in connection.execute("SELECT changes FROM journal")]
    connection.close()
    assert len(records) == 6
    assert records[1] == [["task", "t1", None]]
    assert records[0][0][2]["cluster_arn"] == "c0"


def test_append_when_an_old_journal_was_not_loaded_then_a_bug(tmp_path):
    async def scenario():
        store = a_store(SqliteJournal(tmp_path / "j.db"))
        store.update(lambda tx: tx.tasks.put(a_task()))
        await store.close()
        journal = SqliteJournal(tmp_path / "j.db")
        with pytest.raises(Bug, match="loaded"):
            journal.append(2, 0.0, [])
        await journal.close()

    asyncio.run(scenario())


def test_open_when_another_process_has_it_then_refused(tmp_path):
    async def scenario():
        store = a_store(SqliteJournal(tmp_path / "j.db"))
        await store.durable(store.update(lambda tx: tx.tasks.put(a_task()))[1])
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM objects')"
        other = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "j.db"], check=False, capture_output=True, text=True
        )
        await store.close()
        return other.stderr

    assert "database is locked" in asyncio.run(scenario())


def test_durable_when_many_wait_then_few_commits_serve_them_all(tmp_path):
    async def scenario():
        journal = SqliteJournal(tmp_path / "j.db")
        commits = 0
        commit = journal._commit

        def counted(batch):
            nonlocal commits
            commits += 1
            commit(batch)

        journal._commit = counted
        store = a_store(journal)
        versions = [store.update(lambda tx, each=each: tx.tasks.put(a_task(f"t{each}")))[1] for each in range(500)]
        await asyncio.gather(*(store.durable(version) for version in reversed(versions)))
        await store.durable(1)
        await store.close()
        return commits

    assert asyncio.run(scenario()) < 100
    assert len(reload(tmp_path / "j.db")[0]) == 500


def test_durable_when_the_commit_fails_then_every_waiter_and_all_later_ones_are_told(tmp_path):
    async def scenario():
        journal = SqliteJournal(tmp_path / "j.db")
        store = a_store(journal)
        await store.durable(store.update(lambda tx: tx.tasks.put(a_task("t0")))[1])
        journal._connection.execute("PRAGMA query_only=ON")
        _, version = store.update(lambda tx: tx.tasks.put(a_task("t1")))
        waiters = [asyncio.ensure_future(store.durable(version)) for _ in range(3)]
        for error in await asyncio.gather(*waiters, return_exceptions=True):
            assert isinstance(error, sqlite3.OperationalError)
        with pytest.raises(sqlite3.OperationalError):
            await store.durable(version)
        assert journal.failed.done()
        journal._thread.join()
        journal._connection.close()

    asyncio.run(scenario())
    assert [row.arn for row in reload(tmp_path / "j.db")[0]] == ["t0"]


@settings(max_examples=15)
@given(st.lists(st.lists(st.one_of(some_tasks, st.sampled_from(["t0", "t1", "t2"])), max_size=4), max_size=6))
def test_reload_when_any_history_was_durable_then_the_same_rows(tmp_path_factory, history):
    path = tmp_path_factory.mktemp("journal") / "j.db"

    async def scenario():
        store = a_store(SqliteJournal(path))
        for writes in history:
            store.update(
                lambda tx, writes=writes: [
                    tx.tasks.delete(write) if isinstance(write, str) else tx.tasks.put(write) for write in writes
                ]
            )
        await store.durable(store.version)
        await store.close()
        return {row.arn: row for row in store.read.tasks}, store.version

    rows, version = asyncio.run(scenario())
    reloaded, reloaded_version = reload(path)
    assert {row.arn: row for row in reloaded} == rows
    assert reloaded_version == version


def test_journal_when_it_has_many_versions_then_only_the_last_are_kept(tmp_path):
    async def scenario():
        store = a_store(SqliteJournal(tmp_path / "j.db"))
        for each in range(12_000):
            store.update(lambda tx, each=each: tx.tasks.put(a_task("t0", cluster=str(each))))
            if each % 1000 == 0:
                await store.durable(store.version)
        await store.close()

    asyncio.run(scenario())
    connection = sqlite3.connect(tmp_path / "j.db")
    (oldest, newest) = connection.execute("SELECT min(version), max(version) FROM journal").fetchone()
    connection.close()
    assert newest == 12_000
    assert 0 < oldest <= 2_001


WRITER = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from test_table import a_store, a_task
from homeport.store.sqlite import SqliteJournal
from homeport.store.store import UnreadableRow

async def main():
    store = a_store(SqliteJournal(sys.argv[1]))
    async def writer(name):
        for each in range(1_000_000):
            _, version = store.update(lambda tx: tx.tasks.put(a_task(f"{name}-{each % 50}", cluster=str(each))))
            await store.durable(version)
            print(name, each, version, flush=True)
    await asyncio.gather(*(writer(f"w{each}") for each in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40, 400])
def test_kill_when_a_writer_dies_then_every_acknowledged_version_is_there(tmp_path, lines):
    path = tmp_path / "j.db"
    command = [sys.executable, "-c", WRITER, path, Path(__file__).parent, Path(__file__).parents[3]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        acknowledged = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
    told = [line.split() for line in acknowledged if line.endswith("\n")]
    rows, version = reload(path)
    clusters = {row.arn: int(row.cluster_arn) for row in rows}
    assert len(told) >= lines
    for name, each, seen in told:
        assert version >= int(seen)
        assert clusters[f"{name}-{int(each) % 50}"] >= int(each)
