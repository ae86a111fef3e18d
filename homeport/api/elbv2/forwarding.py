"""What the actions of a listener or rule may forward to: groups that exist, speak its protocol and serve no other."""

from typing import Any

from homeport.api.elbv2.find import balancers_by_group, find_target_group, groups_of_balancer
from homeport.model.load_balancer import TargetGroup, forwarded_groups
from homeport.model.rules.elbv2 import LIMITS
from homeport.shapes import elbv2 as shapes
from homeport.store.store import Tx

_MOST_GROUPS = LIMITS["target-groups-per-application-load-balancer"]
#: Listener protocol -> protocols of the target groups it may forward to.
COMPATIBLE = {
    "HTTP": ("HTTP", "HTTPS"),
    "HTTPS": ("HTTP", "HTTPS"),
    "TCP": ("TCP", "TCP_UDP"),
    "TLS": ("TCP", "TLS"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
}


def check_groups(tx: Tx, load_balancer_arn: str, protocol: str, actions: tuple[dict[str, Any], ...]) -> None:
    """Raises TargetGroupNotFound, IncompatibleProtocols, TargetGroupAssociationLimit or TooManyUniqueTargetGroups…."""
    names = forwarded_groups(actions)
    if not names:
        return
    users = balancers_by_group(tx)
    _check_stickiness(tx, names, protocol)
    for name in names:
        _check_protocol(find_target_group(tx, name), protocol)
        if any(user != load_balancer_arn for user in users.get(name, ())):
            raise shapes.TargetGroupAssociationLimitException(
                f"The following target groups cannot be associated with more than one load balancer: {name}"
            )
    if len(groups_of_balancer(tx, load_balancer_arn) | set(names)) > _MOST_GROUPS:
        raise shapes.TooManyUniqueTargetGroupsPerLoadBalancerException(
            f"A load balancer can forward to at most {_MOST_GROUPS} target groups"
        )


def _check_stickiness(tx: Tx, names: tuple[str, ...], protocol: str) -> None:
    """Several sticky groups would need an action that sticks to a group, which listeners of datagrams have not here."""
    if protocol not in ("UDP", "TCP_UDP") or len(names) < 2:
        return
    if any(find_target_group(tx, name).attributes.get("stickiness.enabled") == "true" for name in names):
        raise shapes.InvalidLoadBalancerActionException(
            "You must enable target group stickiness for a forward action if any of its target groups has stickiness enabled"
        )


def _check_protocol(group: TargetGroup, protocol: str) -> None:
    if group.protocol not in COMPATIBLE[protocol]:
        raise shapes.IncompatibleProtocolsException(
            f"Listener protocol '{protocol}' is not supported with a target group with the protocol '{group.protocol}'"
        )
    if protocol == "HTTP" and group.protocol_version != "HTTP1":
        raise shapes.IncompatibleProtocolsException(
            f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version "
            f"'{group.protocol_version}'"
        )
