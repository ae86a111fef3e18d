"""rpc-v2-cbor: CBOR bodies in both directions, by botocore's shapes.

Differs from plain CBOR in one thing only: timestamps are tagged (tag 1, epoch seconds).
Source: Smithy 2.0, "Smithy RPC v2 CBOR protocol".
"""

from datetime import datetime
from typing import Any

import botocore.model
import cbor2

from homeport.api.errors import SerializationException


def decode_cbor(body: bytes, shape: botocore.model.Shape | None) -> dict[str, Any]:
    """The body as plain values; an empty one stands for no members. Raises SerializationException if it is not CBOR."""
    if not body or shape is None:
        return {}
    try:
        value = cbor2.loads(body)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError):
        raise SerializationException("The request body is not valid CBOR.") from None
    if not isinstance(value, dict):
        raise SerializationException("Start of structure or map not found where expected.")
    plain: dict[str, Any] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def encode_cbor(value: dict[str, Any], shape: botocore.model.Shape | None) -> bytes:
    """The answer's body; timestamps become tagged floats."""
    return cbor2.dumps({} if shape is None else _tagged(value, shape))


def _tagged(value: Any, shape: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        members = shape.members
        return {k: _tagged(v, members[k]) for k, v in value.items() if v is not None and k in members}
    if kind == "list":
        return [_tagged(item, shape.member) for item in value]
    if kind == "map":
        return {key: _tagged(item, shape.value) for key, item in value.items()}
    if kind == "timestamp":
        return cbor2.CBORTag(1, float(value))
    if kind in ("double", "float"):
        return float(value)
    return value
