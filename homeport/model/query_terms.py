"""Subjects and operators of the cluster query language: what may be compared with what, and how.

Versions are compared part by part as numbers, dates as instants, counts as numbers, everything else as text; an
attribute is ordered as a number if both sides are numbers. A subject without a value (an attribute that the instance
lacks) satisfies only the negative operators. `task:group` has several values: a positive operator asks for any of
them, its negation for none.
"""

import operator as op
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

from homeport.model.container_instance import ContainerInstance
from homeport.model.pattern import PatternError, compile_pattern


class ExpressionError(ValueError):
    """The expression cannot be parsed; the text says where and what would be right."""


class Subject(NamedTuple):
    """A container instance as an expression sees it. `groups` are the task groups it hosts (desired status RUNNING)."""

    instance: ContainerInstance
    running_tasks_count: int = 0
    groups: Collection[str] = ()


Test = Callable[[Subject], bool]
_Values = Callable[[Subject], Collection[str]]

OPERATORS = ("==", "!=", ">", ">=", "<", "<=", "exists", "!exists", "in", "!in", "=~", "!~")
WORDS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "exists": "exists",
    "!exists": "!exists",
    "not_exists": "!exists",
    "in": "in",
    "!in": "!in",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
_NEGATED = {"!=": "==", "!exists": "exists", "!in": "in", "!~": "=~"}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"==": op.eq, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le}

_AS_TEXT = frozenset({"==", "!=", "in", "!in", "=~", "!~"})
_AS_ORDER = frozenset({"==", "!=", ">", ">=", "<", "<="})
_SUBJECTS = {
    "agentConnected": _AS_TEXT,
    "agentVersion": _AS_ORDER,
    "ec2InstanceId": _AS_TEXT,
    "registeredAt": _AS_ORDER,
    "runningTasksCount": _AS_ORDER,
    "task:group": _AS_TEXT | {"exists", "!exists"},
}
_ATTRIBUTE = "attribute:"
DYNAMIC_SUBJECTS = frozenset({"runningTasksCount", "task:group"})


def named_subjects(name: str) -> frozenset[str] | None:
    """The operators that a subject allows; None if there is no such subject."""
    if name.startswith(_ATTRIBUTE) and len(name) > len(_ATTRIBUTE):
        return frozenset(OPERATORS)
    return _SUBJECTS.get(name)


def make_test(name: str, operator: str, arguments: tuple[str, ...]) -> Test:
    """The comparison as a function. Raises ExpressionError if the argument is not of the subject's kind."""
    positive = _NEGATED.get(operator)
    if positive is not None:
        test = make_test(name, positive, arguments)
        return lambda subject: not test(subject)
    if name == "agentVersion":
        return _ordered(_ORDERS[operator], _version_of, version_parts(arguments[0]))
    if name == "registeredAt":
        return _ordered(_ORDERS[operator], lambda subject: int(subject.instance.registered_at), _instant(arguments[0]))
    if name == "runningTasksCount":
        return _ordered(_ORDERS[operator], lambda subject: subject.running_tasks_count, _count(arguments[0]))
    return _text_test(_values_of(name), operator, arguments)


def _text_test(values: _Values, operator: str, arguments: tuple[str, ...]) -> Test:
    if operator == "exists":
        return lambda subject: bool(values(subject))
    if operator in {"==", "in"}:
        wanted = frozenset(arguments)
        return lambda subject: not wanted.isdisjoint(values(subject))
    if operator == "=~":
        try:
            pattern = compile_pattern(arguments[0])
        except PatternError as error:
            raise ExpressionError(str(error)) from None
        return lambda subject: any(pattern(value) for value in values(subject))
    order, argument = _ORDERS[operator], arguments[0]
    return lambda subject: any(order(*_comparable(value, argument)) for value in values(subject))


def _values_of(name: str) -> _Values:
    if name == "task:group":
        return lambda subject: subject.groups
    if name == "agentConnected":
        return lambda subject: ("true" if subject.instance.agent_connected else "false",)
    if name == "ec2InstanceId":
        return lambda subject: (subject.instance.ec2_instance_id,)
    attribute = name.removeprefix(_ATTRIBUTE)

    def values(subject: Subject) -> Collection[str]:
        value = subject.instance.attribute(attribute)
        return () if value is None else (value,)

    return values


def _ordered(order: Callable[[Any, Any], bool], value_of: Callable[[Subject], Any], wanted: Any) -> Test:
    def test(subject: Subject) -> bool:
        value = value_of(subject)
        return value is not None and order(value, wanted)

    return test


def _comparable(left: str, right: str) -> tuple[float, float] | tuple[str, str]:
    try:
        return float(left), float(right)
    except ValueError:
        return left, right


def version_parts(text: str) -> tuple[int, ...]:
    """`1.14.5` as (1, 14, 5), without zeros at the end, so that 1.14 equals 1.14.0."""
    if re.fullmatch(r"v?\d{1,9}(\.\d{1,9})*", text) is None:
        raise ExpressionError(f"'{text}' is not a version such as 1.14.5")
    parts = [int(part) for part in text.removeprefix("v").split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _version_of(subject: Subject) -> tuple[int, ...] | None:
    """The leading numbers of the agent's version (`1.14.5-dev` counts as 1.14.5); None while none is known."""
    found = re.match(r"v?\d{1,9}(\.\d{1,9})*", subject.instance.agent_version or "")
    return version_parts(found.group()) if found else None


def _instant(text: str) -> int:
    """Epoch seconds of a date or date-time; without a zone it is UTC."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)?)?", text):
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())
    raise ExpressionError(f"'{text}' is not a date such as 2018-06-18 or 2018-06-18T22:28:28+00:00")


def _count(text: str) -> int:
    if re.fullmatch(r"\d{1,9}", text) is None:
        raise ExpressionError(f"'{text}' is not a number of tasks")
    return int(text)
