"""Names, ids and ARNs: every form finds the same row, and no text does worse than a modelled error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.api.ecs import find
from homeport.api.operation import Context, Identity
from homeport.base.errors import ApiError
from homeport.shapes import ecs as shapes
from tests.api.test_clusters import add_instance, add_task

PREFIX = "arn:aws:ecs:us-east-1:123456789012:"
pieces = st.sampled_from(
    ["arn", "aws", "ecs", "us-east-1", "123456789012", ":", "/", "task", "cluster", "task-definition", "default", "web", "1", "", " ", "\0", "é"]
)  # fmt: skip
texts = st.lists(pieces, max_size=14).map("".join) | st.text(max_size=40)


@pytest.fixture
def ctx(region):
    root = region.world.arns.root()
    identity = Identity(account_id="123456789012", principal_arn=root, access_key_id="A")
    return Context(world=region.world, identity=identity, request_id="r", endpoint="http://127.0.0.1:4566")


@pytest.fixture
def tables(region):
    return region.world.store.read


@given(text=texts)
@settings(max_examples=200)
def test_find_when_given_any_text_then_a_row_or_a_modelled_error(ctx, tables, text):
    cluster = find.find_cluster(ctx, tables, None)
    lookups = (
        lambda: find.lookup_cluster(ctx, tables, text),
        lambda: find.lookup_task_definition(ctx, tables, text),
        lambda: find.lookup_task(ctx, tables, cluster, text),
        lambda: find.lookup_container_instance(ctx, tables, cluster, text),
    )
    for lookup in lookups:
        try:
            found = lookup()
        except ApiError as error:
            assert error.status == 400
            assert error.message
        else:
            assert found is None or found.arn


def test_task_and_instance_when_named_in_every_form_then_the_same_row(region, ctx, tables):
    cluster = find.find_cluster(ctx, tables, f"{PREFIX}cluster/default")
    number = f"{5:032x}"
    task, instance = add_task(region, number=5), add_instance(region, number=5)
    for form in (number, task, f"{PREFIX}task/{number}"):
        assert find.find_task(ctx, tables, cluster, form).arn == task
    for form in (number, instance, f"{PREFIX}container-instance/{number}"):
        assert find.find_container_instance(ctx, tables, cluster, form).arn == instance


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ("", "Task can not be blank."),
        ("x" * 37, "taskId longer than 36."),
        (f"{PREFIX}task/other/{'0' * 32}", "Identifier is for cluster other. Your cluster is default"),
        (f"{PREFIX}cluster/default", "Unsupported resource type: cluster"),
        ("0" * 32, "The referenced task was not found."),
    ],
)
def test_task_when_not_there_or_malformed_then_the_sentence(ctx, tables, form, sentence):
    with pytest.raises(shapes.InvalidParameterException, match=sentence):
        find.find_task(ctx, tables, find.find_cluster(ctx, tables, None), form)


def test_container_instance_when_inactive_then_looked_up_but_not_found(region, ctx, tables):
    arn = add_instance(region, number=6, status="INACTIVE")
    cluster = find.find_cluster(ctx, tables, None)
    assert find.lookup_container_instance(ctx, tables, cluster, arn).arn == arn
    with pytest.raises(shapes.InvalidParameterException, match="Referenced container instance not found"):
        find.find_container_instance(ctx, tables, cluster, arn)
