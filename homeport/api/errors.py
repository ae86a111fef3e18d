# ruff: noqa: N818 - AWS named them.
"""Errors on the wire: the only place that knows how each protocol says no.

Handlers raise the classes generated from the model; the front door itself raises the ones below, which are the
"common errors" of every AWS service. They are named as the JSON protocol names them; the query protocol has older
names for the same faults. Source: Amazon ECS API Reference, "Common Error Types"; IAM guide, "Troubleshoot signed
requests".
"""

from typing import Any
from xml.sax.saxutils import escape

import cbor2
import msgspec

from homeport.api.request import Response
from homeport.base.errors import ApiError

#: What callers hear when we fail: nothing of the inside. The log has the rest under the request id.
INTERNAL_MESSAGE = "Service Unavailable. Please try again later."


class MissingAuthenticationTokenException(ApiError):
    code = "MissingAuthenticationTokenException"
    status = 403


class IncompleteSignatureException(ApiError):
    code = "IncompleteSignatureException"
    status = 403


class UnrecognizedClientException(ApiError):
    code = "UnrecognizedClientException"
    status = 403


class InvalidSignatureException(ApiError):
    code = "InvalidSignatureException"
    status = 403


class ExpiredTokenException(ApiError):
    code = "ExpiredTokenException"
    status = 403


class RequestExpired(ApiError):
    code = "RequestExpired"
    status = 400


class AccessDeniedException(ApiError):
    code = "AccessDeniedException"
    status = 400


class SerializationException(ApiError):
    code = "SerializationException"
    status = 400


class ValidationException(ApiError):
    code = "ValidationException"
    status = 400


class InvalidParameterException(ApiError):
    code = "InvalidParameterException"
    status = 400


class ClientException(ApiError):
    code = "ClientException"
    status = 400


class UnsupportedFeatureException(ApiError):
    code = "UnsupportedFeatureException"
    status = 400


class UnsupportedOperation(ApiError):
    """EC2's word for what it does not do."""

    code = "UnsupportedOperation"
    status = 400


class UnknownOperationException(ApiError):
    code = "UnknownOperationException"
    status = 404


class RequestEntityTooLargeException(ApiError):
    code = "RequestEntityTooLargeException"
    status = 413


class InternalFailure(ApiError):
    code = "InternalFailure"
    status = 500


class ServerException(ApiError):
    code = "ServerException"
    status = 500


#: The query protocol's code and status for each fault that it names differently.
_QUERY_NAMES: dict[str, tuple[str, int]] = {
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 403),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "AccessDeniedException": ("AccessDenied", 403),
    "SerializationException": ("MalformedQueryString", 400),
    "ValidationException": ("ValidationError", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "RequestEntityTooLargeException": ("RequestEntityTooLarge", 413),
}

#: EC2's codes where it has its own. Source: Amazon EC2 API Reference, "Error codes".
_EC2_NAMES: dict[str, tuple[str, int]] = {
    **_QUERY_NAMES,
    "UnrecognizedClientException": ("AuthFailure", 401),
    "AccessDeniedException": ("UnauthorizedOperation", 403),
    "ValidationException": ("InvalidParameterValue", 400),
}

JSON_CONTENT_TYPE = "application/x-amz-json-1.1"


def encode_error(
    error: ApiError,
    *,
    protocol: str,
    request_id: str,
    xml_namespace: str = "",
    is_query_compatible: bool = False,
    json_content_type: str = JSON_CONTENT_TYPE,
) -> Response:
    """The answer that carries `error`. `is_query_compatible`: the service left query behind but keeps its codes."""
    if protocol == "query":
        return _query_error(error, request_id, xml_namespace)
    if protocol == "ec2":
        return _ec2_error(error, request_id)
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": error.code}
    if is_query_compatible:
        code, _ = _QUERY_NAMES.get(error.code, (error.code, 0))
        headers["x-amzn-query-error"] = f"{code};{_fault(error.status)}"
    # What the caller sent may be no UTF-8, and messages quote it.
    message = error.message.encode("utf-8", "replace").decode()
    value: dict[str, Any] = {"__type": error.code, "message": message, **error.members}
    if protocol == "smithy-rpc-v2-cbor":
        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return Response(error.status, headers, cbor2.dumps(value))
    headers["Content-Type"] = json_content_type
    return Response(error.status, headers, msgspec.json.encode(value))


def _fault(status: int) -> str:
    return "Receiver" if status >= 500 else "Sender"


def _query_error(error: ApiError, request_id: str, xml_namespace: str) -> Response:
    code, status = _QUERY_NAMES.get(error.code, (error.code, error.status))
    members = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in error.members.items())
    body = (
        f'<ErrorResponse xmlns="{escape(xml_namespace)}"><Error><Type>{_fault(status)}</Type><Code>{escape(code)}</Code>'
        f"<Message>{escape(xml_safe(error.message))}</Message>{members}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml"}
    return Response(status, headers, body.encode("utf-8", "replace"))


def _ec2_error(error: ApiError, request_id: str) -> Response:
    code, status = _EC2_NAMES.get(error.code, (error.code, error.status))
    body = (
        f"<Response><Errors><Error><Code>{escape(code)}</Code><Message>{escape(xml_safe(error.message))}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    headers = {"x-amzn-RequestId": request_id, "Content-Type": "text/xml;charset=UTF-8"}
    return Response(status, headers, body.encode("utf-8", "replace"))


def xml_safe(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry, not even escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )
