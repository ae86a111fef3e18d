"""Account settings."""

import pytest
from botocore.exceptions import ClientError

from homeport.api.ecs.account_settings import list_account_settings
from homeport.api.operation import Context, Identity
from homeport.shapes import ecs as shapes

ROOT = "arn:aws:iam::123456789012:root"
USER = "arn:aws:iam::123456789012:user/ann"


@pytest.fixture
def ecs(region):
    return region.client("ecs")


def code(caught):
    return caught.value.response["Error"]["Code"]


def effective(client, name, **more):
    (setting,) = client.list_account_settings(name=name, effectiveSettings=True, **more)["settings"]
    return setting["value"]


def test_list_when_effective_then_every_setting_with_its_default(ecs):
    pages = ecs.get_paginator("list_account_settings").paginate(effectiveSettings=True)
    settings = {one["name"]: one for page in pages for one in page["settings"]}
    assert len(settings) == 11
    assert settings["taskLongArnFormat"] == {
        "name": "taskLongArnFormat", "value": "enabled", "principalArn": ROOT, "type": "user",
    }  # fmt: skip
    assert settings["defaultLogDriverMode"]["value"] == "non-blocking"
    assert settings["guardDutyActivate"]["type"] == "aws_managed"
    assert ecs.list_account_settings()["settings"] == []


def test_put_when_set_for_a_principal_then_it_wins_over_the_account_default(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    assert effective(ecs, "containerInsights", principalArn=USER) == "enabled"
    answer = ecs.put_account_setting(name="containerInsights", value="enhanced", principalArn=USER)["setting"]
    assert answer == {"name": "containerInsights", "value": "enhanced", "principalArn": USER, "type": "user"}
    assert effective(ecs, "containerInsights", principalArn=USER) == "enhanced"
    assert effective(ecs, "containerInsights") == "enabled"
    own = ecs.list_account_settings(principalArn=USER)["settings"]
    assert [one["name"] for one in own] == ["containerInsights"]


def test_delete_when_own_value_goes_then_the_default_holds_again(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    ecs.put_account_setting(name="containerInsights", value="disabled", principalArn=USER)
    assert effective(ecs, "containerInsights", principalArn=USER) == "disabled"
    deleted = ecs.delete_account_setting(name="containerInsights", principalArn=USER)["setting"]
    assert (deleted["value"], deleted["principalArn"]) == ("enabled", USER)
    ecs.delete_account_setting(name="containerInsights")
    assert effective(ecs, "containerInsights", principalArn=USER) == "disabled"


def test_root_when_it_sets_its_own_then_it_is_the_default_of_all(ecs):
    ecs.put_account_setting(name="defaultLogDriverMode", value="blocking")
    assert effective(ecs, "defaultLogDriverMode", principalArn=USER) == "blocking"


def test_another_principal_when_asked_by_other_than_root_then_denied(region):
    identity = Identity(account_id="123456789012", principal_arn=USER, access_key_id="AKIAANN0000000000000")
    ctx = Context(world=region.world, identity=identity, request_id="r", endpoint="http://127.0.0.1:4566")
    tables = region.world.store.read
    request = shapes.ListAccountSettingsRequest(name="containerInsights", effective_settings=True)
    assert list_account_settings(ctx, tables, request).settings[0].principal_arn == USER
    with pytest.raises(shapes.AccessDeniedException):
        list_account_settings(ctx, tables, shapes.ListAccountSettingsRequest(principal_arn=ROOT))


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"name": "taskLongArnFormat", "value": "disabled"}, "InvalidParameterException"),
        ({"name": "containerInsights", "value": "yes"}, "InvalidParameterException"),
        ({"name": "guardDutyActivate", "value": "on"}, "InvalidParameterException"),
        ({"name": "awsvpcTrunking", "value": "enabled"}, "ClientException"),
        ({"name": "containerInsights", "value": "enabled", "principalArn": "ann"}, "InvalidParameterException"),
        ({"name": "containerInsights", "value": "enabled", "principalArn": "arn:aws:iam::999999999999:user/x"},
         "InvalidParameterException"),
    ],
)  # fmt: skip
def test_put_when_not_allowed_then_refused(ecs, asked, error):
    with pytest.raises(ClientError) as caught:
        ecs.put_account_setting(**asked)
    assert code(caught) == error


def test_put_when_the_name_is_unknown_then_a_modelled_error(ecs):
    with pytest.raises(ClientError) as caught:
        ecs.put_account_setting(name="colour", value="blue")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_list_when_filtered_by_value_then_only_with_a_name(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    assert len(ecs.list_account_settings(name="containerInsights", value="enabled")["settings"]) == 1
    assert ecs.list_account_settings(name="containerInsights", value="disabled")["settings"] == []
    with pytest.raises(ClientError):
        ecs.list_account_settings(value="enabled")
