"""Log groups, streams and tags through boto3."""

import pytest
from botocore.exceptions import ClientError

GROUP_ARN = "arn:aws:logs:us-east-1:123456789012:log-group:/app"


@pytest.fixture
def logs(region):
    return region.client("logs")


def refused(code, call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_group_when_created_is_described_as_terraform_reads_it(logs, region):
    logs.create_log_group(logGroupName="/app", tags={"team": "x"})
    logs.create_log_group(logGroupName="/app2")
    groups = logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["/app", "/app2"]
    first = groups[0]
    assert (first["arn"], first["logGroupArn"]) == (GROUP_ARN + ":*", GROUP_ARN)
    assert (first["logGroupClass"], first["storedBytes"], first["metricFilterCount"]) == ("STANDARD", 0, 0)
    assert abs(first["creationTime"] / 1000 - region.clock.now()) < 60
    assert "retentionInDays" not in first
    assert logs.list_tags_for_resource(resourceArn=GROUP_ARN)["tags"] == {"team": "x"}


def test_group_when_it_exists_or_is_missing_is_refused_with_aws_sentences(logs):
    logs.create_log_group(logGroupName="/app")
    assert (
        refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName="/app")
        == "The specified log group already exists"
    )
    for call, more in (
        (logs.delete_log_group, {}),
        (logs.put_retention_policy, {"retentionInDays": 7}),
        (logs.delete_retention_policy, {}),
        (logs.create_log_stream, {"logStreamName": "s"}),
        (logs.delete_log_stream, {"logStreamName": "s"}),
        (logs.describe_log_streams, {}),
        (logs.get_log_events, {"logStreamName": "s"}),
        (logs.filter_log_events, {}),
        (logs.put_log_events, {"logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}),
        (logs.list_tags_log_group, {}),
        (logs.tag_log_group, {"tags": {"a": "b"}}),
        (logs.untag_log_group, {"tags": ["a"]}),
    ):
        message = refused("ResourceNotFoundException", call, logGroupName="/none", **more)
        assert message == "The specified log group does not exist."


@pytest.mark.parametrize(
    "extra",
    [
        {"kmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/k"},
        {"deletionProtectionEnabled": True},
        {"logGroupClass": "DELIVERY"},
        {"tags": {"aws:mine": "x"}},
        {"logGroupName": "not allowed!"},
    ],
)
def test_group_when_asked_for_what_is_not_served_is_refused(logs, extra):
    refused("InvalidParameterException", logs.create_log_group, **{"logGroupName": "/app", **extra})
    assert logs.describe_log_groups()["logGroups"] == []


def test_retention_when_set_and_deleted_shows_and_vanishes(logs):
    logs.create_log_group(logGroupName="/app")
    refused("InvalidParameterException", logs.put_retention_policy, logGroupName="/app", retentionInDays=2)
    logs.put_retention_policy(logGroupName="/app", retentionInDays=14)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 14
    logs.delete_retention_policy(logGroupName="/app")
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]


def test_groups_when_filtered_give_those_asked_for(logs):
    for name in ("/app/DataLogs", "/app/datalogs", "/web"):
        logs.create_log_group(logGroupName=name)
    found = logs.describe_log_groups(logGroupNamePattern="Data")["logGroups"]
    assert [set(group) for group in found] == [{"logGroupName", "arn", "creationTime"}]
    identifiers = ["/web", "arn:aws:logs:us-east-1:123456789012:log-group:/app/datalogs"]
    found = logs.describe_log_groups(logGroupIdentifiers=identifiers)["logGroups"]
    assert [group["logGroupName"] for group in found] == ["/app/datalogs", "/web"]
    refused("InvalidParameterException", logs.describe_log_groups, logGroupNamePattern="a", logGroupNamePrefix="a")
    assert logs.describe_log_groups(accountIdentifiers=["000000000000"])["logGroups"] == []


def test_groups_when_paged_come_once_each(logs):
    names = [f"/g{number:03d}" for number in range(7)]
    for name in reversed(names):
        logs.create_log_group(logGroupName=name)
    pages = logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 3})
    assert [[group["logGroupName"] for group in page["logGroups"]] for page in pages] == [
        names[:3],
        names[3:6],
        names[6:],
    ]
    refused("InvalidParameterException", logs.describe_log_groups, nextToken="nonsense")
    refused("InvalidParameterException", logs.describe_log_groups, limit=51)


def test_tags_when_changed_by_either_family_are_the_same(logs):
    logs.create_log_group(logGroupName="/app")
    assert logs.list_tags_for_resource(resourceArn=GROUP_ARN)["tags"] == {}
    logs.tag_resource(resourceArn=GROUP_ARN, tags={"a": "1", "b": "2"})
    logs.tag_log_group(logGroupName="/app", tags={"c": "3"})
    logs.untag_resource(resourceArn=GROUP_ARN, tagKeys=["a", "absent"])
    assert logs.list_tags_log_group(logGroupName="/app")["tags"] == {"b": "2", "c": "3"}
    logs.untag_log_group(logGroupName="/app", tags=["b"])
    assert logs.list_tags_for_resource(resourceArn=GROUP_ARN)["tags"] == {"c": "3"}
    refused(
        "TooManyTagsException",
        logs.tag_resource,
        resourceArn=GROUP_ARN,
        tags={str(number): "" for number in range(50)},
    )
    refused("InvalidParameterException", logs.tag_resource, resourceArn="arn:aws:ecs:x:1:task/t", tags={"a": "b"})
    foreign = GROUP_ARN.replace("123456789012", "999999999999")
    refused("ResourceNotFoundException", logs.list_tags_for_resource, resourceArn=foreign)


def test_group_when_deleted_takes_its_streams_along(logs):
    logs.create_log_group(logGroupName="/app")
    logs.create_log_stream(logGroupName="/app", logStreamName="s")
    logs.delete_log_group(logGroupName="/app")
    logs.create_log_group(logGroupName="/app")
    assert logs.describe_log_streams(logGroupName="/app")["logStreams"] == []


def test_stream_when_created_exists_once_until_deleted(logs):
    logs.create_log_group(logGroupName="/app")
    logs.create_log_stream(logGroupName="/app", logStreamName="web/main/1")
    message = refused(
        "ResourceAlreadyExistsException", logs.create_log_stream, logGroupName="/app", logStreamName="web/main/1"
    )
    assert message == "The specified log stream already exists"
    (stream,) = logs.describe_log_streams(logGroupIdentifier=GROUP_ARN)["logStreams"]
    assert stream["arn"] == GROUP_ARN + ":log-stream:web/main/1"
    assert stream["storedBytes"] == 0
    assert "firstEventTimestamp" not in stream
    logs.delete_log_stream(logGroupName="/app", logStreamName="web/main/1")
    message = refused("ResourceNotFoundException", logs.delete_log_stream, logGroupName="/app", logStreamName="x")
    assert message == "The specified log stream does not exist."
    refused("InvalidParameterException", logs.create_log_stream, logGroupName="/app", logStreamName="a:b")


def test_streams_when_ordered_by_time_page_in_that_order(logs, region):
    logs.create_log_group(logGroupName="/app")
    now = int(region.clock.now() * 1000)
    for name, age in (("a", 30), ("b", 10), ("c", 20), ("d", None), ("e", 10)):
        logs.create_log_stream(logGroupName="/app", logStreamName=name)
        if age is not None:
            logs.put_log_events(
                logGroupName="/app", logStreamName=name, logEvents=[{"timestamp": now - age, "message": "m"}]
            )

    def names(**request):
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName="/app", PaginationConfig={"PageSize": 2}, **request
        )
        return "".join(stream["logStreamName"] for page in pages for stream in page["logStreams"])

    assert names() == "abcde"
    assert names(descending=True) == "edcba"
    assert names(orderBy="LastEventTime") == "dacbe"
    assert names(orderBy="LastEventTime", descending=True) == "ebcad"
    assert names(logStreamNamePrefix="c") == "c"
    refused(
        "InvalidParameterException",
        logs.describe_log_streams,
        logGroupName="/app",
        orderBy="LastEventTime",
        logStreamNamePrefix="c",
    )
    refused("InvalidParameterException", logs.describe_log_streams)
    refused("InvalidParameterException", logs.describe_log_streams, logGroupName="/app", logGroupIdentifier="/app")
