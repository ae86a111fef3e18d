"""Filter patterns: a text becomes a predicate on messages.

Served: terms (`ERROR`, `"exact phrase"`, `-excluded`, `?optional`) and expressions on JSON messages, which
`json_pattern` reads. Regular expressions (`%…%`) and space-delimited patterns (`[a, b]`) are refused. Source:
CloudWatch Logs user guide, "Filter pattern syntax".
"""

import re
from collections.abc import Callable

from homeport.api.logs.json_pattern import invalid_pattern, json_matcher

Matches = Callable[[str], bool]
_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)')


def compile_pattern(pattern: str | None) -> Matches:
    """The predicate of a pattern; no pattern matches everything. Raises InvalidParameterException."""
    text = (pattern or "").strip()
    if text.startswith("{"):
        return json_matcher(text)
    if text.startswith(("[", "%")):
        raise invalid_pattern(f"patterns that start with {text[0]} are not supported")
    return _terms_matcher(text)


def _terms_matcher(text: str) -> Matches:
    """Every plain term and no excluded one; optional terms (any of them) count only where there are no others."""
    required: list[str] = []
    excluded: list[str] = []
    optional: list[str] = []
    kinds = {"": required, "-": excluded, "?": optional}
    position = 0
    while position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            raise invalid_pattern("unbalanced quotation mark")
        sign, phrase, word = found.groups()
        if word is not None and not word.replace("_", "").isalnum():
            raise invalid_pattern(f"Invalid character(s) in term '{word}'")
        kinds[sign].append(re.sub(r"\\(.)", r"\1", phrase) if word is None else word)
        position = found.end()
    if optional and not required and not excluded:
        return lambda message: any(term in message for term in optional)
    # A blank phrase (`" "`) is AWS's way to say: everything.
    required = [term for term in required if term.strip()]
    return lambda message: all(term in message for term in required) and not any(term in message for term in excluded)
