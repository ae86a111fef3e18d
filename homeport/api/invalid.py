"""What AWS says about a request that does not fit the model.

The typed decoder stops at the first misfit and says where (`$.tags[0].key`). Two families are told apart, as AWS does:
a value of the wrong *type* never becomes a request (SerializationException), a value outside its *limits* is
"1 validation error detected: Value 'x' at 'tags.1.member.key' failed to satisfy constraint: …". Only failed requests
come here, so this may be slow.
"""

import re
from typing import Any

import msgspec
from msgspec import inspect

from homeport.api import errors
from homeport.base.errors import ApiError
from homeport.shapes.spec import Operation

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")
_WRONG_TYPE = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`$")
_LIMIT = re.compile(r"^Expected `(?P<type>[^`]+)` (?:of (?P<length>length) )?(?P<sign>[<>]=?|==) (?P<limit>\S+)$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>.*)$", re.DOTALL)

_GOT = {
    "int": "NUMBER_VALUE", "float": "DECIMAL_VALUE", "str": "STRING_VALUE", "bool": "TRUE_VALUE", "null": "NULL_VALUE",
}  # fmt: skip
_WANTED = {"int": "an Integer", "float": "a Float", "str": "a String", "bool": "a Boolean", "bytes": "a Blob"}
_LONGEST_SHOWN = 1024


def refuse_malformed() -> ApiError:
    """The body is not JSON (or nested beyond all measure)."""
    return errors.SerializationException("Could not parse request body into json.")


def from_validation(error: msgspec.ValidationError, plain: Any, spec: Operation, protocol: str) -> ApiError:
    """The error for a misfit. `plain` is the same input untyped, from which the offending value is shown."""
    at = _AT.match(str(error))
    what, path = (at["what"], at["path"] or "") if at else (str(error), "")
    if missing := _MISSING.match(what):
        return _violation(spec, protocol, None, f"{path}.{missing['name']}", "Member must not be null")
    value = _value_at(plain, path)
    if value is None and "got `null`" in what:
        return _violation(spec, protocol, None, path, "Member must not be null")
    if wrong := _WRONG_TYPE.match(what):
        return errors.SerializationException(_type_message(wrong["wanted"], wrong["got"]))
    constraint = _constraint(what, spec.input, path)
    if constraint is None:
        return errors.SerializationException(f"Invalid value at '{member_path(path)}'.")
    return _violation(spec, protocol, value, path, constraint)


def _violation(spec: Operation, protocol: str, value: Any, path: str, constraint: str) -> ApiError:
    shown = "null" if value is None else f"'{_shown(value)}'"
    message = f"1 validation error detected: Value {shown} at '{member_path(path)}' failed to satisfy constraint: {constraint}"
    for kind in (errors.InvalidParameterException, errors.ClientException):
        if protocol != "query" and kind.code in spec.errors:
            return kind(message)
    return errors.ValidationException(message)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = "[" + ", ".join(map(_shown, value[:64])) + "]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}={_shown(item)}" for key, item in list(value.items())[:64]) + "}"
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        text = str(value)
    return text[:_LONGEST_SHOWN]


def member_path(path: str) -> str:
    """`$.tags[0].key` as AWS writes it: `tags.1.member.key`; an unknown map key as `key`."""
    steps = []
    for name, index, _ in _STEP.findall(path):
        steps.append(name or (f"{int(index) + 1}.member" if index else "key.member"))
    return ".".join(steps)


def _type_message(wanted: str, got: str) -> str:
    if got == "array":
        return "Start of list found where not expected"
    if got == "object":
        return "Start of structure or map found where not expected."
    plain = wanted.removesuffix(" | null")
    if plain == "array":
        return "Expected list or null"
    if plain == "object":
        return "Expected null"
    return f"{_GOT.get(got, got)} can not be converted to {_WANTED.get(plain, plain)}"


def _constraint(what: str, struct: type[msgspec.Struct], path: str) -> str | None:
    if what.startswith("Invalid enum value"):
        return f"Member must satisfy enum value set: [{', '.join(_enum_at(struct, path))}]"
    if limit := _LIMIT.match(what):
        side = {">": "greater than ", "<": "less than ", "=": ""}[limit["sign"][0]]
        or_equal = "or equal to " if side and "=" in limit["sign"] else ""
        return f"Member must have {limit['length'] or 'value'} {side}{or_equal}{limit['limit']}"
    if pattern := _PATTERN.match(what):
        text = pattern["pattern"].strip("'\"").removeprefix("^(?:").removesuffix(")$")
        return f"Member must satisfy regular expression pattern: {text}"
    return None


def _value_at(plain: Any, path: str) -> Any:
    """The value at the decoder's path; where a map's key is not told, the whole map."""
    for name, index, _ in _STEP.findall(path):
        try:
            plain = plain[name] if name else plain[int(index)] if index else plain
        except (KeyError, IndexError, TypeError):
            return None
    return plain


def _enum_at(struct: type[msgspec.Struct], path: str) -> list[str]:
    """The values of the enumeration that the model has at the decoder's path."""
    node: Any = inspect.type_info(struct)
    for name, _, _ in _STEP.findall(path):
        node = _not_null(node)
        if isinstance(node, inspect.StructType):
            node = next(field.type for field in node.fields if field.encode_name == name)
        elif isinstance(node, inspect.DictType):
            node = node.value_type
        else:
            node = node.item_type
    node = _not_null(node)
    return [str(value) for value in node.values]


def _not_null(node: Any) -> Any:
    while isinstance(node, inspect.UnionType | inspect.Metadata):
        if isinstance(node, inspect.Metadata):
            node = node.type
        else:
            node = next(kind for kind in node.types if not isinstance(kind, inspect.NoneType))
    return node
