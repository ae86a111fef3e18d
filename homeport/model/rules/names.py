"""Names: clusters, families, containers, volumes, images and attributes.

Up to 255 letters, digits, hyphens and underscores for most; sentences as ECS words them.
"""

import re

from homeport.shapes import ecs as shapes

NAME_PATTERN = r"^[a-zA-Z0-9\-_]{1,255}$"
_NAME = re.compile(r"[a-zA-Z0-9\-_]{1,255}\Z")
_IMAGE = re.compile(r"[a-zA-Z0-9\-_:./#]{1,255}\Z")
_DIGEST = re.compile(r"sha256:[a-fA-F0-9]{64}\Z")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}\Z")


def is_name(text: str) -> bool:
    """Whether `text` may name a cluster, family, container or volume."""
    return _NAME.match(text) is not None


def check_cluster_name(name: str) -> None:
    if not is_name(name):
        raise shapes.InvalidParameterException(f"Cluster must match {NAME_PATTERN}, but was {name}")


def check_family(family: str) -> None:
    if not family.strip():
        raise shapes.ClientException("Family should not be null or empty.")
    if not is_name(family):
        raise shapes.ClientException("Family contains invalid characters.")


def check_container_name(name: str | None) -> str:
    """The name itself, so that later rules have it as a string."""
    if not name:
        raise shapes.ClientException("Container.name should not be null or empty.")
    if not is_name(name):
        raise shapes.ClientException("Container.name contains invalid characters.")
    return name


def check_image(image: str | None) -> None:
    """`repository[:tag]` up to 255 characters, or `repository@sha256:…` where only the part before the @ counts."""
    if not image:
        raise shapes.ClientException("Container.image should not be null or empty.")
    repository, at, digest = image.partition("@")
    if not _IMAGE.match(repository) or (at and not _DIGEST.match(digest)):
        raise shapes.ClientException("Container.image contains invalid characters.")


def check_volume_name(name: str | None) -> str:
    if not name:
        raise shapes.ClientException("Volume.name should not be null or empty.")
    if not is_name(name):
        raise shapes.ClientException("Volume.name contains invalid characters.")
    return name


def check_port_name(container: str, name: str) -> None:
    """The name of a port mapping: at most 64 lower-case letters, digits, `_` and `-`, not starting with `-`."""
    if not _PORT_NAME.match(name):
        raise shapes.ClientException(f"Invalid 'name' setting for a port mapping of container '{container}'.")
