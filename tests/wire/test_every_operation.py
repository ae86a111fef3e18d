"""Every operation of every served service, both ways, with botocore's own client code at the other end."""

import random
import zlib

import botocore.parsers
import botocore.serialize
import msgspec
import pytest

from homeport.api.codecs import codec_of, service_model
from homeport.api.errors import ValidationException, encode_error
from homeport.api.gateway import SERVICES
from homeport.api.request import Request
from tests.wire.shape_values import plain, value_of

CASES = [
    pytest.param(service, spec, protocol, id=f"{service.name}-{name}-{protocol}")
    for service in SERVICES
    for name, spec in service.operations.items()
    for protocol in service.protocols
]
ROUNDS = 3


def seeded(*parts: str) -> random.Random:
    return random.Random(zlib.crc32(":".join(parts).encode()))


def to_request(serialized: dict) -> Request:
    """botocore's serialised form as a request."""
    body = serialized["body"]
    if isinstance(body, dict):
        from urllib.parse import urlencode

        body = urlencode(body)
    headers = {name.lower(): value for name, value in serialized["headers"].items()}
    body = body.encode() if isinstance(body, str) else body
    return Request(serialized["method"], serialized["url_path"], "", headers, body)


@pytest.mark.parametrize(("service", "spec", "protocol"), CASES)
def test_input_when_botocore_writes_it_then_we_read_the_same(service, spec, protocol):
    model = service_model(service.name).operation_model(spec.name)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    codec = codec_of(service, spec, protocol)
    if model.input_shape is None:
        assert codec.decode(to_request(serializer.serialize_to_request({}, model))) == spec.input()
        return
    for round_ in range(ROUNDS):
        value = value_of(model.input_shape, seeded(service.name, spec.name, str(round_)))
        request = to_request(serializer.serialize_to_request(value, model))
        read = msgspec.to_builtins(codec.decode(request), builtin_types=(bytes,))
        assert plain(read, model.input_shape) == plain(value, model.input_shape)


@pytest.mark.parametrize(("service", "spec", "protocol"), CASES)
def test_output_when_we_write_it_then_botocore_reads_the_same(service, spec, protocol):
    model = service_model(service.name).operation_model(spec.name)
    parser = botocore.parsers.create_parser(protocol)
    codec = codec_of(service, spec, protocol)
    asked = Request("POST", "/", "", {}, b"")
    if model.output_shape is None:
        codec.encode(spec.output(), asked, "request-id")
        return
    for round_ in range(ROUNDS):
        value = plain(
            value_of(model.output_shape, seeded(service.name, spec.name, "out", str(round_))), model.output_shape
        )
        answer = msgspec.convert(value, spec.output, builtin_types=(bytes,))
        response = codec.encode(answer, asked, "request-id")
        given = {"status_code": response.status, "headers": headers_of(response), "body": response.body}
        parsed = parser.parse(given, model.output_shape)
        assert parsed.pop("ResponseMetadata")["RequestId"] == "request-id"
        assert plain(parsed, model.output_shape) == value


@pytest.mark.parametrize("protocol", ["json", "query", "smithy-rpc-v2-cbor"])
def test_error_when_we_write_it_then_botocore_reads_code_and_message(protocol):
    error = ValidationException("1 < 2 & 'é' \x00")
    response = encode_error(error, protocol=protocol, request_id="request-id", xml_namespace="urn:x")
    parser = botocore.parsers.create_parser(protocol)
    parsed = parser.parse(
        {"status_code": response.status, "headers": headers_of(response), "body": response.body}, None
    )
    query = protocol == "query"
    assert parsed["Error"]["Code"] == ("ValidationError" if query else "ValidationException")
    assert parsed["Error"]["Message"] == ("1 < 2 & 'é' \ufffd" if query else error.message)
    assert parsed["ResponseMetadata"]["RequestId"] == "request-id"


def test_error_when_the_service_left_query_then_its_old_code_comes_along():
    response = encode_error(ValidationException("x"), protocol="json", request_id="r", is_query_compatible=True)
    assert response.headers["x-amzn-query-error"] == "ValidationError;Sender"


def headers_of(response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
