"""The load balancers of a service or task set: what their entries may say, beside the task definition and the listeners.

Sentences as ECS words them where they are known; Terraform retries on "does not have an associated load balancer".
"""

from collections.abc import Collection, Iterable, Mapping

from homeport.model.load_balancer import (
    Listener,
    Rule,
    TargetGroup,
    default_rule_arn,
    forwarded_groups,
    listener_arn_of_rule,
)
from homeport.model.rules.network import port_range
from homeport.shapes import ecs as shapes

MOST_TARGET_GROUPS = 5
_TARGET_TYPES = {"awsvpc": ("ip",)}
Entries = Iterable[shapes.LoadBalancer]


def check_entries(entries: Collection[shapes.LoadBalancer], definition: shapes.TaskDefinition, strategy: str) -> None:
    """Everything that the entries, the task definition and the deployment strategy tell by themselves."""
    if len(entries) > MOST_TARGET_GROUPS:
        raise shapes.InvalidParameterException(
            f"A service can have at most {MOST_TARGET_GROUPS} target groups, but {len(entries)} were specified."
        )
    for entry in entries:
        if entry.load_balancer_name is not None:
            raise shapes.UnsupportedFeatureException("Classic Load Balancers are not supported.")
        if not entry.target_group_arn:
            raise shapes.InvalidParameterException("targetGroupArn must be specified for each load balancer.")
        _check_container(entry, definition)
        _check_advanced(entry, strategy)
    if strategy in ("LINEAR", "CANARY") and not entries:
        raise shapes.InvalidParameterException(f"The deployment strategy {strategy} requires a load balancer.")
    arns = [entry.target_group_arn for entry in entries]
    if len(set(arns)) != len(arns):
        raise shapes.InvalidParameterException("A target group can be specified only once.")


def _check_container(entry: shapes.LoadBalancer, definition: shapes.TaskDefinition) -> None:
    name, port = entry.container_name, entry.container_port
    if not name or port is None:
        raise shapes.InvalidParameterException("containerName and containerPort must be specified for load balancers.")
    containers = [each for each in definition.container_definitions or () if each.name == name]
    if not containers:
        raise shapes.InvalidParameterException(f"The container {name} does not exist in the task definition.")
    mappings = sum(1 for mapping in containers[0].port_mappings or () if _exposes(mapping, port))
    if mappings == 0:
        raise shapes.InvalidParameterException(f"The container {name} did not have a container port {port} defined.")
    if mappings > 1:  # TCP and UDP, say: which host port the targets have would be a guess
        raise shapes.InvalidParameterException(
            f"Container port {port} is used in more than one port mapping for container {name}"
        )


def _exposes(mapping: shapes.PortMapping, port: int) -> bool:
    if mapping.container_port_range is None:
        return mapping.container_port == port
    ports = port_range(mapping.container_port_range)
    return ports is not None and ports[0] <= port <= ports[1]


def _check_advanced(entry: shapes.LoadBalancer, strategy: str) -> None:
    """Traffic can be shifted only where both groups and the production rule are known. ROLLING leaves them alone."""
    advanced = entry.advanced_configuration
    if advanced is None:
        if strategy != "ROLLING":
            raise shapes.InvalidParameterException(
                f"advancedConfiguration must be specified for load balancers with the deployment strategy {strategy}."
            )
        return
    if not (advanced.alternate_target_group_arn and advanced.production_listener_rule and advanced.role_arn):
        raise shapes.InvalidParameterException(
            "advancedConfiguration must have alternateTargetGroupArn, productionListenerRule and roleArn."
        )
    if advanced.alternate_target_group_arn == entry.target_group_arn:
        raise shapes.InvalidParameterException("The alternate target group must be another than the target group.")


def check_target_groups(
    entries: Entries,
    network_mode: str,
    target_groups: Mapping[str, TargetGroup],
    listeners: Mapping[str, Listener],
    rules: Mapping[str, Rule],
) -> None:
    """What the entries name is there: target groups that some listener forwards to, listeners and their rules."""
    attached = attached_groups(listeners.values(), rules.values())
    for entry in entries:
        arn = entry.target_group_arn or ""
        _check_group(arn, network_mode, target_groups)
        advanced = entry.advanced_configuration
        # While a deployment shifts traffic, or after one that did, it is the alternate group that is attached.
        if arn not in attached and (advanced is None or advanced.alternate_target_group_arn not in attached):
            raise shapes.InvalidParameterException(
                f"The target group with targetGroupArn {arn} does not have an associated load balancer."
            )
        if advanced is not None:
            _check_group(advanced.alternate_target_group_arn or "", network_mode, target_groups)
            for rule_arn in (advanced.production_listener_rule, advanced.test_listener_rule):
                if rule_arn and not _is_there(rule_arn, listeners, rules):
                    raise shapes.InvalidParameterException(f"The listener rule {rule_arn} does not exist.")


def attached_groups(listeners: Iterable[Listener], rules: Iterable[Rule]) -> set[str]:
    """ARNs of the target groups that some listener or rule forwards to."""
    attached = {arn for listener in listeners for arn in forwarded_groups(listener.default_actions)}
    return attached | {arn for rule in rules for arn in forwarded_groups(rule.actions)}


def _check_group(arn: str, network_mode: str, target_groups: Mapping[str, TargetGroup]) -> None:
    group = target_groups.get(arn)
    if group is None:
        raise shapes.InvalidParameterException(f"The target group with targetGroupArn {arn} does not exist.")
    if group.target_type not in _TARGET_TYPES.get(network_mode, ("instance",)):
        raise shapes.InvalidParameterException(
            f"The provided target group {arn} has target type {group.target_type},"
            f" which is incompatible with the {network_mode} network mode specified in the task definition."
        )


def _is_there(rule_arn: str, listeners: Mapping[str, Listener], rules: Mapping[str, Rule]) -> bool:
    """A rule, a listener (network load balancers have no rules), or the default rule of a listener."""
    if rule_arn in rules or rule_arn in listeners:
        return True
    listener_arn = listener_arn_of_rule(rule_arn)
    return listener_arn in listeners and default_rule_arn(listener_arn) == rule_arn
