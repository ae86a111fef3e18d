"""Target groups: where requests go, and how their targets' health is told."""

from typing import Any

from msgspec.structs import replace

from homeport.api.elbv2.find import (
    balancers_by_group,
    check_arn,
    chosen_by,
    find_load_balancer,
    find_target_group,
    is_group_used,
    new_arn,
    page,
    the_vpc,
)
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import TargetGroup
from homeport.model.rules.elbv2 import LIMITS, ValidationError, check_name, check_tags
from homeport.model.rules.elbv2_attributes import defaults, target_group_table
from homeport.model.rules.elbv2_health_check import health_check
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

_HTTP, _STREAM = ("HTTP", "HTTPS"), ("TCP", "TLS", "UDP", "TCP_UDP")
_VERSIONS = ("HTTP1", "HTTP2", "GRPC")
#: The request's members that make up the health check, and their wire names.
_SETTINGS = {
    "health_check_protocol": "HealthCheckProtocol",
    "health_check_port": "HealthCheckPort",
    "health_check_enabled": "HealthCheckEnabled",
    "health_check_path": "HealthCheckPath",
    "health_check_interval_seconds": "HealthCheckIntervalSeconds",
    "health_check_timeout_seconds": "HealthCheckTimeoutSeconds",
    "healthy_threshold_count": "HealthyThresholdCount",
    "unhealthy_threshold_count": "UnhealthyThresholdCount",
}


def _given_settings(request: shapes.CreateTargetGroupInput | shapes.ModifyTargetGroupInput) -> dict[str, Any]:
    given = {wire: getattr(request, name) for name, wire in _SETTINGS.items() if getattr(request, name) is not None}
    if request.matcher is not None:
        codes = {"HttpCode": request.matcher.http_code, "GrpcCode": request.matcher.grpc_code}
        given["Matcher"] = {name: code for name, code in codes.items() if code is not None}
    return given


@operation(shapes.SERVICE, "CreateTargetGroup")
def create_target_group(ctx: Context, tx: Tx, request: shapes.CreateTargetGroupInput) -> shapes.CreateTargetGroupOutput:
    name = check_name(request.name, "Target group")
    target_type = request.target_type or "instance"
    protocol, version = _check_kind(request, target_type)
    if request.port is None:
        raise ValidationError("A port must be specified")
    if request.vpc_id is None:
        raise ValidationError("A VPC ID must be specified")
    if request.vpc_id != the_vpc(ctx).id:
        raise ValidationError(f"The VPC ID '{request.vpc_id}' is not found")
    row = TargetGroup(
        arn=new_arn(ctx, f"targetgroup/{name}/{tx.ids.hex32()[:16]}"),
        name=name,
        protocol=protocol,
        port=request.port,
        vpc_id=request.vpc_id,
        target_type=target_type,
        created_at=tx.now,
        protocol_version=version,
        settings=health_check(protocol, version, _given_settings(request)),
        attributes=defaults(target_group_table(protocol, target_type)),
        tags=check_tags(request.tags),
    )
    existing = next((other for other in tx.target_groups if other.name == name), None)
    if existing is not None:
        if not _is_same(existing, row):
            raise shapes.DuplicateTargetGroupNameException(
                f"A target group with the same name '{name}' exists, but with different settings"
            )
        return shapes.CreateTargetGroupOutput(target_groups=(shown_target_group(existing, balancers_by_group(tx)),))
    if len(tx.target_groups) >= LIMITS["target-groups"]:
        raise shapes.TooManyTargetGroupsException("The maximum number of target groups has been reached")
    tx.target_groups.put(row)
    return shapes.CreateTargetGroupOutput(target_groups=(shown_target_group(row, {}),))


def _check_kind(request: shapes.CreateTargetGroupInput, target_type: str) -> tuple[str, str]:
    """Protocol and protocol version; raises for kinds that need what is not here (Lambda, gateways, QUIC, IPv6)."""
    if target_type not in ("instance", "ip"):
        raise shapes.InvalidConfigurationRequestException(f"Homeport does not support targets of type '{target_type}'")
    if request.protocol is None:
        raise ValidationError("A protocol must be specified")
    if request.protocol not in (*_HTTP, *_STREAM):
        raise shapes.InvalidConfigurationRequestException(f"Homeport does not support protocol '{request.protocol}'")
    if request.ip_address_type == "ipv6":
        raise shapes.InvalidConfigurationRequestException("Homeport does not support IPv6 targets")
    if request.target_control_port is not None:
        raise shapes.InvalidConfigurationRequestException("Homeport does not support target control ports")
    version = request.protocol_version or "HTTP1"
    if version not in _VERSIONS:
        raise ValidationError(f"Protocol version '{version}' must be one of '{', '.join(_VERSIONS)}'")
    if request.protocol_version and request.protocol in _STREAM:
        raise shapes.InvalidConfigurationRequestException(
            f"Protocol version cannot be specified for target groups with the '{request.protocol}' protocol"
        )
    return request.protocol, version


def _is_same(existing: TargetGroup, wanted: TargetGroup) -> bool:
    same = ("protocol", "port", "vpc_id", "target_type", "protocol_version", "settings")
    return all(getattr(existing, name) == getattr(wanted, name) for name in same)


@operation(shapes.SERVICE, "DeleteTargetGroup")
def delete_target_group(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.DeleteTargetGroupInput,
) -> shapes.DeleteTargetGroupOutput:
    """With its targets. One that is not there is as good as deleted; one in use cannot be."""
    row = tx.target_groups.get(check_arn(request.target_group_arn, "targetgroup"))
    if row is None:
        return shapes.DeleteTargetGroupOutput()
    if is_group_used(tx, row.arn):
        raise shapes.ResourceInUseException(f"Target group '{row.arn}' is currently in use by a listener or a rule")
    for target in tx.targets.by(target_group_arn=row.arn):
        tx.targets.delete(target.key)
    tx.target_groups.delete(row.arn)
    return shapes.DeleteTargetGroupOutput()


@operation(shapes.SERVICE, "DescribeTargetGroups")
def describe_target_groups(
    ctx: Context,  # noqa: ARG001
    tx: Tables,
    request: shapes.DescribeTargetGroupsInput,
) -> shapes.DescribeTargetGroupsOutput:
    if sum(1 for given in (request.load_balancer_arn, request.target_group_arns, request.names) if given) > 1:
        raise ValidationError("Only one of load balancer ARN, target group ARNs and names can be specified")
    for arn in request.target_group_arns or ():
        check_arn(arn, "targetgroup")
    users, rows, missing = balancers_by_group(tx), list(tx.target_groups), shapes.TargetGroupNotFoundException
    if request.load_balancer_arn:
        balancer = find_load_balancer(tx, request.load_balancer_arn)
        rows = [row for row in rows if balancer.arn in users.get(row.arn, ())]
    chosen = chosen_by(rows, request.target_group_arns, "arn", missing, "Target groups")
    if chosen is None:
        chosen = chosen_by(rows, request.names, "name", missing, "Target groups")
    marker = None
    if chosen is None:
        shown, marker = page(rows, "arn", request.marker, request.page_size)
        chosen = list(shown)
    return shapes.DescribeTargetGroupsOutput(
        target_groups=tuple(shown_target_group(row, users) for row in chosen), next_marker=marker
    )


def shown_target_group(row: TargetGroup, users: dict[str, list[str]]) -> shapes.TargetGroup:
    """The row as the API gives it back; `users` are the load balancers of each target group."""
    settings = row.settings
    matcher = settings.get("Matcher")
    return shapes.TargetGroup(
        target_group_arn=row.arn,
        target_group_name=row.name,
        protocol=row.protocol,  # type: ignore[arg-type]  # rows keep the model's own words
        port=row.port,
        vpc_id=row.vpc_id,
        **{name: settings[wire] for name, wire in _SETTINGS.items() if wire in settings},
        matcher=matcher and shapes.Matcher(http_code=matcher.get("HttpCode"), grpc_code=matcher.get("GrpcCode")),
        load_balancer_arns=tuple(users.get(row.arn, ())),
        target_type=row.target_type,  # type: ignore[arg-type]
        protocol_version=row.protocol_version if row.protocol in _HTTP else None,
        ip_address_type=row.ip_address_type,  # type: ignore[arg-type]
    )


@operation(shapes.SERVICE, "ModifyTargetGroup")
def modify_target_group(
    ctx: Context,  # noqa: ARG001
    tx: Tx,
    request: shapes.ModifyTargetGroupInput,
) -> shapes.ModifyTargetGroupOutput:
    row = find_target_group(tx, request.target_group_arn)
    settings = health_check(row.protocol, row.protocol_version, _given_settings(request), row.settings)
    row = replace(row, settings=settings)
    tx.target_groups.put(row)
    return shapes.ModifyTargetGroupOutput(target_groups=(shown_target_group(row, balancers_by_group(tx)),))
