"""Which target group a deployment's tasks register in, and what listener rules say while traffic moves between two.

A service whose deployments shift traffic has two target groups for each entry of `loadBalancers`: `targetGroupArn` and
`advancedConfiguration.alternateTargetGroupArn`. They are equals: the revision in production (blue) uses one of them, a
new one (green) the other, and after a success the roles are swapped. So the choice is made once, when a deployment
begins, and kept in `Deployment.target_groups`; whatever is not in there uses `targetGroupArn`.

Shares of traffic are percents with one decimal; rules carry whole weights (0 to 999), so 10.5 % is 105 to 895.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from homeport.model.deployment import Deployment
from homeport.shapes import ecs as shapes


def target_group_of(deployment: Deployment, load_balancer: shapes.LoadBalancer) -> str:
    """ARN of the target group that tasks of the deployment register in for one entry of its revision."""
    primary = load_balancer.target_group_arn or ""
    return deployment.target_groups.get(primary, primary)


def other_group(deployment: Deployment, load_balancer: shapes.LoadBalancer) -> str | None:
    """ARN of the entry's group that the deployment does not use; None where there is no alternate group."""
    advanced = load_balancer.advanced_configuration
    if advanced is None or not advanced.alternate_target_group_arn:
        return None
    pair = (load_balancer.target_group_arn or "", advanced.alternate_target_group_arn)
    return pair[1] if target_group_of(deployment, load_balancer) == pair[0] else pair[0]


def groups_beside(used: Iterable[str], load_balancers: Iterable[shapes.LoadBalancer]) -> dict[str, str]:
    """`Deployment.target_groups` of a deployment that must keep out of the groups in `used`: blue's, or none."""
    taken = set(used)
    return {
        entry.target_group_arn: entry.advanced_configuration.alternate_target_group_arn
        for entry in load_balancers
        if entry.target_group_arn in taken
        and entry.advanced_configuration is not None
        and entry.advanced_configuration.alternate_target_group_arn
    }


def groups_as(used: Iterable[str], load_balancers: Iterable[shapes.LoadBalancer]) -> dict[str, str]:
    """`Deployment.target_groups` of a deployment that replaces tasks in place, in the groups in `used`."""
    taken = set(used)
    return {
        entry.target_group_arn: entry.advanced_configuration.alternate_target_group_arn
        for entry in load_balancers
        if entry.target_group_arn
        and entry.target_group_arn not in taken
        and entry.advanced_configuration is not None
        and entry.advanced_configuration.alternate_target_group_arn in taken
    }


def groups_of(deployment: Deployment, load_balancers: Iterable[shapes.LoadBalancer]) -> tuple[str, ...]:
    """ARNs of all target groups that the deployment's tasks register in."""
    return tuple(target_group_of(deployment, entry) for entry in load_balancers)


def entries_of(
    deployment: Deployment, load_balancers: Iterable[shapes.LoadBalancer]
) -> tuple[shapes.LoadBalancer, ...]:
    """The entries with the target groups that the deployment's tasks register in."""
    return tuple(
        replace(entry, target_group_arn=target_group_of(deployment, entry)) if entry.target_group_arn else entry
        for entry in load_balancers
    )


def in_production(deployments: Iterable[Deployment]) -> Deployment | None:
    """The deployment to go on from: the last one that completed, else the one with most traffic, else the newest.

    One that is being gone back to did complete, even if it is IN_PROGRESS for a second time. INACTIVE ones have no
    tasks any more and do not count.
    """
    candidates = [each for each in deployments if each.status != "INACTIVE"]
    return max(
        candidates,
        key=lambda each: (each.completed_at or 0.0, each.traffic_percent, each.created_at, each.id),
        default=None,
    )


def weights(percent: float) -> tuple[int, int]:
    """Weights of the group that gets `percent` and of the other one."""
    if float(percent).is_integer():
        return int(percent), 100 - int(percent)
    share = round(percent * 10)
    return share, 1000 - share


def shifted(actions: Sequence[dict[str, Any]], to: str, rest: str, percent: float) -> tuple[dict[str, Any], ...]:
    """A rule's actions with `percent` of what it forwards going to the group `to`, the remainder to `rest`.

    Both groups stay in the rule, if only with weight 0, so that both have their health checked. Stickiness and actions
    that do not forward (authentication) stay; a rule that did not forward gets a forward in place of its answer.
    """
    share, remainder = weights(percent)
    groups = [{"TargetGroupArn": to, "Weight": share}, {"TargetGroupArn": rest, "Weight": remainder}]
    groups.sort(key=lambda group: str(group["TargetGroupArn"]))
    kept = [action for action in actions if action["Type"].startswith("authenticate")]
    before = next((action for action in actions if action["Type"] == "forward"), {})
    config = {**(before.get("ForwardConfig") or {"TargetGroupStickinessConfig": {"Enabled": False}})}
    forward = {key: value for key, value in before.items() if key != "TargetGroupArn"}
    return (*kept, {**forward, "Type": "forward", "ForwardConfig": {**config, "TargetGroups": groups}})
