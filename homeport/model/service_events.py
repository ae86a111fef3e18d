"""What a service says: the sentences of ECS's service events, and how many are kept.

Sources: Developer Guide, "Amazon ECS service event messages" and "Amazon ECS Availability Zone service rebalancing
service event messages"; where events in the wild read otherwise, they are followed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homeport.model.service import Service, ServiceEvent

MOST_EVENTS = 100
_TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_NO_PLACE = "was unable to place a task because no container instance met all of its requirements."


def announce(tx: Any, service: Service, message: str, task_set_id: str = "") -> None:
    """Add one event, dated now; only the 100 newest of a service are kept. `message` goes on after `(service NAME) `.

    `task_set_id`: the task set (or deployment, which ECS calls so here, too) that is named beside the service.
    `tx` is a transaction (named by what it has, for the store lies above this layer).
    """
    who = f"service {service.name}, taskSet {task_set_id}" if task_set_id else f"service {service.name}"
    newest = max(tx.service_events.keys_by(service_arn=service.arn), default=" 0")
    tx.service_events.put(
        ServiceEvent(
            key=f"{service.arn} {int(newest.rpartition(' ')[2]) + 1:012d}",
            id=tx.ids.uuid(),
            service_arn=service.arn,
            created_at=tx.now,
            message=f"({who}) {message}",
        )
    )
    excess = tx.service_events.count(service_arn=service.arn) - MOST_EVENTS
    for old in sorted(tx.service_events.keys_by(service_arn=service.arn))[: max(0, excess)]:
        tx.service_events.delete(old)


def steady() -> str:
    return "has reached a steady state."


def task_set_steady() -> str:
    return "updated state to STEADY_STATE."


def scaled(task_set_id: str, count: int) -> str:
    return f"updated computedDesiredCount for taskSet {task_set_id} to {count}."


def started(task_ids: Sequence[str], replaced: int = 0) -> str:
    """`replaced`: how many of them are to take the places of unhealthy ones."""
    because = f" Amazon ECS replaced {replaced} tasks due to an unhealthy status." if replaced else ""
    return f"has started {len(task_ids)} tasks: {_tasks(task_ids)}.{because}"


def started_to_rebalance(zone: str, task_ids: Sequence[str]) -> str:
    return f"has started {len(task_ids)} tasks in {zone} to AZ Rebalance: {_tasks(task_ids)}."


def stopped(task_ids: Sequence[str]) -> str:
    return f"has stopped {len(task_ids)} running tasks: {_tasks(task_ids)}."


def stopped_pending(count: int) -> str:
    return f"stopped {count} pending tasks."


def stopped_to_rebalance(zone: str, task_ids: Sequence[str]) -> str:
    return f"has stopped {len(task_ids)} running tasks in {zone} due to AZ rebalancing: {_tasks(task_ids)}."


def completed(deployment_id: str) -> str:
    return f"(deployment {deployment_id}) deployment completed."


def failed(deployment_id: str, why: str = "tasks failed to start") -> str:
    return f"(deployment {deployment_id}) deployment failed: {why}."


def rolling_back(deployment_id: str) -> str:
    return f"rolling back to deployment {deployment_id}."


def not_starting() -> str:
    return f"is unable to consistently start tasks successfully. {_TROUBLESHOOTING}"


def blocked_by_configuration() -> str:
    return (
        "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
        "Update the minimumHealthyPercent or maximumPercent value and try again."
    )


def blocked_by_protection(task_set_id: str, protected: int, *, is_rebalancing: bool = False) -> str:
    """`task_set_id`: the deployment or task set whose protected tasks are in the way."""
    what = "AZ Rebalance" if is_rebalancing else "reach steady state"
    return (
        f"was unable to {what} because (taskSet {task_set_id}) was unable to scale in"
        f" due to (reason {protected} tasks under protection)"
    )


def no_instances() -> str:
    return f"{_NO_PLACE} Reason: No Container Instances were found in your cluster. {_TROUBLESHOOTING}"


def not_placed(instance_id: str, reason: str) -> str:
    """`reason` is that of the placement failure of the closest matching instance."""
    closest = f"The closest matching (container-instance {instance_id}) {_OBSTACLES.get(reason) or _other(reason)}"
    return f"{_NO_PLACE} {closest} {_TROUBLESHOOTING}"


def no_definition(task_definition_arn: str) -> str:
    return f"was unable to place a task. Reason: The task definition {task_definition_arn} does not exist any more."


def registered(count: int, target_group_arn: str) -> str:
    return f"registered {count} targets in (target-group {target_group_arn})"


def deregistered(count: int, target_group_arn: str) -> str:
    return f"deregistered {count} targets in (target-group {target_group_arn})"


def began_draining(count: int) -> str:
    return f"has begun draining connections on {count} tasks."


def unhealthy_target(task_id: str, target_id: str, port: int, target_group_arn: str, why: str) -> str:
    """An instance is named beside its port; a target that is an address has the port alone."""
    place = f"(instance {target_id}) (port {port})" if target_id.startswith("i-") else f"(port {port})"
    return f"(task {task_id}) {place} is unhealthy in (target-group {target_group_arn}) due to (reason {why})."


def unhealthy_containers(task_id: str) -> str:
    return f"(task {task_id}) failed container health checks."


def not_balanced(counts: Mapping[str, int]) -> str:
    """`counts`: tasks by Availability Zone."""
    return f"is not AZ balanced with {_zones(counts)}. AZ Rebalancing in progress."


def balanced(counts: Mapping[str, int]) -> str:
    return f"is AZ balanced with {_zones(counts)}."


def no_room_to_rebalance(zones: Sequence[str]) -> str:
    return f"is unable to place a task in {', '.join(zones)} because no container instance met all of its requirements."


def stopped_rebalancing() -> str:
    return "stopped AZ Rebalancing."


def _zones(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} tasks in {zone}" for zone, count in counts.items())


_OBSTACLES = {
    "RESOURCE:CPU": "has insufficient CPU units available.",
    "RESOURCE:MEMORY": "has insufficient memory available.",
    "RESOURCE:GPU": "has insufficient GPUs available.",
    "RESOURCE:PORTS": "is already using a port required by your task.",
    "ATTRIBUTE": "is missing an attribute required by your task.",
}


def _other(reason: str) -> str:
    return f'encountered error "{reason}".'


def _tasks(task_ids: Sequence[str]) -> str:
    return " ".join(f"(task {each})" for each in task_ids)
