"""The cluster query language: which container instances a `memberOf` constraint or a list filter means.

    or      := and (("||" | "or") and)*         and := not (("&&" | "and") not)*
    not     := ("!" | "not")* (simple | "(" or ")")
    simple  := subject operator [argument]      (subjects and operators: tables in `query_terms`)

Text is parsed once into nested functions and cached, so that asking about an instance costs only the comparison.
Keywords and operator words are accepted in either case. Whatever an expression says, it is judged in bounded time:
its length, nesting and patterns are limited. Source: Developer Guide, "Create expressions to define container
instances".
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, NoReturn

from homeport.model.query_terms import (
    DYNAMIC_SUBJECTS,
    OPERATORS,
    WORDS,
    ExpressionError,
    Subject,
    Test,
    make_test,
    named_subjects,
)

__all__ = ["Expression", "ExpressionError", "Subject", "matches", "parse"]

_MAX_LENGTH = 2000
_MAX_NESTING = 50
_CACHED = 4096

_SPACE = re.compile(r"\s*")
_SUBJECT = re.compile(r"[A-Za-z0-9_.:/\\-]+")
_WORD = re.compile(r"[A-Za-z_]+")
_SYMBOL = re.compile(r"==|!=|>=|<=|=~|!~|>|<")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_ITEM = re.compile(r"[^\s,\[\]()]+")


class Expression(NamedTuple):
    """A parsed expression. `is_dynamic` when its value depends on the tasks of an instance, not on its row alone."""

    text: str
    test: Test
    is_dynamic: bool


def matches(expression: Expression, subject: Subject) -> bool:
    return expression.test(subject)


@lru_cache(maxsize=_CACHED)
def parse(text: str) -> Expression:
    """Raises ExpressionError, whose text names the place and what would be accepted there."""
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(f"The expression has {len(text)} characters; at most {_MAX_LENGTH} are allowed.")
    parser = _Parser(text)
    test = parser.whole()
    return Expression(text, test, parser.is_dynamic)


def _all(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda subject: all(test(subject) for test in tests)


def _any(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda subject: any(test(subject) for test in tests)


def _not(test: Test) -> Test:
    return lambda subject: not test(subject)


class _Parser:
    """Recursive descent over the text; `_at` is the index of the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nesting = 0
        self.is_dynamic = False

    def whole(self) -> Test:
        self._skip()
        if self._at == len(self._text):
            self._fail("The expression is empty; expected SUBJECT OPERATOR [ARGUMENT]")
        test = self._or()
        if self._at < len(self._text):
            self._fail("Expected and, or, && or ||")
        return test

    def _or(self) -> Test:
        return self._joined(self._and, "||", "or", _any)

    def _and(self) -> Test:
        return self._joined(self._not, "&&", "and", _all)

    def _joined(self, part: Callable[[], Test], symbol: str, word: str, join: Callable[[list[Test]], Test]) -> Test:
        tests = [part()]
        while self._took(symbol) or self._took_word(word):
            tests.append(part())
        return join(tests)

    def _not(self) -> Test:
        negated = False
        while self._took("!") or self._took_word("not"):
            negated = not negated
        test = self._group() if self._took("(") else self._simple()
        return _not(test) if negated else test

    def _group(self) -> Test:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            self._fail(f"Parentheses are nested more than {_MAX_NESTING} deep")
        test = self._or()
        if not self._took(")"):
            self._fail("Expected )")
        self._nesting -= 1
        return test

    def _simple(self) -> Test:
        start = self._at
        name = self._match(_SUBJECT)
        allowed = named_subjects(name or "")
        if name is None or allowed is None:
            self._at = start
            self._fail(
                "Expected a subject: agentConnected, agentVersion, attribute:NAME, ec2InstanceId, registeredAt, "
                "runningTasksCount or task:group"
            )
        start = self._at
        operator = self._operator()
        if operator not in allowed:
            self._at = start
            self._fail(f"{name} cannot be used with {operator}; its operators are {', '.join(sorted(allowed))}")
        start = self._at
        arguments = self._arguments(operator)
        if name in DYNAMIC_SUBJECTS:
            self.is_dynamic = True
        try:
            return make_test(name, operator, arguments)
        except ExpressionError as error:
            self._at = start
            self._fail(str(error))

    def _operator(self) -> str:
        symbol = self._match(_SYMBOL)
        if symbol is not None:
            return symbol
        bang = "!" if self._took("!") else ""
        word = self._match(_WORD) or ""
        operator = WORDS.get(bang + word.lower())
        if operator is None:
            self._fail(f"Expected an operator: {', '.join(OPERATORS)} or its name")
        return operator

    def _arguments(self, operator: str) -> tuple[str, ...]:
        if operator in {"exists", "!exists"}:
            return ()
        if operator in {"in", "!in"}:
            return self._list()
        return (self._argument(),)

    def _list(self) -> tuple[str, ...]:
        if not self._took("["):
            self._fail("Expected a list: [argument1, argument2]")
        items: list[str] = []
        while not self._took("]"):
            if items and not self._took(","):
                self._fail("Expected , or ]")
            quoted = self._match(_QUOTED)
            item = quoted[1:-1] if quoted is not None else self._match(_ITEM)
            if item is None:
                self._fail("Expected a value")
            items.append(item)
        return tuple(items)

    def _argument(self) -> str:
        """A quoted text, or everything up to a blank, `&&`, `||` or the parenthesis that closes a group."""
        quoted = self._match(_QUOTED)
        if quoted is not None:
            return quoted[1:-1]
        start, depth = self._at, 0
        while self._at < len(self._text):
            character = self._text[self._at]
            if character.isspace() or self._text.startswith(("&&", "||"), self._at):
                break
            if character == "(":
                depth += 1
            elif character == ")":
                if depth == 0:
                    break
                depth -= 1
            self._at += 2 if character == "\\" else 1
        self._at = min(self._at, len(self._text))
        if self._at == start:
            self._fail("Expected a value")
        argument = self._text[start : self._at]
        self._skip()
        return argument

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        self._skip()
        return found.group()

    def _took(self, symbol: str) -> bool:
        if not self._text.startswith(symbol, self._at):
            return False
        self._at += len(symbol)
        self._skip()
        return True

    def _took_word(self, word: str) -> bool:
        found = _WORD.match(self._text, self._at)
        if found is None or found.group().lower() != word:
            return False
        self._at = found.end()
        self._skip()
        return True

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at

    def _fail(self, problem: str) -> NoReturn:
        rest = self._text[self._at : self._at + 20]
        where = f"at character {self._at + 1}, before '{rest}'" if rest else "at the end of the expression"
        raise ExpressionError(f"{problem.rstrip('.')} ({where}).")
