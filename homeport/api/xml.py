"""The query protocol's way out: plain values become XML, by botocore's shapes."""

import base64
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import botocore.model

from homeport.api.errors import xml_safe
from homeport.base.clock import iso8601_fraction

#: A bare carriage return would be read as a line feed.
_KEPT = {"\r": "&#13;"}


def encode_xml(value: dict[str, Any], operation: botocore.model.OperationModel, request_id: str, namespace: str) -> str:
    """The whole answer of a query operation: `<XResponse><XResult>…</XResult><ResponseMetadata>…`."""
    name = operation.name
    parts = [f"<{name}Response xmlns={quoteattr(namespace)}>"]
    shape = operation.output_shape
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper")
        if wrapper:
            parts.append(f"<{wrapper}>")
        _members(value, shape, parts)
        if wrapper:
            parts.append(f"</{wrapper}>")
    parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>")
    return "".join(parts)


def encode_ec2_xml(
    value: dict[str, Any], operation: botocore.model.OperationModel, request_id: str, namespace: str
) -> str:
    """EC2's dialect: no wrapper, the request id first. Who returns nothing says that it was done."""
    name, shape = operation.name, operation.output_shape
    parts = [f"<{name}Response xmlns={quoteattr(namespace)}><requestId>{request_id}</requestId>"]
    if shape is None:
        parts.append("<return>true</return>")
    else:
        _members(value, shape, parts)
    parts.append(f"</{name}Response>")
    return "".join(parts)


def _members(value: dict[str, Any], shape: Any, parts: list[str]) -> None:
    for member, member_shape in shape.members.items():
        item = value.get(member)
        if item is not None:
            _element(item, member_shape, member_shape.serialization.get("name", member), parts)


def _element(value: Any, shape: Any, name: str, parts: list[str]) -> None:
    kind = shape.type_name
    if kind == "list":
        _list(value, shape, name, parts)
    elif kind == "map":
        _map(value, shape, name, parts)
    elif kind == "structure":
        attributes = "".join(
            f" {member_shape.serialization['name']}={quoteattr(xml_safe(str(value[member])))}"
            for member, member_shape in shape.members.items()
            if member_shape.serialization.get("xmlAttribute") and value.get(member) is not None
        )
        parts.append(f"<{name}{attributes}>")
        _members({k: v for k, v in value.items() if not _is_attribute(shape, k)}, shape, parts)
        parts.append(f"</{name}>")
    else:
        parts.append(f"<{name}>{escape(xml_safe(_text(value, kind)), _KEPT)}</{name}>")


def _is_attribute(shape: Any, member: str) -> bool:
    return member in shape.members and bool(shape.members[member].serialization.get("xmlAttribute"))


def _list(value: Any, shape: Any, name: str, parts: list[str]) -> None:
    if shape.serialization.get("flattened"):
        for item in value:
            _element(item, shape.member, shape.member.serialization.get("name", name), parts)
        return
    parts.append(f"<{name}>")
    for item in value:
        _element(item, shape.member, shape.member.serialization.get("name", "member"), parts)
    parts.append(f"</{name}>")


def _map(value: Any, shape: Any, name: str, parts: list[str]) -> None:
    flattened = shape.serialization.get("flattened")
    entry = name if flattened else "entry"
    if not flattened:
        parts.append(f"<{name}>")
    for key, item in value.items():
        parts.append(f"<{entry}>")
        _element(key, shape.key, shape.key.serialization.get("name", "key"), parts)
        _element(item, shape.value, shape.value.serialization.get("name", "value"), parts)
        parts.append(f"</{entry}>")
    if not flattened:
        parts.append(f"</{name}>")


def _text(value: Any, kind: str) -> str:
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return iso8601_fraction(value)
    if kind == "blob":
        return base64.b64encode(value).decode()
    return str(value)
