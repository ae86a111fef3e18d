"""Tags of clusters, services, task sets, tasks, task definitions and container instances, by ARN."""

from collections.abc import Callable

from msgspec.structs import replace

from homeport.api.operation import Context, operation
from homeport.base.arn import Arn, parse_arn
from homeport.base.errors import ApiError
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.rules.tags import Tags, merged_tags, without_tags
from homeport.model.service import Service, TaskSet
from homeport.model.task import Task
from homeport.model.task_definition import TaskDefinition
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

Row = Cluster | Service | TaskSet | Task | TaskDefinition | ContainerInstance


@operation(shapes.SERVICE, "TagResource")
def tag_resource(ctx: Context, tx: Tx, request: shapes.TagResourceRequest) -> shapes.TagResourceResponse:
    _change(ctx, tx, request.resource_arn, lambda tags: merged_tags(tags, request.tags))
    return shapes.TagResourceResponse()


@operation(shapes.SERVICE, "UntagResource")
def untag_resource(ctx: Context, tx: Tx, request: shapes.UntagResourceRequest) -> shapes.UntagResourceResponse:
    _change(ctx, tx, request.resource_arn, lambda tags: without_tags(tags, request.tag_keys))
    return shapes.UntagResourceResponse()


@operation(shapes.SERVICE, "ListTagsForResource")
def list_tags_for_resource(
    ctx: Context, tx: Tables, request: shapes.ListTagsForResourceRequest
) -> shapes.ListTagsForResourceResponse:
    row = _find(ctx, tx, request.resource_arn, shapes.InvalidParameterException)
    return shapes.ListTagsForResourceResponse(tags=row.tags)


def _change(ctx: Context, tx: Tx, arn: str, change: Callable[[Tags], Tags]) -> None:
    """Give the resource the tags that `change` makes of its present ones."""
    row = _find(ctx, tx, arn, shapes.ResourceNotFoundException)
    changed = replace(row, tags=change(row.tags))
    if isinstance(changed, Cluster):
        tx.clusters.put(changed)
    elif isinstance(changed, Service):
        tx.services.put(changed)
    elif isinstance(changed, TaskSet):
        tx.task_sets.put(changed)
    elif isinstance(changed, Task):
        tx.tasks.put(changed)
    elif isinstance(changed, TaskDefinition):
        tx.task_definitions.put(changed)
    else:
        tx.container_instances.put(changed)


def _find(ctx: Context, tx: Tables, text: str, missing: type[ApiError]) -> Row:
    """The resource with this ARN; one that is gone or going raises, as does an ARN that can have no tags."""
    arn = parse_arn(text)
    if arn is None or arn.service != "ecs":
        raise shapes.InvalidParameterException(f"Invalid resource ARN: {text}")
    if not ctx.arns.owns(arn):
        raise missing("The specified resource is in another account or region.")
    if arn.kind == "cluster":
        return _active_cluster(tx, text)
    row = _lookup(tx, arn, text)
    if row is None:
        raise missing(f"The specified {arn.kind} was not found. Specify a valid {arn.kind} and try again.")
    if isinstance(row, Task) and row.is_stopped:
        raise shapes.InvalidParameterException("The specified task is stopped. Specify a running task and try again.")
    if isinstance(row, Service) and row.status != "ACTIVE":
        raise shapes.InvalidParameterException(
            "The specified service is inactive. Specify an active service and try again."
        )
    return row


def _active_cluster(tx: Tables, arn: str) -> Cluster:
    cluster = tx.clusters.get(arn)
    if cluster is None:
        raise shapes.ClusterNotFoundException("Cluster not found.")
    if cluster.status == "INACTIVE":
        raise shapes.InvalidParameterException(
            "The specified cluster is inactive. Specify an active cluster and try again."
        )
    return cluster


def _lookup(tx: Tables, arn: Arn, text: str) -> Row | None:
    if arn.kind == "service":
        if len(arn.parts) == 1:
            raise shapes.InvalidParameterException("Long arn format must be used for tagging operations")
        return tx.services.get(text)
    if arn.kind == "task-set":
        return tx.task_sets.get(text)
    if arn.kind == "task":
        return tx.tasks.get(text)
    if arn.kind == "task-definition":
        row = tx.task_definitions.get(text)
        return None if row is None or row.status == "DELETE_IN_PROGRESS" else row
    if arn.kind == "container-instance":
        instance = tx.container_instances.get(text)
        return None if instance is None or instance.status == "INACTIVE" else instance
    raise shapes.InvalidParameterException(f"Unsupported resource type: {arn.kind}")
