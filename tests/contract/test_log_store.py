"""What every log store must do."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.base.errors import NotFound, Permanent
from homeport.drivers.logs import LogEvent, LogGroup, LogStore, LogStream
from homeport.drivers.logs.sqlite import SqliteLogStore

DAY = 86_400_000


@pytest.fixture
def store() -> Iterator[LogStore]:
    store = SqliteLogStore(":memory:")
    yield store
    store.close()


def with_streams(store: LogStore, *names: str, group: str = "/app", retention: int | None = None) -> None:
    store.create_group(LogGroup(name=group, created_at_ms=1, retention_days=retention))
    for name in names:
        store.create_stream(LogStream(group=group, name=name, created_at_ms=2))


def everything(store: LogStore, streams: list[str] | None = None, **bounds) -> list[LogEvent]:
    settings = {"start_ms": None, "end_ms": None, "after": None, "limit": 10_000, "newest_first": False} | bounds
    return list(store.read("/app", streams, **settings))


def test_group_when_created_is_found_with_its_settings(store):
    group = LogGroup(name="/a", created_at_ms=5, retention_days=7, tags={"k": "v"}, log_group_class="INFREQUENT_ACCESS")
    store.create_group(group)
    store.create_group(LogGroup(name="/0", created_at_ms=6))
    assert store.group("/a") == group
    assert [found.name for found in store.groups()] == ["/0", "/a"]
    store.replace_group(LogGroup(name="/a", created_at_ms=5, tags={"x": "y"}))
    assert store.group("/a") == LogGroup(name="/a", created_at_ms=5, tags={"x": "y"})


def test_names_when_taken_or_unknown_are_refused(store):
    with_streams(store, "s")
    with pytest.raises(Permanent):
        store.create_group(LogGroup(name="/app", created_at_ms=1))
    with pytest.raises(Permanent):
        store.create_stream(LogStream(group="/app", name="s", created_at_ms=1))
    for verb in (
        lambda: store.create_stream(LogStream(group="/no", name="s", created_at_ms=1)),
        lambda: store.delete_group("/no"),
        lambda: store.delete_stream("/app", "no"),
        lambda: store.put("/app", "no", [(1, "x")], 1),
        lambda: store.put("/no", "s", [(1, "x")], 1),
        lambda: store.replace_group(LogGroup(name="/no", created_at_ms=1)),
        lambda: store.streams("/no"),
        lambda: everything(store, ["no"]),
    ):
        with pytest.raises(NotFound):
            verb()
    assert store.group("/no") is None
    assert store.stream("/app", "no") is None


def test_stream_when_written_knows_its_times_and_size(store):
    with_streams(store, "s")
    store.put("/app", "s", [(20, "ab"), (30, "é")], 100)
    store.put("/app", "s", [(10, "c")], 200)
    assert store.stream("/app", "s") == LogStream(
        group="/app",
        name="s",
        created_at_ms=2,
        first_event_ms=10,
        last_event_ms=30,
        last_ingestion_ms=200,
        stored_bytes=5 + 3 * 26,
    )
    group = store.group("/app")
    assert group is not None
    assert group.stored_bytes == 5 + 3 * 26


def test_read_when_bounded_gives_the_window_in_order(store):
    with_streams(store, "a", "b")
    store.put("/app", "a", [(10, "a10"), (30, "a30"), (30, "a30b")], 1)
    store.put("/app", "b", [(20, "b20"), (30, "b30")], 1)
    assert [event.message for event in everything(store)] == ["a10", "b20", "a30", "a30b", "b30"]
    assert [event.message for event in everything(store, ["b"])] == ["b20", "b30"]
    assert [event.message for event in everything(store, start_ms=20, end_ms=30)] == ["b20"]
    assert [event.message for event in everything(store, limit=2, newest_first=True)] == ["b30", "a30b"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.integers(1, 7), st.booleans())
def test_read_when_paged_by_position_gives_each_event_once(written, limit, newest_first):
    store = SqliteLogStore(":memory:")
    with_streams(store, "a", "b", "c")
    for number, (stream, timestamp) in enumerate(written):
        store.put("/app", stream, [(timestamp, str(number))], 1)
    for chosen in (None, ["a", "b"]):
        found: list[LogEvent] = []
        position = None
        while page := everything(store, chosen, after=position, limit=limit, newest_first=newest_first):
            found += page
            position = (page[-1].timestamp_ms, page[-1].id)
        whole = everything(store, chosen)
        assert found == (whole[::-1] if newest_first else whole)
        assert len(whole) == sum(1 for stream, _ in written if chosen is None or stream in chosen)
        assert [(event.timestamp_ms, event.id) for event in whole] == sorted((e.timestamp_ms, e.id) for e in whole)
    store.close()


def test_delete_when_done_leaves_nothing_even_under_the_same_name(store):
    with_streams(store, "s", "t")
    store.put("/app", "s", [(1, "old")], 1)
    store.put("/app", "t", [(1, "t")], 1)
    store.delete_stream("/app", "s")
    assert [event.message for event in everything(store)] == ["t"]
    store.delete_group("/app")
    with_streams(store, "s")
    assert everything(store) == []
    assert store.expire(10) == 2
    assert store.expire(10) == 0


def test_expire_when_retention_is_set_deletes_only_what_is_older(store):
    with_streams(store, "s", retention=1)
    with_streams(store, "s", group="/kept")
    store.put("/kept", "s", [(1, "kept")], 1)
    store.put("/app", "s", [(time, "x" * 10) for time in range(6000)], 1)
    store.put("/app", "s", [(2 * DAY, "new")], 1)
    assert store.expire(DAY + 6000) == 6000
    assert [event.message for event in everything(store)] == ["new"]
    stream = store.stream("/app", "s")
    assert stream is not None
    assert (stream.first_event_ms, stream.stored_bytes) == (2 * DAY, 29)
    assert store.stream("/kept", "s").first_event_ms == 1


def test_file_when_opened_again_still_has_everything(tmp_path):
    path = tmp_path / "logs.sqlite"
    store = SqliteLogStore(path)
    with_streams(store, "s")
    store.put("/app", "s", [(1, "one")], 1)
    store.close()
    again = SqliteLogStore(path)
    again.put("/app", "s", [(1, "two")], 2)
    assert [(event.id, event.message) for event in everything(again)] == [(1, "one"), (2, "two")]
    again.close()


def test_file_when_events_expired_is_smaller(tmp_path):
    path = tmp_path / "logs.sqlite"
    store = SqliteLogStore(path)
    with_streams(store, "s", retention=1)
    for _ in range(5):
        store.put("/app", "s", [(time, "x" * 500) for time in range(2000)], 1)
    store.close()
    before = path.stat().st_size
    store = SqliteLogStore(path)
    assert store.expire(2 * DAY) == 10_000
    store.close()
    assert path.stat().st_size < before / 10
