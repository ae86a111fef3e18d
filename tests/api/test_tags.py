"""TagResource, UntagResource, ListTagsForResource."""

import pytest
from botocore.exceptions import ClientError

from homeport.model.status import TaskStatus
from tests.api.test_clusters import add_instance, add_task

PREFIX = "arn:aws:ecs:us-east-1:123456789012:"


@pytest.fixture
def ecs(region):
    return region.client("ecs")


def code(caught):
    return caught.value.response["Error"]["Code"]


def make(kind, region, ecs):
    """The ARN of a new resource of that kind."""
    if kind == "cluster":
        return ecs.create_cluster(clusterName="blue")["cluster"]["clusterArn"]
    if kind == "task-definition":
        containers = [{"name": "app", "image": "busybox", "memory": 64}]
        made = ecs.register_task_definition(family="web", containerDefinitions=containers)
        return made["taskDefinition"]["taskDefinitionArn"]
    return add_task(region) if kind == "task" else add_instance(region)


@pytest.mark.parametrize("kind", ["cluster", "task-definition", "task", "container-instance"])
def test_tags_when_put_and_removed_then_listed(region, ecs, kind):
    arn = make(kind, region, ecs)
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b"}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "2"}])
    expected = [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == expected
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "unknown"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": ""}]


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        (f"{PREFIX}cluster/gone", "ClusterNotFoundException"),
        (f"{PREFIX}task/default/{'0' * 32}", "ResourceNotFoundException"),
        (f"{PREFIX}task-definition/web:1", "ResourceNotFoundException"),
        (f"{PREFIX}container-instance/default/{'0' * 32}", "ResourceNotFoundException"),
        ("arn:aws:ecs:eu-west-1:123456789012:cluster/default", "ResourceNotFoundException"),
        (f"{PREFIX}service/default/web", "ResourceNotFoundException"),
        ("default", "InvalidParameterException"),
        ("arn:aws:s3:::bucket", "InvalidParameterException"),
        ("", "InvalidParameterException"),
    ],
)
def test_tags_when_the_resource_is_not_there_then_refused(ecs, arn, error):
    for call, more in ((ecs.tag_resource, {"tags": []}), (ecs.untag_resource, {"tagKeys": []})):
        with pytest.raises(ClientError) as caught:
            call(resourceArn=arn, **more)
        assert code(caught) == error
    with pytest.raises(ClientError) as caught:
        ecs.list_tags_for_resource(resourceArn=arn)
    assert code(caught) == (
        "ClusterNotFoundException" if error == "ClusterNotFoundException" else "InvalidParameterException"
    )


def test_tags_when_the_resource_is_gone_or_stopped_then_refused(region, ecs):
    ecs.create_cluster(clusterName="blue")
    ecs.delete_cluster(cluster="blue")
    stopped = add_task(region, number=7, last_status=TaskStatus.STOPPED)
    inactive = add_instance(region, number=7, status="INACTIVE")
    for arn in (f"{PREFIX}cluster/blue", stopped, inactive):
        with pytest.raises(ClientError) as caught:
            ecs.tag_resource(resourceArn=arn, tags=[{"key": "a"}])
        assert code(caught) in ("InvalidParameterException", "ResourceNotFoundException")


@pytest.mark.parametrize(
    "tags",
    [
        [{"key": "aws:x"}],
        [{"key": "a"}, {"key": "a"}],
        [{"value": "a"}],
        [{"key": ""}],
        [{"key": "x" * 129}],
        [{"key": "a", "value": "x" * 257}],
        [{"key": str(number)} for number in range(51)],
    ],
)
def test_tag_resource_when_tags_are_malformed_then_refused_and_nothing_changes(ecs, tags):
    arn = f"{PREFIX}cluster/default"
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "kept", "value": "1"}])
    with pytest.raises(ClientError) as caught:
        ecs.tag_resource(resourceArn=arn, tags=tags)
    assert code(caught) in ("InvalidParameterException", "ClientException")
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "kept", "value": "1"}]


def test_tag_resource_when_over_fifty_in_total_then_refused(ecs):
    arn = f"{PREFIX}cluster/default"
    ecs.tag_resource(resourceArn=arn, tags=[{"key": f"a{number}"} for number in range(50)])
    with pytest.raises(ClientError, match="50"):
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "b"}])
