"""Attributes of container instances."""

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from homeport.shapes import ecs as shapes
from tests.api.test_clusters import add_instance


@pytest.fixture
def ecs(region):
    return region.client("ecs")


@pytest.fixture
def arn(region):
    made = add_instance(region)
    with_os = (shapes.Attribute(name="ecs.os-type", value="linux"),)
    region.world.store.update(
        lambda tx: tx.container_instances.put(replace(tx.container_instances[made], attributes=with_os))
    )
    return made


def code(caught):
    return caught.value.response["Error"]["Code"]


def listed(ecs, **asked):
    found = ecs.list_attributes(targetType="container-instance", **asked)["attributes"]
    return [(one["name"], one.get("value")) for one in found]


def test_put_when_named_by_arn_or_id_then_listed(ecs, arn):
    answer = ecs.put_attributes(attributes=[{"name": "stack", "value": "production", "targetId": arn}])
    assert answer["attributes"] == [{"name": "stack", "value": "production", "targetId": arn}]
    short = arn.rsplit("/", 1)[1]
    ecs.put_attributes(attributes=[{"name": "plain", "targetId": short, "targetType": "container-instance"}])
    assert listed(ecs) == [("ecs.os-type", "linux"), ("plain", None), ("stack", "production")]
    assert listed(ecs, attributeName="stack") == [("stack", "production")]
    assert listed(ecs, attributeName="stack", attributeValue="test") == []
    assert listed(ecs, attributeName="ecs.os-type", attributeValue="linux") == [("ecs.os-type", "linux")]


def test_put_when_the_name_is_there_then_replaced_and_the_version_rises(region, ecs, arn):
    for value in ("a", "b", "b"):
        ecs.put_attributes(attributes=[{"name": "stack", "value": value, "targetId": arn}])
    assert listed(ecs, attributeName="stack") == [("stack", "b")]
    assert region.world.store.read.container_instances[arn].version == 3


def test_delete_when_named_then_gone_and_unknown_ones_ignored(ecs, arn):
    ecs.put_attributes(attributes=[{"name": name, "value": "1", "targetId": arn} for name in "ab"])
    answer = ecs.delete_attributes(attributes=[{"name": "a", "targetId": arn}, {"name": "z", "targetId": arn}])
    assert answer["attributes"] == [{"name": "a", "value": "1", "targetId": arn}]
    assert listed(ecs) == [("b", "1"), ("ecs.os-type", "linux")]


@pytest.mark.parametrize(
    ("attribute", "error"),
    [
        ({"name": "a b"}, "InvalidParameterException"),
        ({"name": "a", "value": " x"}, "InvalidParameterException"),
        ({"name": "ecs.os-type", "value": "windows"}, "InvalidParameterException"),
        ({"name": "a", "targetId": "0" * 32, "targetType": "container-instance"}, "TargetNotFoundException"),
        ({"name": "a", "targetId": "0" * 32}, "InvalidParameterException"),
        ({"name": "a", "targetId": ""}, "InvalidParameterException"),
        ({"name": "a", "targetId": "arn:aws:ecs:us-east-1:123456789012:cluster/default"}, "InvalidParameterException"),
        ({"name": "a", "targetId": "arn:aws:ecs:us-east-1:123456789012:container-instance/other/1"}, "InvalidParameterException"),
    ],
)  # fmt: skip
def test_put_when_one_is_wrong_then_the_whole_call_is_refused(ecs, arn, attribute, error):
    with pytest.raises(ClientError) as caught:
        ecs.put_attributes(attributes=[{"name": "good", "targetId": arn}, {"targetId": arn, **attribute}])
    assert code(caught) == error
    assert listed(ecs) == [("ecs.os-type", "linux")]


def test_put_when_over_ten_then_refused(ecs, arn):
    ten = [{"name": f"a{number}", "targetId": arn} for number in range(10)]
    with pytest.raises(ClientError):
        ecs.put_attributes(attributes=[*ten, {"name": "b", "targetId": arn}])
    ecs.put_attributes(attributes=ten)
    with pytest.raises(ClientError) as caught:
        ecs.put_attributes(attributes=[{"name": "b", "targetId": arn}])
    assert code(caught) == "AttributeLimitExceededException"


def test_attributes_when_the_cluster_or_instance_is_gone_then_refused(region, ecs):
    gone = add_instance(region, number=9, status="INACTIVE")
    with pytest.raises(ClientError) as caught:
        ecs.put_attributes(attributes=[{"name": "a", "targetId": gone}])
    assert code(caught) == "TargetNotFoundException"
    with pytest.raises(ClientError) as caught:
        ecs.list_attributes(cluster="gone", targetType="container-instance")
    assert code(caught) == "ClusterNotFoundException"
    with pytest.raises(ClientError):
        ecs.list_attributes(targetType="container-instance", attributeValue="x")


def test_list_when_paged_then_each_attribute_once(region, ecs):
    for number in range(3):
        arn = add_instance(region, number=number)
        ecs.put_attributes(attributes=[{"name": name, "targetId": arn} for name in "ab"])
    pages = ecs.get_paginator("list_attributes").paginate(
        targetType="container-instance", PaginationConfig={"PageSize": 2}
    )
    found = [(one["targetId"], one["name"]) for page in pages for one in page["attributes"]]
    assert len(found) == len(set(found)) == 6
    assert found == sorted(found)
