"""Filter patterns for JSON messages: `{ $.level = "error" && ($.latency > 100 || $.user.id NOT EXISTS) }`.

A condition on a property holds if any node that the selector names fulfils it (a wildcard `*` names several); where the
property is missing, or the message is no JSON, nothing holds but NOT EXISTS. Values may hold `*` for any text.
"""

import re
from collections.abc import Callable, Iterator
from operator import ge, gt, le, lt
from typing import Any

import msgspec

from homeport.shapes import logs as shapes

Matches = Callable[[str], bool]
Holds = Callable[[Any], bool]
_TOKEN = re.compile(
    r"""\s*(?:(?P<selector>\$(?:\.?\[(?:\d+|\*|'[^']*'|"[^"]*")\]|\.(?:\*|[\w-]+))+)
    |(?P<operator>&&|\|\||!=|<=|>=|[=<>(){}])
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<word>[\w.*+:/@-]+))""",
    re.VERBOSE,
)
_STEP = re.compile(r"""\[(\d+|\*)\]|\['([^']*)'\]|\["([^"]*)"\]|\.(\*|[\w-]+)""")
_COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_CONSTANTS = {"NULL": None, "TRUE": True, "FALSE": False}
_MOST_DEPTH = 50


def invalid_pattern(why: str) -> shapes.InvalidParameterException:
    return shapes.InvalidParameterException(f"Invalid filter pattern: {why}")


def json_matcher(text: str) -> Matches:
    """The predicate on messages of a pattern in braces."""
    holds = _Parser(text).pattern()

    def matches(message: str) -> bool:
        if not message.lstrip().startswith("{"):
            return False
        try:
            document = msgspec.json.decode(message)
        except (msgspec.DecodeError, RecursionError):
            return False
        return holds(document)

    return matches


class _Parser:
    """Recursive descent: `()` binds before `&&`, which binds before `||`."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._position = 0
        self._depth = 0

    def pattern(self) -> Holds:
        self._expect("{")
        holds = self._either()
        self._expect("}")
        if self._peek() != ("end", ""):
            raise invalid_pattern("text after the closing brace")
        return holds

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._position]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def _expect(self, sign: str) -> None:
        kind, text = self._next()
        if (kind, text) != ("operator", sign):
            raise invalid_pattern(f"'{sign}' expected before '{text}'")

    def _either(self) -> Holds:
        parts = [self._both()]
        while self._peek() == ("operator", "||"):
            self._next()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda document: any(part(document) for part in parts)

    def _both(self) -> Holds:
        parts = [self._condition()]
        while self._peek() == ("operator", "&&"):
            self._next()
            parts.append(self._condition())
        return parts[0] if len(parts) == 1 else lambda document: all(part(document) for part in parts)

    def _condition(self) -> Holds:
        if self._peek() == ("operator", "("):
            self._depth += 1
            if self._depth > _MOST_DEPTH:
                raise invalid_pattern("too many parentheses")
            self._next()
            inside = self._either()
            self._expect(")")
            self._depth -= 1
            return inside
        kind, selector = self._next()
        if kind != "selector":
            raise invalid_pattern(f"a property selector expected instead of '{selector}'")
        steps = _steps(selector)
        node_holds = self._test()
        if node_holds is None:
            return lambda document: next(_nodes(document, steps), _nodes) is _nodes
        return lambda document: any(node_holds(node) for node in _nodes(document, steps))

    def _test(self) -> Holds | None:
        """What a node must fulfil; None for NOT EXISTS."""
        kind, sign = self._next()
        if kind == "word":
            second_kind, second = self._next()
            if (sign, second_kind, second) == ("NOT", "word", "EXISTS"):
                return None
            if sign == "IS" and second_kind == "word" and second in _CONSTANTS:
                constant = _CONSTANTS[second]
                return lambda node: node is constant
            raise invalid_pattern(f"'{sign} {second}' is not a condition")
        value_kind, value = self._next()
        if kind != "operator" or value_kind not in ("string", "word"):
            raise invalid_pattern(f"a value expected instead of '{value}'")
        if sign in _COMPARE:
            return _number_test(sign, value)
        if sign in ("=", "!="):
            equals = _equality_test(value_kind, value)
            return equals if sign == "=" else lambda node: _is_value(node) and not equals(node)
        raise invalid_pattern(f"'{sign}' is not an operator")


def _tokens(text: str) -> list[tuple[str, str]]:
    """Pairs of kind and text, closed by an `end`."""
    found, position, text = [], 0, text.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token.lastgroup is None:
            raise invalid_pattern(f"cannot read '{text[position : position + 20].strip()}'")
        found.append((token.lastgroup, token.group(token.lastgroup)))
        position = token.end()
    return [*found, ("end", "")]


def _steps(selector: str) -> list[str | int]:
    """Object keys and array indexes; `*` is the wildcard."""
    steps: list[str | int] = []
    for index, single, double, name in _STEP.findall(selector):
        steps.append(int(index) if index.isdecimal() else index or single or double or name)
    if steps.count("*") > 1:
        raise invalid_pattern("a property selector can have one wildcard")
    return steps


def _nodes(node: Any, steps: list[str | int]) -> Iterator[Any]:
    """Every node that the steps lead to."""
    if not steps:
        yield node
        return
    step, rest = steps[0], steps[1:]
    if step == "*":
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        for child in children:
            yield from _nodes(child, rest)
    elif isinstance(step, int):
        if isinstance(node, list) and step < len(node):
            yield from _nodes(node[step], rest)
    elif isinstance(node, dict) and step in node:
        yield from _nodes(node[step], rest)


def _is_value(node: Any) -> bool:
    return isinstance(node, str | int | float) and not isinstance(node, bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _number_test(sign: str, value: str) -> Holds:
    number, compare = _number(value), _COMPARE[sign]
    if number is None:
        raise invalid_pattern(f"'{value}' is not a number")
    return lambda node: isinstance(node, int | float) and not isinstance(node, bool) and compare(node, number)


def _equality_test(kind: str, value: str) -> Holds:
    """Text is compared as text with `*` as wildcard; an unquoted number also equals a number however it is written."""
    text = re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "string" else value
    number = _number(text) if kind == "word" else None
    parts = text.split("*")

    def equals(node: Any) -> bool:
        if isinstance(node, str):
            return node == text or (len(parts) > 1 and _fits(node, parts))
        if not _is_value(node):
            return False
        return node == number or (len(parts) > 1 and _fits(f"{node:g}", parts))

    return equals


def _fits(text: str, parts: list[str]) -> bool:
    """Whether the text is the parts (at least two) with anything in between; linear, unlike a regular expression."""
    first, *middle, last = parts
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
