"""The decoder's words and AWS's words for the same misfit."""

import msgspec
import pytest

from homeport.api.invalid import from_validation, member_path
from homeport.shapes import ecs, logs

LOGS = logs.OPERATIONS


def message_of(spec, value, protocol="json"):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, spec.input)
    error = from_validation(caught.value, value, spec, protocol)
    return error.code, error.message.removeprefix("1 validation error detected: ")


@pytest.mark.parametrize(
    ("path", "words"),
    [("", ""), (".a", "a"), (".a[0].b", "a.1.member.b"), (".a[11]", "a.12.member"), (".a[...].b", "a.key.member.b")],
)
def test_path_when_of_the_decoder_then_as_aws_writes_it(path, words):
    assert member_path(path) == words


@pytest.mark.parametrize(
    ("operation", "value", "words"),
    [
        ("GetLogEvents", {"logStreamName": "s", "limit": 0},
         "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
        ("GetLogEvents", {"logStreamName": "s", "limit": 10001},
         "Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000"),
        ("GetLogEvents", {"logStreamName": "a:b"},
         "Value 'a:b' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*"),
        ("CreateLogGroup", {"logGroupName": "x" * 513},
         f"Value '{'x' * 513}' at 'logGroupName' failed to satisfy constraint: Member must have length less than or equal to 512"),
        ("PutLogEvents", {"logGroupName": "g", "logStreamName": "s", "logEvents": []},
         "Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ],
)  # fmt: skip
def test_limit_when_broken_then_value_place_and_constraint(operation, value, words):
    assert message_of(LOGS[operation], value) == ("InvalidParameterException", words)


def test_limit_when_the_operation_declares_no_parameter_error_then_validation_exception():
    code, _ = message_of(LOGS["ListTagsLogGroup"], {"logGroupName": ""})
    assert code == "ValidationException"
    code, _ = message_of(LOGS["CreateLogGroup"], {"logGroupName": ""}, "query")
    assert code == "ValidationException"


def test_enum_when_nested_then_its_values_are_listed():
    value = {"family": "f", "containerDefinitions": [{"ulimits": [{"name": "x", "softLimit": 1, "hardLimit": 1}]}]}
    _, words = message_of(ecs.OPERATIONS["RegisterTaskDefinition"], value)
    assert words.startswith("Value 'x' at 'containerDefinitions.1.member.ulimits.1.member.name'")
    assert "core, cpu, data" in words


def test_map_value_when_of_the_wrong_type_then_serialization_exception():
    value = {"family": "f", "containerDefinitions": [{"dockerLabels": {"a": 1}}]}
    assert message_of(ecs.OPERATIONS["RegisterTaskDefinition"], value) == (
        "SerializationException",
        "NUMBER_VALUE can not be converted to a String",
    )


def test_value_when_huge_then_its_beginning_is_shown():
    _, words = message_of(LOGS["CreateLogGroup"], {"logGroupName": "x" * 1_000_000})
    assert len(words) < 1300
