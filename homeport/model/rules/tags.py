"""Tags: what may be one, and how given tags change those that are there.

At most 50 on a resource (those that begin with `aws:` are AWS's and do not count), keys of 1-128 and values of up to
256 characters, keys unique, no `aws:` prefix in any case. Source: API reference of Tag and TagResource.
"""

import re
from collections.abc import Iterable

from homeport.shapes import ecs as shapes

MOST_TAGS = 50
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*\Z")
Tags = tuple[shapes.Tag, ...]


def check_tags(tags: Iterable[shapes.Tag] | None) -> Tags:
    """The tags with absent values made empty; raises InvalidParameterException for one that may not be."""
    checked = []
    seen: set[str] = set()
    for tag in tags or ():
        key, value = tag.key, tag.value or ""
        if not key:
            raise shapes.InvalidParameterException("Tag keys can not be null or empty.")
        if is_reserved(key) or is_reserved(value):
            raise shapes.InvalidParameterException(f"Tags can not begin with 'aws:', but one was '{key}'.")
        if not _ALLOWED.match(key) or not _ALLOWED.match(value):
            raise shapes.InvalidParameterException(f"The tag '{key}' contains invalid characters.")
        if key in seen:
            raise shapes.InvalidParameterException(f"Duplicate tag keys found: '{key}'.")
        seen.add(key)
        checked.append(shapes.Tag(key=key, value=value))
    if len(checked) > MOST_TAGS:
        raise shapes.InvalidParameterException(f"The number of tags can not be more than {MOST_TAGS}.")
    return tuple(checked)


def is_reserved(text: str) -> bool:
    return text[:4].lower() == "aws:"


def merged_tags(existing: Iterable[shapes.Tag], given: Iterable[shapes.Tag] | None) -> Tags:
    """The tags of a resource after TagResource: same keys replaced in place, new ones at the end."""
    merged = {tag.key: tag for tag in existing}
    merged.update({tag.key: tag for tag in check_tags(given)})
    if sum(1 for key in merged if not is_reserved(key or "")) > MOST_TAGS:
        raise shapes.InvalidParameterException(f"The number of tags can not be more than {MOST_TAGS}.")
    return tuple(merged.values())


def without_tags(existing: Iterable[shapes.Tag], keys: Iterable[str]) -> Tags:
    """The tags after UntagResource; keys that are not there are ignored, AWS's own cannot be removed."""
    gone = set(keys)
    for key in gone:
        if is_reserved(key):
            raise shapes.InvalidParameterException(f"Tags that begin with 'aws:' can not be removed: '{key}'.")
    return tuple(tag for tag in existing if tag.key not in gone)
