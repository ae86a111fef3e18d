"""Elastic Load Balancing, version 2: importing this package declares its handlers."""

from homeport.api.elbv2 import (
    attributes,
    certificates,
    limits,
    listeners,
    load_balancers,
    rules,
    tags,
    target_groups,
    targets,
)

__all__ = [
    "attributes", "certificates", "limits", "listeners", "load_balancers", "rules", "tags", "target_groups", "targets",
]  # fmt: skip
