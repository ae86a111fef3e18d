"""The queue on disk: nothing acknowledged is lost, nothing committed comes again, the limit holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.agent.log_spool import LogSpool


def drain(spool):
    found = []
    while True:
        records, place = spool.peek(40)
        if not records:
            return found
        found += records
        spool.commit(place)


@given(
    st.lists(
        st.one_of(st.binary(max_size=30).map(lambda data: ("append", data)), st.sampled_from([("drain",), ("reopen",)]))
    )
)
@settings(max_examples=60)
def test_spool_when_reopened_at_any_time_gives_each_record_once_in_order(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    spool = LogSpool(folder, segment_bytes=64)
    written, read = [], []
    for step in steps:
        match step:
            case ("append", data):
                spool.append(data)
                written.append(data)
            case ("drain",):
                read += drain(spool)
                assert spool.size_bytes == 0
            case ("reopen",):
                spool.close()
                spool = LogSpool(folder, segment_bytes=64)
    assert read + drain(spool) == written
    assert len(list(folder.glob("*.spool"))) <= 1
    spool.close()


def test_records_when_not_committed_come_again_after_a_restart(tmp_path):
    spool = LogSpool(tmp_path)
    spool.append(b"one")
    spool.append(b"two")
    first, place = spool.peek(1)
    assert first == [b"one"]
    assert spool.peek(1)[0] == [b"one"]
    spool.commit(place)
    assert spool.peek()[0] == [b"two"]
    again = LogSpool(tmp_path)
    assert again.peek()[0] == [b"two"]
    spool.close()
    again.close()


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_spool_when_its_last_record_is_torn_drops_only_that(tmp_path, cut):
    spool = LogSpool(tmp_path)
    spool.append(b"whole")
    spool.append(b"torn")
    spool.close()
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-cut])
    spool = LogSpool(tmp_path)
    spool.append(b"after")
    assert drain(spool) == [b"whole", b"after"]
    spool.close()


def test_spool_when_a_middle_segment_is_damaged_goes_on_with_the_next(tmp_path):
    spool = LogSpool(tmp_path, segment_bytes=20)
    for number in range(6):
        spool.append(b"record %d" % number)
    spool.close()
    first = min(tmp_path.glob("*.spool"))
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    spool = LogSpool(tmp_path, segment_bytes=20)
    assert drain(spool) == [b"record %d" % number for number in (0, 2, 3, 4, 5)]
    spool.close()


def test_spool_when_past_its_limit_keeps_what_is_newest(tmp_path):
    spool = LogSpool(tmp_path, limit_bytes=500, segment_bytes=100)
    for number in range(100):
        spool.append(b"%03d" % number)
        assert spool.size_bytes <= 500 + 11
    early, place = spool.peek(1)
    for number in range(100, 200):
        spool.append(b"%03d" % number)
    spool.commit(place)
    kept = drain(spool)
    assert kept == [b"%03d" % number for number in range(200 - len(kept), 200)]
    assert len(kept) >= 30
    assert early[0] < kept[0]
    spool.close()


def test_place_when_its_file_is_damaged_starts_at_the_oldest_record(tmp_path):
    spool = LogSpool(tmp_path)
    spool.append(b"x")
    drain(spool)
    spool.append(b"y")
    spool.close()
    (tmp_path / "forwarded").write_text("nonsense")
    spool = LogSpool(tmp_path)
    assert drain(spool) == [b"x", b"y"]
    spool.close()
