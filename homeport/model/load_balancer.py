"""Elastic Load Balancing's nouns: load balancer, target group, listener, rule, target, certificate.

Rows keep what the API was given (shapes of ELBv2 where they say enough) plus ids; what the data plane needs is derived.
"""

from typing import Any

from msgspec import Struct


class LoadBalancer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`type` application or network; `state` provisioning, active or failed; `address` the IPv4 address it listens on."""

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
    """`settings` holds the health check members by their wire names; `attributes` ELB's attribute keys."""

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

    `owner` is the task that ECS registered it for (None: registered by a user); `drain_until` ends its deregistration.
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


class Listener(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`default_actions` and certificates as given (wire names)."""

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


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions and actions as given (wire names). The default rule is the listener's default actions, not a row."""

    arn: str
    listener_arn: str
    priority: int
    conditions: tuple[dict[str, Any], ...]
    actions: tuple[dict[str, Any], ...]
    created_at: float
    tags: dict[str, str] = {}


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
