"""Services behind load balancers under faults: what must be true of their targets, and of traffic that is shifted.

At every transaction: traffic goes to what is healthy, comes back only when a deployment is rolled back, a stage that
shifts is over only once the data plane has served the shift, and what the data plane still sends requests to is not
given up. Once all is calm no deployment is under way, and tasks, targets, rules and the data plane say the same.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from homeport.control.balancer_configuration import Surroundings, configurations, whole
from homeport.control.rolling import CONFIGURATION
from homeport.control.rollout import limits_of
from homeport.control.service_tasks import PLACEMENT
from homeport.control.stages import LONGEST_SETTLE
from homeport.drivers.balancer import Configuration
from homeport.model.deployment import Deployment, ServiceDeployment
from homeport.model.load_balancer import Listener, Rule
from homeport.model.service import Service
from homeport.model.status import DesiredStatus, StopCode
from homeport.model.task import Task
from homeport.model.traffic import other_group, target_group_of
from homeport.shapes import ecs
from homeport.store.schema import Tables
from homeport.store.watch import Change
from tests.sim.clients import FAILING, UNSTEADY, Promises
from tests.sim.data_plane import SimEnvoy, weights_in, weights_of

_AROUND = Surroundings(open_key=lambda _: None, log_dir=Path("/nonexistent"))
_SHIFTS = {"PRODUCTION_TRAFFIC_SHIFT": "production", "TEST_TRAFFIC_SHIFT": "test"}


def of_transaction(tables: Tables, changes: list[Change], envoy: SimEnvoy, now: float) -> Iterator[str]:
    """What one transaction did wrong; `tables` already show it."""
    given_up: list[Task] = []
    for kind, _, before, after in changes:
        if kind == "service_deployment" and isinstance(before, ServiceDeployment) and after is not None:
            yield from _goes_where_it_is_healthy(tables, before, after)
            yield from _was_served(tables, envoy, before, after, now)
        elif kind == "task" and isinstance(before, Task) and _is_given_up(before, after):
            given_up.append(after)
    for task in given_up:
        yield from _leaves_enough(tables, envoy, task)


def _goes_where_it_is_healthy(tables: Tables, before: ServiceDeployment, after: ServiceDeployment) -> Iterator[str]:
    for share in ("traffic_percent", "test_traffic_percent"):
        was, is_now = getattr(before, share), getattr(after, share)
        # The first deployment of a service that fails keeps all traffic, for there is nothing to go back to.
        if is_now < was and not after.status.startswith("ROLLBACK"):
            yield f"{after.arn}: {share} fell from {was} to {is_now} while {after.status} at {after.stage}"
        if is_now > was and after.status != "ROLLBACK_FAILED" and not _has_healthy_target(tables, after):
            yield f"{after.arn}: {share} rose from {was} to {is_now} and nothing is healthy there"


def _has_healthy_target(tables: Tables, attempt: ServiceDeployment) -> bool:
    service, green = tables.services[attempt.service_arn], tables.deployments[attempt.target_deployment_id]
    return not service.desired_count or all(
        any(target.state == "healthy" for target in tables.targets.by(target_group_arn=target_group_of(green, entry)))
        for entry in _entries(tables, green)
    )


def _was_served(
    tables: Tables, envoy: SimEnvoy, before: ServiceDeployment, after: ServiceDeployment, now: float
) -> Iterator[str]:
    """A stage that shifted is left for the next one."""
    kind, green = _SHIFTS.get(before.stage or ""), tables.deployments.get(before.target_deployment_id)
    is_left = (before.stage, before.step) != (after.stage, after.step) and before.status == after.status
    gave_up_waiting = before.status != "IN_PROGRESS" and now >= (before.stage_started_at or 0.0) + LONGEST_SETTLE
    if kind is None or green is None or not is_left or gave_up_waiting:
        return
    share = before.traffic_percent if kind == "production" else before.test_traffic_percent
    since = envoy.served_since(before.stage_started_at or 0.0)
    for entry in _entries(tables, green):
        row = _rule(tables, entry, kind)
        group = target_group_of(green, entry)
        if row is not None and not any(_share(configuration, row, group) == share for configuration in since):
            yield f"{before.arn}: {before.stage} is over, but {share} % for {group} was never served"


def _is_given_up(before: Task, after: Any) -> bool:
    return (
        isinstance(after, Task)
        and before.desired_status is DesiredStatus.RUNNING
        and after.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED
    )


def _leaves_enough(tables: Tables, envoy: SimEnvoy, task: Task) -> Iterator[str]:
    """A target group that gets production traffic keeps as many healthy tasks as the service must have, whatever deploys."""
    service, deployment = tables.services.get(task.service_arn or ""), tables.deployments.get(task.started_by or "")
    if service is None or deployment is None or service.status != "ACTIVE":
        return
    floor = limits_of(service.deployment_configuration, service.desired_count).floor
    for entry in _entries(tables, deployment):
        row, group = _rule(tables, entry, "production"), target_group_of(deployment, entry)
        if row is None or not _share(envoy.serving, row, group):
            continue
        healthy = [target.owner for target in tables.targets.by(target_group_arn=group) if target.state == "healthy"]
        left = sum(_is_kept(tables, owner) for owner in healthy)
        if task.arn in healthy and left < floor:
            yield f"{task.arn} is given up, {left} healthy ones are left of {floor} in {group}, which gets requests"


def _is_kept(tables: Tables, owner: str | None) -> bool:
    task = tables.tasks.get(owner or "")
    return task is not None and task.desired_status is DesiredStatus.RUNNING


# ---- rows -----------------------------------------------------------------------------------------------------------


def _entries(tables: Tables, deployment: Deployment) -> tuple[ecs.LoadBalancer, ...]:
    revision = tables.service_revisions.get(deployment.revision_arn)
    return () if revision is None else revision.load_balancers


def _rule(tables: Tables, entry: ecs.LoadBalancer, kind: str) -> Rule | Listener | None:
    """The rule of the entry for production or test traffic; the sim has rules that are rows, and listeners."""
    advanced = entry.advanced_configuration
    if advanced is None:
        return None
    arn = advanced.production_listener_rule if kind == "production" else advanced.test_listener_rule
    return tables.rules.get(arn or "") or tables.listeners.get(arn or "")


def left_over_deployments(tables: Tables, service: Service) -> set[str]:
    """Ids of those that are in the target groups without traffic while a rolling deployment is under way."""
    primary = tables.deployments.get(service.primary_deployment_id or "")
    idle = set() if primary is None else {other_group(primary, entry) for entry in _entries(tables, primary)}
    return {
        each.id
        for each in tables.deployments.by(service_arn=service.arn)
        if idle.intersection(target_group_of(each, entry) for entry in _entries(tables, each))
    }


def _share(configuration: Configuration, row: Rule | Listener, group: str) -> float | None:
    """Percent of what the rule takes that the data plane sends to the group; None: the rule is not served."""
    weights = weights_in(configuration, row)
    return round(100.0 * weights.get(group, 0) / sum(weights.values()), 1) if any(weights.values()) else None


# ---- in the end -----------------------------------------------------------------------------------------------------


def under_way(tables: Tables) -> Iterator[str]:
    """Deployments that neither went on nor rolled back by themselves, but for those that rightly wait."""
    for attempt in tables.service_deployments:
        service = tables.services.get(attempt.service_arn)
        if attempt.is_over or service is None or service.status != "ACTIVE" or _is_stuck(service):
            continue
        if not _waits_for_better_tasks(tables, attempt):
            yield f"{attempt.arn} is {attempt.status} at {attempt.stage} ({attempt.status_reason})"


def _is_stuck(service: Service) -> bool:
    """It has said that it lacks room, or that its percents leave none."""
    return PLACEMENT in service.told or CONFIGURATION in service.told


def _waits_for_better_tasks(tables: Tables, attempt: ServiceDeployment) -> bool:
    """A revision that never becomes healthy is waited for as long as no circuit breaker notices; so is one that a rolling
    deployment goes back to. (A service that had no tasks for a while completes with anything.)
    """
    is_back = attempt.rollback_deployment_id is not None
    if is_back and attempt.shifts_traffic:
        return False
    deployment = tables.deployments.get(attempt.rollback_deployment_id or attempt.target_deployment_id)
    definition = None if deployment is None else tables.task_definitions.get(deployment.task_definition_arn)
    family = "" if definition is None else definition.family
    return family in UNSTEADY or (family in FAILING and (is_back or attempt.breaker_status == "DISABLED"))


def unsettled_traffic(tables: Tables, envoy: SimEnvoy) -> Iterator[str]:
    """What tasks, targets, rules and the data plane do not agree on."""
    for service in tables.services:
        if service.status == "ACTIVE" and service.load_balancers and PLACEMENT not in service.told:
            yield from _service_is_settled(tables, service)
    for balancer in tables.load_balancers:
        if balancer.state != "active":
            yield f"{balancer.arn} is {balancer.state}: {balancer.state_reason}"
    if envoy.serving != whole(configurations(tables, _AROUND).values()):
        yield f"the data plane serves {envoy.serving}"


def _service_is_settled(tables: Tables, service: Service) -> Iterator[str]:
    primary = tables.deployments.get(service.primary_deployment_id or "")
    if primary is None:
        yield f"{service.arn} has no deployment"
        return
    kept = [task.arn for task in tables.tasks.by(unsettled_of=service.arn) if not task.is_stopped]
    shifts = (service.deployment_configuration.strategy or "ROLLING") != "ROLLING"
    if shifts and (primary.traffic_percent, primary.test_traffic_percent) != (100.0, 100.0):
        yield f"{primary.id} has {primary.traffic_percent} % of traffic, {primary.test_traffic_percent} % of test traffic"
    for entry in _entries(tables, primary):
        group, rest = target_group_of(primary, entry), other_group(primary, entry)
        yield from _targets_are(tables, group, kept)
        yield from () if rest is None else _targets_are(tables, rest, [])
        for kind in ("production", "test") if primary.traffic_percent else ():
            row = _rule(tables, entry, kind)
            weights = {} if row is None else weights_of(row)
            if row is not None and weights != {group: 100, rest: 0}:
                yield f"{row.arn}: weights are {weights}, the tasks of {service.arn} are in {group}"


def _targets_are(tables: Tables, group: str, tasks: list[str]) -> Iterator[str]:
    """Each task is there once, and healthy; nothing else is there."""
    states = Counter((target.owner, target.state) for target in tables.targets.by(target_group_arn=group))
    if states != Counter((task, "healthy") for task in tasks):
        yield f"{group} holds {dict(states)}, but the tasks are {tasks}"


def lost_balancing(tables: Tables, promises: Promises) -> Iterator[str]:
    known = (tables.load_balancers, tables.target_groups, tables.listeners, tables.rules)
    for arn in promises.balancing:
        if not any(arn in table for table in known):
            yield f"{arn} was acknowledged and is lost"


def lost_revisions(tables: Tables, promises: Promises) -> Iterator[str]:
    """In the end a service runs the last thing it was told to, which can run."""
    for service_arn, task_definition in promises.revisions.items():
        service = tables.services.get(service_arn)
        if service is not None and service.status == "ACTIVE" and service.task_definition_arn != task_definition:
            yield f"{service_arn} was to run {task_definition} and runs {service.task_definition_arn}"
