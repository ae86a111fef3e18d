"""DescribeServices, ListServices and ListServicesByNamespace."""

from homeport.api.ecs.find import find_cluster, lookup_service
from homeport.api.ecs.service_views import service_view
from homeport.api.failures import describe_many
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.model.service import Service
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables

MOST_DESCRIBED = 10
DEFAULT_LISTED = 10


@operation(shapes.SERVICE, "DescribeServices")
def describe_services(
    ctx: Context, tx: Tables, request: shapes.DescribeServicesRequest
) -> shapes.DescribeServicesResponse:
    """Up to ten services by name or ARN; INACTIVE ones too, for as long as they are kept."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.services:
        raise shapes.InvalidParameterException("Services cannot be empty.")
    if len(request.services) > MOST_DESCRIBED:
        raise shapes.InvalidParameterException(f"Services cannot have more than {MOST_DESCRIBED} elements.")
    with_tags = "TAGS" in (request.include or ())
    found, failures = describe_many(
        request.services,
        lambda name: lookup_service(ctx, tx, cluster, name),
        lambda name: name if name.startswith("arn:") else ctx.arns.service(cluster.name, name),
    )
    unique = {service.arn: service for service in found}.values()
    return shapes.DescribeServicesResponse(
        services=tuple(service_view(ctx, tx, service, with_tags=with_tags) for service in unique), failures=failures
    )


@operation(shapes.SERVICE, "ListServices")
def list_services(ctx: Context, tx: Tables, request: shapes.ListServicesRequest) -> shapes.ListServicesResponse:
    """ARNs of the cluster's ACTIVE services, in order; ten to a page unless told."""
    cluster = find_cluster(ctx, tx, request.cluster)
    arns = sorted(row.arn for row in tx.services.by(cluster_arn=cluster.arn) if _is_listed(row, request))
    page, token = paginate(arns, key=str, token=request.next_token, limit=request.max_results, default=DEFAULT_LISTED)
    return shapes.ListServicesResponse(service_arns=page, next_token=token)


def _is_listed(service: Service, request: shapes.ListServicesRequest) -> bool:
    return (
        service.status == "ACTIVE"
        and request.launch_type in (None, service.launch_type)
        and request.scheduling_strategy in (None, service.scheduling_strategy)
        and request.resource_management_type in (None, "CUSTOMER")
    )


@operation(shapes.SERVICE, "ListServicesByNamespace")
def list_services_by_namespace(
    ctx: Context,  # noqa: ARG001 - the signature of every handler
    tx: Tables,  # noqa: ARG001
    request: shapes.ListServicesByNamespaceRequest,  # noqa: ARG001
) -> shapes.ListServicesByNamespaceResponse:
    """There are no Cloud Map namespaces, so whichever is asked for does not exist."""
    raise shapes.NamespaceNotFoundException("Namespace not found.")
