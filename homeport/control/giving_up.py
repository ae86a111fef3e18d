"""Which tasks of a service go first, how they go, and which go so that others have room."""

from collections.abc import Sequence

from homeport.control.health import CONTAINERS_FAILED, Judged, View
from homeport.control.rollout import STOP_FIRST, Condition, LiveTask
from homeport.control.scale_in import DEFAULT_STRATEGY, give_up_order
from homeport.control.service_round import Round, by_arn
from homeport.control.service_tasks import Launch, runnable_definition, stop_tasks, template_of, wanted_of
from homeport.model import service_events
from homeport.model.target_health import FAILED_STATES
from homeport.model.task import Task
from homeport.scheduler.give_way import Candidate, giving_way


def in_order(round_: Round, tasks: list[LiveTask], enough: int) -> list[LiveTask]:
    """The tasks in the order in which they are given up; any order will do while none has to be."""
    primary_id = round_.service.primary_deployment_id
    if len(tasks) <= enough and all(task.deployment_id == primary_id and not task.is_leaving for task in tasks):
        return tasks
    rows = by_arn(round_.live)
    strategies = round_.service.placement_strategy or DEFAULT_STRATEGY
    ordered = give_up_order(
        [rows[task.arn] for task in tasks], strategies, round_.fleet, round_.tx.rng(round_.service.arn)
    )
    by_key = {task.arn: task for task in tasks}
    return [by_key[task.arn] for task in ordered]


def give_up(round_: Round, task: Task, verdict: Judged) -> None:
    """Stop a task; one that failed its checks is a failure of its deployment, and is said to be unhealthy."""
    if verdict.condition is not Condition.UNHEALTHY:
        stop_tasks(round_, [task])
        _want_one_less(round_, task.started_by or "")
        return
    _say_unhealthy(round_, task, verdict)
    stop_tasks(round_, [task], verdict.failure)
    deployment = round_.deployments.get(task.started_by or "")
    if deployment is not None:
        round_.change_deployment(deployment.id, failed_tasks=deployment.failed_tasks + 1)


def _want_one_less(round_: Round, deployment_id: str) -> None:
    """What an older deployment has given up it does not get back; a task that it had too many is no loss."""
    older = round_.deployments.get(deployment_id)
    if older is None or older.status != "ACTIVE":
        return
    if sum(task.started_by == older.id for task in round_.kept) < older.desired_count:
        round_.change_deployment(older.id, desired_count=older.desired_count - 1)


def _say_unhealthy(round_: Round, task: Task, verdict: Judged) -> None:
    if verdict.failure == CONTAINERS_FAILED:
        round_.say(service_events.unhealthy_containers(task.id))
    for target in round_.tx.targets.by(owner=task.arn):
        if target.state in FAILED_STATES:
            why = target.description or target.reason or "Health checks failed"
            group_arn = target.target_group_arn
            round_.say(service_events.unhealthy_target(task.id, target.id, target.port, group_arn, why))


def make_room(
    round_: Round, view: View, launch: Launch, missing: int, replaced: Sequence[LiveTask], spare: int
) -> None:
    """Have tasks give way to `missing` ones that no container instance has room for; `replaced` are those that they are
    to replace, of which `spare` healthy ones may go before their replacements are there.

    Source: API reference, DeploymentConfiguration: a minimum healthy percent below 100 lets a service be deployed
    without additional capacity. Tasks of instances that drain go whether or not that makes room; an unhealthy task that
    cannot have its replacement first goes first, one at a time. While something is stopping there may soon be room
    anyway.
    """
    definition = runnable_definition(round_, launch)
    if missing <= 0 or definition is None or round_.stopping():
        return
    rows = by_arn(round_.kept)
    may_go = [
        task
        for condition in STOP_FIRST
        for task in in_order(round_, list(replaced), 0)
        if task.condition is condition and not task.is_protected
    ]
    going = _of_draining_instances(may_go, missing, spare)
    if not going:
        wanted = wanted_of(round_, template_of(round_, launch, definition), definition, missing)
        older = [task for task in may_go if task.deployment_id != launch.owner]
        unhealthy = [task for task in may_go if task.deployment_id == launch.owner and _is_unhealthy(task)]
        going = [task.arn for task in giving_way(round_.fleet, wanted, _candidates(older, rows), spare)]
        if not going:
            going = [task.arn for task in giving_way(round_.fleet, wanted, _candidates(unhealthy, rows), 0)][:1]
    for arn in going:
        give_up(round_, rows[arn], view.judged[arn])


def _of_draining_instances(may_go: Sequence[LiveTask], most: int, spare: int) -> list[str]:
    leaving = [task for task in may_go if task.is_leaving]
    healthy = [task for task in leaving if task.condition is Condition.HEALTHY][:spare]
    return [task.arn for task in leaving if task.condition is not Condition.HEALTHY or task in healthy][:most]


def _is_unhealthy(task: LiveTask) -> bool:
    return task.condition is Condition.UNHEALTHY


def _candidates(tasks: Sequence[LiveTask], rows: dict[str, Task]) -> list[Candidate]:
    return [Candidate(rows[task.arn], task.condition is Condition.HEALTHY) for task in tasks if task.arn in rows]
