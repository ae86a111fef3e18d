"""Elastic Load Balancing's nouns: load balancer, target group, listener, rule, target, certificate.

Rows keep what the API was given (shapes of ELBv2 where they say enough) plus ids; what the data plane needs is derived.
Conditions and actions are plain values under ELBv2's wire names, with every default filled in:

- a forward always has `ForwardConfig.TargetGroups` (`TargetGroupArn`, `Weight`) and, for its stickiness,
  `ForwardConfig.TargetGroupStickinessConfig`; a top-level `TargetGroupArn` is never stored (answers derive it);
- a redirect always has all six members of `RedirectConfig`, a fixed response `StatusCode` and `ContentType`;
- a condition always has `Field` and the `…Config` of its kind, and no top-level `Values` (answers derive them).

`attributes` always hold every attribute of the kind (`rules.elbv2_attributes`), so readers may index them.
"""

import hashlib
from typing import Any

from msgspec import Struct


class LoadBalancer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` application or network; `address` the IPv4 address it listens on.

    `state` provisioning, active, active_impaired or failed; `state_reason` the data plane's own words for the latter
    two.
    """

    arn: str
    name: str
    dns_name: str
    address: str
    type: str
    scheme: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_groups: tuple[str, ...]
    ip_address_type: str
    created_at: float
    state: str = "provisioning"
    state_reason: str | None = None
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}


class TargetGroup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`settings` holds the health check by wire names, complete but for what its kind has not.

    HealthCheckProtocol, HealthCheckPort (`traffic-port` or digits), HealthCheckEnabled (always true),
    HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds, HealthyThresholdCount, UnhealthyThresholdCount; for HTTP and
    HTTPS checks also HealthCheckPath and Matcher (`{"HttpCode": "200-299,404"}` or `{"GrpcCode": "12"}`).
    """

    arn: str
    name: str
    protocol: str
    port: int
    vpc_id: str
    target_type: str
    created_at: float
    protocol_version: str = "HTTP1"
    ip_address_type: str = "ipv4"
    settings: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One registered target. `state`, `reason` and `description` as DescribeTargetHealth gives them.

    `key` is `target_key(…)`. `id` is an EC2 instance id or an IPv4 address, as the group's target type says. `owner` is
    the task that ECS registered it for (None: registered by a user). A target that is deregistered is `draining` until
    the instant `drain_until`; whoever ends the draining deletes the row. One that fails its checks may first be
    `unhealthy.draining`, until the instant `unhealthy_at`.
    """

    key: str
    target_group_arn: str
    id: str
    port: int
    registered_at: float
    availability_zone: str | None = None
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    description: str | None = None
    owner: str | None = None
    drain_until: float | None = None
    healthy_since: float | None = None
    unhealthy_at: float | None = None


class Listener(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`certificates`: ARNs, the default certificate first (HTTPS and TLS always have one), then those chosen by SNI.

    The store's version `written_version` last wrote `default_actions`, at the instant `written_at`.
    """

    arn: str
    load_balancer_arn: str
    port: int
    protocol: str
    default_actions: tuple[dict[str, Any], ...]
    created_at: float
    ssl_policy: str | None = None
    certificates: tuple[str, ...] = ()
    alpn_policy: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    default_rule_tags: dict[str, str] = {}
    written_version: int = 0
    written_at: float = 0.0


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions and actions as given (wire names). The default rule is the listener's default actions, not a row.

    The store's version `written_version` last wrote `actions`, at the instant `written_at`.
    """

    arn: str
    listener_arn: str
    priority: int
    conditions: tuple[dict[str, Any], ...]
    actions: tuple[dict[str, Any], ...]
    created_at: float
    tags: dict[str, str] = {}
    written_version: int = 0
    written_at: float = 0.0


class Certificate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An imported certificate; the key is sealed with the master key (purpose `certificate`)."""

    arn: str
    certificate_pem: str
    chain_pem: str
    sealed_key: str
    domain_name: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    created_at: float
    serial: str
    issuer: str
    subject: str
    key_algorithm: str
    tags: dict[str, str] = {}


def target_key(target_group_arn: str, target_id: str, port: int) -> str:
    """The key of a target's row: a group holds an id once a port."""
    return f"{target_group_arn}|{target_id}|{port}"


def default_rule_arn(listener_arn: str) -> str:
    """The ARN of a listener's default rule, which is no row: the listener's ARN and an id that follows from it."""
    digest = hashlib.sha256(listener_arn.encode()).hexdigest()[:16]
    return f"{listener_arn.replace(':listener/', ':listener-rule/', 1)}/{digest}"


def listener_arn_of_rule(rule_arn: str) -> str:
    """The listener whose rule this is, default or not: rule ARNs are listener ARNs with one more part."""
    return rule_arn.rpartition("/")[0].replace(":listener-rule/", ":listener/", 1)


def forwarded_groups(actions: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """ARNs of the target groups that stored actions forward to, whatever their weight."""
    return tuple(
        group["TargetGroupArn"]
        for action in actions
        if action["Type"] == "forward"
        for group in action["ForwardConfig"]["TargetGroups"]
    )
