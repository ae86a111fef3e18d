"""Task definitions, as boto3 sees them."""

import pytest
from botocore.exceptions import ClientError

PREFIX = "arn:aws:ecs:us-east-1:123456789012:task-definition/"


@pytest.fixture
def ecs(region):
    return region.client("ecs")


def code(caught):
    return caught.value.response["Error"]["Code"]


def register(ecs, family="web", **more):
    more.setdefault("containerDefinitions", [{"name": "app", "image": "busybox", "memory": 64}])
    return ecs.register_task_definition(family=family, **more)


def test_register_when_repeated_then_revisions_count_up_and_are_never_given_twice(ecs):
    assert register(ecs)["taskDefinition"]["taskDefinitionArn"] == f"{PREFIX}web:1"
    assert register(ecs)["taskDefinition"]["revision"] == 2
    ecs.deregister_task_definition(taskDefinition="web:2")
    ecs.delete_task_definitions(taskDefinitions=["web:2"])
    assert register(ecs)["taskDefinition"]["revision"] == 3
    assert register(ecs, "other")["taskDefinition"]["revision"] == 1


def test_register_when_answered_then_describe_says_the_same(ecs):
    answer = register(ecs, tags=[{"key": "a", "value": "b"}])
    described = ecs.describe_task_definition(taskDefinition="web:1", include=["TAGS"])
    assert described["taskDefinition"] == answer["taskDefinition"]
    assert described["tags"] == answer["tags"] == [{"key": "a", "value": "b"}]
    assert answer["taskDefinition"]["registeredBy"] == "arn:aws:iam::123456789012:root"
    assert answer["taskDefinition"]["status"] == "ACTIVE"
    assert "tags" not in ecs.describe_task_definition(taskDefinition="web:1")


def test_register_when_refused_then_no_revision_is_used_up(ecs):
    with pytest.raises(ClientError, match="At least one of 'memory' or 'memoryReservation'") as caught:
        register(ecs, containerDefinitions=[{"name": "app", "image": "busybox"}])
    assert code(caught) == "ClientException"
    assert register(ecs)["taskDefinition"]["revision"] == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"containerDefinitions": []},
        {"networkMode": "token-ring"},
        {"containerDefinitions": [{"name": "app", "image": "busybox", "memory": "64"}]},
        {"containerDefinitions": [{"name": "app", "image": "busybox", "memory": 2**40}]},
        {"containerDefinitions": [{"name": "app", "image": "busybox", "memory": 64, "dependsOn": [{}]}]},
        {"tags": [{"key": "aws:x", "value": ""}]},
        {"tags": [{"key": str(number)} for number in range(51)]},
        {"cpu": 256},
    ],
)
def test_register_when_malformed_then_a_modelled_error(ecs, asked):
    with pytest.raises(ClientError) as caught:
        register(ecs, **asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert code(caught) in ("ClientException", "InvalidParameterException", "SerializationException")
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []


def test_describe_when_named_by_family_then_the_newest_active(ecs):
    for _ in range(3):
        register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:3")
    for name in ("web", f"{PREFIX}web", f"{PREFIX}web:2", "web:2"):
        assert ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["revision"] == 2
    assert ecs.describe_task_definition(taskDefinition="web:3")["taskDefinition"]["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("gone", "ClientException", "Unable to describe task definition."),
        ("web:9", "ClientException", "Unable to describe task definition."),
        ("web:x", "ClientException", "Invalid revision number. Number: x"),
        ("web:0", "ClientException", "Invalid revision number. Number: 0"),
        ("web:" + "9" * 5000, "ClientException", "Invalid revision number."),
        ("", "ClientException", "can not be blank"),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/web", "InvalidParameterException", "Unsupported resource type"),
    ],
)
def test_describe_when_unknown_or_malformed_then_refused(ecs, name, error, sentence):
    register(ecs)
    with pytest.raises(ClientError, match=sentence) as caught:
        ecs.describe_task_definition(taskDefinition=name)
    assert code(caught) == error


def test_describe_when_every_revision_is_inactive_then_the_family_cannot_be_described(ecs):
    register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    with pytest.raises(ClientError, match="Unable to describe"):
        ecs.describe_task_definition(taskDefinition="web")


def test_deregister_when_done_then_inactive_and_once_more_changes_nothing(ecs):
    register(ecs)
    first = ecs.deregister_task_definition(taskDefinition="web:1")["taskDefinition"]
    assert first["status"] == "INACTIVE"
    assert first["deregisteredAt"] >= first["registeredAt"]
    assert ecs.deregister_task_definition(taskDefinition="web:1")["taskDefinition"] == first


@pytest.mark.parametrize("name", ["web", "gone:1", ""])
def test_deregister_when_no_revision_or_unknown_then_refused(ecs, name):
    register(ecs)
    with pytest.raises(ClientError) as caught:
        ecs.deregister_task_definition(taskDefinition=name)
    assert code(caught) == "ClientException"


def arns(ecs, **asked):
    pages = ecs.get_paginator("list_task_definitions").paginate(**asked, PaginationConfig={"PageSize": 2})
    return [arn.removeprefix(PREFIX) for page in pages for arn in page["taskDefinitionArns"]]


def test_list_when_paged_and_sorted_then_by_family_and_number(ecs):
    for family in ("b", "a", "a-b"):
        register(ecs, family)
    for _ in range(10):
        register(ecs, "b")
    expected = ["a:1", "a-b:1", *(f"b:{number}" for number in range(1, 12))]
    assert arns(ecs) == expected
    assert arns(ecs, sort="DESC") == expected[::-1]
    assert arns(ecs, familyPrefix="a") == ["a:1"]
    assert arns(ecs, familyPrefix="b", sort="DESC")[:2] == ["b:11", "b:10"]


def test_list_when_asked_by_status_then_only_these(ecs):
    for _ in range(3):
        register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    ecs.deregister_task_definition(taskDefinition="web:2")
    ecs.delete_task_definitions(taskDefinitions=["web:2"])
    assert arns(ecs) == ["web:3"]
    assert arns(ecs, status="INACTIVE") == ["web:1"]
    assert arns(ecs, status="DELETE_IN_PROGRESS") == ["web:2"]


def test_list_families_when_asked_by_status_and_prefix_then_as_ecs(ecs):
    for family in ("web", "worker", "batch"):
        register(ecs, family)
    ecs.deregister_task_definition(taskDefinition="worker:1")

    def families(**asked):
        return ecs.list_task_definition_families(**asked)["families"]

    assert families() == ["batch", "web", "worker"]
    assert families(status="ALL", familyPrefix="w") == ["web", "worker"]
    assert families(status="ACTIVE") == ["batch", "web"]
    assert families(status="INACTIVE") == ["worker"]
    pages = ecs.get_paginator("list_task_definition_families").paginate(PaginationConfig={"PageSize": 1})
    assert [name for page in pages for name in page["families"]] == families()


def test_delete_when_some_are_active_or_unknown_then_failures_beside_the_deleted(ecs):
    for _ in range(2):
        register(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    answer = ecs.delete_task_definitions(taskDefinitions=["web:1", "web:2", "gone:1", "web"])
    assert [(one["revision"], one["status"]) for one in answer["taskDefinitions"]] == [(1, "DELETE_IN_PROGRESS")]
    assert "deleteRequestedAt" in answer["taskDefinitions"][0]
    assert [failure["arn"] for failure in answer["failures"]] == [f"{PREFIX}web:2", "gone:1", "web"]
    assert "still in ACTIVE status" in answer["failures"][0]["reason"]
    assert "does not exist" in answer["failures"][1]["reason"]


@pytest.mark.parametrize("names", [[], [f"web:{number}" for number in range(1, 12)]])
def test_delete_when_none_or_too_many_then_refused(ecs, names):
    with pytest.raises(ClientError) as caught:
        ecs.delete_task_definitions(taskDefinitions=names)
    assert code(caught) == "InvalidParameterException"


def test_register_when_running_needs_what_is_not_built_then_it_still_comes_back_as_given(ecs):
    volumes = [{"name": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/"}}]
    containers = [
        {
            "name": "app",
            "image": "busybox",
            "secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:s"}],
            "mountPoints": [{"sourceVolume": "efs", "containerPath": "/efs", "readOnly": True}],
        }
    ]
    made = register(
        ecs,
        containerDefinitions=containers,
        volumes=volumes,
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        requiresCompatibilities=["FARGATE"],
        executionRoleArn="arn:aws:iam::123456789012:role/e",
    )["taskDefinition"]
    assert made["volumes"] == volumes
    assert made["containerDefinitions"][0].items() >= containers[0].items()
    assert made["compatibilities"] == ["EC2", "MANAGED_INSTANCES", "FARGATE"]
