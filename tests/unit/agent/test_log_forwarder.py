"""From the spool to the control plane, in virtual time."""

import asyncio
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.agent.backend import Refused
from homeport.agent.log_forwarder import LogForwarder, Record, batches
from homeport.agent.log_spool import LogSpool
from tests.sim.loop import run_virtually
from tests.unit.agent.logs_backend import MemoryLogs

DAY = 86_400_000


def forward(folder, backend, *records, seconds=60.0, meanwhile=None):
    """Spool the records, let the forwarder run for some virtual seconds; returns what is left in the spool."""

    async def main(clock):
        spool = LogSpool(folder)
        forwarder = LogForwarder(spool, backend, clock, random.Random(1))
        for record in records:
            spool.append(msgspec.json.encode(record))
        body = asyncio.ensure_future(forwarder.run())
        if meanwhile is not None:
            await meanwhile(clock, spool, forwarder)
        await clock.sleep(seconds)
        body.cancel()
        left = spool.size_bytes
        spool.close()
        return left

    return run_virtually(main)


def put(stream, *messages, group="/app", creates_group=False):
    return Record(group, stream, creates_group, tuple((number, text) for number, text in enumerate(messages)))


def test_records_when_forwarded_keep_the_order_of_each_stream(tmp_path):
    backend = MemoryLogs("/app")
    records = [Record("/app", "a"), Record("/app", "b")]
    for number in range(20):
        records += [put("a", f"a{number}"), put("b", f"b{number}")]
    assert forward(tmp_path, backend, *records) == 0
    assert backend.groups["/app"] == {name: [f"{name}{number}" for number in range(20)] for name in "ab"}
    assert backend.calls.count("PutLogEvents") == 2


def test_forwarder_when_the_control_plane_is_away_waits_and_loses_nothing(tmp_path):
    backend = MemoryLogs("/app")
    backend.down = True

    async def meanwhile(clock, spool, forwarder):
        await clock.sleep(600)
        assert spool.size_bytes > 0
        spool.append(msgspec.json.encode(put("a", "later")))
        forwarder.wake()
        backend.down = False

    assert forward(tmp_path, backend, Record("/app", "a"), put("a", "early"), meanwhile=meanwhile) == 0
    assert backend.groups["/app"]["a"] == ["early", "later"]


def test_forwarder_when_the_agent_was_killed_goes_on_after_its_restart(tmp_path):
    backend = MemoryLogs("/app")
    backend.down = True
    assert forward(tmp_path, backend, Record("/app", "a"), put("a", "early")) > 0
    backend.down = False
    assert forward(tmp_path, backend) == 0
    assert backend.groups["/app"]["a"] == ["early"]


def test_group_when_missing_is_created_only_for_containers_that_asked(tmp_path):
    backend = MemoryLogs()
    records = [put("a", "lost"), put("b", "kept", group="/new", creates_group=True), Record("/other")]
    assert forward(tmp_path, backend, *records) == 0
    assert backend.groups == {"/new": {"b": ["kept"]}, "/other": {}}


def test_stream_when_deleted_meanwhile_is_made_again(tmp_path):
    backend = MemoryLogs("/app")
    assert forward(tmp_path, backend, put("gone", "m")) == 0
    assert backend.groups["/app"] == {"gone": ["m"]}


@pytest.mark.parametrize(
    ("code", "expected"),
    [("InvalidParameterException", []), ("ExpiredTokenException", ["m"]), ("InvalidSignatureException", ["m"])],
)
def test_refusals_when_final_drop_the_batch_and_others_are_tried_again(tmp_path, code, expected):
    backend = MemoryLogs("/app")
    backend.groups["/app"]["a"] = []
    backend.refusals = [Refused(code, "no")]
    assert forward(tmp_path, backend, put("a", "m")) == 0
    assert backend.groups["/app"]["a"] == expected


@given(st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(0, 400_000).map(lambda size: "x" * size)), max_size=12))
def test_batches_when_cut_obey_every_limit_and_lose_nothing(events):
    found = batches(events)
    assert [event for batch in found for event in batch] == sorted(events, key=lambda event: event[0])
    for batch in found:
        assert len(batch) <= 10_000
        assert sum(len(text) + 26 for _, text in batch) <= 1_048_576
        assert batch[-1][0] - batch[0][0] <= DAY


def test_batches_when_events_are_many_hold_ten_thousand_each():
    assert [len(batch) for batch in batches([(1, "x")] * 25_000)] == [10_000, 10_000, 5_000]
