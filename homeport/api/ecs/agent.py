"""What agents call: where to connect, and what has become of their tasks.

The Amazon ECS agent retries every error except InvalidParameterException, on which it forgets the report and never
cleans up after the task. Reports about tasks that are unknown here are therefore acknowledged: nobody needs them.
"""

from homeport.api.ecs.find import find_cluster, lookup_task
from homeport.api.operation import Context, operation
from homeport.base.arn import parse_arn
from homeport.base.log import get_logger
from homeport.model.task import Task
from homeport.model.task_report import apply_report, report_of_container, with_attachment_status
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("agent_operations")
ACS_PATH = "/acs"
TCS_PATH = "/tcs"
_ACKNOWLEDGED = "ACK"


@operation(shapes.SERVICE, "DiscoverPollEndpoint")
def discover_poll_endpoint(
    ctx: Context,
    tx: Tables,  # noqa: ARG001 - the signature of every handler
    request: shapes.DiscoverPollEndpointRequest,  # noqa: ARG001 - every agent connects to this very server
) -> shapes.DiscoverPollEndpointResponse:
    """Base URLs of the two websockets; agents append `/ws`."""
    return shapes.DiscoverPollEndpointResponse(
        endpoint=ctx.endpoint + ACS_PATH,
        telemetry_endpoint=ctx.endpoint + TCS_PATH,
        service_connect_endpoint=ctx.endpoint,
    )


@operation(shapes.SERVICE, "SubmitTaskStateChange")
def submit_task_state_change(
    ctx: Context, tx: Tx, request: shapes.SubmitTaskStateChangeRequest
) -> shapes.SubmitTaskStateChangeResponse:
    """A task's progress, with its containers' in the order in which it happened."""
    _fold(ctx, tx, request)
    return shapes.SubmitTaskStateChangeResponse(acknowledgment=_ACKNOWLEDGED)


@operation(shapes.SERVICE, "SubmitContainerStateChange")
def submit_container_state_change(
    ctx: Context, tx: Tx, request: shapes.SubmitContainerStateChangeRequest
) -> shapes.SubmitContainerStateChangeResponse:
    """One container's progress (agents batch it into the task's nowadays)."""
    _fold(ctx, tx, report_of_container(request))
    return shapes.SubmitContainerStateChangeResponse(acknowledgment=_ACKNOWLEDGED)


@operation(shapes.SERVICE, "SubmitAttachmentStateChanges")
def submit_attachment_state_changes(
    ctx: Context, tx: Tx, request: shapes.SubmitAttachmentStateChangesRequest
) -> shapes.SubmitAttachmentStateChangesResponse:
    """Attachments found by their ARN's id among the cluster's running tasks."""
    cluster = find_cluster(ctx, tx, request.cluster)
    changes = {change.attachment_arn.rsplit("/", 1)[-1]: change for change in request.attachments}
    for task in tx.tasks.by(cluster_desired=(cluster.arn, "RUNNING")):
        for attachment in task.attachments:
            if attachment.id in changes:
                tx.tasks.put(with_attachment_status(tx.tasks[task.arn], changes[attachment.id]))
    return shapes.SubmitAttachmentStateChangesResponse(acknowledgment=_ACKNOWLEDGED)


def _fold(ctx: Context, tx: Tx, report: shapes.SubmitTaskStateChangeRequest) -> None:
    task = _reported_task(ctx, tx, report)
    if task is None:
        log.info("report_of_unknown_task", task_arn=report.task, status=report.status)
        return
    updated = apply_report(task, report, tx.now)
    if updated is task:
        return
    tx.tasks.put(updated)
    if updated.last_status is not task.last_status:
        log.info(
            "task_reported",
            task_arn=task.arn,
            last_status=updated.last_status.value,
            stopped_reason=updated.stopped_reason,
            version=updated.version,
        )


def _reported_task(ctx: Context, tx: Tables, report: shapes.SubmitTaskStateChangeRequest) -> Task | None:
    """The row that a report is about, whatever the agent believes its cluster to be called."""
    text = report.task or ""
    if parse_arn(text) is not None:
        return tx.tasks.get(text)
    try:
        return lookup_task(ctx, tx, find_cluster(ctx, tx, report.cluster), text)
    except (shapes.InvalidParameterException, shapes.ClusterNotFoundException):
        return None
