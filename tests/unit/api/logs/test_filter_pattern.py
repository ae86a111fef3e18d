"""Which messages a filter pattern lets through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.api.logs.filter_pattern import compile_pattern
from homeport.shapes.logs import InvalidParameterException

MESSAGES = (
    "[ERROR 400] BAD REQUEST",
    "[ERROR 401] UNAUTHORIZED REQUEST",
    "[ERROR 419] MISSING ARGUMENTS",
    "[INFO] REQUEST FAILED",
)
DOCUMENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "latency": 50,
    "ratio": 0.5,
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ok": True,
    "cluster.name": "c",
    "user-id": {"x_y": "1"},
    "quoted": 'say "hi"',
}


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        (None, "0123"),
        ("", "0123"),
        ('" "', "0123"),
        ("ERROR", "012"),
        ("error", ""),
        ("ERROR ARGUMENTS", "2"),
        ("?UNAUTHORIZED ?ARGUMENTS", "12"),
        ("?UNAUTHORIZED ?ARGUMENTS REQUEST", "013"),
        ('"BAD REQUEST"', "0"),
        ('"[ERROR"', "012"),
        ("ERROR -ARGUMENTS", "01"),
        ("-ERROR", "3"),
        ('-"BAD REQUEST" ERROR', "12"),
        ('?"BAD REQUEST" ?FAILED', "03"),
    ],
)
def test_terms_when_applied_choose_the_documented_messages(pattern, matching):
    matches = compile_pattern(pattern)
    assert "".join(str(number) for number, message in enumerate(MESSAGES) if matches(message)) == matching


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{ $.eventType = "Update*" }', True),
        ('{ $.eventType = "*date*ail" }', True),
        ('{ $.eventType = "*Trail*Update*" }', False),
        ('{$.eventType="Other"}', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.* }", False),
        ("{ $.missing != x }", False),
        ("{ $.latency = 50 }", True),
        ("{ $.latency = 5e1 }", True),
        ("{ $.latency = 5* }", True),
        ("{ $.latency = * }", True),
        ("{ $.latency > 49.5 && $.latency <= 50 }", True),
        ("{ $.latency < 50 || $.latency >= 51 }", False),
        ("{ $.eventType > 1 }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[7] = "value" }', False),
        ('{ $.arrayKey[*] = "another value" }', True),
        ("{ $.objectList[*].id = 2 }", True),
        ("{ $.* = c }", True),
        ("{ $.['cluster.name'] = \"c\" }", True),
        ('{ $["cluster.name"] = "c" }', True),
        ('{ $.user-id.x_y = "1" }', True),
        ("{ $.user-id = 1 }", False),
        ('{ $.quoted = "say \\"hi\\"" }', True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.missing IS NULL }", False),
        ("{ $.ok IS TRUE }", True),
        ("{ $.ok IS FALSE }", False),
        ("{ $.ok = 1 }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ('{ ($.latency = 1 || $.ratio = 0.5) && $.eventType = "U*" }', True),
        ('{ $.latency = 50 || $.ratio = 1 && $.eventType = "no" }', True),
        ('{ ($.latency = 50 || $.ratio = 1) && $.eventType = "no" }', False),
    ],
)
def test_json_patterns_when_applied_choose_by_the_properties(pattern, expected):
    assert compile_pattern(pattern)(json.dumps(DOCUMENT)) is expected


@pytest.mark.parametrize("message", ["", "plain text", "{ not json", "[1, 2]", '"text"', "{" * 5000])
def test_json_patterns_when_the_message_is_no_object_never_match(message):
    assert not compile_pattern("{ $.x NOT EXISTS }")(message)


@pytest.mark.parametrize(
    "pattern",
    [
        "a.b",
        '"open',
        'a"b"',
        "[w1, w2]",
        "%regex%",
        "{",
        "{}",
        "{ $.x }",
        "{ $.x = }",
        "{ $.x = 1 ",
        "{ $.x = 1 } more",
        "{ x = 1 }",
        "{ $.x > text }",
        "{ $.x EXISTS }",
        "{ $.x IS NOT NULL }",
        "{ $.x = %a% }",
        "{ $.a[*].b[*] = 1 }",
        "{ $.x = 1 && }",
        "{ " + "(" * 1000 + " }",
    ],
)
def test_patterns_when_not_understood_are_refused(pattern):
    with pytest.raises(InvalidParameterException):
        compile_pattern(pattern)


@given(st.text(max_size=60), st.text(max_size=30))
def test_patterns_when_anything_at_all_are_read_or_refused(pattern, message):
    for text in (pattern, "{" + pattern + "}", "{ $." + pattern + " = 1 }"):
        try:
            assert compile_pattern(text)(message) in (True, False)
        except InvalidParameterException:
            continue
