"""Tasks after their start: StopTask, DescribeTasks, ListTasks."""

from collections.abc import Callable
from heapq import nsmallest

from homeport.api.ecs.find import find_cluster, find_container_instance, find_service, find_task, lookup_task
from homeport.api.failures import describe_many
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate, read_token
from homeport.model.cluster import Cluster
from homeport.model.status import DesiredStatus, StopCode
from homeport.model.task import Task
from homeport.model.task_report import LONGEST_REASON, ended_task
from homeport.model.task_view import VIEWS
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_DESCRIBED = 100
MOST_LISTED = 100
STOPPED_BY_USER = "Task stopped by user"


@operation(shapes.SERVICE, "StopTask")
def stop_task(ctx: Context, tx: Tx, request: shapes.StopTaskRequest) -> shapes.StopTaskResponse:
    """Ask for the end of a task; one that no agent knows of ends here and now. Stopping twice changes nothing."""
    cluster = find_cluster(ctx, tx, request.cluster)
    task = find_task(ctx, tx, cluster, request.task)
    reason = request.reason or STOPPED_BY_USER
    if len(reason) > LONGEST_REASON:
        raise shapes.InvalidParameterException(f"Reason must not be longer than {LONGEST_REASON} characters.")
    if _has_agent(tx, task):
        stopping = task.stopping(StopCode.USER_INITIATED, reason, tx.now)
    else:
        stopping = ended_task(task, StopCode.USER_INITIATED, reason, tx.now)
    tx.tasks.put(stopping)
    return shapes.StopTaskResponse(task=VIEWS.view(stopping))


def _has_agent(tx: Tables, task: Task) -> bool:
    """Whether the task is on a container instance that will be told, once its agent is there again."""
    instance = tx.container_instances.get(task.container_instance_arn or "")
    return instance is not None and instance.status != "INACTIVE"


@operation(shapes.SERVICE, "DescribeTasks")
def describe_tasks(ctx: Context, tx: Tables, request: shapes.DescribeTasksRequest) -> shapes.DescribeTasksResponse:
    """Up to 100 tasks by id or ARN."""
    cluster = find_cluster(ctx, tx, request.cluster)
    if not request.tasks:
        raise shapes.InvalidParameterException("Tasks cannot be empty.")
    if len(request.tasks) > MOST_DESCRIBED:
        raise shapes.InvalidParameterException(f"Tasks cannot have more than {MOST_DESCRIBED} elements.")
    with_tags = "TAGS" in (request.include or ())
    tasks, failures = describe_many(
        request.tasks, _finder(ctx, tx, cluster), lambda name: _task_arn(ctx, cluster, name)
    )
    return shapes.DescribeTasksResponse(
        tasks=tuple(VIEWS.view(task, with_tags=with_tags) for task in tasks), failures=failures
    )


def _finder(ctx: Context, tx: Tables, cluster: Cluster) -> Callable[[str], Task | None]:
    """A look-up that knows the ARNs of this very cluster by sight and takes every other form apart."""
    get, prefix, length = tx.tasks.get, ctx.arns.task(cluster.name, ""), len(ctx.arns.task(cluster.name, "")) + 32

    def find(name: str) -> Task | None:
        if len(name) == length and name.startswith(prefix):
            return get(name)
        return lookup_task(ctx, tx, cluster, name)

    return find


def _task_arn(ctx: Context, cluster: Cluster, name: str) -> str:
    return name if name.startswith("arn:") else ctx.arns.task(cluster.name, name)


@operation(shapes.SERVICE, "ListTasks")
def list_tasks(ctx: Context, tx: Tables, request: shapes.ListTasksRequest) -> shapes.ListTasksResponse:
    """ARNs of the tasks that every given filter lets through, in order of their ARNs; RUNNING ones unless asked."""
    cluster = find_cluster(ctx, tx, request.cluster)
    _check_filters(request)
    if request.max_results is not None and not 1 <= request.max_results <= MOST_LISTED:
        raise shapes.InvalidParameterException(f"maxResults must be between 1 and {MOST_LISTED}.")
    last = read_token(request.next_token) if request.next_token else ""
    later = (arn for arn in _matching(ctx, tx, cluster, request) if arn > last)
    # Only one page (and one more, to know that there is one) of what may be 100,000 ARNs has to be in order.
    arns, token = paginate(
        nsmallest(MOST_LISTED + 1, later), key=str, token=request.next_token, limit=request.max_results
    )
    return shapes.ListTasksResponse(task_arns=arns, next_token=token)


def _check_filters(request: shapes.ListTasksRequest) -> None:
    """`startedBy` and `serviceName` stand alone, but for the cluster and the desired status; there are no daemons."""
    others = (request.family, request.container_instance)
    if request.started_by is not None and any(
        other is not None for other in (*others, request.service_name, request.launch_type)
    ):
        raise shapes.InvalidParameterException("cannot specify startedBy with other arguments")
    if request.service_name is not None and any(other is not None for other in others):
        raise shapes.InvalidParameterException("cannot specify serviceName with other arguments")
    if request.daemon_name is not None:
        raise shapes.InvalidParameterException("Filtering by daemonName is not supported.")


def _matching(ctx: Context, tx: Tables, cluster: Cluster, request: shapes.ListTasksRequest) -> list[str]:
    """The ARNs that match, in no particular order, found through the narrowest index."""
    desired = request.desired_status or "RUNNING"
    if desired == "PENDING":
        return []  # ECS takes this filter and never sets a desired status to it.
    wanted = DesiredStatus(desired)
    tests = _tests(request)
    if request.container_instance is not None:
        instance = find_container_instance(ctx, tx, cluster, request.container_instance)
        rows = tx.tasks.by(container_instance_arn=instance.arn)
    elif request.service_name is not None:
        rows = _of_service(ctx, tx, cluster, request.service_name)
    elif not tests:
        return list(tx.tasks.keys_by(cluster_desired=(cluster.arn, wanted.value)))
    else:
        rows = tx.tasks.by(cluster_desired=(cluster.arn, wanted.value))
    return [task.arn for task in rows if task.desired_status is wanted and all(test(task) for test in tests)]


def _of_service(ctx: Context, tx: Tables, cluster: Cluster, text: str) -> list[Task]:
    return tx.tasks.by(service_arn=find_service(ctx, tx, cluster, text).arn)


def _tests(request: shapes.ListTasksRequest) -> list[Callable[[Task], bool]]:
    tests: list[Callable[[Task], bool]] = []
    if request.family is not None:
        family = request.family
        tests.append(lambda task: task.family == family)
    if request.started_by is not None:
        started_by = request.started_by
        tests.append(lambda task: task.started_by == started_by)
    if request.launch_type is not None:
        launch_type = request.launch_type
        tests.append(lambda task: task.launch_type == launch_type)
    return tests
