"""Targets that users register, and the health of all of them.

A target registered here belongs to nobody (`owner` None); ECS registers its tasks' targets itself. Whether a target is
`unused` is not a state that it has but follows from its group: no listener forwards to it.
"""

import ipaddress

from msgspec.structs import replace

from homeport.api.elbv2.find import find_target_group, is_group_used, the_vpc
from homeport.api.operation import Context, operation
from homeport.model.load_balancer import Target, TargetGroup, target_key
from homeport.model.rules.elbv2 import LIMITS
from homeport.shapes import elbv2 as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

_CARRIER_NAT = ipaddress.ip_network("100.64.0.0/10")
#: What DescribeTargetHealth says of a reason where the row says nothing more exact.
DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Target.Timeout": "Request timed out",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.ResponseCodeMismatch": "Health checks failed",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.InvalidState": "Target is in the stopped state",
}


@operation(shapes.SERVICE, "RegisterTargets")
def register_targets(ctx: Context, tx: Tx, request: shapes.RegisterTargetsInput) -> shapes.RegisterTargetsOutput:
    """A target that is there stays as it is; one that drains is taken back."""
    group = find_target_group(tx, request.target_group_arn)
    for described in request.targets:
        row = _new_target(ctx, tx, group, described)
        present = tx.targets.get(row.key)
        if present is None or present.state == "draining":
            tx.targets.put(row)
    if tx.targets.count(target_group_arn=group.arn) > LIMITS["targets-per-target-group"]:
        raise shapes.TooManyTargetsException("The maximum number of targets per target group has been reached")
    return shapes.RegisterTargetsOutput()


def _new_target(ctx: Context, tx: Tx, group: TargetGroup, described: shapes.TargetDescription) -> Target:
    if described.quic_server_id is not None:
        raise shapes.InvalidTargetException("A QUIC server ID can only be specified for QUIC target groups")
    zone = None
    if group.target_type == "instance":
        _check_instance(tx, described.id)
    else:
        zone = _address_zone(ctx, described)
    port = described.port or group.port
    return Target(
        key=target_key(group.arn, described.id, port),
        target_group_arn=group.arn,
        id=described.id,
        port=port,
        registered_at=tx.now,
        availability_zone=zone,
    )


def _check_instance(tx: Tx, instance_id: str) -> None:
    """Instances are known by the agents on them; their zone is not part of the registration."""
    if not any(row.status != "INACTIVE" for row in tx.container_instances.by(ec2_instance_id=instance_id)):
        raise shapes.InvalidTargetException(f"Instance ID '{instance_id}' is not valid")


def _address_zone(ctx: Context, described: shapes.TargetDescription) -> str:
    """The zone of the address's subnet, or `all` for one outside of the VPC, which must be a private one."""
    try:
        address = ipaddress.IPv4Address(described.id)
    except ValueError:
        raise shapes.InvalidTargetException(f"The IP address '{described.id}' is not a valid IPv4 address") from None
    if not (address.is_private or address in _CARRIER_NAT) or address.is_unspecified:
        raise shapes.InvalidTargetException(
            f"The IP address '{described.id}' must be within the VPC or a private address range"
        )
    subnet = the_vpc(ctx).subnet_of(described.id)
    given = described.availability_zone
    if subnet is not None and given not in (None, subnet.zone.name):
        raise shapes.InvalidTargetException(f"The IP address '{described.id}' is not in Availability Zone '{given}'")
    if subnet is None and given not in (None, "all", *(zone.name for zone in the_vpc(ctx).zones)):
        raise shapes.InvalidTargetException(f"The Availability Zone '{given}' is not valid")
    return subnet.zone.name if subnet else given or "all"


@operation(shapes.SERVICE, "DeregisterTargets")
def deregister_targets(
    ctx: Context,  # noqa: ARG001 - every handler is called alike
    tx: Tx,
    request: shapes.DeregisterTargetsInput,
) -> shapes.DeregisterTargetsOutput:
    """Targets in use drain for the group's deregistration delay, the others go at once. Unknown ones are passed over."""
    group = find_target_group(tx, request.target_group_arn)
    delay = float(group.attributes.get("deregistration_delay.timeout_seconds", "300"))
    drains = delay > 0 and is_group_used(tx, group.arn)
    for described in request.targets:
        row = tx.targets.get(target_key(group.arn, described.id, described.port or group.port))
        if row is None or row.state == "draining":
            continue
        if drains:
            tx.targets.put(
                replace(
                    row,
                    state="draining",
                    reason="Target.DeregistrationInProgress",
                    description=None,
                    drain_until=tx.now + delay,
                    unhealthy_at=None,
                )
            )
        else:
            tx.targets.delete(row.key)
    return shapes.DeregisterTargetsOutput()


@operation(shapes.SERVICE, "DescribeTargetHealth")
def describe_target_health(
    ctx: Context,  # noqa: ARG001
    tx: Tables,
    request: shapes.DescribeTargetHealthInput,
) -> shapes.DescribeTargetHealthOutput:
    """Of all targets, or of those asked for; one that is not registered is `unused`."""
    group = find_target_group(tx, request.target_group_arn)
    used = is_group_used(tx, group.arn)
    if request.targets is None:
        shown = [_shown(group, row, used=used) for row in tx.targets.by(target_group_arn=group.arn)]
    else:
        shown = []
        for described in request.targets:
            row = tx.targets.get(target_key(group.arn, described.id, described.port or group.port))
            shown.append(_unregistered(group, described) if row is None else _shown(group, row, used=used))
    return shapes.DescribeTargetHealthOutput(target_health_descriptions=tuple(shown))


def _unregistered(group: TargetGroup, described: shapes.TargetDescription) -> shapes.TargetHealthDescription:
    return shapes.TargetHealthDescription(
        target=replace(described, port=described.port or group.port),
        target_health=_health("unused", "Target.NotRegistered", None),
    )


def _shown(group: TargetGroup, row: Target, *, used: bool) -> shapes.TargetHealthDescription:
    port = group.settings["HealthCheckPort"]
    if used or row.state == "draining":
        health = _health(row.state, row.reason, row.description)
    else:
        health = _health("unused", "Target.NotInUse", None)
    return shapes.TargetHealthDescription(
        target=shapes.TargetDescription(id=row.id, port=row.port, availability_zone=row.availability_zone),
        health_check_port=str(row.port) if port == "traffic-port" else port,
        target_health=health,
    )


def _health(state: str, reason: str | None, description: str | None) -> shapes.TargetHealth:
    if state == "healthy":
        return shapes.TargetHealth(state="healthy")
    return shapes.TargetHealth(
        state=state,  # type: ignore[arg-type]  # rows keep the model's own words
        reason=reason,  # type: ignore[arg-type]
        description=description or DESCRIPTIONS.get(reason or ""),
    )
