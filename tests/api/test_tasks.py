"""RunTask, StartTask, StopTask, DescribeTasks and ListTasks through boto3."""

import pytest
from botocore.exceptions import ClientError

from tests.fleet import a_task_definition, an_instance, connect, ecs_of, report


@pytest.fixture
def ecs(region):
    return ecs_of(region)


def refused(code, message, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def run_one(ecs, definition="web", **parameters) -> dict:
    (task,) = ecs.run_task(taskDefinition=definition, **parameters)["tasks"]
    return task


def test_run_task_when_instance_fits_then_pending_there(region, ecs):
    instance = an_instance(region)
    definition = a_task_definition(region)
    answer = ecs.run_task(taskDefinition="web", startedBy="me", tags=[{"key": "a", "value": "b"}])
    (task,) = answer["tasks"]
    assert answer["failures"] == []
    assert task["containerInstanceArn"] == instance
    assert task["taskDefinitionArn"].endswith("task-definition/" + definition)
    assert (task["lastStatus"], task["desiredStatus"], task["launchType"]) == ("PENDING", "RUNNING", "EC2")
    assert (task["group"], task["startedBy"], task["version"]) == ("family:web", "me", 1)
    assert task["tags"] == [{"key": "a", "value": "b"}]
    assert task["availabilityZone"] == "us-east-1a"
    assert task["overrides"]["containerOverrides"] == [{"name": "main"}]
    (container,) = task["containers"]
    assert (container["name"], container["lastStatus"], container["cpu"]) == ("main", "PENDING", "10")
    described = ecs.describe_tasks(tasks=[task["taskArn"]])
    assert described["tasks"][0]["tags"] == []
    assert ecs.describe_tasks(tasks=[task["taskArn"]], include=["TAGS"])["tasks"][0] == task


def test_run_task_when_no_instances_then_error(region, ecs):
    a_task_definition(region)
    message = "No Container Instances were found in your cluster."
    refused("InvalidParameterException", message, ecs.run_task, taskDefinition="web")


def test_run_task_when_some_do_not_fit_then_those_that_fit_and_failures(region, ecs):
    instance = an_instance(region, memory=150)
    a_task_definition(region)
    answer = ecs.run_task(taskDefinition="web", count=3)
    assert len(answer["tasks"]) == 2
    (failure,) = answer["failures"]
    assert (failure["arn"], failure["reason"]) == (instance, "RESOURCE:MEMORY")


def test_run_task_when_agent_is_away_then_failure_agent(region, ecs):
    instance = an_instance(region, connected=False)
    a_task_definition(region)
    answer = ecs.run_task(taskDefinition="web")
    assert answer["tasks"] == []
    assert [(each["arn"], each["reason"]) for each in answer["failures"]] == [(instance, "AGENT")]


def test_run_task_when_host_port_is_taken_then_failure_ports(region, ecs):
    an_instance(region)
    container = {
        "name": "main",
        "image": "busybox",
        "memory": 64,
        "portMappings": [{"containerPort": 80, "hostPort": 8080}],
    }
    a_task_definition(region, containerDefinitions=[container])
    answer = ecs.run_task(taskDefinition="web", count=2)
    assert len(answer["tasks"]) == 1
    assert answer["failures"][0]["reason"] == "RESOURCE:PORTS"
    report(region, answer["tasks"][0]["taskArn"], "STOPPED")
    assert ecs.run_task(taskDefinition="web")["failures"] == []


def test_run_task_when_constraint_and_strategy_then_obeyed(region, ecs):
    an_instance(region, attributes=[("stack", "test")])
    prod = an_instance(region, attributes=[("stack", "prod")])
    a_task_definition(region)
    answer = ecs.run_task(
        taskDefinition="web",
        count=2,
        placementConstraints=[{"type": "memberOf", "expression": "attribute:stack == prod"}],
        placementStrategy=[{"type": "spread", "field": "instanceId"}, {"type": "binpack", "field": "memory"}],
    )
    assert {task["containerInstanceArn"] for task in answer["tasks"]} == {prod}
    answer = ecs.run_task(taskDefinition="web", count=3, placementConstraints=[{"type": "distinctInstance"}])
    assert len(answer["tasks"]) == 1  # the group already has tasks on the other instance


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"count": 0}, "InvalidParameterException", "Count must be between 1 and 10."),
        ({"count": 11}, "InvalidParameterException", "Count must be between 1 and 10."),
        ({"taskDefinition": "ghost"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "ghost"}, "ClusterNotFoundException", "Cluster not found."),
        (
            {"overrides": {"containerOverrides": [{"name": "ghost"}]}},
            "InvalidParameterException",
            "Override for container named ghost is not a container in the TaskDefinition.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}},
            "InvalidParameterException",
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ),
        (
            {"launchType": "FARGATE"},
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE.",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "x"}]},
            "UnsupportedFeatureException",
            "Capacity provider strategies are not supported.",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "x"}], "launchType": "EC2"},
            "InvalidParameterException",
            "Specify either a launch type or a capacity provider strategy.",
        ),
        ({"enableExecuteCommand": True}, "UnsupportedFeatureException", "ECS Exec is not supported."),
        (
            {"volumeConfigurations": [{"name": "v"}]},
            "UnsupportedFeatureException",
            "Volumes that are configured at launch are not supported.",
        ),
        (
            {"platformVersion": "LATEST"},
            "InvalidParameterException",
            "The platform version must be null when specifying an EC2 launch type.",
        ),
        (
            {"placementStrategy": [{"type": "random"}] * 6},
            "InvalidParameterException",
            "Maximum number of strategies is 5.",
        ),
        (
            {"placementConstraints": [{"type": "distinctInstance"}] * 11},
            "InvalidParameterException",
            "A task can have at most 10 placement constraints.",
        ),
        (
            {"placementStrategy": [{"type": "binpack", "field": "disk"}]},
            "InvalidParameterException",
            "binpack field 'disk' is invalid.",
        ),
        (
            {"startedBy": "x" * 129},
            "InvalidParameterException",
            "startedBy must be at most 128 letters, digits, hyphens, slashes and underscores.",
        ),
        ({"group": "service:x"}, "InvalidParameterException", "Invalid namespace for group."),
        (
            {"propagateTags": "SERVICE"},
            "InvalidParameterException",
            "Tags can only be propagated from the task definition.",
        ),
        (
            {"clientToken": "with space"},
            "InvalidParameterException",
            "clientToken must be 1 to 64 ASCII characters in the range of 33 to 126.",
        ),
    ],
)
def test_run_task_when_refused_then_the_error_of_ecs(region, ecs, parameters, code, message):
    an_instance(region)
    a_task_definition(region)
    refused(code, message, ecs.run_task, **({"taskDefinition": "web"} | parameters))
    assert ecs.list_tasks()["taskArns"] == []


def test_run_task_when_expression_is_malformed_then_refused(region, ecs):
    an_instance(region)
    a_task_definition(region)
    with pytest.raises(ClientError, match="Invalid expression"):
        ecs.run_task(taskDefinition="web", placementConstraints=[{"type": "memberOf", "expression": "attribute:x =="}])


def test_run_task_when_definition_is_inactive_then_refused(region, ecs):
    an_instance(region)
    definition = a_task_definition(region)
    ecs.deregister_task_definition(taskDefinition=definition)
    refused("ClientException", "TaskDefinition is inactive", ecs.run_task, taskDefinition=definition)


def test_run_task_when_definition_needs_what_is_not_there_then_unsupported(region, ecs):
    an_instance(region)
    secret = {"name": "X", "valueFrom": "/parameter"}
    container = {"name": "main", "image": "busybox", "memory": 64, "secrets": [secret]}
    a_task_definition(region, containerDefinitions=[container], executionRoleArn="arn:aws:iam::123456789012:role/x")
    refused(
        "UnsupportedFeatureException", "Tasks that use secrets are not supported.", ecs.run_task, taskDefinition="web"
    )


def test_run_task_when_definition_is_for_fargate_then_unsupported_there(region, ecs):
    an_instance(region)
    a_task_definition(region, requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    refused(
        "UnsupportedFeatureException",
        "The launch type FARGATE is not supported.",
        ecs.run_task,
        taskDefinition="web",
        launchType="FARGATE",
        networkConfiguration=network,
    )
    refused(
        "InvalidParameterException",
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ecs.run_task,
        taskDefinition="web",
    )
    refused(
        "UnsupportedFeatureException",
        "Tasks that use the network mode awsvpc are not supported.",
        ecs.run_task,
        taskDefinition="web",
        networkConfiguration=network,
    )


def test_run_task_when_tasks_of_token_are_forgotten_then_token_is_new(region, ecs):
    an_instance(region)
    a_task_definition(region)
    first = run_one(ecs, clientToken="t1")["taskArn"]
    region.world.store.update(lambda tx: tx.tasks.delete(first))
    assert run_one(ecs, clientToken="t1")["taskArn"] != first


def test_run_task_when_client_token_repeats_then_same_tasks_or_conflict(region, ecs):
    an_instance(region)
    a_task_definition(region)
    first = ecs.run_task(taskDefinition="web", count=2, clientToken="t1")
    again = ecs.run_task(taskDefinition="web", count=2, clientToken="t1")
    assert [task["taskArn"] for task in again["tasks"]] == [task["taskArn"] for task in first["tasks"]]
    assert len(ecs.list_tasks()["taskArns"]) == 2
    with pytest.raises(ClientError) as caught:
        ecs.run_task(taskDefinition="web", count=1, clientToken="t1")
    assert caught.value.response["Error"]["Code"] == "ConflictException"


def test_run_task_when_tags_are_propagated_and_managed_then_merged(region, ecs):
    an_instance(region)
    a_task_definition(region, tags=[{"key": "team", "value": "x"}, {"key": "env", "value": "dev"}])
    task = run_one(
        ecs, propagateTags="TASK_DEFINITION", enableECSManagedTags=True, tags=[{"key": "env", "value": "prod"}]
    )
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {
        "team": "x",
        "env": "prod",
        "aws:ecs:clusterName": "default",
    }


def test_run_task_when_launch_type_external_then_only_on_external_instances(region, ecs):
    an_instance(region)
    a_task_definition(region)
    assert ecs.run_task(taskDefinition="web", launchType="EXTERNAL")["failures"][0]["reason"] == "ATTRIBUTE"
    external = an_instance(region, attributes=[("ecs.capability.external", "")])
    task = run_one(ecs, launchType="EXTERNAL")
    assert (task["containerInstanceArn"], task["launchType"]) == (external, "EXTERNAL")


def test_start_task_when_instances_are_named_then_one_on_each_and_failures(region, ecs):
    good, away, small = (
        an_instance(region),
        an_instance(region, connected=False),
        an_instance(region, memory=10),
    )
    draining = an_instance(region)
    ecs.update_container_instances_state(containerInstances=[draining], status="DRAINING")
    a_task_definition(region)
    ghost = "0" * 32
    answer = ecs.start_task(taskDefinition="web", containerInstances=[good, away, small, draining, ghost])
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [good]
    assert [each["reason"] for each in answer["failures"]] == ["AGENT", "RESOURCE:MEMORY", "INACTIVE", "MISSING"]
    refused(
        "InvalidParameterException",
        "Container instances cannot have more than 10 elements.",
        ecs.start_task,
        taskDefinition="web",
        containerInstances=[good] * 11,
    )


def test_stop_task_when_running_then_desired_stopped_with_reason(region, ecs):
    an_instance(region)
    a_task_definition(region)
    arn = run_one(ecs)["taskArn"]
    report(region, arn, "RUNNING", {"containerName": "main", "status": "RUNNING"})
    stopping = ecs.stop_task(task=arn)["task"]
    assert (stopping["desiredStatus"], stopping["lastStatus"]) == ("STOPPED", "RUNNING")
    assert (stopping["stopCode"], stopping["stoppedReason"]) == ("UserInitiated", "Task stopped by user")
    assert ecs.stop_task(task=arn, reason="again")["task"]["stoppedReason"] == "Task stopped by user"
    report(region, arn, "STOPPED", {"containerName": "main", "status": "STOPPED", "exitCode": 143})
    (stopped,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    assert (stopped["lastStatus"], stopped["containers"][0]["exitCode"]) == ("STOPPED", 143)
    assert ecs.stop_task(task=arn)["task"]["version"] == stopped["version"]


def test_stop_task_when_unknown_then_error(ecs):
    refused("InvalidParameterException", "The referenced task was not found.", ecs.stop_task, task="0" * 32)


def test_stop_task_when_its_instance_is_gone_then_stopped_at_once(region, ecs):
    instance = an_instance(region)
    a_task_definition(region)
    arn = run_one(ecs)["taskArn"]
    ecs.deregister_container_instance(containerInstance=instance, force=True)
    assert ecs.stop_task(task=arn)["task"]["lastStatus"] == "STOPPED"


def test_describe_tasks_when_some_are_unknown_then_missing(region, ecs):
    an_instance(region)
    a_task_definition(region)
    arn = run_one(ecs)["taskArn"]
    answer = ecs.describe_tasks(tasks=[arn.rsplit("/", 1)[1], "0" * 32])
    assert [task["taskArn"] for task in answer["tasks"]] == [arn]
    assert answer["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32, "reason": "MISSING"}
    ]
    refused("InvalidParameterException", "Tasks cannot be empty.", ecs.describe_tasks, tasks=[])
    refused(
        "InvalidParameterException",
        "Tasks cannot have more than 100 elements.",
        ecs.describe_tasks,
        tasks=["0" * 32] * 101,
    )


def test_list_tasks_when_filtered_then_only_matching(region, ecs):
    first, second = an_instance(region), an_instance(region)
    a_task_definition(region)
    a_task_definition(region, family="other")
    on_first = ecs.start_task(taskDefinition="web", containerInstances=[first], startedBy="me")["tasks"][0]["taskArn"]
    on_second = ecs.start_task(taskDefinition="other", containerInstances=[second])["tasks"][0]["taskArn"]
    listed = lambda **filters: ecs.list_tasks(**filters)["taskArns"]
    assert listed() == sorted([on_first, on_second])
    assert listed(family="web") == [on_first]
    assert listed(startedBy="me") == [on_first]
    assert listed(containerInstance=second) == [on_second]
    assert listed(launchType="EC2") == listed()
    assert listed(launchType="FARGATE") == []
    assert listed(desiredStatus="STOPPED") == []
    assert listed(desiredStatus="PENDING") == []
    ecs.stop_task(task=on_first)
    assert listed(desiredStatus="STOPPED") == [on_first]
    assert listed(containerInstance=first) == []
    refused(
        "InvalidParameterException",
        "cannot specify startedBy with other arguments",
        ecs.list_tasks,
        startedBy="me",
        family="web",
    )
    refused(
        "InvalidParameterException",
        "cannot specify serviceName with other arguments",
        ecs.list_tasks,
        serviceName="x",
        containerInstance=first,
    )
    refused("ServiceNotFoundException", "Service not found.", ecs.list_tasks, serviceName="ghost")


def test_list_tasks_when_paged_then_every_task_once_in_order(region, ecs):
    an_instance(region, cpu=8192, memory=65536)
    a_task_definition(region)
    arns = sorted(task["taskArn"] for _ in range(3) for task in ecs.run_task(taskDefinition="web", count=10)["tasks"])
    pages = list(ecs.get_paginator("list_tasks").paginate(PaginationConfig={"PageSize": 7}))
    assert [len(page["taskArns"]) for page in pages] == [7, 7, 7, 7, 2]
    assert [arn for page in pages for arn in page["taskArns"]] == arns
    assert ecs.list_tasks(maxResults=30).get("nextToken") is None


def test_waiters_when_task_runs_and_stops_then_satisfied(region, ecs):
    an_instance(region)
    a_task_definition(region)
    arn = run_one(ecs)["taskArn"]
    report(region, arn, "RUNNING", {"containerName": "main", "status": "RUNNING"})
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"MaxAttempts": 1})
    report(region, arn, "STOPPED", {"containerName": "main", "status": "STOPPED", "exitCode": 0})
    ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig={"MaxAttempts": 1})


def test_resources_when_tasks_come_and_go_then_accounted(region, ecs):
    instance = an_instance(region, cpu=100, memory=1000)
    connect(region, instance)
    a_task_definition(region)
    tasks = ecs.run_task(taskDefinition="web", count=10)["tasks"]
    assert len(tasks) == 10
    assert ecs.run_task(taskDefinition="web")["failures"][0]["reason"] == "RESOURCE:CPU"
    for task in tasks:
        ecs.stop_task(task=task["taskArn"])
    assert ecs.run_task(taskDefinition="web")["tasks"] == []  # what is stopping still takes its resources
    for task in tasks:
        report(region, task["taskArn"], "STOPPED")
    assert len(ecs.run_task(taskDefinition="web", count=10)["tasks"]) == 10
