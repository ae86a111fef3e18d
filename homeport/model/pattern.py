"""Java regular expressions, as the cluster query language takes them, on Python's engine.

The two dialects agree on nearly everything that people write; the differences that matter are translated, and what
Python has no equal for is refused rather than misread. A pattern must match the whole value. Because a caller's
pattern runs inside the server, one that could be walked through in too many ways (a choice or a repetition inside a
repetition without bound, five times `.*`) is refused: trying them all would take for ever. Only the first 256
characters of a value are looked at (attributes have at most 128).
"""

import math
import re
from collections.abc import Callable
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_MAX_VALUE = 256
_TYPICAL_VALUE = 128
_MAX_WAYS = 3e8
_MAX_REPEATS = 1000
_MAX_REPEATED_CHOICES = 30
_CLASSES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": "\\x00-\\x7F",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "Graph": "\\x21-\\x7E",
    "Print": "\\x20-\\x7E",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1F\\x7F",
    "XDigit": "0-9a-fA-F",
    "Space": " \\t\\n\\x0B\\f\\r",
}
_ESCAPES = {
    "h": "[ \\t\\xA0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000]",
    "z": "\\Z",
    "Z": "(?=\\n?\\Z)",
    "e": "\\x1B",
}
_TOKEN = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|$)"
    r"|\\(?P<negated>[pP])\{(?P<posix>[A-Za-z]+)\}"
    r"|\\k<(?P<back>\w+)>"
    r"|\(\?<(?P<group>[A-Za-z]\w*)>"
    r"|\\(?P<escape>.)"
    r"|(?P<bracket>[\[\]])"
    r"|(?P<meet>&&|--|\|\||~~)",
    re.DOTALL,
)


class PatternError(ValueError):
    """The pattern is not one we can judge; the text says why."""


def compile_pattern(java: str) -> Callable[[str], bool]:
    """A function that tells whether a whole value matches."""
    try:
        python = _translated(java)
        if _ways(parser.parse(python)) > _MAX_WAYS:
            raise PatternError(
                f"The pattern '{java}' could match in too many ways; repeat fewer choices and repetitions"
            )
        compiled = re.compile(python)
    except (re.error, OverflowError, RecursionError, IndexError) as error:
        raise PatternError(f"'{java}' is not a Java regular expression: {error}") from None
    fullmatch = compiled.fullmatch
    return lambda value: fullmatch(value[:_MAX_VALUE]) is not None


def _translated(java: str) -> str:
    in_class = False
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(java):
        parts.append(java[at : token.start()])
        at = token.end()
        if token["bracket"] == "[":
            if in_class:
                raise PatternError("A character class inside another is not supported")
            in_class = True
        elif token["bracket"] == "]":
            in_class = False
        elif token["meet"] and in_class:
            raise PatternError(f"{token['meet']} inside a character class is not supported")
        parts.append(_replacement(token, in_class=in_class))
    return "".join([*parts, java[at:]])


def _replacement(token: re.Match[str], *, in_class: bool) -> str:
    if token["literal"] is not None:
        return re.escape(token["literal"])
    if token["posix"] is not None:
        return _posix(token["posix"], negated=token["negated"] == "P", in_class=in_class)
    if token["back"] is not None:
        return f"(?P={token['back']})"
    if token["group"] is not None:
        return f"(?P<{token['group']}>"
    if token["escape"] in _ESCAPES and not in_class:
        return _ESCAPES[token["escape"]]
    return token.group()


def _posix(name: str, *, negated: bool, in_class: bool) -> str:
    members = _CLASSES.get(name)
    if members is None or (negated and in_class):
        raise PatternError(f"The character class \\p{{{name}}} is not supported here")
    if in_class:
        return members
    return f"[^{members}]" if negated else f"[{members}]"


def _ways(parsed: Any) -> float:
    """In how many ways a value could be walked through the pattern; backtracking tries at most all of them."""
    ways = 1.0
    for code, argument in parsed:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            ways *= _ways_of_repeat(*argument, keeps_one=code is codes.POSSESSIVE_REPEAT)
        elif code is codes.BRANCH:
            ways *= sum(_ways(each) for each in argument[1])
        else:
            for part in _parts(argument):
                ways *= _ways(part)
    return ways


def _ways_of_repeat(least: int, most: int, repeated: Any, *, keeps_one: bool) -> float:
    """`keeps_one`: a possessive repetition gives nothing back, so only what it repeats can be walked differently."""
    inner = _ways(repeated)
    if least > _MAX_REPEATS:
        return math.inf
    if inner == 1:
        return 1.0 if keeps_one else min(most, _TYPICAL_VALUE) - min(least, _TYPICAL_VALUE) + 1.0
    if most > _MAX_REPEATED_CHOICES:
        return math.inf
    return math.fsum(min(inner, _MAX_WAYS + 1) ** times for times in range(least, most + 1))


def _parts(argument: Any) -> list[Any]:
    """The patterns inside an element's argument, however it is nested."""
    if isinstance(argument, parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [part for each in argument for part in _parts(each)]
    return []
