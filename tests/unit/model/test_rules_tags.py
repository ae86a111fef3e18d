"""Tags."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model.rules.tags import check_tags, merged_tags, without_tags
from homeport.shapes import ecs as shapes


def tag(key, value=""):
    return shapes.Tag(key=key, value=value)


def many(count, start=0):
    return tuple(tag(f"k{n}") for n in range(start, start + count))


def test_tags_when_allowed_then_absent_values_become_empty():
    assert check_tags((shapes.Tag(key="a"), tag("ä b+-=.:/@", "x"))) == (tag("a"), tag("ä b+-=.:/@", "x"))
    assert check_tags(None) == ()


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ((shapes.Tag(value="x"),), "Tag keys can not be null or empty."),
        ((tag("aws:x"),), "Tags can not begin with 'aws:'"),
        ((tag("AwS:x"),), "Tags can not begin with 'aws:'"),
        ((tag("a", "aws:x"),), "Tags can not begin with 'aws:'"),
        ((tag("a"), tag("a")), "Duplicate tag keys found: 'a'."),
        ((tag("a;"),), "The tag 'a;' contains invalid characters."),
        ((tag("a", "<b>"),), "The tag 'a' contains invalid characters."),
        (many(51), "The number of tags can not be more than 50."),
    ],
)
def test_tags_when_not_allowed_then_refused_with_the_sentence(tags, sentence):
    with pytest.raises(shapes.InvalidParameterException) as caught:
        check_tags(tags)
    assert sentence in caught.value.message


def test_merged_tags_when_keys_are_there_then_replaced_and_new_ones_added():
    assert merged_tags((tag("a", "1"), tag("b", "2")), (tag("b", "3"), tag("c"))) == (
        tag("a", "1"),
        tag("b", "3"),
        tag("c"),
    )


def test_merged_tags_when_over_fifty_then_refused_but_reserved_ones_do_not_count():
    assert len(merged_tags((tag("aws:ecs:clusterName", "x"), *many(49)), (tag("new"),))) == 51
    with pytest.raises(shapes.InvalidParameterException):
        merged_tags(many(50), (tag("new"),))
    assert merged_tags(many(50), (tag("k1", "x"),))


def test_without_tags_when_keys_are_unknown_then_ignored_and_reserved_ones_refused():
    assert without_tags((tag("a"), tag("b")), ("b", "z")) == (tag("a"),)
    with pytest.raises(shapes.InvalidParameterException):
        without_tags((tag("aws:ecs:clusterName"),), ("aws:ecs:clusterName",))


keys = st.text("abc", min_size=1, max_size=3)


@given(before=st.dictionaries(keys, keys, max_size=6), after=st.dictionaries(keys, keys, max_size=6))
@settings(max_examples=50)
def test_merged_tags_when_removed_again_then_what_was_not_given_is_left(before, after):
    existing, given_tags = (tuple(tag(*item) for item in one.items()) for one in (before, after))
    merged = merged_tags(existing, given_tags)
    assert {one.key: one.value for one in merged} == before | after
    assert without_tags(merged, after) == tuple(one for one in existing if one.key not in after)
