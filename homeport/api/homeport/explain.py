"""ExplainTask: RunTask as a dry run that answers why, for every container instance."""

from homeport.api.ecs.find import find_cluster
from homeport.api.ecs.run_task import planned
from homeport.api.operation import Context, operation
from homeport.scheduler.explain import Explained, explain
from homeport.shapes import ecs
from homeport.shapes import homeport as shapes
from homeport.store.store import Tx


@operation(shapes.SERVICE, "ExplainTask")
def explain_task(ctx: Context, tx: Tx, request: ecs.RunTaskRequest) -> shapes.ExplainTaskResponse:
    """Takes what RunTask takes and refuses what it refuses (but an empty cluster), and starts nothing."""
    cluster = find_cluster(ctx, tx, request.cluster)
    _, wanted = planned(ctx, tx, cluster, request)
    found = explain(ctx.world.fleet, wanted, tx.rng(cluster.arn))
    return shapes.ExplainTaskResponse(
        placeable=found.placeable_count == found.wanted_count,
        placeable_count=found.placeable_count,
        summary=found.summary,
        container_instances=tuple(_view(each) for each in found.instances),
    )


def _view(explained: Explained) -> shapes.ExplainedContainerInstance:
    instance, remaining = explained.instance, explained.remaining
    return shapes.ExplainedContainerInstance(
        container_instance_arn=instance.arn,
        ec2_instance_id=instance.ec2_instance_id,
        status=instance.status,
        agent_connected=instance.agent_connected,
        free_cpu=remaining.cpu_units,
        free_memory=remaining.memory_mib,
        free_gpu=remaining.gpu_count,
        reasons=tuple(shapes.Reason(reason=each.reason, detail=each.detail) for each in explained.obstacles),
    )
