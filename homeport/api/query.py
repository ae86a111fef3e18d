"""The query protocol's way in: form fields such as `Filters.member.1.Name=x` become plain values, by botocore's shapes.

First the dotted names become a tree, then the tree is walked along the operation's input shape, so that only names the
model knows are ever looked at. What the walk gives is typed and limit-checked afterwards by `msgspec.convert`.
EC2's dialect differs in two things: lists are always flat, and a member is called by its query name or, where it has
none, by its wire name with a capital.
"""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import botocore.model

from homeport.api.errors import SerializationException

#: More dots than any model nests, few enough that no name costs anything.
_MOST_SEGMENTS = 64
_MOST_FIELDS = 10_000

Tree = dict[str, Any]


def read_form(text: str) -> dict[str, str]:
    """The form's fields; the last of several with one name counts, as with AWS."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise SerializationException("The query string is malformed.") from None
    return dict(pairs)


def decode_query(fields: dict[str, str], shape: botocore.model.Shape | None, *, ec2: bool = False) -> dict[str, Any]:
    """The operation's input as plain values with wire names; raises SerializationException where a type is wrong."""
    if shape is None:
        return {}
    tree = _tree(fields)
    value: dict[str, Any] = _walk(tree, shape, "", ec2)
    return value


def _tree(fields: dict[str, str]) -> Tree:
    root: Tree = {}
    for name, text in fields.items():
        *path, leaf = name.split(".", _MOST_SEGMENTS)
        node: Any = root
        for step in path:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise SerializationException(f"Invalid query parameter: {name}")
        if isinstance(node.get(leaf), dict):
            raise SerializationException(f"Invalid query parameter: {name}")
        node[leaf] = text
    return root


def _walk(node: Any, shape: botocore.model.Shape, path: str, ec2: bool) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(node, shape, path, ec2)
    if kind == "list":
        return _list(node, shape, path, ec2)
    if kind == "map":
        return _map(node, shape, path)
    if not isinstance(node, str):
        raise SerializationException(f"Unexpected complex element at {path}")
    return _scalar(node, kind, path)


def _structure(node: Any, shape: Any, path: str, ec2: bool) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise SerializationException(f"Unexpected value at {path}")
    found = {}
    for member, member_shape in shape.members.items():
        name = _ec2_name(member, member_shape) if ec2 else _name(member, member_shape)
        if name in node:
            found[member] = _walk(node[name], member_shape, f"{path}.{member}" if path else member, ec2)
    return found


def _name(member: str, shape: Any) -> str:
    name: str = shape.serialization.get("name", member)
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        name = shape.member.serialization.get("name") or name
    return name


def _ec2_name(member: str, shape: Any) -> str:
    wire: str = shape.serialization.get("name", member)
    name: str = shape.serialization.get("queryName", wire[0].upper() + wire[1:])
    return name


def _list(node: Any, shape: Any, path: str, ec2: bool) -> list[Any]:
    if node == "":
        return []  # `Names=` is how an empty list is written
    if not isinstance(node, dict):
        raise SerializationException(f"Unexpected value at {path}")
    if not ec2 and not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), {})
    return [_walk(item, shape.member, f"{path}.{number}", ec2) for number, item in _numbered(node, path)]


def _map(node: Any, shape: Any, path: str) -> dict[str, Any]:
    if node == "":
        return {}
    if not isinstance(node, dict):
        raise SerializationException(f"Unexpected value at {path}")
    if not shape.serialization.get("flattened"):
        node = node.get("entry", {})
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    entries = {}
    for number, entry in _numbered(node, path):
        if not isinstance(entry, dict) or not isinstance(entry.get(key_name), str) or value_name not in entry:
            raise SerializationException(f"Invalid map entry at {path}.{number}")
        entries[entry[key_name]] = _walk(entry[value_name], shape.value, f"{path}.{number}", ec2=False)
    return entries


def _numbered(node: Any, path: str) -> list[tuple[int, Any]]:
    """The items in the order of their numbers, which may have gaps."""
    if not isinstance(node, dict):
        raise SerializationException(f"Unexpected value at {path}")
    if not all(key.isascii() and key.isdigit() and len(key) <= 9 for key in node):
        raise SerializationException(f"Invalid list index at {path}")
    return sorted(((int(key), item) for key, item in node.items()), key=lambda pair: pair[0])


def _scalar(text: str, kind: str, path: str) -> Any:
    try:
        if kind in ("integer", "long"):
            return _integer(text)
        if kind in ("double", "float"):
            return float(text)
        if kind == "boolean":
            return {"true": True, "false": False}[text.lower()]
        if kind == "timestamp":
            return parse_timestamp(text)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except (ValueError, KeyError, binascii.Error, OverflowError):
        raise SerializationException(f"Value {text[:64]!r} at {path} is not a valid {kind}") from None
    return text


def parse_timestamp(text: str) -> float:
    """ISO 8601 (without a zone: UTC) or epoch seconds, as epoch seconds."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _integer(text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise ValueError(text)
    return int(text)
