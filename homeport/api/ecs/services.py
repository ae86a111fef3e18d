"""CreateService, UpdateService, DeleteService: what a caller wants becomes rows, and the service scheduler does the rest.

A request is turned into the service's row as it would be, the rules look at that row, and it is put together with the
rows of a new deployment where the change needs one: another task definition, network, load balancers or platform, or
`forceNewDeployment`. Counts, percents, placement and tags change the service without a deployment.
"""

from typing import Any

from msgspec.structs import replace

from homeport.api.ecs.find import (
    NOT_FOUND,
    find_active_service,
    find_cluster,
    find_runnable_task_definition,
    find_service,
    find_task_definition,
)
from homeport.api.ecs.service_views import service_view
from homeport.api.idempotency import remember, remembered
from homeport.api.operation import Context, operation
from homeport.model.cluster import Cluster
from homeport.model.rules.deployment_configuration import merged_configuration, new_configuration
from homeport.model.rules.network import network_mode
from homeport.model.rules.service import (
    MOST_DEPLOYMENTS,
    MOST_SERVICES,
    check_desired_count,
    check_grace_period,
    check_not_built,
    check_service,
    check_service_name,
    check_token,
    rebalancing_obstacle,
)
from homeport.model.rules.service_load_balancers import check_target_groups
from homeport.model.rules.tags import check_tags
from homeport.model.service import Service
from homeport.model.service_changes import begin_deployment, followed, put_all
from homeport.model.service_history import outdated
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

#: Members of UpdateService that a service with EXTERNAL deployments leaves to its task sets.
_OF_TASK_SETS = (
    ("task_definition", "Unable to update task definition"),
    ("network_configuration", "Unable to update network parameters"),
    ("load_balancers", "Unable to update load balancers"),
    ("platform_version", "Unable to update platform version"),
    ("deployment_configuration", "Unable to update deployment configuration"),
    ("force_new_deployment", "Cannot force a new deployment"),
)
#: What a revision holds: changing any of it takes a new deployment (API reference, UpdateService).
_OF_REVISION = ("task_definition_arn", "network_configuration", "load_balancers", "platform_version", "launch_type")


@operation(shapes.SERVICE, "CreateService")
def create_service(ctx: Context, tx: Tx, request: shapes.CreateServiceRequest) -> shapes.CreateServiceResponse:
    """A new ACTIVE service with its first deployment; the name of an INACTIVE one may be used again."""
    cluster = find_cluster(ctx, tx, request.cluster)
    check_service_name(request.service_name)
    check_token(request.client_token)
    earlier = _answered_before(tx, cluster, request)
    if earlier is not None:
        return shapes.CreateServiceResponse(service=service_view(ctx, tx, earlier, with_tags=True))
    check_not_built(request)
    task_definition = _first_task_definition(ctx, tx, request)
    service = _new_service(ctx, tx, cluster, request, task_definition)
    definition = task_definition.definition if task_definition else None
    check_service(service, definition, has_lambda=ctx.world.has_lambda)
    check_grace_period(service, definition)
    _check_listeners(tx, service, definition)
    _make_room(tx, cluster, service)
    if service.deployment_controller == "ECS":
        begun = begin_deployment(service, tx.ids, tx.now)
        put_all(tx, begun)
        service = begun.service
    else:
        tx.services.put(service)
    remember(tx, "CreateService", cluster.arn, request.client_token, request, (service.arn,))
    return shapes.CreateServiceResponse(service=service_view(ctx, tx, service, with_tags=True))


def _answered_before(tx: Tx, cluster: Cluster, request: shapes.CreateServiceRequest) -> Service | None:
    """The service that an earlier call with the same token made; once that is deleted the token counts as new."""
    arns = remembered(tx, "CreateService", cluster.arn, request.client_token, request) or ()
    return next((row for arn in arns if (row := tx.services.get(arn)) is not None and row.status == "ACTIVE"), None)


def _first_task_definition(ctx: Context, tx: Tx, request: shapes.CreateServiceRequest) -> TaskDefinition | None:
    controller = request.deployment_controller
    if controller is not None and controller.type == "EXTERNAL":
        if request.task_definition is not None:
            raise shapes.InvalidParameterException("TaskDefinition must be blank")
        return None
    if request.task_definition is None:
        raise shapes.InvalidParameterException(
            "taskDefinition must be specified for services with an ECS deployment controller."
        )
    return find_runnable_task_definition(ctx, tx, request.task_definition)


def _new_service(
    ctx: Context,
    tx: Tx,
    cluster: Cluster,
    request: shapes.CreateServiceRequest,
    task_definition: TaskDefinition | None,
) -> Service:
    """The row that the request describes, with ECS's defaults."""
    scheduling = request.scheduling_strategy or "REPLICA"
    controller = request.deployment_controller.type if request.deployment_controller else "ECS"
    if request.launch_type is None and cluster.default_capacity_provider_strategy:
        raise shapes.UnsupportedFeatureException("Capacity provider strategies are not supported.")
    service = Service(
        arn=ctx.arns.service(cluster.name, request.service_name),
        name=request.service_name,
        cluster_arn=cluster.arn,
        task_definition_arn=task_definition.arn if task_definition else None,
        desired_count=check_desired_count(request.desired_count, scheduling, controller),
        scheduling_strategy=scheduling,
        deployment_controller=controller,
        deployment_configuration=new_configuration(request.deployment_configuration, scheduling),
        launch_type=request.launch_type or "EC2",
        platform_version=request.platform_version,
        load_balancers=request.load_balancers or (),
        network_configuration=_network(request.network_configuration),
        health_check_grace_period_seconds=request.health_check_grace_period_seconds,
        placement_constraints=request.placement_constraints or (),
        placement_strategy=request.placement_strategy or (),
        role_arn=_role_arn(ctx, request.role),
        enable_ecs_managed_tags=request.enable_ecs_managed_tags or False,
        propagate_tags=request.propagate_tags or "NONE",
        tags=check_tags(request.tags),
        created_at=tx.now,
        created_by=ctx.identity.principal_arn,
    )
    rebalancing = request.availability_zone_rebalancing
    if rebalancing is None:
        rebalancing = "ENABLED" if rebalancing_obstacle(service) is None else "DISABLED"
    return replace(service, availability_zone_rebalancing=rebalancing)


def _network(network: shapes.NetworkConfiguration | None) -> shapes.NetworkConfiguration | None:
    """An empty network configuration is none."""
    return None if network is None or network.awsvpc_configuration is None else network


def _role_arn(ctx: Context, role: str | None) -> str | None:
    if not role:
        return None
    return role if role.startswith("arn:") else f"arn:aws:iam::{ctx.arns.account_id}:role/{role.removeprefix('/')}"


def _check_listeners(tx: Tx, service: Service, definition: shapes.TaskDefinition | None) -> None:
    if not service.load_balancers or definition is None:
        return
    check_target_groups(
        service.load_balancers,
        network_mode(definition.network_mode),
        {row.arn: row for row in tx.target_groups},
        {row.arn: row for row in tx.listeners},
        {row.arn: row for row in tx.rules},
    )


def _make_room(tx: Tx, cluster: Cluster, service: Service) -> None:
    """The name must be free and the cluster not full; an INACTIVE service of the name is forgotten with all it had."""
    existing = tx.services.get(service.arn)
    if existing is not None and existing.status == "ACTIVE":
        raise shapes.InvalidParameterException("Creation of service was not idempotent.")
    if existing is not None and existing.status == "DRAINING":
        raise shapes.InvalidParameterException("Unable to Start a service that is still Draining.")
    if tx.services.count(cluster_arn=cluster.arn) >= MOST_SERVICES and (
        sum(1 for row in tx.services.by(cluster_arn=cluster.arn) if row.status != "INACTIVE") >= MOST_SERVICES
    ):
        raise shapes.InvalidParameterException(f"A cluster can have at most {MOST_SERVICES} services.")
    if existing is not None:
        for table in (tx.deployments, tx.service_deployments, tx.service_revisions, tx.service_events, tx.task_sets):
            for key in list(table.keys_by(service_arn=service.arn)):
                table.delete(key)


@operation(shapes.SERVICE, "UpdateService")
def update_service(ctx: Context, tx: Tx, request: shapes.UpdateServiceRequest) -> shapes.UpdateServiceResponse:
    """Changes what is given and keeps the rest; a new deployment begins where the change needs one."""
    cluster = find_cluster(ctx, tx, request.cluster)
    present = find_active_service(ctx, tx, cluster, request.service)
    check_not_built(request)
    _check_updatable(present, request)
    task_definition = _next_task_definition(ctx, tx, present, request)
    service = _updated(present, request, task_definition)
    definition = task_definition.definition if task_definition else None
    check_service(service, definition, has_lambda=ctx.world.has_lambda)
    if request.health_check_grace_period_seconds is not None:
        check_grace_period(service, definition)
    if request.load_balancers is not None:
        _check_listeners(tx, service, definition)
    if service.deployment_controller == "ECS" and (request.force_new_deployment or _needs_deployment(present, service)):
        service = _deploy(tx, service, is_forced=bool(request.force_new_deployment))
    else:
        tx.services.put(service)
        _follow_count(tx, service)
    return shapes.UpdateServiceResponse(service=service_view(ctx, tx, service, with_tags=True))


def _check_updatable(service: Service, request: shapes.UpdateServiceRequest) -> None:
    controller = request.deployment_controller
    if controller is not None and controller.type != service.deployment_controller:
        raise shapes.UnsupportedFeatureException("Changing the deployment controller of a service is not supported.")
    if request.desired_count is not None:
        check_desired_count(request.desired_count, service.scheduling_strategy)
    if service.deployment_controller == "EXTERNAL":
        for member, refusal in _OF_TASK_SETS:
            if getattr(request, member):
                raise shapes.InvalidParameterException(f"{refusal} on services with an EXTERNAL deployment controller.")


def _next_task_definition(
    ctx: Context, tx: Tx, service: Service, request: shapes.UpdateServiceRequest
) -> TaskDefinition | None:
    """The task definition from now on. The present one may be INACTIVE by now: what runs it goes on with it."""
    if service.deployment_controller != "ECS" or service.task_definition_arn is None:
        return None
    if request.task_definition is None:
        return tx.task_definitions.get(service.task_definition_arn)
    wanted = find_task_definition(ctx, tx, request.task_definition, NOT_FOUND)
    if wanted.arn == service.task_definition_arn:
        return wanted
    return find_runnable_task_definition(ctx, tx, request.task_definition)


def _updated(service: Service, request: shapes.UpdateServiceRequest, task_definition: TaskDefinition | None) -> Service:
    """The row after the update: what is not given stays as it is."""
    changes: dict[str, Any] = {
        "desired_count": request.desired_count,
        "platform_version": request.platform_version,
        "load_balancers": request.load_balancers,
        "network_configuration": _network(request.network_configuration),
        "health_check_grace_period_seconds": request.health_check_grace_period_seconds,
        "placement_constraints": request.placement_constraints,
        "placement_strategy": _without_empty(request.placement_strategy),
        "availability_zone_rebalancing": request.availability_zone_rebalancing,
        "enable_ecs_managed_tags": request.enable_ecs_managed_tags,
        "propagate_tags": request.propagate_tags,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if request.load_balancers is not None:
        given["role_arn"] = None  # Load balancers are changed with the service-linked role (API reference).
    return replace(
        service,
        task_definition_arn=task_definition.arn if task_definition else service.task_definition_arn,
        deployment_configuration=merged_configuration(
            service.deployment_configuration, request.deployment_configuration
        ),
        **given,
    )


def _without_empty(
    strategies: tuple[shapes.PlacementStrategy, ...] | None,
) -> tuple[shapes.PlacementStrategy, ...] | None:
    """An empty object in the list removes the strategy (API reference, UpdateService)."""
    if strategies is None:
        return None
    return tuple(each for each in strategies if each != shapes.PlacementStrategy())


def _needs_deployment(present: Service, service: Service) -> bool:
    return any(getattr(present, name) != getattr(service, name) for name in _OF_REVISION)


def _deploy(tx: Tx, service: Service, *, is_forced: bool) -> Service:
    """Begin a deployment of the service's new settings; gives the row that was put."""
    deployments, tasks = tx.deployments.by(service_arn=service.arn), tx.tasks.by(unsettled_of=service.arn)
    busy = {task.started_by for task in tasks if not task.is_stopped} | {service.primary_deployment_id}
    if sum(each.id in busy for each in deployments) >= MOST_DEPLOYMENTS:
        raise shapes.InvalidParameterException(
            f"{MOST_DEPLOYMENTS} active deployments exist, unable to create new deployment."
        )
    begun = begin_deployment(
        service,
        tx.ids,
        tx.now,
        deployments=deployments,
        attempts=tx.service_deployments.by(open_of=service.arn),
        tasks=tasks,
        is_forced=is_forced,
    )
    put_all(tx, begun)
    _forget_history(tx, service)
    return begun.service


def _forget_history(tx: Tx, service: Service) -> None:
    gone = outdated(
        tx.service_deployments.by(service_arn=service.arn),
        tx.service_revisions.by(service_arn=service.arn),
        tx.deployments.by(service_arn=service.arn),
        tx.now,
    )
    for arn in gone.attempts:
        tx.service_deployments.delete(arn)
    for arn in gone.revisions:
        tx.service_revisions.delete(arn)


def _follow_count(tx: Tx, service: Service) -> None:
    """The deployments are to have as many tasks as the service, and the answer shows it already."""
    if service.scheduling_strategy == "REPLICA":
        for deployment in followed(service, tx.deployments.by(service_arn=service.arn), tx.now):
            tx.deployments.put(deployment)


@operation(shapes.SERVICE, "DeleteService")
def delete_service(ctx: Context, tx: Tx, request: shapes.DeleteServiceRequest) -> shapes.DeleteServiceResponse:
    """The service is DRAINING until its tasks are gone, then INACTIVE. Refused while it is scaled above 0, unless forced."""
    cluster = find_cluster(ctx, tx, request.cluster)
    service = find_service(ctx, tx, cluster, request.service)
    if service.status == "INACTIVE":
        raise shapes.ServiceNotFoundException("Service not found.")
    if service.status == "ACTIVE":
        if not request.force:
            _check_deletable(tx, service)
        service = replace(service, status="DRAINING", desired_count=0, deleted_at=tx.now)
        tx.services.put(service)
        _follow_count(tx, service)
    return shapes.DeleteServiceResponse(service=service_view(ctx, tx, service, with_tags=True))


def _check_deletable(tx: Tables, service: Service) -> None:
    if service.scheduling_strategy == "REPLICA" and service.desired_count > 0:
        raise shapes.InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
    if tx.task_sets.count(service_arn=service.arn):
        raise shapes.InvalidParameterException("The service cannot be stopped while deployments are active.")
