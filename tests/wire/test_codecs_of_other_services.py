"""The query and CBOR walks on services that use all of their forms (flattened lists, maps, attributes, recursion)."""

import botocore.parsers
import botocore.serialize
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.api.cbor import decode_cbor, encode_cbor
from homeport.api.codecs import service_model
from homeport.api.query import decode_query, read_form
from homeport.api.xml import encode_ec2_xml, encode_xml
from homeport.base.errors import ApiError
from tests.wire.shape_values import plain, value_of
from tests.wire.test_every_operation import seeded

QUERY_SERVICES = ("elbv2", "iam", "autoscaling", "cloudformation", "sns", "rds")
#: EC2 has more operations than all others together: every so many of them.
EC2_STEP = 5
CBOR_SERVICES = ("cloudwatch", "servicediscovery")


@pytest.mark.parametrize("name", QUERY_SERVICES)
def test_query_when_botocore_writes_it_then_we_read_the_same(name):
    from urllib.parse import urlencode

    serializer = botocore.serialize.create_serializer("query", include_validation=False)
    model = service_model(name)
    for operation in map(model.operation_model, model.operation_names):
        if operation.input_shape is None:
            continue
        value = value_of(operation.input_shape, seeded(name, operation.name))
        fields = serializer.serialize_to_request(value, operation)["body"]
        read = decode_query(read_form(urlencode(fields)), operation.input_shape)
        expected = without_empty(plain(value, operation.input_shape))
        assert without_empty(plain(read, operation.input_shape)) == expected, operation.name


@pytest.mark.parametrize("name", QUERY_SERVICES)
def test_xml_when_we_write_it_then_botocore_reads_the_same(name):
    parser = botocore.parsers.create_parser("query")
    model = service_model(name)
    for operation in map(model.operation_model, model.operation_names):
        if operation.output_shape is None:
            continue
        value = plain(value_of(operation.output_shape, seeded(name, operation.name, "out")), operation.output_shape)
        body = encode_xml(value, operation, "request-id", "urn:x").encode()
        parsed = parser.parse({"status_code": 200, "headers": {}, "body": body}, operation.output_shape)
        parsed.pop("ResponseMetadata")
        assert without_empty(plain(parsed, operation.output_shape)) == without_empty(value), operation.name


def test_ec2_query_when_botocore_writes_it_then_we_read_the_same():
    from urllib.parse import urlencode

    serializer = botocore.serialize.create_serializer("ec2", include_validation=False)
    model = service_model("ec2")
    for operation in map(model.operation_model, model.operation_names[::EC2_STEP]):
        if operation.input_shape is None:
            continue
        value = value_of(operation.input_shape, seeded("ec2", operation.name))
        fields = serializer.serialize_to_request(value, operation)["body"]
        read = decode_query(read_form(urlencode(fields)), operation.input_shape, ec2=True)
        expected = without_empty(plain(value, operation.input_shape))
        assert without_empty(plain(read, operation.input_shape)) == expected, operation.name


def test_ec2_xml_when_we_write_it_then_botocore_reads_the_same():
    parser = botocore.parsers.create_parser("ec2")
    model = service_model("ec2")
    for operation in map(model.operation_model, model.operation_names[::EC2_STEP]):
        if operation.output_shape is None:
            continue
        value = plain(value_of(operation.output_shape, seeded("ec2", operation.name, "out")), operation.output_shape)
        body = encode_ec2_xml(value, operation, "request-id", "urn:x").encode()
        parsed = parser.parse({"status_code": 200, "headers": {}, "body": body}, operation.output_shape)
        assert parsed.pop("ResponseMetadata")["RequestId"] == "request-id"
        assert without_empty(plain(parsed, operation.output_shape)) == without_empty(value), operation.name


@pytest.mark.parametrize("name", CBOR_SERVICES)
def test_cbor_when_written_by_either_end_then_the_other_reads_the_same(name):
    serializer = botocore.serialize.create_serializer("smithy-rpc-v2-cbor", include_validation=False)
    parser = botocore.parsers.create_parser("smithy-rpc-v2-cbor")
    model = service_model(name)
    for operation in map(model.operation_model, model.operation_names):
        if operation.input_shape is not None:
            value = value_of(operation.input_shape, seeded(name, operation.name))
            body = serializer.serialize_to_request(value, operation)["body"]
            read = decode_cbor(body, operation.input_shape)
            assert plain(read, operation.input_shape) == plain(value, operation.input_shape), operation.name
        if operation.output_shape is not None:
            value = plain(value_of(operation.output_shape, seeded(name, operation.name, "out")), operation.output_shape)
            given_ = {
                "status_code": 200,
                "headers": {"smithy-protocol": "rpc-v2-cbor"},
                "body": encode_cbor(value, operation.output_shape),
            }
            parsed = parser.parse(given_, operation.output_shape)
            parsed.pop("ResponseMetadata")
            assert plain(parsed, operation.output_shape) == value, operation.name


def without_empty(value):
    """Query forms cannot tell an empty structure or list from none, nor a list of nothing but such."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [])}
    if isinstance(value, list):
        kept = [without_empty(item) for item in value]
        return kept if any(item not in ({}, []) for item in kept) else []
    return value


@settings(max_examples=100)
@given(
    st.binary(max_size=60)
    | st.recursive(st.integers() | st.floats() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)).map(
        cbor2.dumps
    )
)
def test_cbor_when_it_is_anything_then_read_or_refused(body):
    shape = service_model("cloudwatch").operation_model("PutMetricData").input_shape
    try:
        assert isinstance(decode_cbor(body, shape), dict)
    except ApiError as error:
        assert error.code == "SerializationException"


FIELD = st.text(alphabet="ab.1MetricDataember", min_size=1, max_size=30)


@settings(max_examples=100)
@given(
    st.dictionaries(
        FIELD | st.sampled_from(["MetricData.member.1.MetricName", "MetricData", "MetricData.member"]),
        st.text(max_size=5),
        max_size=4,
    )
)
def test_query_when_it_is_anything_then_read_or_refused(fields):
    shape = service_model("cloudwatch").operation_model("PutMetricData").input_shape
    try:
        assert isinstance(decode_query(fields, shape), dict)
    except ApiError as error:
        assert error.code == "SerializationException"
