"""Attributes of container instances that callers set themselves.

Names 1-128 of letters, digits and `-_/\\.`; values 1-128 of these and `@`, `:` and inner spaces; ten of a caller's own
on each instance. Source: API reference of Attribute and PutAttributes.
"""

import re
from collections.abc import Iterable

from homeport.shapes import ecs as shapes

MOST_CUSTOM = 10
MOST_PER_CALL = 10
_NAME = re.compile(r"[A-Za-z0-9\-_/\\.]{1,128}\Z")
_VALUE = re.compile(r"[A-Za-z0-9\-_/\\.@:](?:[A-Za-z0-9\-_/\\.@: ]{0,126}[A-Za-z0-9\-_/\\.@:])?\Z")
_RESERVED = ("ecs.", "com.amazonaws.ecs.")
Attributes = tuple[shapes.Attribute, ...]


def is_custom(name: str) -> bool:
    """Whether the name is a caller's: AWS's own begin with `ecs.` or `com.amazonaws.ecs.`."""
    return not name.startswith(_RESERVED)


def check_attribute(attribute: shapes.Attribute) -> None:
    """Name and value as allowed; a value may be missing."""
    if not _NAME.match(attribute.name):
        raise shapes.InvalidParameterException(f"Invalid attribute name: '{attribute.name}'.")
    if not is_custom(attribute.name):
        raise shapes.InvalidParameterException(f"The attribute name '{attribute.name}' is reserved.")
    if attribute.value is not None and not _VALUE.match(attribute.value):
        raise shapes.InvalidParameterException(f"Invalid value for attribute '{attribute.name}'.")


def with_attributes(existing: Attributes, given: Iterable[shapes.Attribute]) -> Attributes:
    """The attributes after PutAttributes: same names replaced; raises AttributeLimitExceededException for too many."""
    merged = {attribute.name: attribute for attribute in existing}
    for attribute in given:
        merged[attribute.name] = shapes.Attribute(name=attribute.name, value=attribute.value)
    before = sum(1 for attribute in existing if is_custom(attribute.name))
    after = sum(1 for name in merged if is_custom(name))
    # An agent may have registered more than ten; changing one of those is not adding to them.
    if after > max(MOST_CUSTOM, before):
        raise shapes.AttributeLimitExceededException(
            f"A container instance can have at most {MOST_CUSTOM} custom attributes."
        )
    return tuple(merged.values())


def without_attributes(existing: Attributes, given: Iterable[shapes.Attribute]) -> tuple[Attributes, Attributes]:
    """What stays and what goes by DeleteAttributes: by name, and by value where one is given."""
    unwanted = {attribute.name: attribute.value for attribute in given}
    gone = tuple(
        one
        for one in existing
        if one.name in unwanted and unwanted[one.name] in (None, one.value) and is_custom(one.name)
    )
    names = {attribute.name for attribute in gone}
    return tuple(one for one in existing if one.name not in names), gone
