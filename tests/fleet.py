"""Container instances and task definitions for tests that go through the API."""

from weakref import WeakKeyDictionary

from msgspec.structs import replace

_CLIENTS = WeakKeyDictionary()


def ecs_of(region):
    """The region's ECS client; making one takes longer than most tests."""
    if region not in _CLIENTS:
        _CLIENTS[region] = region.client("ecs")
    return _CLIENTS[region]


CAPABILITIES = (
    "com.amazonaws.ecs.capability.docker-remote-api.1.18",
    "com.amazonaws.ecs.capability.docker-remote-api.1.19",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.task-iam-role",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.container-health-check",
    "ecs.capability.task-cpu-mem-limit",
)


def total_resources(cpu=2048, memory=4096, ports=("22", "51678")) -> list[dict]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(ports)},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


def an_instance(region, *, cluster="default", connected=True, attributes=(), cpu=2048, memory=4096, **members) -> str:
    """Register a container instance as an agent does, and have it connected; gives its ARN."""
    named = [{"name": name} for name in CAPABILITIES] + [{"name": name, "value": value} for name, value in attributes]
    answer = ecs_of(region).register_container_instance(
        cluster=cluster, totalResources=total_resources(cpu, memory), attributes=named, **members
    )
    arn = answer["containerInstance"]["containerInstanceArn"]
    if connected:
        connect(region, arn)
    return arn


def connect(region, arn: str, *, connected: bool = True) -> None:
    """What the agent's websocket session does to the row."""

    def change(tx):
        tx.container_instances.put(
            replace(tx.container_instances[arn], agent_connected=connected, agent_version="1.105.1")
        )

    region.world.store.update(change)


def a_task_definition(region, family="web", **members) -> str:
    """Register a one-container task definition; gives `family:revision`."""
    given = {
        "containerDefinitions": [{"name": "main", "image": "busybox", "cpu": 10, "memory": 64, "essential": True}]
    } | members
    definition = ecs_of(region).register_task_definition(family=family, **given)["taskDefinition"]
    return f"{definition['family']}:{definition['revision']}"


def report(region, task_arn: str, status: str, *containers: dict, **members) -> None:
    """What the agent says about a task."""
    ecs_of(region).submit_task_state_change(
        cluster="default",
        task=task_arn,
        status=status,
        reason=members.pop("reason", ""),
        containers=containers,
        **members,
    )
