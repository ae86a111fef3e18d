"""botocore's own waiters and paginators, which encode what AWS promises, find here what they look for."""

import pytest
from botocore.exceptions import WaiterError
from msgspec.structs import replace

from homeport.model.status import StopCode, TaskStatus

AT_ONCE = {"Delay": 0, "MaxAttempts": 3}
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]


@pytest.fixture
def task_arn(region) -> str:
    """A task that was placed and does not run yet."""
    ecs = region.client("ecs")
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "app", "image": "busybox", "memory": 16}])
    instance = ecs.register_container_instance(cluster="default", totalResources=RESOURCES)["containerInstance"]
    online = replace(
        region.world.store.read.container_instances[instance["containerInstanceArn"]], agent_connected=True
    )
    region.world.store.update(lambda tx: tx.container_instances.put(online))
    return ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]


def put_task(region, arn: str, **changes) -> None:
    row = region.world.store.read.tasks[arn]
    region.world.store.update(lambda tx: tx.tasks.put(replace(row, **changes)))


def test_tasks_running_when_it_runs_then_the_waiter_returns(region, task_arn):
    waiter = region.client("ecs").get_waiter("tasks_running")
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(tasks=[task_arn], WaiterConfig=AT_ONCE)
    put_task(region, task_arn, last_status=TaskStatus.RUNNING)
    waiter.wait(tasks=[task_arn], WaiterConfig=AT_ONCE)


def test_tasks_running_when_it_stopped_or_never_was_then_the_waiter_fails(region, task_arn):
    waiter = region.client("ecs").get_waiter("tasks_running")
    with pytest.raises(WaiterError, match="MISSING"):
        waiter.wait(tasks=["0" * 32], WaiterConfig=AT_ONCE)
    row = region.world.store.read.tasks[task_arn]
    stopped = row.stopping(StopCode.USER_INITIATED, "enough", 1.0).stopped(2.0)
    region.world.store.update(lambda tx: tx.tasks.put(stopped))
    with pytest.raises(WaiterError, match="STOPPED"):
        waiter.wait(tasks=[task_arn], WaiterConfig=AT_ONCE)


def test_tasks_stopped_when_it_stops_then_the_waiter_returns(region, task_arn):
    waiter = region.client("ecs").get_waiter("tasks_stopped")
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(tasks=[task_arn], WaiterConfig=AT_ONCE)
    put_task(region, task_arn, last_status=TaskStatus.STOPPED)
    waiter.wait(tasks=[task_arn], WaiterConfig=AT_ONCE)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_when_of_any_size_then_everything_once(region, size):
    ecs = region.client("ecs")
    names = ["default", *(f"c{number}" for number in range(5))]
    for name in names[1:]:
        ecs.create_cluster(clusterName=name)
        ecs.register_task_definition(family=name, containerDefinitions=[{"name": "a", "image": "b", "memory": 16}])

    def everything(operation: str, member: str, **arguments) -> list[str]:
        pages = ecs.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **arguments)
        found = [page[member] for page in pages]
        assert all(len(page) <= size for page in found)
        return [item for page in found for item in page]

    assert [arn.rsplit("/", 1)[1] for arn in everything("list_clusters", "clusterArns")] == sorted(names)
    assert everything("list_task_definition_families", "families") == sorted(names[1:])
    assert len(everything("list_task_definitions", "taskDefinitionArns", sort="DESC")) == 5
    assert everything("list_tasks", "taskArns") == []
    assert everything("list_container_instances", "containerInstanceArns") == []


def test_log_pages_when_of_any_size_then_everything_once(region):
    logs = region.client("logs")
    for number in range(5):
        logs.create_log_group(logGroupName=f"g{number}")
        logs.create_log_stream(logGroupName="g0", logStreamName=f"s{number}")
    logs.put_log_events(
        logGroupName="g0",
        logStreamName="s0",
        logEvents=[
            {"timestamp": int(region.clock.now() * 1000) + number, "message": str(number)} for number in range(7)
        ],
    )
    small = {"PageSize": 2}
    groups = logs.get_paginator("describe_log_groups").paginate(PaginationConfig=small)
    assert [group["logGroupName"] for page in groups for group in page["logGroups"]] == [f"g{n}" for n in range(5)]
    streams = logs.get_paginator("describe_log_streams").paginate(logGroupName="g0", PaginationConfig=small)
    assert [stream["logStreamName"] for page in streams for stream in page["logStreams"]] == [f"s{n}" for n in range(5)]
    events = logs.get_paginator("filter_log_events").paginate(logGroupName="g0", PaginationConfig=small)
    assert [event["message"] for page in events for event in page["events"]] == [str(n) for n in range(7)]
