"""ELB's conditions and actions as Envoy's, judged by what their expressions match."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.drivers.balancer import (
    Condition,
    FixedResponse,
    Forward,
    Redirect,
    Rule,
    TargetGroup,
    WeightedGroup,
)
from homeport.drivers.balancer.matching import route, route_matcher, wildcard


def predicates(condition):
    matcher = route_matcher((Rule(priority=1, conditions=(condition,), action=FixedResponse(status=200)),), DEFAULT, {})
    predicate = matcher["matcher_list"]["matchers"][0]["predicate"]
    return [item["single_predicate"] for item in predicate.get("or_matcher", {"predicate": [predicate]})["predicate"]]


DEFAULT = FixedResponse(status=404)


def matches(condition, **headers):
    """Whether any value holds for these pseudo-headers (`_` for `:`)."""
    found = {name.replace("_", ":", 1): value for name, value in headers.items()}
    for single in predicates(condition):
        name = single["input"]["typed_config"]["header_name"]
        regex = single["value_match"]["safe_regex"]["regex"]
        if name in found and re.fullmatch(regex, found[name]):
            return True
    return False


@pytest.mark.parametrize(
    ("pattern", "host", "holds"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com:8080", True),
        ("example.com", "exampleXcom", False),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("?.test", "ab.test", False),
    ],
)
def test_host_when_compared_then_case_and_port_do_not_count(pattern, host, holds):
    assert matches(Condition(field="host", values=(pattern,)), _authority=host) is holds


@pytest.mark.parametrize(
    ("pattern", "path", "holds"),
    [
        ("/img/*", "/img/a/b", True),
        ("/img/*", "/img/a?x=/y", True),
        ("/img/*", "/IMG/a", False),
        ("/a", "/a?b", True),
        ("/a", "/ab", False),
        ("*.png", "/x?y.png", False),
        ("/a.b", "/axb", False),
    ],
)
def test_path_when_compared_then_case_counts_and_the_query_does_not(pattern, path, holds):
    assert matches(Condition(field="path", values=(pattern,)), _path=path) is holds


@pytest.mark.parametrize(
    ("value", "path", "holds"),
    [
        ("v=1", "/?v=1", True),
        ("v=1", "/?a&V=1&b", True),
        ("v=1", "/?v=12", False),
        ("v=1*", "/?v=12&x=3", True),
        ("=1", "/?anything=1", True),
        ("=1", "/1", False),
        ("v=1", "/?xv=1", False),
    ],
)
def test_query_when_compared_then_one_of_its_pairs_must_hold(value, path, holds):
    assert matches(Condition(field="query", values=(value,)), _path=path) is holds


def test_values_when_several_then_any_of_them_holds():
    condition = Condition(field="method", values=("PUT", "DELETE"))
    assert matches(condition, _method="DELETE")
    assert not matches(condition, _method="delete")


def test_regex_when_given_then_found_anywhere_in_the_part_it_is_about():
    assert matches(Condition(field="path", values=("b+/c$",), is_regex=True), _path="/a/bb/c?d")
    assert not matches(Condition(field="path", values=("d",), is_regex=True), _path="/a?d")
    assert matches(Condition(field="host", values=("^api|web",), is_regex=True), _authority="myweb.test:80")


@given(st.text(alphabet="ab.*?+()[]", max_size=12), st.text(alphabet="ab.+()[]", max_size=12))
def test_wildcard_when_of_any_characters_then_it_matches_as_a_shell_would(pattern, text):
    def glob(pattern, text):
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(glob(pattern[1:], text[start:]) for start in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and glob(pattern[1:], text[1:])

    assert bool(re.fullmatch(wildcard(pattern), text)) is glob(pattern, text)


def test_rules_when_unordered_then_tried_by_priority():
    rules = tuple(
        Rule(priority=priority, conditions=(Condition(field="path", values=(f"/{priority}",)),), action=DEFAULT)
        for priority in (30, 4, 11)
    )
    entries = route_matcher(rules, DEFAULT, {})["matcher_list"]["matchers"]
    regexes = [entry["predicate"]["single_predicate"]["value_match"]["safe_regex"]["regex"] for entry in entries]
    assert [regex[:3].strip("([") for regex in regexes] == ["/4", "/11", "/30"]


def weighted(*pairs):
    return tuple(WeightedGroup(target_group_id=name, weight=weight) for name, weight in pairs)


def test_forward_when_weights_are_zero_then_those_groups_get_nothing():
    assert route(Forward(groups=weighted(("a", 1), ("b", 0))), {})["route"]["cluster"] == "a"
    nobody = route(Forward(groups=weighted(("a", 0))), {})["route"]
    assert (nobody["cluster"], nobody["cluster_not_found_response_code"]) == ("none", "SERVICE_UNAVAILABLE")
    both = route(Forward(groups=weighted(("a", 9), ("b", 1))), {})["route"]["weighted_clusters"]["clusters"]
    assert [(each["name"], each["weight"]) for each in both] == [("a", 9), ("b", 1)]


def test_forward_when_a_target_fails_then_only_requests_that_it_never_had_go_to_another():
    retries = route(Forward(groups=weighted(("a", 1))), {})["route"]["retry_policy"]
    assert set(retries["retry_on"].split(",")) == {"connect-failure", "refused-stream", "reset-before-request"}
    (predicate,) = retries["retry_host_predicate"]
    assert predicate["name"] == "envoy.retry_host_predicates.previous_hosts"


def test_forward_when_clients_stick_to_groups_then_only_to_groups_that_still_get_requests():
    action = Forward(groups=weighted(("a", 9), ("b", 1), ("c", 0)), sticky_seconds=60)
    entries = route_matcher((), action, {})["matcher_list"]["matchers"]
    stays = [entry["on_match"]["action"]["typed_config"]["route"]["cluster"] for entry in entries]
    assert stays == ["a", "b"]


def test_forward_when_a_group_is_sticky_then_its_route_has_the_cookie_and_others_have_not():
    groups = {"a": TargetGroup(id="a", protocol="HTTP", sticky_cookie="AWSALB", sticky_seconds=5)}
    clusters = route(Forward(groups=weighted(("a", 1), ("b", 1))), groups)["route"]["weighted_clusters"]["clusters"]
    assert ["typed_per_filter_config" in each for each in clusters] == [True, False]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Redirect(status=301, protocol="HTTPS", port=443), {"response_code": "MOVED_PERMANENTLY", "scheme_redirect": "https", "port_redirect": 443}),
        (Redirect(port=80, host="x.test", query=""), {"response_code": "FOUND", "port_redirect": 80, "host_redirect": "x.test", "strip_query": True}),
        (Redirect(port=80, path="/fixed", query="a=b"), {"response_code": "FOUND", "port_redirect": 80, "strip_query": True, "path_redirect": "/fixed?a=b"}),
    ],
)  # fmt: skip
def test_redirect_when_parts_are_set_then_only_those_change(action, expected):
    assert route(action, {})["redirect"] == expected
