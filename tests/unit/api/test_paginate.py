"""Pages: everything once, in order, whatever comes and goes between two calls."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from homeport.api.paginate import make_token, paginate, read_token
from homeport.shapes import ecs as shapes


def pages(keys, limit):
    token, found = None, []
    while True:
        page, token = paginate(keys, key=str, token=token, limit=limit)
        found.append(page)
        if token is None:
            return found


@given(st.sets(st.text(max_size=5), max_size=30), st.integers(1, 7))
def test_pages_when_joined_then_everything_once_in_order(keys, limit):
    ordered = sorted(keys)
    found = pages(ordered, limit)
    assert [key for page in found for key in page] == ordered
    assert all(len(page) == limit for page in found[:-1])


@given(st.sets(st.integers(0, 99), min_size=2), st.sets(st.integers(0, 99)), st.integers(1, 5))
def test_pages_when_rows_go_and_come_between_then_what_stayed_is_shown_once(before, after, limit):
    first, token = paginate(sorted(map(str, before)), key=str, token=None, limit=limit)
    assume(token is not None)
    second, _ = paginate(sorted(map(str, after)), key=str, token=token, limit=100)
    assert not set(first) & set(second)
    assert {str(number) for number in before & after} <= set(first) | set(second)


def test_page_when_exactly_full_then_no_token():
    assert paginate(["a", "b"], key=str, token=None, limit=2) == (("a", "b"), None)


def test_limit_when_absent_then_the_default():
    page, token = paginate(map(str, range(1000, 1200)), key=str, token=None, limit=None)
    assert (len(page), token is not None) == (100, True)
    page, _ = paginate(map(str, range(1000, 1200)), key=str, token=None, limit=None, default=10)
    assert len(page) == 10


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_limit_when_out_of_range_then_invalid_parameter(limit):
    with pytest.raises(shapes.InvalidParameterException, match="between 1 and 100"):
        paginate([], key=str, token=None, limit=limit)


@given(st.text())
def test_token_when_made_then_it_reads_back(key):
    assert read_token(make_token(key)) == key


@given(st.text(max_size=20) | st.binary(max_size=20).map(lambda raw: raw.hex()))
def test_token_when_not_ours_then_invalid_parameter(text):
    try:
        key = read_token(text)
    except shapes.InvalidParameterException as error:
        assert error.message == "Invalid token"
    else:
        assert make_token(key) == text
