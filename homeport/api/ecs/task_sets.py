"""Task sets, with which an outside deployment controller (EXTERNAL) says what a service runs and how much of each."""

from msgspec.structs import replace

from homeport.api.ecs.find import (
    find_active_service,
    find_cluster,
    find_runnable_task_definition,
    find_task_set,
    lookup_task_set,
)
from homeport.api.ecs.service_views import counts_of, task_set_view
from homeport.api.failures import describe_many
from homeport.api.idempotency import remember, remembered
from homeport.api.operation import Context, operation
from homeport.model.rules.launch import check_constraints_together, check_platform_version
from homeport.model.rules.network import network_mode
from homeport.model.rules.service import MOST_DEPLOYMENTS, check_not_built, check_token, check_workload
from homeport.model.rules.service_load_balancers import check_target_groups
from homeport.model.rules.tags import check_tags
from homeport.model.rules.task_sets import checked_scale
from homeport.model.service import Service, TaskSet
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

LONGEST_EXTERNAL_ID = 255


@operation(shapes.SERVICE, "CreateTaskSet")
def create_task_set(ctx: Context, tx: Tx, request: shapes.CreateTaskSetRequest) -> shapes.CreateTaskSetResponse:
    """A new ACTIVE task set. It serves no traffic until it is made the primary one."""
    service = _external_service(ctx, tx, request.cluster, request.service)
    check_token(request.client_token)
    earlier = remembered(tx, "CreateTaskSet", service.arn, request.client_token, request) or ()
    existing = next((row for arn in earlier if (row := tx.task_sets.get(arn)) is not None), None)
    if existing is not None:
        return shapes.CreateTaskSetResponse(task_set=_view(tx, existing, service))
    task_set = _new_task_set(ctx, tx, service, request)
    tx.task_sets.put(task_set)
    remember(tx, "CreateTaskSet", service.arn, request.client_token, request, (task_set.arn,))
    return shapes.CreateTaskSetResponse(task_set=_view(tx, task_set, service))


def _new_task_set(ctx: Context, tx: Tx, service: Service, request: shapes.CreateTaskSetRequest) -> TaskSet:
    """The row that the request describes, after every check."""
    check_not_built(request)
    if tx.task_sets.count(service_arn=service.arn) >= MOST_DEPLOYMENTS:
        raise shapes.InvalidParameterException(
            f"{MOST_DEPLOYMENTS} deployments exist on the service."
            " Unable to create new TaskSet since this exceeds the maximum limit."
        )
    if len(request.external_id or "") > LONGEST_EXTERNAL_ID:
        raise shapes.InvalidParameterException(f"externalId must be at most {LONGEST_EXTERNAL_ID} characters.")
    task_definition = find_runnable_task_definition(ctx, tx, request.task_definition)
    definition, load_balancers = task_definition.definition, request.load_balancers or ()
    network = request.network_configuration
    network = None if network is None or network.awsvpc_configuration is None else network
    launch_type = request.launch_type or service.launch_type
    check_platform_version(launch_type, request.platform_version)
    check_constraints_together(definition, service.placement_constraints)
    check_workload(definition, launch_type, network, load_balancers)
    if len(load_balancers) > 1:
        raise shapes.InvalidParameterException("A task set can have at most one target group.")
    if load_balancers:
        check_target_groups(
            load_balancers,
            network_mode(definition.network_mode),
            {row.arn: row for row in tx.target_groups},
            {row.arn: row for row in tx.listeners},
            {row.arn: row for row in tx.rules},
        )
    number = f"ecs-svc/{tx.ids.digits(19)}"
    return TaskSet(
        arn=ctx.arns.service_child("task-set", service.cluster_name, service.name, number),
        id=number,
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        task_definition_arn=task_definition.arn,
        created_at=tx.now,
        updated_at=tx.now,
        external_id=request.external_id,
        launch_type=launch_type,
        platform_version=request.platform_version,
        network_configuration=network,
        load_balancers=load_balancers,
        scale_percent=checked_scale(request.scale),
        stability_status_at=tx.now,
        tags=check_tags(request.tags),
    )


@operation(shapes.SERVICE, "UpdateTaskSet")
def update_task_set(ctx: Context, tx: Tx, request: shapes.UpdateTaskSetRequest) -> shapes.UpdateTaskSetResponse:
    """Another scale."""
    service = _external_service(ctx, tx, request.cluster, request.service)
    task_set = find_task_set(ctx, tx, service, request.task_set)
    if task_set.status == "DRAINING":
        raise shapes.InvalidParameterException("The task set is being deleted.")
    percent = checked_scale(request.scale)
    if percent != task_set.scale_percent:
        task_set = replace(
            task_set,
            scale_percent=percent,
            updated_at=tx.now,
            stability_status="STABILIZING",
            stability_status_at=tx.now,
        )
        tx.task_sets.put(task_set)
    return shapes.UpdateTaskSetResponse(task_set=_view(tx, task_set, service))


@operation(shapes.SERVICE, "UpdateServicePrimaryTaskSet")
def update_service_primary_task_set(
    ctx: Context, tx: Tx, request: shapes.UpdateServicePrimaryTaskSetRequest
) -> shapes.UpdateServicePrimaryTaskSetResponse:
    """The task set is what the service stands for from now on; the former primary one becomes ACTIVE."""
    service = _external_service(ctx, tx, request.cluster, request.service)
    primary = find_task_set(ctx, tx, service, request.primary_task_set)
    if primary.status == "DRAINING":
        raise shapes.InvalidParameterException("The task set is being deleted.")
    for row in tx.task_sets.by(service_arn=service.arn):
        if row.status == "PRIMARY" and row.arn != primary.arn:
            tx.task_sets.put(replace(row, status="ACTIVE", updated_at=tx.now))
    if primary.status != "PRIMARY":
        primary = replace(primary, status="PRIMARY", updated_at=tx.now)
        tx.task_sets.put(primary)
    tx.services.put(replace(service, primary_task_set_id=primary.id, task_definition_arn=primary.task_definition_arn))
    return shapes.UpdateServicePrimaryTaskSetResponse(task_set=_view(tx, primary, service))


@operation(shapes.SERVICE, "DeleteTaskSet")
def delete_task_set(ctx: Context, tx: Tx, request: shapes.DeleteTaskSetRequest) -> shapes.DeleteTaskSetResponse:
    """The task set is DRAINING until its tasks are gone. The primary one cannot be deleted.

    `force` changes nothing: though the API reference says what it is for, ECS takes the call without it whatever the
    scale (the acceptance tests of Terraform's AWS provider destroy a task set at 100 % with `force` false).
    """
    service = _external_service(ctx, tx, request.cluster, request.service)
    task_set = find_task_set(ctx, tx, service, request.task_set)
    if task_set.status == "PRIMARY":
        raise shapes.InvalidParameterException("Primary TaskSet cannot be deleted")
    if task_set.status != "DRAINING":
        task_set = replace(task_set, status="DRAINING", scale_percent=0.0, updated_at=tx.now)
        tx.task_sets.put(task_set)
    return shapes.DeleteTaskSetResponse(task_set=_view(tx, task_set, service))


@operation(shapes.SERVICE, "DescribeTaskSets")
def describe_task_sets(
    ctx: Context, tx: Tables, request: shapes.DescribeTaskSetsRequest
) -> shapes.DescribeTaskSetsResponse:
    """The named task sets of a service, or all of them."""
    service = _external_service(ctx, tx, request.cluster, request.service)
    with_tags = "TAGS" in (request.include or ())
    if request.task_sets:
        rows, failures = describe_many(
            request.task_sets,
            lambda name: lookup_task_set(ctx, tx, service, name),
            lambda name: _arn(ctx, service, name),
        )
    else:
        rows, failures = tx.task_sets.by(service_arn=service.arn), ()
    counts = counts_of(tx, service)
    return shapes.DescribeTaskSetsResponse(
        task_sets=tuple(task_set_view(row, service, counts, with_tags=with_tags) for row in rows), failures=failures
    )


def _arn(ctx: Context, service: Service, name: str) -> str:
    if name.startswith("arn:"):
        return name
    number = name.removeprefix("ecs-svc/")
    return ctx.arns.service_child("task-set", service.cluster_name, service.name, f"ecs-svc/{number}")


def _external_service(ctx: Context, tx: Tables, cluster_name: str, service_name: str) -> Service:
    """The service, which must have the EXTERNAL deployment controller."""
    cluster = find_cluster(ctx, tx, cluster_name)
    service = find_active_service(ctx, tx, cluster, service_name)
    if service.deployment_controller != "EXTERNAL":
        raise shapes.InvalidParameterException(
            "Amazon ECS only supports task set management on services configured to use external deployment controllers."
        )
    return service


def _view(tx: Tables, task_set: TaskSet, service: Service) -> shapes.TaskSet:
    return task_set_view(task_set, service, counts_of(tx, service), with_tags=True)
