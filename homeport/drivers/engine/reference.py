"""Image names taken apart, as Docker does."""

from typing import NamedTuple


class Reference(NamedTuple):
    """An image name taken apart: `repository`, and `tag` or `digest` (the other is None)."""

    repository: str
    tag: str | None
    digest: str | None


def parse_reference(image: str) -> Reference:
    """`repo[:tag][@digest]`; the tag defaults to `latest`, and a digest wins over a tag."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # The last colon belongs to the registry's port.
        head, tag = name, "latest"
    return Reference(head, None, digest) if digest else Reference(head, tag, None)
