"""Log groups: their life, their retention, their listing.

Not served, and refused instead of ignored: encryption with a KMS key, deletion protection (its switch is another
operation), and the classes DELIVERY and ESSENTIALS, whose semantics no container log needs.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec

from homeport.api.logs.find import GROUP_MISSING, find_group, name_of_arn
from homeport.api.logs.token import make_token, read_token
from homeport.api.operation import Context, operation
from homeport.base.errors import NotFound, Permanent
from homeport.drivers.logs import LogGroup
from homeport.shapes import logs as shapes

RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
_CLASSES = ("STANDARD", "INFREQUENT_ACCESS")
_CHANGING = threading.Lock()
"""Held from reading a group to replacing it, so that two changes of different settings both last."""


def change_group(ctx: Context, name: str, change: Callable[[LogGroup], LogGroup]) -> None:
    with _CHANGING:
        try:
            ctx.world.logs.replace_group(change(find_group(ctx, name)))
        except NotFound as error:
            raise shapes.ResourceNotFoundException(GROUP_MISSING) from error


def check_tags(tags: Iterable[str]) -> None:
    """Tag keys as AWS limits them: 1 to 128 characters, none of AWS's own."""
    for key in tags:
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            raise shapes.InvalidParameterException(f"The specified tag key is invalid: {key!r}")


@operation(shapes.SERVICE, "CreateLogGroup")
async def create_log_group(ctx: Context, request: shapes.CreateLogGroupRequest) -> shapes.CreateLogGroupResponse:
    if request.kms_key_id is not None:
        raise shapes.InvalidParameterException("Encryption with kmsKeyId is not supported.")
    if request.deletion_protection_enabled:
        raise shapes.InvalidParameterException("deletionProtectionEnabled is not supported.")
    log_group_class = request.log_group_class or "STANDARD"
    if log_group_class not in _CLASSES:
        raise shapes.InvalidParameterException(f"The log group class {log_group_class} is not supported.")
    check_tags(request.tags or ())
    group = LogGroup(
        name=request.log_group_name,
        created_at_ms=int(ctx.world.clock.now() * 1000),
        log_group_class=log_group_class,
        tags=request.tags or {},
    )
    try:
        await asyncio.to_thread(ctx.world.logs.create_group, group)
    except Permanent as error:
        raise shapes.ResourceAlreadyExistsException("The specified log group already exists") from error
    return shapes.CreateLogGroupResponse()


@operation(shapes.SERVICE, "DeleteLogGroup")
async def delete_log_group(ctx: Context, request: shapes.DeleteLogGroupRequest) -> shapes.DeleteLogGroupResponse:
    try:
        await asyncio.to_thread(ctx.world.logs.delete_group, request.log_group_name)
    except NotFound as error:
        raise shapes.ResourceNotFoundException(GROUP_MISSING) from error
    return shapes.DeleteLogGroupResponse()


@operation(shapes.SERVICE, "PutRetentionPolicy")
async def put_retention_policy(
    ctx: Context, request: shapes.PutRetentionPolicyRequest
) -> shapes.PutRetentionPolicyResponse:
    days = request.retention_in_days
    if days not in RETENTION_DAYS:
        allowed = ", ".join(map(str, RETENTION_DAYS))
        raise shapes.InvalidParameterException(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{allowed}]"
        )
    await asyncio.to_thread(
        change_group, ctx, request.log_group_name, lambda group: msgspec.structs.replace(group, retention_days=days)
    )
    return shapes.PutRetentionPolicyResponse()


@operation(shapes.SERVICE, "DeleteRetentionPolicy")
async def delete_retention_policy(
    ctx: Context, request: shapes.DeleteRetentionPolicyRequest
) -> shapes.DeleteRetentionPolicyResponse:
    await asyncio.to_thread(
        change_group, ctx, request.log_group_name, lambda group: msgspec.structs.replace(group, retention_days=None)
    )
    return shapes.DeleteRetentionPolicyResponse()


@operation(shapes.SERVICE, "DescribeLogGroups")
async def describe_log_groups(
    ctx: Context, request: shapes.DescribeLogGroupsRequest
) -> shapes.DescribeLogGroupsResponse:
    matches = _matcher(ctx, request)
    after = None if request.next_token is None else read_token(request.next_token, tuple[str])[0]
    groups = await asyncio.to_thread(ctx.world.logs.groups)
    limit = request.limit or 50
    wanted = (group for group in groups if (after is None or group.name > after) and matches(group))
    page = list(islice(wanted, limit + 1))
    view = _brief_view if request.log_group_name_pattern is not None else _view
    return shapes.DescribeLogGroupsResponse(
        log_groups=tuple(view(ctx, group) for group in page[:limit]),
        next_token=make_token(page[limit - 1].name) if len(page) > limit else None,
    )


def _matcher(ctx: Context, request: shapes.DescribeLogGroupsRequest) -> Callable[[LogGroup], bool]:
    prefix, pattern = request.log_group_name_prefix, request.log_group_name_pattern
    if prefix is not None and pattern is not None:
        raise shapes.InvalidParameterException(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    identifiers = request.log_group_identifiers
    if identifiers is not None and (prefix, pattern, request.log_group_class) != (None, None, None):
        raise shapes.InvalidParameterException("logGroupIdentifiers cannot be combined with another filter.")
    names = None if identifiers is None else {_identified(ctx, text) for text in identifiers}
    accounts = request.account_identifiers
    ours = accounts is None or ctx.arns.account_id in accounts

    def matches(group: LogGroup) -> bool:
        return (
            ours
            and group.name.startswith(prefix or "")
            and (pattern or "") in group.name
            and request.log_group_class in (None, group.log_group_class)
            and (names is None or group.name in names)
        )

    return matches


def _identified(ctx: Context, text: str) -> str:
    return name_of_arn(ctx, text) if text.startswith("arn:") else text


def _view(ctx: Context, group: LogGroup) -> shapes.LogGroup:
    arn = ctx.arns.log_group(group.name)
    return shapes.LogGroup(
        log_group_name=group.name,
        creation_time=group.created_at_ms,
        retention_in_days=group.retention_days,
        metric_filter_count=0,
        arn=f"{arn}:*",
        log_group_arn=arn,
        stored_bytes=group.stored_bytes,
        log_group_class="INFREQUENT_ACCESS" if group.log_group_class == "INFREQUENT_ACCESS" else "STANDARD",
        deletion_protection_enabled=False,
    )


def _brief_view(ctx: Context, group: LogGroup) -> shapes.LogGroup:
    """What a search by pattern shows. Source: API reference, DescribeLogGroups, `logGroupNamePattern`."""
    return shapes.LogGroup(
        log_group_name=group.name, creation_time=group.created_at_ms, arn=f"{ctx.arns.log_group(group.name)}:*"
    )
