"""Tags of log groups, by the present operations (by ARN) and the older ones (by name)."""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from homeport.api.logs.find import find_group, name_of_arn
from homeport.api.logs.groups import change_group, check_tags
from homeport.api.operation import Context, operation
from homeport.base.errors import ApiError
from homeport.drivers.logs import LogGroup
from homeport.shapes import logs as shapes

_MOST_TAGS = 50


@operation(shapes.SERVICE, "TagResource")
async def tag_resource(ctx: Context, request: shapes.TagResourceRequest) -> shapes.TagResourceResponse:
    name = name_of_arn(ctx, request.resource_arn)
    too_many = shapes.TooManyTagsException(
        "A resource can have no more than 50 tags.", resourceName=request.resource_arn
    )
    await asyncio.to_thread(_tag, ctx, name, request.tags, too_many)
    return shapes.TagResourceResponse()


@operation(shapes.SERVICE, "UntagResource")
async def untag_resource(ctx: Context, request: shapes.UntagResourceRequest) -> shapes.UntagResourceResponse:
    await asyncio.to_thread(_untag, ctx, name_of_arn(ctx, request.resource_arn), request.tag_keys)
    return shapes.UntagResourceResponse()


@operation(shapes.SERVICE, "ListTagsForResource")
async def list_tags_for_resource(
    ctx: Context, request: shapes.ListTagsForResourceRequest
) -> shapes.ListTagsForResourceResponse:
    group = await asyncio.to_thread(find_group, ctx, name_of_arn(ctx, request.resource_arn))
    return shapes.ListTagsForResourceResponse(tags=group.tags)


@operation(shapes.SERVICE, "TagLogGroup")
async def tag_log_group(ctx: Context, request: shapes.TagLogGroupRequest) -> shapes.TagLogGroupResponse:
    too_many = shapes.InvalidParameterException("A log group can have no more than 50 tags.")
    await asyncio.to_thread(_tag, ctx, request.log_group_name, request.tags, too_many)
    return shapes.TagLogGroupResponse()


@operation(shapes.SERVICE, "UntagLogGroup")
async def untag_log_group(ctx: Context, request: shapes.UntagLogGroupRequest) -> shapes.UntagLogGroupResponse:
    await asyncio.to_thread(_untag, ctx, request.log_group_name, request.tags)
    return shapes.UntagLogGroupResponse()


@operation(shapes.SERVICE, "ListTagsLogGroup")
async def list_tags_log_group(ctx: Context, request: shapes.ListTagsLogGroupRequest) -> shapes.ListTagsLogGroupResponse:
    group = await asyncio.to_thread(find_group, ctx, request.log_group_name)
    return shapes.ListTagsLogGroupResponse(tags=group.tags)


def _tag(ctx: Context, name: str, tags: Mapping[str, str], too_many: ApiError) -> None:
    check_tags(tags)

    def change(group: LogGroup) -> LogGroup:
        together = {**group.tags, **tags}
        if len(together) > _MOST_TAGS:
            raise too_many
        return msgspec.structs.replace(group, tags=together)

    change_group(ctx, name, change)


def _untag(ctx: Context, name: str, keys: Iterable[str]) -> None:
    gone = set(keys)

    def change(group: LogGroup) -> LogGroup:
        kept = {key: value for key, value in group.tags.items() if key not in gone}
        return msgspec.structs.replace(group, tags=kept)

    change_group(ctx, name, change)
