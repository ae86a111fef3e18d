"""Services, deployments, service deployments, revisions and task sets as callers see them.

Counts are of tasks that are to run: one that is being stopped counts no more, so a service that is scaled in is at its
desired count as soon as the scheduler has decided, which is what the waiters of the AWS clients look at.
"""

from collections import Counter
from collections.abc import Iterable
from typing import cast

from msgspec.structs import replace

from homeport.api.operation import Context
from homeport.model.deployment import Deployment, RevisionCounts, ServiceDeployment, ServiceRevision
from homeport.model.lifecycle_hooks import detail
from homeport.model.rules.circuit_breaker import threshold
from homeport.model.rules.task_sets import computed_count
from homeport.model.service import Service, TaskSet
from homeport.model.service_history import as_it_ended
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.model.traffic import target_group_of
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables

_SERVICE_ROLE = "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"


class Counts:
    """Running and pending tasks of one service, by what started them (deployment or task set)."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.running: Counter[str | None] = Counter()
        self.pending: Counter[str | None] = Counter()
        for task in tasks:
            if task.desired_status is DesiredStatus.RUNNING and not task.is_stopped:
                (self.running if task.last_status is TaskStatus.RUNNING else self.pending)[task.started_by] += 1


def counts_of(tx: Tables, service: Service) -> Counts:
    """Looks only at tasks whose end the scheduler has not dealt with: stopped ones are kept for an hour."""
    return Counts(tx.tasks.by(unsettled_of=service.arn))


def service_view(ctx: Context, tx: Tables, service: Service, *, with_tags: bool) -> shapes.Service:
    """A service with its deployments and events, newest first."""
    counts = counts_of(tx, service)
    is_external = service.deployment_controller == "EXTERNAL"
    holder = _holder(tx, service)
    deployments = [] if is_external else current_deployments(tx, service)
    attempts = tx.service_deployments.by(service_arn=service.arn)
    return shapes.Service(
        service_arn=service.arn,
        service_name=service.name,
        cluster_arn=service.cluster_arn,
        load_balancers=holder.load_balancers,
        service_registries=(),
        status=service.status,
        desired_count=service.desired_count,
        running_count=sum(counts.running.values()),
        pending_count=sum(counts.pending.values()),
        launch_type=cast("shapes.LaunchType | None", holder.launch_type),
        platform_version=holder.platform_version,
        task_definition=holder.task_definition_arn,
        deployment_configuration=service.deployment_configuration,
        deployments=tuple(deployment_view(tx, each, counts) for each in deployments),
        task_sets=_task_sets(tx, service, counts) if is_external else None,
        role_arn=_role(ctx, service, holder),
        events=_events(tx, service),
        created_at=service.created_at,
        current_service_deployment=max(attempts, key=lambda each: each.created_at).arn if attempts else None,
        current_service_revisions=tuple(_revision_summary(each, counts) for each in deployments),
        placement_constraints=service.placement_constraints,
        placement_strategy=service.placement_strategy,
        network_configuration=holder.network_configuration,
        health_check_grace_period_seconds=_grace_period(service, holder),
        scheduling_strategy=service.scheduling_strategy,
        deployment_controller=shapes.DeploymentController(type=service.deployment_controller),
        tags=service.tags if with_tags else (),
        created_by=service.created_by,
        enable_ecs_managed_tags=service.enable_ecs_managed_tags,
        propagate_tags=service.propagate_tags,
        enable_execute_command=service.enable_execute_command,
        availability_zone_rebalancing=service.availability_zone_rebalancing,
        resource_management_type="CUSTOMER",
    )


def _holder(tx: Tables, service: Service) -> Service | TaskSet:
    """What says what the service runs: itself or, with the EXTERNAL controller, its primary task set."""
    if service.primary_task_set_id is None:
        return service
    rows = tx.task_sets.by(service_arn=service.arn)
    return next((each for each in rows if each.id == service.primary_task_set_id), service)


def current_deployments(tx: Tables, service: Service) -> list[Deployment]:
    """The PRIMARY deployment and the older ones that still have or want tasks, newest first."""
    rows = [each for each in tx.deployments.by(service_arn=service.arn) if each.status != "INACTIVE"]
    return sorted(rows, key=lambda each: (each.status == "PRIMARY", each.created_at), reverse=True)


def _task_sets(tx: Tables, service: Service, counts: Counts) -> tuple[shapes.TaskSet, ...]:
    rows = tx.task_sets.by(service_arn=service.arn)
    return tuple(task_set_view(each, service, counts, with_tags=False) for each in rows)


def _role(ctx: Context, service: Service, holder: Service | TaskSet) -> str | None:
    """The role that ECS acts with towards load balancers: the given one, else its service-linked role."""
    if service.role_arn is not None or not holder.load_balancers:
        return service.role_arn
    return f"arn:aws:iam::{ctx.arns.account_id}:{_SERVICE_ROLE}"


def _grace_period(service: Service, holder: Service | TaskSet) -> int | None:
    if service.health_check_grace_period_seconds is None and holder.load_balancers:
        return 0
    return service.health_check_grace_period_seconds


def _events(tx: Tables, service: Service) -> tuple[shapes.ServiceEvent, ...]:
    rows = sorted(tx.service_events.by(service_arn=service.arn), key=lambda each: each.key, reverse=True)
    return tuple(shapes.ServiceEvent(id=each.id, created_at=each.created_at, message=each.message) for each in rows)


def _revision_summary(deployment: Deployment, counts: Counts) -> shapes.ServiceCurrentRevisionSummary:
    return shapes.ServiceCurrentRevisionSummary(
        arn=deployment.revision_arn,
        requested_task_count=deployment.desired_count,
        running_task_count=counts.running[deployment.id],
        pending_task_count=counts.pending[deployment.id],
    )


def deployment_view(tx: Tables, deployment: Deployment, counts: Counts) -> shapes.Deployment:
    """An entry of `deployments[]`. A network configuration that was not given is left out: Terraform fails on `{}`."""
    revision = tx.service_revisions.get(deployment.revision_arn)
    return shapes.Deployment(
        id=deployment.id,
        status=deployment.status,
        task_definition=deployment.task_definition_arn,
        desired_count=deployment.desired_count,
        pending_count=counts.pending[deployment.id],
        running_count=counts.running[deployment.id],
        failed_tasks=deployment.failed_tasks,
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        launch_type=cast("shapes.LaunchType | None", deployment.launch_type),
        platform_version=revision.platform_version if revision else None,
        network_configuration=revision.network_configuration if revision else None,
        rollout_state=deployment.rollout_state,
        rollout_state_reason=deployment.rollout_state_reason,
    )


def task_set_view(task_set: TaskSet, service: Service, counts: Counts, *, with_tags: bool) -> shapes.TaskSet:
    return shapes.TaskSet(
        id=task_set.id,
        task_set_arn=task_set.arn,
        service_arn=task_set.service_arn,
        cluster_arn=task_set.cluster_arn,
        external_id=task_set.external_id,
        status=task_set.status,
        task_definition=task_set.task_definition_arn,
        computed_desired_count=computed_count(service.desired_count, task_set.scale_percent),
        pending_count=counts.pending[task_set.id],
        running_count=counts.running[task_set.id],
        created_at=task_set.created_at,
        updated_at=task_set.updated_at,
        launch_type=cast("shapes.LaunchType | None", task_set.launch_type),
        platform_version=task_set.platform_version,
        network_configuration=task_set.network_configuration,
        load_balancers=task_set.load_balancers,
        service_registries=(),
        scale=shapes.Scale(value=task_set.scale_percent, unit="PERCENT"),
        stability_status=task_set.stability_status,
        stability_status_at=task_set.stability_status_at or None,
        tags=task_set.tags if with_tags else (),
    )


def revision_view(tx: Tables, revision: ServiceRevision) -> shapes.ServiceRevision:
    """A revision, with the digests of its images once they are known."""
    row = tx.task_definitions.get(revision.task_definition_arn)
    containers = (row.definition.container_definitions if row else None) or ()
    images = {container.name: container.image for container in containers}
    return shapes.ServiceRevision(
        service_revision_arn=revision.arn,
        service_arn=revision.service_arn,
        cluster_arn=revision.cluster_arn,
        task_definition=revision.task_definition_arn,
        launch_type=cast("shapes.LaunchType | None", revision.launch_type),
        platform_version=revision.platform_version,
        load_balancers=revision.load_balancers,
        network_configuration=revision.network_configuration,
        container_images=tuple(
            shapes.ContainerImage(container_name=name, image=image, image_digest=revision.image_digests.get(name or ""))
            for name, image in images.items()
        ),
        guard_duty_enabled=False,
        created_at=revision.created_at,
        resolved_configuration=_resolved(tx, revision),
    )


def _resolved(tx: Tables, revision: ServiceRevision) -> shapes.ResolvedConfiguration | None:
    """The target groups that the revision's deployment uses, of the two that a shift of traffic goes between."""
    rows = tx.deployments.by(service_arn=revision.service_arn)
    deployment = next((row for row in rows if row.revision_arn == revision.arn), None)
    if deployment is None or not revision.load_balancers:
        return None
    return shapes.ResolvedConfiguration(
        load_balancers=tuple(
            shapes.ServiceRevisionLoadBalancer(
                target_group_arn=target_group_of(deployment, entry),
                production_listener_rule=entry.advanced_configuration.production_listener_rule
                if entry.advanced_configuration
                else None,
            )
            for entry in revision.load_balancers
        )
    )


def service_deployment_view(tx: Tables, attempt: ServiceDeployment) -> shapes.ServiceDeployment:
    """One attempt, with the tasks of its revisions as they are now or, once it is over, as they were at its end."""
    service = tx.services[attempt.service_arn]
    if attempt.target is None:
        attempt = _up_to_date(tx, attempt, service)
    breaker = attempt.configuration.deployment_circuit_breaker
    watches = breaker is not None and breaker.enable
    desired_count = service.desired_count if attempt.desired_count is None else attempt.desired_count
    return shapes.ServiceDeployment(
        service_deployment_arn=attempt.arn,
        service_arn=attempt.service_arn,
        cluster_arn=attempt.cluster_arn,
        created_at=attempt.created_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        stopped_at=attempt.stopped_at,
        updated_at=attempt.updated_at,
        source_service_revisions=tuple(_source_view(attempt, each) for each in attempt.sources),
        target_service_revision=_target_view(attempt),
        status=attempt.status,
        status_reason=attempt.status_reason,
        lifecycle_stage=cast("shapes.ServiceDeploymentLifecycleStage | None", attempt.stage),
        lifecycle_hook_details=tuple(detail(attempt, each) for each in attempt.hooks) or None,
        deployment_configuration=attempt.configuration,
        rollback=_rollback_view(attempt),
        deployment_circuit_breaker=shapes.ServiceDeploymentCircuitBreaker(
            status=attempt.breaker_status,
            failure_count=attempt.failure_count,
            threshold=threshold(attempt.configuration, desired_count) if watches else 0,
        ),
        alarms=shapes.ServiceDeploymentAlarms(status="DISABLED", alarm_names=(), triggered_alarm_names=()),
    )


def _up_to_date(tx: Tables, attempt: ServiceDeployment, service: Service) -> ServiceDeployment:
    """An attempt that is under way, with what will be written into it when it ends."""
    rows = {each.id: each for each in tx.deployments.by(service_arn=service.arn)}
    target = rows.get(attempt.target_deployment_id)
    if target is not None:
        attempt = replace(attempt, failure_count=target.failed_tasks)
    return as_it_ended(attempt, rows, tx.tasks.by(unsettled_of=service.arn), service.desired_count)


def _target_view(attempt: ServiceDeployment) -> shapes.ServiceRevisionSummary:
    assert attempt.target is not None
    return _summary(attempt, attempt.target, attempt.traffic_percent, attempt.test_traffic_percent)


def _source_view(attempt: ServiceDeployment, source: RevisionCounts) -> shapes.ServiceRevisionSummary:
    """What the target has not got of the traffic has the one that it replaces."""
    if len(attempt.sources) > 1 and source.deployment_id != attempt.source_deployment_id:
        return _summary(attempt, source, 0.0, 0.0)
    production, test = (round(100.0 - each, 1) for each in (attempt.traffic_percent, attempt.test_traffic_percent))
    return _summary(attempt, source, production, test)


def _summary(
    attempt: ServiceDeployment, counts: RevisionCounts, production: float, test: float
) -> shapes.ServiceRevisionSummary:
    shifts = (attempt.configuration.strategy or "ROLLING") != "ROLLING"
    return shapes.ServiceRevisionSummary(
        arn=counts.arn,
        requested_task_count=counts.requested,
        running_task_count=counts.running,
        pending_task_count=counts.pending,
        requested_production_traffic_weight=production if shifts else None,
        requested_test_traffic_weight=test if shifts else None,
    )


def _rollback_view(attempt: ServiceDeployment) -> shapes.Rollback | None:
    if attempt.rollback_started_at is None:
        return None
    return shapes.Rollback(
        reason=attempt.rollback_reason,
        started_at=attempt.rollback_started_at,
        service_revision_arn=attempt.rollback_revision_arn,
    )
