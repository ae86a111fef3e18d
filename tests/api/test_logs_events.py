"""Events through boto3: putting, getting, searching, following."""

import pytest
from botocore.exceptions import ClientError

HOUR = 3_600_000
DAY = 24 * HOUR


class Stream:
    def __init__(self, region):
        self.logs = region.client("logs")
        self.now = int(region.clock.now() * 1000)
        self.region = region
        self.logs.create_log_group(logGroupName="/app")
        self.create("s")

    def create(self, name):
        self.logs.create_log_stream(logGroupName="/app", logStreamName=name)

    def put(self, *events, stream="s"):
        """Events as (milliseconds relative to now, message)."""
        return self.logs.put_log_events(
            logGroupName="/app",
            logStreamName=stream,
            logEvents=[{"timestamp": self.now + age, "message": message} for age, message in events],
        )

    def get(self, **more):
        return self.logs.get_log_events(logGroupName="/app", logStreamName="s", **more)

    def search(self, **more):
        return self.logs.filter_log_events(logGroupName="/app", **more)

    def texts(self, answer):
        return [event["message"] for event in answer["events"]]


@pytest.fixture
def stream(region):
    return Stream(region)


def refused(call, *args, code="InvalidParameterException", **request):
    with pytest.raises(ClientError) as caught:
        call(*args, **request)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_events_when_put_come_back_with_their_times(stream):
    answer = stream.put((-5, "one"), (0, "two é\n\u0000"))
    assert answer["nextSequenceToken"].isdecimal()
    assert "rejectedLogEventsInfo" not in answer
    events = stream.get()["events"]
    assert [(event["timestamp"] - stream.now, event["message"]) for event in events] == [
        (-5, "one"),
        (0, "two é\n\u0000"),
    ]
    assert all(event["ingestionTime"] >= stream.now for event in events)
    stream.logs.put_log_events(
        logGroupName="/app",
        logStreamName="s",
        sequenceToken="anything",
        logEvents=[{"timestamp": stream.now, "message": "three"}],
    )
    assert len(stream.get()["events"]) == 3


def test_put_when_limits_are_exceeded_is_refused_whole(stream):
    assert "chronological order" in refused(stream.put, (0, "b"), (-1, "a"))
    assert refused(stream.put, (0, "x" * (1_048_576 - 25))) == (
        "Upload too large: 1048577 bytes exceeds limit of 1048576"
    )
    refused(stream.put, *[(0, "x")] * 10_001)
    assert "24 hours" in refused(stream.put, (-DAY - 1, "a"), (0, "b"))
    assert stream.get()["events"] == []
    stream.put((0, "x" * (1_048_576 - 26)))
    stream.put(*[(0, "y")] * 10_000)


def test_put_when_events_are_too_old_or_new_keeps_the_others(stream):
    answer = stream.put((-15 * DAY, "old"), (-14 * DAY - HOUR, "old"), (0, "kept"), (3 * HOUR, "new"))
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3}
    assert stream.texts(stream.get()) == ["kept"]
    stream.logs.put_retention_policy(logGroupName="/app", retentionInDays=1)
    answer = stream.put((-15 * DAY, "old"), (-2 * DAY, "expired"), (0, "kept too"))
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 2}
    assert stream.texts(stream.get()) == ["kept", "kept too"]


def test_put_when_stream_is_missing_is_refused(stream):
    message = refused(stream.put, (0, "m"), stream="none", code="ResourceNotFoundException")
    assert message == "The specified log stream does not exist."


def test_put_when_an_entity_comes_along_stores_events_and_says_so(stream):
    answer = stream.logs.put_log_events(
        logGroupName="/app",
        logStreamName="s",
        logEvents=[{"timestamp": stream.now, "message": "m"}],
        entity={"keyAttributes": {"Type": "Service", "Name": "x"}},
    )
    assert answer["rejectedEntityInfo"] == {"errorType": "UnsupportedLogGroupType"}
    assert stream.texts(stream.get()) == ["m"]


def test_get_when_read_from_head_stops_at_the_same_token_and_goes_on_later(stream):
    stream.put(*[(number, str(number)) for number in range(5)])
    first = stream.get(startFromHead=True, limit=3)
    assert stream.texts(first) == ["0", "1", "2"]
    second = stream.get(startFromHead=True, limit=3, nextToken=first["nextForwardToken"])
    assert stream.texts(second) == ["3", "4"]
    end = stream.get(startFromHead=True, limit=3, nextToken=second["nextForwardToken"])
    assert end["events"] == []
    assert end["nextForwardToken"] == second["nextForwardToken"]
    back = stream.get(limit=2, nextToken=end["nextBackwardToken"])
    assert stream.texts(back) == ["3", "4"]
    stream.put((9, "later"))
    assert stream.texts(stream.get(startFromHead=True, nextToken=end["nextForwardToken"])) == ["later"]


def test_get_when_read_from_tail_walks_back_to_the_start(stream):
    stream.put(*[(0, str(number)) for number in range(5)])
    newest = stream.get(limit=2)
    assert stream.texts(newest) == ["3", "4"]
    older = stream.get(limit=2, nextToken=newest["nextBackwardToken"])
    assert stream.texts(older) == ["1", "2"]
    oldest = stream.get(limit=2, nextToken=older["nextBackwardToken"])
    assert stream.texts(oldest) == ["0"]
    end = stream.get(limit=2, nextToken=oldest["nextBackwardToken"])
    assert (end["events"], end["nextBackwardToken"]) == ([], oldest["nextBackwardToken"])
    assert stream.texts(stream.get(limit=1, startFromHead=True, nextToken=end["nextForwardToken"])) == ["0"]


def test_get_when_stream_is_empty_gives_tokens_that_see_later_events(stream):
    empty = stream.get(startFromHead=True)
    assert empty["events"] == []
    stream.put((0, "m"))
    assert stream.texts(stream.get(nextToken=empty["nextForwardToken"], startFromHead=True)) == ["m"]


def test_get_when_bounded_excludes_the_end(stream):
    stream.put((0, "a"), (1, "b"), (2, "c"))
    assert stream.texts(stream.get(startTime=stream.now + 1, endTime=stream.now + 2)) == ["b"]
    refused(stream.get, nextToken="f/123/s")
    refused(stream.get, nextToken="x" * 30)
    refused(stream.get, limit=10_001)


def test_get_when_events_are_large_gives_at_most_a_mebibyte(stream):
    for number in range(3):
        stream.put((number, str(number) + "x" * 500_000))
    first = stream.get(startFromHead=True)
    assert [text[0] for text in stream.texts(first)] == ["0", "1"]
    second = stream.get(startFromHead=True, nextToken=first["nextForwardToken"])
    assert [text[0] for text in stream.texts(second)] == ["2"]
    pages = stream.logs.get_paginator("filter_log_events").paginate(logGroupName="/app")
    assert [[text[0] for text in stream.texts(page)] for page in pages] == [["0", "1"], ["2"]]


def test_search_when_streams_are_chosen_interleaves_only_those(stream):
    for name in ("web/1", "web/2"):
        stream.create(name)
    stream.put((0, "s0"), (3, "s3"))
    stream.put((1, "w1"), (4, "w4"), stream="web/1")
    stream.put((2, "w2"), stream="web/2")
    assert stream.texts(stream.search(interleaved=True)) == ["s0", "w1", "w2", "s3", "w4"]
    assert stream.texts(stream.search(logStreamNamePrefix="web/")) == ["w1", "w2", "w4"]
    assert stream.texts(stream.search(logStreamNames=["s", "web/2"])) == ["s0", "w2", "s3"]
    assert stream.texts(stream.search(startTime=stream.now + 1, endTime=stream.now + 3)) == ["w1", "w2", "s3"]
    assert stream.texts(stream.search(startFromHead=False, limit=2)) == ["w4", "s3"]
    answer = stream.search()
    assert answer["searchedLogStreams"] == []
    assert len({event["eventId"] for event in answer["events"]}) == 5
    assert {event["logStreamName"] for event in answer["events"]} == {"s", "web/1", "web/2"}
    refused(stream.search, logStreamNames=["s"], logStreamNamePrefix="web")
    refused(stream.search, logStreamNames=["none"], code="ResourceNotFoundException")
    refused(stream.search, startFromHead=False, startTime=1)


@pytest.mark.parametrize("from_head", [True, False])
def test_search_when_paged_gives_every_match_once(stream, from_head):
    stream.create("t")
    for number in range(30):
        stream.put((number // 2, f"{'hit' if number % 3 == 0 else 'miss'} {number}"), stream="st"[number % 2])
    pages = list(
        stream.logs.get_paginator("filter_log_events").paginate(
            logGroupName="/app", filterPattern="hit", startFromHead=from_head, PaginationConfig={"PageSize": 4}
        )
    )
    assert [len(page["events"]) for page in pages] == [4, 4, 2]
    wanted = [f"hit {number}" for number in range(0, 30, 3)]
    found = [text for page in pages for text in stream.texts(page)]
    assert found == (wanted if from_head else wanted[::-1])
    refused(stream.search, nextToken="bm9uZQ==")


def test_search_when_matches_are_rare_looks_at_a_bounded_number_per_page(stream):
    stream.put(*[(0, "noise")] * 10_000)
    stream.put(*[(0, "noise")] * 10_000)
    stream.put((0, "needle"))
    first = stream.search(filterPattern="needle")
    assert first["events"] == []
    assert stream.texts(stream.search(filterPattern="needle", nextToken=first["nextToken"])) == ["needle"]


def test_tail_when_followed_as_aws_logs_tail_does_shows_each_event_once(stream):
    """The command's loop: search from the newest time it has seen, drop the event ids it knows at that time."""
    shown, seen, start = [], set(), stream.now
    for written in (("a", "b"), (), ("c",), ("d", "e")):
        if written:
            stream.put(*[(len(shown), text) for text in written])
        request = {"interleaved": True, "startTime": start}
        while True:
            answer = stream.search(**request)
            for event in answer["events"]:
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    shown.append(event["message"])
                    start = max(start, event["timestamp"])
            if "nextToken" not in answer:
                break
            request["nextToken"] = answer["nextToken"]
    assert shown == ["a", "b", "c", "d", "e"]


def test_expired_events_when_swept_are_gone(stream, region):
    stream.logs.put_retention_policy(logGroupName="/app", retentionInDays=1)
    stream.put((-HOUR, "old"))
    region.world.logs.expire(stream.now + DAY)
    assert stream.get()["events"] == []
