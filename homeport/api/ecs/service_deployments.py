"""Service deployments and service revisions: the history of a service, and the brakes of a deployment under way."""

from msgspec.structs import replace

from homeport.api.ecs.find import find_cluster, find_service
from homeport.api.ecs.service_views import revision_view, service_deployment_view
from homeport.api.failures import describe_many
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.base.arn import parse_arn
from homeport.model.deployment import ServiceDeployment
from homeport.model.lifecycle_hooks import continued
from homeport.model.lifecycle_hooks import find as find_hook
from homeport.model.service_history import is_outdated
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_DESCRIBED = 20
DEFAULT_LISTED = 20
STOPPED_BY_USER = "Service deployment stopped by user."
ROLLED_BACK_BY_USER = "Service deployment was rolled back by a user request."
_FAR_FUTURE = 1e11


@operation(shapes.SERVICE, "DescribeServiceDeployments")
def describe_service_deployments(
    ctx: Context, tx: Tables, request: shapes.DescribeServiceDeploymentsRequest
) -> shapes.DescribeServiceDeploymentsResponse:
    arns = _checked(ctx, request.service_deployment_arns, "service-deployment")
    rows, failures = describe_many(arns, tx.service_deployments.get, str)
    return shapes.DescribeServiceDeploymentsResponse(
        service_deployments=tuple(service_deployment_view(tx, row) for row in rows), failures=failures
    )


@operation(shapes.SERVICE, "DescribeServiceRevisions")
def describe_service_revisions(
    ctx: Context, tx: Tables, request: shapes.DescribeServiceRevisionsRequest
) -> shapes.DescribeServiceRevisionsResponse:
    arns = _checked(ctx, request.service_revision_arns, "service-revision")
    rows, failures = describe_many(arns, tx.service_revisions.get, str)
    return shapes.DescribeServiceRevisionsResponse(
        service_revisions=tuple(revision_view(tx, row) for row in rows), failures=failures
    )


def _checked(ctx: Context, arns: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """One to twenty ARNs of the kind."""
    if not 1 <= len(arns) <= MOST_DESCRIBED:
        raise shapes.InvalidParameterException(f"Specify between 1 and {MOST_DESCRIBED} ARNs.")
    for text in arns:
        _check_arn(ctx, text, kind)
    return arns


def _check_arn(ctx: Context, text: str, kind: str) -> None:
    arn = parse_arn(text)
    if arn is None or arn.service != "ecs" or arn.kind != kind or not ctx.arns.owns(arn):
        raise shapes.InvalidParameterException(f"Invalid {kind} ARN: {text}")


@operation(shapes.SERVICE, "ListServiceDeployments")
def list_service_deployments(
    ctx: Context, tx: Tx, request: shapes.ListServiceDeploymentsRequest
) -> shapes.ListServiceDeploymentsResponse:
    """Attempts of a service in the last 90 days, newest first."""
    cluster = find_cluster(ctx, tx, request.cluster)
    service = find_service(ctx, tx, cluster, request.service)
    rows = [
        row
        for row in tx.service_deployments.by(service_arn=service.arn)
        if _is_listed(row, request) and not is_outdated(row, tx.now)
    ]
    page, token = paginate(
        sorted(rows, key=_newest_first),
        key=_newest_first,
        token=request.next_token,
        limit=request.max_results,
        default=DEFAULT_LISTED,
    )
    return shapes.ListServiceDeploymentsResponse(
        service_deployments=tuple(_brief(row) for row in page), next_token=token
    )


def _newest_first(row: ServiceDeployment) -> str:
    """A text that sorts the newer before the older."""
    return f"{_FAR_FUTURE - row.created_at:020.6f} {row.arn}"


def _is_listed(row: ServiceDeployment, request: shapes.ListServiceDeploymentsRequest) -> bool:
    created = request.created_at
    if created is not None and created.before is not None and row.created_at >= created.before:
        return False
    if created is not None and created.after is not None and row.created_at <= created.after:
        return False
    return not request.status or row.status in request.status


def _brief(row: ServiceDeployment) -> shapes.ServiceDeploymentBrief:
    return shapes.ServiceDeploymentBrief(
        service_deployment_arn=row.arn,
        service_arn=row.service_arn,
        cluster_arn=row.cluster_arn,
        started_at=row.started_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
        target_service_revision_arn=row.target_revision_arn,
        status=row.status,
        status_reason=row.status_reason,
    )


@operation(shapes.SERVICE, "StopServiceDeployment")
def stop_service_deployment(
    ctx: Context, tx: Tx, request: shapes.StopServiceDeploymentRequest
) -> shapes.StopServiceDeploymentResponse:
    """Ask for the end of an attempt: back to where the service was (ROLLBACK, the default), or where it is (ABORT)."""
    row = _find(ctx, tx, request.service_deployment_arn)
    is_rollback = (request.stop_type or "ROLLBACK") == "ROLLBACK"
    wanted: shapes.ServiceDeploymentStatus = "ROLLBACK_REQUESTED" if is_rollback else "STOP_REQUESTED"
    if row.status not in ("PENDING", "IN_PROGRESS", wanted):
        raise shapes.ConflictException(
            f"The service deployment can not be stopped in the status {row.status}.", resourceIds=[row.arn]
        )
    if row.status != wanted:
        reason = ROLLED_BACK_BY_USER if is_rollback else STOPPED_BY_USER
        tx.service_deployments.put(replace(row, status=wanted, status_reason=reason, updated_at=tx.now))
    return shapes.StopServiceDeploymentResponse(service_deployment_arn=row.arn)


@operation(shapes.SERVICE, "ContinueServiceDeployment")
def continue_service_deployment(
    ctx: Context, tx: Tx, request: shapes.ContinueServiceDeploymentRequest
) -> shapes.ContinueServiceDeploymentResponse:
    """Answer a PAUSE hook that waits: go on (the default), or roll back."""
    row = _find(ctx, tx, request.service_deployment_arn)
    if find_hook(row, request.hook_id) is None:
        raise shapes.InvalidParameterException(f"The service deployment has no lifecycle hook {request.hook_id}.")
    answered = continued(row, request.hook_id, request.action or "CONTINUE", tx.now)
    if answered is None:
        raise shapes.InvalidParameterException(f"The lifecycle hook {request.hook_id} does not await an action.")
    tx.service_deployments.put(answered)
    return shapes.ContinueServiceDeploymentResponse(service_deployment_arn=row.arn)


def _find(ctx: Context, tx: Tables, text: str) -> ServiceDeployment:
    _check_arn(ctx, text, "service-deployment")
    row = tx.service_deployments.get(text)
    if row is None:
        raise shapes.ServiceDeploymentNotFoundException("Service deployment not found.")
    return row
