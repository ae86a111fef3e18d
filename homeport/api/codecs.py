"""Bytes to typed requests and typed answers to bytes, one codec an operation and protocol, made once at start.

JSON goes straight into the generated structs: type and limit checks happen in the decoder. Query and CBOR become plain
values first, by botocore's shapes, and `msgspec.convert` types them. Both ways end in the same checked struct.
"""

import functools
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import botocore.loaders
import botocore.model
import msgspec

from homeport.api import errors, invalid
from homeport.api.cbor import decode_cbor, encode_cbor
from homeport.api.query import decode_query, read_form
from homeport.api.request import Request, Response
from homeport.api.xml import encode_ec2_xml, encode_xml
from homeport.shapes.spec import Operation, Service

#: A request's body, also after decompression, may have this many bytes.
BODY_LIMIT = 10 * 1024 * 1024

_encode_json = msgspec.json.Encoder().encode


class Codec(NamedTuple):
    """`decode` raises ApiError; `encode` takes the answer and the request id."""

    decode: Callable[[Request], Any]
    encode: Callable[[Any, Request, str], Response]


def codec_of(service: Service, spec: Operation, protocol: str) -> Codec:
    """The codec of one operation in one of its service's protocols."""
    makers = {"json": _json_codec, "query": _query_codec, "ec2": _ec2_codec, "smithy-rpc-v2-cbor": _cbor_codec}
    return makers[protocol](service, spec)


@functools.lru_cache(maxsize=32)
def service_model(name: str) -> botocore.model.ServiceModel:
    """Botocore's model of a service; read from disk at first use (only query and CBOR need it)."""
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model(name, "service-2"), name)


def plain_body(request: Request) -> bytes:
    """The body without its content encoding (identity or gzip)."""
    encoding = request.headers.get("content-encoding", "")
    if encoding in ("", "identity", "aws-chunked"):
        return request.body
    if encoding != "gzip":
        raise errors.SerializationException(f"Unsupported content encoding: {encoding[:32]}")
    unzip = zlib.decompressobj(wbits=31)
    try:
        body = unzip.decompress(request.body, BODY_LIMIT + 1)
    except zlib.error:
        raise errors.SerializationException("The request body is not valid gzip.") from None
    if len(body) > BODY_LIMIT:
        raise errors.RequestEntityTooLargeException(f"Request body is larger than {BODY_LIMIT} bytes.")
    if not unzip.eof:
        raise errors.SerializationException("The request body is not valid gzip.")
    return body


def json_content_type(request: Request) -> str:
    """JSON 1.0 is answered to whoever asked in it; 1.1 to all others."""
    asked = request.headers.get("content-type", "")
    return "application/x-amz-json-1.0" if asked.startswith("application/x-amz-json-1.0") else errors.JSON_CONTENT_TYPE


def _json_codec(_service: Service, spec: Operation) -> Codec:
    decoder = msgspec.json.Decoder(spec.input)

    def decode(request: Request) -> Any:
        body = plain_body(request) if "content-encoding" in request.headers else request.body
        try:
            return decoder.decode(body or b"{}")
        except msgspec.ValidationError as error:
            raise invalid.from_validation(error, _json_or_none(body), spec, "json") from None
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise invalid.refuse_malformed() from None

    def encode(answer: Any, request: Request, request_id: str) -> Response:
        headers = {"x-amzn-RequestId": request_id, "Content-Type": json_content_type(request)}
        return Response(200, headers, _encode_json(answer))

    return Codec(decode, encode)


def _json_or_none(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _convert(plain: dict[str, Any], spec: Operation, protocol: str) -> Any:
    try:
        return msgspec.convert(plain, spec.input, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise invalid.from_validation(error, plain, spec, protocol) from None


def _query_codec(service: Service, spec: Operation) -> Codec:
    model = service_model(service.name).operation_model(spec.name)

    def decode(request: Request) -> Any:
        fields = form_fields(request)
        return _convert(decode_query(fields, model.input_shape), spec, "query")

    def encode(answer: Any, _request: Request, request_id: str) -> Response:
        plain = msgspec.to_builtins(answer, builtin_types=(bytes,))
        text = encode_xml(plain, model, request_id, service.xml_namespace)
        headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml"}
        return Response(200, headers, text.encode("utf-8", "replace"))

    return Codec(decode, encode)


def _ec2_codec(service: Service, spec: Operation) -> Codec:
    model = service_model(service.name).operation_model(spec.name)

    def decode(request: Request) -> Any:
        return _convert(decode_query(form_fields(request), model.input_shape, ec2=True), spec, "ec2")

    def encode(answer: Any, _request: Request, request_id: str) -> Response:
        text = encode_ec2_xml(msgspec.to_builtins(answer), model, request_id, service.xml_namespace)
        headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml;charset=UTF-8"}
        return Response(200, headers, text.encode("utf-8", "replace"))

    return Codec(decode, encode)


def form_fields(request: Request) -> dict[str, str]:
    """The fields of a query request: of its body (POST), else of its URL."""
    if request.method == "POST" and request.body:
        try:
            return read_form(plain_body(request).decode())
        except UnicodeDecodeError:
            raise errors.SerializationException("The request body is not valid UTF-8.") from None
    return read_form(request.query_string)


def _cbor_codec(service: Service, spec: Operation) -> Codec:
    model = service_model(service.name).operation_model(spec.name)

    def decode(request: Request) -> Any:
        return _convert(decode_cbor(plain_body(request), model.input_shape), spec, "smithy-rpc-v2-cbor")

    def encode(answer: Any, _request: Request, request_id: str) -> Response:
        body = encode_cbor(msgspec.to_builtins(answer, builtin_types=(bytes,)), model.output_shape)
        headers = {"x-amzn-RequestId": request_id, "Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return Response(200, headers, body)

    return Codec(decode, encode)
