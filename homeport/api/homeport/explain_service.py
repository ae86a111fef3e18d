"""ExplainService: what keeps a service from its steady state, in sentences with numbers."""

from homeport.api.ecs.find import find_cluster, find_service
from homeport.api.operation import Context, operation
from homeport.model.new_task import task_template
from homeport.model.rules.capabilities import placement_attributes
from homeport.model.rules.launch import EXTERNAL
from homeport.model.service import Service
from homeport.scheduler.explain import Explanation, explain
from homeport.scheduler.explain_service import Facts, kept, last_failure, steady_sentence, waits_of
from homeport.scheduler.place import Wanted
from homeport.shapes import homeport as shapes
from homeport.store.store import Tx


@operation(shapes.SERVICE, "ExplainService")
def explain_service(ctx: Context, tx: Tx, request: shapes.ExplainServiceRequest) -> shapes.ExplainServiceResponse:
    """Looks at rows only, and tries in the scheduler's memory where missing tasks would go."""
    cluster = find_cluster(ctx, tx, request.cluster)
    service = find_service(ctx, tx, cluster, request.service)
    facts = _facts(ctx, tx, service)
    waits = waits_of(facts)
    return shapes.ExplainServiceResponse(
        service_arn=service.arn,
        steady=not waits,
        summary=" ".join(waits) or steady_sentence(facts),
        waits_for=waits,
    )


def _facts(ctx: Context, tx: Tx, service: Service) -> Facts:
    tasks = tuple(task for task in tx.tasks.by(unsettled_of=service.arn) if not task.is_stopped)
    deployments = tuple(tx.deployments.by(service_arn=service.arn))
    task_sets = tuple(tx.task_sets.by(service_arn=service.arn))
    starters = {each.id for each in deployments} | {each.id for each in task_sets}
    attempts = tx.service_deployments.by(service_arn=service.arn)
    return Facts(
        service=service,
        deployments=deployments,
        attempt=max(attempts, key=lambda each: each.created_at, default=None),
        task_sets=task_sets,
        tasks=tasks,
        targets={task.arn: targets for task in tasks if (targets := tx.targets.by(owner=task.arn))},
        placement=_placement(ctx, tx, service, service.desired_count - len(kept(tasks))),
        now=tx.now,
        failure=last_failure(tx.tasks.by(service_arn=service.arn), starters),
    )


def _placement(ctx: Context, tx: Tx, service: Service, missing: int) -> Explanation | None:
    """Where `missing` more tasks of the service could go now."""
    row = tx.task_definitions.get(service.task_definition_arn or "")
    if row is None or missing <= 0 or service.status != "ACTIVE":
        return None
    definition = row.definition
    required = placement_attributes(definition)
    template = task_template(
        row, cluster_arn=service.cluster_arn, created_at=tx.now, group=service.group, launch_type=service.launch_type
    )
    wanted = Wanted(
        cluster_arn=service.cluster_arn,
        count=missing,
        resources=template.resources,
        group=service.group,
        constraints=(*(definition.placement_constraints or ()), *service.placement_constraints),
        strategies=service.placement_strategy,
        required_attributes=(*required, EXTERNAL) if service.launch_type == "EXTERNAL" else required,
    )
    return explain(ctx.world.fleet, wanted, tx.rng(service.arn))
