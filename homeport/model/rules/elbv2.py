"""What names, tags and ports ELBv2 accepts, and the error that its model leaves out."""

import re
from collections.abc import Iterable, Mapping

from homeport.base.errors import ApiError
from homeport.shapes import elbv2 as shapes

#: Quotas of a new account. Source: ELB User Guides, "Quotas for your Application (Network) Load Balancers".
LIMITS: dict[str, int] = {
    "application-load-balancers": 50,
    "network-load-balancers": 50,
    "target-groups": 3000,
    "targets-per-target-group": 1000,
    "targets-per-application-load-balancer": 1000,
    "targets-per-network-load-balancer": 3000,
    "listeners-per-application-load-balancer": 50,
    "listeners-per-network-load-balancer": 50,
    "rules-per-application-load-balancer": 100,
    "certificates-per-application-load-balancer": 25,
    "certificates-per-network-load-balancer": 25,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-application-load-balancer": 100,
    "condition-values-per-alb-rule": 5,
    "condition-wildcards-per-alb-rule": 6,
}
MOST_TAGS = 50
_NAME = re.compile(r"[A-Za-z0-9-]+\Z")
_NAME_LONGEST = 32
_TAG = re.compile(r"[\w\s+\-=.:/@]*\Z")


class ValidationError(ApiError):
    """One of the errors common to all query operations, which the model therefore does not declare."""

    code = "ValidationError"
    status = 400


def check_name(name: str, what: str) -> str:
    """The name of a load balancer or target group (`what` says which); raises ValidationError."""
    spoken = f"{what} name '{name}'"
    if not name:
        raise ValidationError(f"{what} name cannot be empty")
    if len(name) > _NAME_LONGEST:
        raise ValidationError(f"{spoken} cannot be longer than '{_NAME_LONGEST}' characters")
    if not _NAME.match(name):
        raise ValidationError(f"{spoken} can only contain characters that are alphanumeric characters and hyphens(-)")
    if name.startswith("-") or name.endswith("-"):
        raise ValidationError(f"{spoken} cannot begin or end with a hyphen(-)")
    if what == "Load balancer" and name.startswith("internal-"):
        raise ValidationError(f"{spoken} cannot begin with 'internal-'")
    return name


def check_tags(tags: Iterable[shapes.Tag] | None) -> dict[str, str]:
    """Tags given in one call, as a mapping; raises DuplicateTagKeys, TooManyTags or ValidationError."""
    checked: dict[str, str] = {}
    for tag in tags or ():
        value = tag.value or ""
        if tag.key in checked:
            raise shapes.DuplicateTagKeysException(f"Duplicate tag key '{tag.key}' was specified")
        if tag.key[:4].lower() == "aws:":
            raise ValidationError("Tag keys beginning with 'aws:' are reserved for system use")
        if not _TAG.match(tag.key) or not _TAG.match(value):
            raise ValidationError(f"The tag '{tag.key}' contains invalid characters")
        checked[tag.key] = value
    if len(checked) > MOST_TAGS:
        raise shapes.TooManyTagsException(f"The maximum number of tags is {MOST_TAGS}")
    return checked


def merged_tags(present: Mapping[str, str], given: Iterable[shapes.Tag]) -> dict[str, str]:
    merged = {**present, **check_tags(given)}
    if len(merged) > MOST_TAGS:
        raise shapes.TooManyTagsException(f"The maximum number of tags is {MOST_TAGS}")
    return merged
