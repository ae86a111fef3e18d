"""What every Describe of EC2 does alike: by ids, by filters, in pages; and the derived VPC with its tags.

A filter holds when one of its values fits one of the resource's, `*` and `?` being wildcards; all filters must hold.
A filter that the resource does not have is an error: ignoring it would answer with too much.
"""

import base64
import binascii
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from homeport.api.ec2 import errors
from homeport.api.operation import Context
from homeport.base.errors import ApiError
from homeport.model.vpc import DefaultVpc
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

T = TypeVar("T")
#: Filter name -> the values that a resource has for it.
Fields = Mapping[str, Callable[[T], Iterable[Any]]]


def the_vpc(ctx: Context) -> DefaultVpc:
    return DefaultVpc(ctx.arns.account_id, ctx.arns.region)


def tags_of(tx: Tables, resource_id: str) -> tuple[shapes.Tag, ...]:
    row = tx.resource_tags.get(resource_id)
    return tuple(shapes.Tag(key=key, value=value) for key, value in (row.tags if row else {}).items())


def refuse_dry_run(dry_run: bool | None) -> None:
    """A dry run always ends in an error; this one says that the call was allowed."""
    if dry_run:
        raise errors.DryRunOperation("Request would have succeeded, but DryRun flag is set.")


def by_id(
    rows: Sequence[T], wanted: Iterable[str] | None, key: Callable[[T], str | None], missing: type[ApiError], what: str
) -> list[T]:
    """The rows with these ids (all of them for None or none); raises `missing` for an id that none has."""
    known = {key(row): row for row in rows}
    names = tuple(wanted or ())
    unknown = [name for name in names if name not in known]
    if unknown:
        spoken = f"s '{', '.join(unknown)}' do" if len(unknown) > 1 else f" '{unknown[0]}' does"
        raise missing(f"The {what}{spoken} not exist")
    return [known[name] for name in dict.fromkeys(names)] if names else list(rows)


def filtered(rows: Iterable[T], filters: Iterable[shapes.Filter] | None, fields: Fields[T]) -> list[T]:
    """The rows that all filters hold for. `tag:KEY` and `tag-key` work for rows with `tags`."""
    chosen = list(rows)
    for item in filters or ():
        values_of = _values_of(item.name or "", fields)
        patterns = [_pattern(value) for value in item.values or ()]
        chosen = [row for row in chosen if any(_fits(value, patterns) for value in values_of(row))]
    return chosen


def _values_of(name: str, fields: Fields[T]) -> Callable[[T], Iterable[Any]]:
    if name in fields:
        return fields[name]
    if name.startswith("tag:"):
        return lambda row: [tag.value for tag in _tags(row) if tag.key == name[4:]]
    if name == "tag-key":
        return lambda row: [tag.key for tag in _tags(row)]
    raise errors.InvalidParameterValue(f"The filter '{name}' is invalid")


def _tags(row: Any) -> Iterable[shapes.Tag]:
    return getattr(row, "tags", None) or getattr(row, "tag_set", None) or ()


def _pattern(text: str) -> str:
    return text.replace("[", "[[]")


def _fits(value: Any, patterns: Iterable[str]) -> bool:
    if value is None:
        return False
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def page(rows: Sequence[T], token: str | None, limit: int | None) -> tuple[tuple[T, ...], str | None]:
    """The page after `token` and the next one's token. What EC2 has here is few and fixed, so a token is an offset."""
    start = 0
    if token:
        try:
            start = int(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            raise errors.InvalidParameterValue(f"Invalid value '{token}' for NextToken") from None
    end = len(rows) if limit is None else start + limit
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(rows) else None
    return tuple(rows[max(0, start) : end]), following
