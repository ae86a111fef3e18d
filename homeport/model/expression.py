"""The cluster query language."""

from collections.abc import Collection
from typing import NamedTuple

from homeport.model.container_instance import ContainerInstance


class ExpressionError(ValueError):
    """The expression cannot be parsed; the text says where and what would be right."""


class Subject(NamedTuple):
    """A container instance as an expression sees it. `groups` are the task groups it hosts (desired status RUNNING)."""

    instance: ContainerInstance
    running_tasks_count: int = 0
    groups: Collection[str] = ()


class Expression(NamedTuple):
    text: str


def parse(text: str) -> Expression:
    raise NotImplementedError


def matches(expression: Expression, subject: Subject) -> bool:
    raise NotImplementedError
