"""Finding groups and streams by what callers give: a name, an identifier that is a name or an ARN, a resource ARN.

Everything here blocks for a disk access: handlers run whole bodies in a thread.
"""

from homeport.api.operation import Context
from homeport.base.arn import parse_arn
from homeport.base.errors import NotFound
from homeport.drivers.logs import LogGroup, LogStream
from homeport.shapes import logs as shapes

GROUP_MISSING = "The specified log group does not exist."
STREAM_MISSING = "The specified log stream does not exist."
_RESOURCE_PREFIX = "log-group:"


def find_group(ctx: Context, name: str) -> LogGroup:
    group = ctx.world.logs.group(name)
    if group is None:
        raise shapes.ResourceNotFoundException(GROUP_MISSING)
    return group


def find_stream(ctx: Context, group: str, name: str) -> LogStream:
    try:
        stream = ctx.world.logs.stream(group, name)
    except NotFound as error:
        raise shapes.ResourceNotFoundException(GROUP_MISSING) from error
    if stream is None:
        raise shapes.ResourceNotFoundException(STREAM_MISSING)
    return stream


def group_name(ctx: Context, name: str | None, identifier: str | None) -> str:
    """The group's name from `logGroupName` or `logGroupIdentifier`, of which exactly one must be given."""
    if (name is None) == (identifier is None):
        raise shapes.InvalidParameterException(
            "Exactly one of the parameters logGroupName and logGroupIdentifier must be given."
        )
    if name is not None:
        return name
    assert identifier is not None
    return name_of_arn(ctx, identifier) if identifier.startswith("arn:") else identifier


def name_of_arn(ctx: Context, text: str) -> str:
    """The group's name in a log group ARN, with or without the `:*` at its end; another account's is not found."""
    arn = parse_arn(text)
    if arn is None or arn.service != "logs" or not arn.resource.startswith(_RESOURCE_PREFIX):
        raise shapes.InvalidParameterException(f"The specified ARN is not the ARN of a log group: {text}")
    if not ctx.arns.owns(arn):
        raise shapes.ResourceNotFoundException(GROUP_MISSING)
    return arn.resource.removeprefix(_RESOURCE_PREFIX).removesuffix(":*")
