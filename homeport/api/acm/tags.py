"""Tags of certificates: at most 50, keys unique, no `aws:` prefix."""

from collections.abc import Iterable

from msgspec.structs import replace

from homeport.api.acm.find import find_certificate
from homeport.api.operation import Context, operation
from homeport.shapes import acm as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

# Every handler is called alike, whether it needs its context or not.
# ruff: noqa: ARG001

_MOST_TAGS = 50


def checked_tags(tags: Iterable[shapes.Tag] | None) -> dict[str, str]:
    checked: dict[str, str] = {}
    for tag in tags or ():
        if tag.key[:4].lower() == "aws:":
            raise shapes.InvalidTagException(f"aws: prefixed tag key names are not allowed for external use: {tag.key}")
        if tag.key in checked:
            raise shapes.InvalidTagException(f"Duplicate tag keys are not allowed: {tag.key}")
        checked[tag.key] = tag.value or ""
    return checked


@operation(shapes.SERVICE, "AddTagsToCertificate")
def add_tags_to_certificate(
    ctx: Context, tx: Tx, request: shapes.AddTagsToCertificateRequest
) -> shapes.AddTagsToCertificateResponse:
    row = find_certificate(tx, request.certificate_arn)
    tags = {**row.tags, **checked_tags(request.tags)}
    if len(tags) > _MOST_TAGS:
        raise shapes.TooManyTagsException(f"The request contains too many tags; the limit is {_MOST_TAGS}.")
    tx.certificates.put(replace(row, tags=tags))
    return shapes.AddTagsToCertificateResponse()


@operation(shapes.SERVICE, "RemoveTagsFromCertificate")
def remove_tags_from_certificate(
    ctx: Context, tx: Tx, request: shapes.RemoveTagsFromCertificateRequest
) -> shapes.RemoveTagsFromCertificateResponse:
    """A tag given with a value goes only if it has this value."""
    row = find_certificate(tx, request.certificate_arn)
    left = dict(row.tags)
    for tag in request.tags:
        if tag.value is None or left.get(tag.key) == tag.value:
            left.pop(tag.key, None)
    tx.certificates.put(replace(row, tags=left))
    return shapes.RemoveTagsFromCertificateResponse()


@operation(shapes.SERVICE, "ListTagsForCertificate")
def list_tags_for_certificate(
    ctx: Context, tx: Tables, request: shapes.ListTagsForCertificateRequest
) -> shapes.ListTagsForCertificateResponse:
    row = find_certificate(tx, request.certificate_arn)
    return shapes.ListTagsForCertificateResponse(
        tags=tuple(shapes.Tag(key=key, value=value) for key, value in row.tags.items())
    )
