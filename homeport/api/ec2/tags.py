"""Tags of what the default VPC consists of. At most 50 a resource; keys with the prefix `aws:` are AWS's own."""

from msgspec.structs import replace

from homeport.api.ec2 import errors
from homeport.api.ec2.select import filtered, page, refuse_dry_run, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.vpc import ResourceTags
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

_MOST_TAGS, _LONGEST_KEY, _LONGEST_VALUE = 50, 127, 255
_FIELDS = {
    "key": lambda row: [row.key],
    "resource-id": lambda row: [row.resource_id],
    "resource-type": lambda row: [row.resource_type],
    "value": lambda row: [row.value],
}
_DEFAULT_PAGE = 1000


@operation(shapes.SERVICE, "CreateTags")
def create_tags(ctx: Context, tx: Tx, request: shapes.CreateTagsRequest) -> shapes.CreateTagsResponse:
    given = {tag.key or "": tag.value or "" for tag in request.tags}
    for key, value in given.items():
        if not key or len(key) > _LONGEST_KEY:
            raise errors.InvalidParameterValue(f"Tag key '{key}' must have between 1 and {_LONGEST_KEY} characters.")
        if len(value) > _LONGEST_VALUE:
            raise errors.InvalidParameterValue(f"Tag value exceeds the maximum length of {_LONGEST_VALUE} characters")
        if key.lower().startswith("aws:"):
            raise errors.InvalidParameterValue(
                f"Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
            )
    rows = _rows(ctx, tx, request.resources)
    refuse_dry_run(request.dry_run)
    for row in rows:
        tags = {**row.tags, **given}
        if len(tags) > _MOST_TAGS:
            raise errors.TagLimitExceeded(f"The maximum number of Tags for a resource is {_MOST_TAGS}.")
        tx.resource_tags.put(replace(row, tags=tags))
    return shapes.CreateTagsResponse()


@operation(shapes.SERVICE, "DeleteTags")
def delete_tags(ctx: Context, tx: Tx, request: shapes.DeleteTagsRequest) -> shapes.DeleteTagsResponse:
    """A tag given with a value goes only if it has this value; without any tags all of them go."""
    rows = _rows(ctx, tx, request.resources)
    refuse_dry_run(request.dry_run)
    for row in rows:
        left = dict(row.tags) if request.tags is not None else {}
        for tag in request.tags or ():
            if tag.value is None or left.get(tag.key or "") == tag.value:
                left.pop(tag.key or "", None)
        if left:
            tx.resource_tags.put(replace(row, tags=left))
        else:
            tx.resource_tags.delete(row.resource_id)
    return shapes.DeleteTagsResponse()


@operation(shapes.SERVICE, "DescribeTags")
def describe_tags(ctx: Context, tx: Tables, request: shapes.DescribeTagsRequest) -> shapes.DescribeTagsResult:
    refuse_dry_run(request.dry_run)
    types = the_vpc(ctx).resource_ids()
    rows = [
        shapes.TagDescription(
            key=key,
            value=value,
            resource_id=row.resource_id,
            resource_type=types.get(row.resource_id),  # type: ignore[arg-type]  # the values are EC2's own words
        )
        for row in tx.resource_tags
        for key, value in row.tags.items()
    ]
    limit = request.max_results or _DEFAULT_PAGE
    if not 5 <= limit <= _DEFAULT_PAGE:
        raise errors.InvalidParameterValue(f"Value ( {limit} ) for parameter maxResults is invalid.")
    shown, token = page(filtered(rows, request.filters, _FIELDS), request.next_token, limit)
    return shapes.DescribeTagsResult(tags=shown, next_token=token)


def _rows(ctx: Context, tx: Tables, resource_ids: tuple[str, ...]) -> list[ResourceTags]:
    known = the_vpc(ctx).resource_ids()
    for name in resource_ids:
        if name not in known:
            raise errors.InvalidID(f"The ID '{name}' is not valid")
    return [tx.resource_tags.get(name) or ResourceTags(resource_id=name) for name in dict.fromkeys(resource_ids)]
