"""ExplainService: what keeps a service from its steady state, in sentences with numbers."""

from collections.abc import Iterable

from homeport.api.ecs.find import find_cluster, find_service
from homeport.api.operation import Context, operation
from homeport.model.container_instance import ContainerInstance
from homeport.model.deployment import Deployment, ServiceRevision
from homeport.model.new_task import task_template
from homeport.model.rules.capabilities import placement_attributes
from homeport.model.rules.launch import EXTERNAL
from homeport.model.service import Service, TaskSet
from homeport.model.task import Task
from homeport.scheduler.explain import Explanation, explain
from homeport.scheduler.explain_service import steady_sentence, waits_of
from homeport.scheduler.place import Wanted
from homeport.scheduler.service_facts import Facts, lacking, last_failure
from homeport.shapes import ecs
from homeport.shapes import homeport as shapes
from homeport.store.store import Tx

_ONE_AN_INSTANCE = ecs.PlacementConstraint(type="distinctInstance")
"""What the DAEMON strategy says without being told."""


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
    instances = _instances(tx, tasks)
    facts = Facts(
        service=service,
        deployments=deployments,
        attempt=max(attempts, key=lambda each: each.created_at, default=None),
        task_sets=task_sets,
        tasks=tasks,
        targets={task.arn: targets for task in tasks if (targets := tx.targets.by(owner=task.arn))},
        now=tx.now,
        draining=frozenset(row.arn for row in instances if row.status == "DRAINING"),
        away=frozenset(row.arn for row in instances if not row.agent_connected),
        resolving=frozenset(each.id for each in deployments if _is_resolving(tx, each)),
        expected_targets=_expected_targets(tx, deployments, task_sets),
        failure=last_failure(tx.tasks.by(service_arn=service.arn), starters),
    )
    return facts._replace(placements=_placements(ctx, tx, facts))


def _instances(tx: Tx, tasks: Iterable[Task]) -> list[ContainerInstance]:
    """The container instances of these tasks."""
    arns = {task.container_instance_arn or "" for task in tasks}
    return [row for arn in arns if (row := tx.container_instances.get(arn)) is not None]


def _expected_targets(tx: Tx, deployments: Iterable[Deployment], task_sets: Iterable[TaskSet]) -> dict[str, int]:
    holders: dict[str, ServiceRevision | TaskSet | None] = {each.id: each for each in task_sets}
    holders |= {each.id: tx.service_revisions.get(each.revision_arn) for each in deployments}
    return {owner: len(holder.load_balancers) for owner, holder in holders.items() if holder is not None}


def _is_resolving(tx: Tx, deployment: Deployment) -> bool:
    revision = tx.service_revisions.get(deployment.revision_arn)
    return revision is not None and not revision.digests_resolved


def _placements(ctx: Context, tx: Tx, facts: Facts) -> dict[str, Explanation]:
    """Where the tasks could go now that deployments and task sets lack."""
    if facts.service.status != "ACTIVE":
        return {}
    lack = lacking(facts)
    owners: tuple[Deployment | TaskSet, ...] = (*facts.deployments, *facts.task_sets)
    found = {each.id: _placement(ctx, tx, facts.service, each, lack[each.id]) for each in owners if each.id in lack}
    return {owner: placement for owner, placement in found.items() if placement is not None}


def _placement(ctx: Context, tx: Tx, service: Service, owner: Deployment | TaskSet, missing: int) -> Explanation | None:
    row = tx.task_definitions.get(owner.task_definition_arn)
    if row is None:
        return None
    definition = row.definition
    required = placement_attributes(definition)
    launch_type = owner.launch_type or "EC2"
    template = task_template(
        row, cluster_arn=service.cluster_arn, created_at=tx.now, group=service.group, launch_type=launch_type
    )
    is_daemon = service.scheduling_strategy == "DAEMON"
    wanted = Wanted(
        cluster_arn=service.cluster_arn,
        count=missing,
        resources=template.resources,
        group=service.group,
        constraints=(
            *(definition.placement_constraints or ()),
            *service.placement_constraints,
            *((_ONE_AN_INSTANCE,) if is_daemon else ()),
        ),
        strategies=service.placement_strategy,
        required_attributes=(*required, EXTERNAL) if launch_type == "EXTERNAL" else required,
    )
    return explain(ctx.world.fleet, wanted, tx.rng(service.arn))
