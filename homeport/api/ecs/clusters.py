"""Clusters: create, describe, list, update, delete.

A cluster is idempotent by its name. A deleted one stays discoverable as INACTIVE for a while, hidden from ListClusters,
and its name may be used again at once.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from homeport.api.ecs.account_settings import effective_value
from homeport.api.ecs.find import DEFAULT_CLUSTER, cluster_name, find_cluster, lookup_cluster
from homeport.api.failures import describe_many
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.model.cluster import Cluster
from homeport.model.rules.cluster import check_configuration, check_not_built, checked_settings
from homeport.model.rules.names import check_cluster_name
from homeport.model.rules.tags import check_tags
from homeport.model.status import TaskStatus
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_DESCRIBED = 100
MOST_CLUSTERS = 10_000
_PENDING = (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
_LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")
_EVERYTHING: frozenset[shapes.ClusterField] = frozenset({"SETTINGS", "CONFIGURATIONS", "TAGS"})


@operation(shapes.SERVICE, "CreateCluster")
def create_cluster(ctx: Context, tx: Tx, request: shapes.CreateClusterRequest) -> shapes.CreateClusterResponse:
    """A new cluster, or the ACTIVE one of that name if it is as asked for."""
    name = request.cluster_name or DEFAULT_CLUSTER
    check_cluster_name(name)
    check_configuration(request.configuration)
    check_not_built(
        request.capacity_providers, request.default_capacity_provider_strategy, request.service_connect_defaults
    )
    insights = effective_value(ctx, tx, ctx.identity.principal_arn, "containerInsights")
    wanted = Cluster(
        arn=ctx.arns.cluster(name),
        name=name,
        settings=checked_settings(request.settings, insights),
        configuration=request.configuration,
        tags=check_tags(request.tags),
        created_at=tx.now,
    )
    existing = tx.clusters.get(wanted.arn)
    if existing is None or existing.status == "INACTIVE":
        _check_quota(tx)
        tx.clusters.put(wanted)
        existing = wanted
    elif _differs(request, existing, wanted):
        raise shapes.InvalidParameterException(
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
        )
    return shapes.CreateClusterResponse(cluster=view(tx, existing, _EVERYTHING))


def _check_quota(tx: Tx) -> None:
    if len(tx.clusters) >= MOST_CLUSTERS and sum(1 for row in tx.clusters if row.status == "ACTIVE") >= MOST_CLUSTERS:
        raise shapes.ClientException(f"The maximum number of clusters is {MOST_CLUSTERS}.")


def _differs(request: shapes.CreateClusterRequest, existing: Cluster, wanted: Cluster) -> bool:
    """Whether a repeated CreateCluster says, where it says anything, something else than the cluster that is there."""
    return bool(
        (request.settings is not None and existing.settings != wanted.settings)
        or (request.configuration is not None and existing.configuration != wanted.configuration)
        or (request.tags and existing.tags != wanted.tags)
    )


@operation(shapes.SERVICE, "DescribeClusters")
def describe_clusters(
    ctx: Context, tx: Tables, request: shapes.DescribeClustersRequest
) -> shapes.DescribeClustersResponse:
    names = request.clusters or (DEFAULT_CLUSTER,)
    if len(names) > MOST_DESCRIBED:
        raise shapes.InvalidParameterException(f"clusters can have at most {MOST_DESCRIBED} items.")
    include = frozenset(request.include or ())
    found, failures = describe_many(
        names,
        lambda name: lookup_cluster(ctx, tx, name),
        lambda name: ctx.arns.cluster(cluster_name(ctx, name)),
    )
    unique = {cluster.arn: cluster for cluster in found}.values()
    return shapes.DescribeClustersResponse(
        clusters=tuple(view(tx, cluster, include) for cluster in unique), failures=failures
    )


@operation(shapes.SERVICE, "ListClusters")
def list_clusters(
    ctx: Context,  # noqa: ARG001 - the signature of every handler
    tx: Tables,
    request: shapes.ListClustersRequest,
) -> shapes.ListClustersResponse:
    """ARNs of the ACTIVE clusters, in the order of their names."""
    arns = sorted(cluster.arn for cluster in tx.clusters if cluster.status == "ACTIVE")
    page, token = paginate(arns, key=str, token=request.next_token, limit=request.max_results)
    return shapes.ListClustersResponse(cluster_arns=page, next_token=token)


@operation(shapes.SERVICE, "UpdateCluster")
def update_cluster(ctx: Context, tx: Tx, request: shapes.UpdateClusterRequest) -> shapes.UpdateClusterResponse:
    """Replaces the settings and the configuration where they are given."""
    cluster = find_cluster(ctx, tx, request.cluster)
    check_configuration(request.configuration)
    check_not_built(None, None, request.service_connect_defaults)
    if request.settings is not None:
        cluster = replace(cluster, settings=checked_settings(request.settings, _insights(cluster)))
    if request.configuration is not None:
        cluster = replace(cluster, configuration=request.configuration)
    tx.clusters.put(cluster)
    return shapes.UpdateClusterResponse(cluster=view(tx, cluster, _EVERYTHING))


@operation(shapes.SERVICE, "UpdateClusterSettings")
def update_cluster_settings(
    ctx: Context, tx: Tx, request: shapes.UpdateClusterSettingsRequest
) -> shapes.UpdateClusterSettingsResponse:
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.settings:
        raise shapes.InvalidParameterException("settings can not be empty.")
    cluster = replace(cluster, settings=checked_settings(request.settings, _insights(cluster)))
    tx.clusters.put(cluster)
    return shapes.UpdateClusterSettingsResponse(cluster=view(tx, cluster, _EVERYTHING))


def _insights(cluster: Cluster) -> str:
    return next((setting.value or "" for setting in cluster.settings), "disabled")


@operation(shapes.SERVICE, "DeleteCluster")
def delete_cluster(ctx: Context, tx: Tx, request: shapes.DeleteClusterRequest) -> shapes.DeleteClusterResponse:
    """The cluster becomes INACTIVE; refused while anything is in it."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if _instances_count(tx, cluster):
        raise shapes.ClusterContainsContainerInstancesException(
            "The Cluster cannot be deleted while Container Instances are active or draining."
        )
    if any(_services_count(tx, cluster, status) for status in ("ACTIVE", "DRAINING")):
        raise shapes.ClusterContainsServicesException("The Cluster cannot be deleted while Services are active.")
    if any(not tx.tasks[key].is_stopped for key in tx.tasks.keys_by(cluster_arn=cluster.arn)):
        raise shapes.ClusterContainsTasksException("The Cluster cannot be deleted while Tasks are active.")
    cluster = replace(cluster, status="INACTIVE", deleted_at=tx.now, tags=())
    tx.clusters.put(cluster)
    return shapes.DeleteClusterResponse(cluster=view(tx, cluster, _EVERYTHING))


def view(tx: Tables, cluster: Cluster, include: frozenset[str]) -> shapes.Cluster:
    """The cluster as callers see it; `include` holds values of ClusterField. Lists that are not included are empty."""
    running = _task_counts(tx, cluster, (TaskStatus.RUNNING,))
    pending = _task_counts(tx, cluster, _PENDING)
    return shapes.Cluster(
        cluster_arn=cluster.arn,
        cluster_name=cluster.name,
        status=cluster.status,
        configuration=cluster.configuration if "CONFIGURATIONS" in include else None,
        registered_container_instances_count=_instances_count(tx, cluster),
        running_tasks_count=sum(running.values()),
        pending_tasks_count=sum(pending.values()),
        active_services_count=_services_count(tx, cluster, "ACTIVE"),
        statistics=_statistics(tx, cluster, running, pending) if "STATISTICS" in include else (),
        tags=cluster.tags if "TAGS" in include else (),
        settings=cluster.settings if "SETTINGS" in include else (),
        capacity_providers=cluster.capacity_providers,
        default_capacity_provider_strategy=cluster.default_capacity_provider_strategy,
        attachments=() if "ATTACHMENTS" in include else None,
    )


def _instances_count(tx: Tables, cluster: Cluster) -> int:
    """Registered container instances: ACTIVE and DRAINING."""
    keys = tx.container_instances.keys_by(cluster_arn=cluster.arn)
    return sum(1 for key in keys if tx.container_instances[key].status in ("ACTIVE", "DRAINING"))


def _services_count(tx: Tables, cluster: Cluster, status: str) -> int:
    return sum(1 for key in tx.services.keys_by(cluster_arn=cluster.arn) if tx.services[key].status == status)


def _task_counts(tx: Tables, cluster: Cluster, statuses: Iterable[TaskStatus]) -> dict[str, int]:
    """Tasks in one of the statuses, by launch type; read off an index, not counted."""
    return {
        launch_type: sum(tx.tasks.count(cluster_state=(cluster.arn, status, launch_type)) for status in statuses)
        for launch_type in _LAUNCH_TYPES
    }


def _statistics(
    tx: Tables, cluster: Cluster, running: dict[str, int], pending: dict[str, int]
) -> tuple[shapes.KeyValuePair, ...]:
    """Counts by launch type, under ECS's names for them. Services are counted as EC2's: they have no other yet."""
    kinds = {"EC2": "EC2", "Fargate": "FARGATE", "External": "EXTERNAL"}
    counts = {f"running{kind}TasksCount": running[launch_type] for kind, launch_type in kinds.items()}
    counts |= {f"pending{kind}TasksCount": pending[launch_type] for kind, launch_type in kinds.items()}
    for name, status in (("active", "ACTIVE"), ("draining", "DRAINING")):
        counts |= {f"{name}{kind}ServiceCount": 0 for kind in kinds}
        counts[f"{name}EC2ServiceCount"] = _services_count(tx, cluster, status)
    return tuple(shapes.KeyValuePair(name=name, value=str(count)) for name, count in counts.items())
