"""Values that fit a botocore shape, drawn from a seeded source, and what two ways of reading them have in common."""

import datetime as dt
import random
import re
from typing import Any

from homeport.shapes.generate import is_sound_pattern

LETTERS = "abcXYZ0189 -_./:=<>&\"'\\\n\té€😀"
CANDIDATES = (
    "a", "abc", "1", "0", "123456789012", "a/b-c_d.e#f", "x" * 20, "arn:aws:logs:us-east-1:123456789012:log-group:g", "2026-11-23",
    "a" * 32, "a" * 64, "us-east-1", "i-0123456789abcdef0", "key", "aws:x", "AROA0123456789012345", "", "AKIAABCDEFGHIJKLMNOP",
    "sg-12345678", "ns-abcdefghijklmnop", "srv-abcdefghijklmnop", "/x/", "A-Z",
    "ipv4pool-coip-1", "ipam-pool-1", "HTTPS", "#{protocol}", "200", "404", "www.example.com", "*.example.com",
    "arn:aws:acm:us-east-1:123456789012:certificate/a", "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n",
)  # fmt: skip


def value_of(shape: Any, rng: random.Random, depth: int = 0) -> Any:
    """A random value; with depth, optional members become rare, so that recursive shapes end."""
    return _MAKERS.get(shape.type_name, _string)(shape, rng, depth)


def _structure(shape: Any, rng: random.Random, depth: int) -> Any:
    if getattr(shape, "is_document_type", False):
        return {"any": ["document", 1, None, True]}
    chance = 0.8 if depth < 2 else 0.4 if depth < 6 else 0.0
    names = [name for name in shape.members if name in shape.required_members or rng.random() < chance]
    if getattr(shape, "is_tagged_union", False):
        names = [rng.choice(list(shape.members))]
    if not names and shape.members:
        names = [rng.choice(list(shape.members))] if depth < 6 else []
    return {name: value_of(shape.members[name], rng, depth + 1) for name in names}


def _length(shape: Any, rng: random.Random, usual: int) -> int:
    least = shape.metadata.get("min", 0)
    return rng.randint(max(least, 1), max(least, 1, min(shape.metadata.get("max", usual), max(usual, least))))


def _list(shape: Any, rng: random.Random, depth: int) -> list:
    return [value_of(shape.member, rng, depth + 1) for _ in range(_length(shape, rng, 3 if depth < 3 else 1))]


def _map(shape: Any, rng: random.Random, depth: int) -> dict:
    keys = [value_of(shape.key, rng, depth + 1) for _ in range(_length(shape, rng, 2))]
    return {key: value_of(shape.value, rng, depth + 1) for key in keys}


def _string(shape: Any, rng: random.Random, depth: int) -> str:
    if getattr(shape, "enum", None):
        return rng.choice(shape.enum)
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 24)
    pattern = shape.metadata.get("pattern")
    if pattern and is_sound_pattern(pattern):
        fitting = [text for text in CANDIDATES if least <= len(text) <= most and re.search(f"^(?:{pattern})$", text)]
        return rng.choice(fitting) if fitting else "no candidate"
    return "".join(rng.choices(LETTERS, k=rng.randint(max(least, 1), max(least, 1, min(most, 24)))))


def _number(shape: Any, rng: random.Random, depth: int) -> int:
    bits = 31 if shape.type_name == "integer" else 53
    least, most = shape.metadata.get("min", -(2**bits)), shape.metadata.get("max", 2**bits - 1)
    return rng.choice([least, most, rng.randint(least, most)])


_MAKERS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "integer": _number,
    "long": _number,
    "boolean": lambda shape, rng, depth: rng.random() < 0.5,
    "double": lambda shape, rng, depth: rng.choice([0.0, 1.5, 99.25]),
    "float": lambda shape, rng, depth: rng.choice([0.0, 1.5, 99.25]),
    "timestamp": lambda shape, rng, depth: dt.datetime.fromtimestamp(rng.randrange(2**31), dt.UTC),
    "blob": lambda shape, rng, depth: rng.randbytes(rng.randint(1, 9)),
}


def plain(value: Any, shape: Any) -> Any:
    """The value with timestamps as epoch seconds and absent things left out: comparable however it was read."""
    if value is None:
        return None
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return value
        members = {name: plain(item, shape.members[name]) for name, item in value.items() if name in shape.members}
        return {name: item for name, item in members.items() if item is not None}
    if kind == "list":
        return [plain(item, shape.member) for item in value]
    if kind == "map":
        return {key: plain(item, shape.value) for key, item in value.items()}
    if kind == "timestamp":
        return float(value.timestamp()) if isinstance(value, dt.datetime) else float(value)
    return value
