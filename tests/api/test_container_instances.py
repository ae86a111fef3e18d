"""Container instances through boto3: registration as agents do it, and what operators do."""

import pytest
from botocore.exceptions import ClientError

from tests.fleet import a_task_definition, an_instance, connect, ecs_of, report, total_resources


@pytest.fixture
def ecs(region):
    return ecs_of(region)


def code_of(call, **parameters) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def describe(ecs, arn, **parameters) -> dict:
    (instance,) = ecs.describe_container_instances(containerInstances=[arn], **parameters)["containerInstances"]
    return instance


def test_register_when_new_then_every_attribute_comes_back(ecs):
    sent = [{"name": "ecs.capability.secrets"}, {"name": "stack", "value": "prod"}, {"name": "empty", "value": ""}]
    answer = ecs.register_container_instance(
        cluster="default", totalResources=total_resources(), attributes=sent, tags=[{"key": "a", "value": "b"}]
    )
    instance = answer["containerInstance"]
    attributes = {each["name"]: each.get("value") for each in instance["attributes"]}
    assert attributes == {
        "ecs.availability-zone": "us-east-1a",
        "ecs.capability.secrets": None,
        "stack": "prod",
        "empty": "",
    }
    assert (instance["status"], instance["agentConnected"], instance["version"]) == ("ACTIVE", False, 1)
    assert instance["ec2InstanceId"].startswith("i-")
    assert len(instance["ec2InstanceId"]) == 19
    assert instance["tags"] == [{"key": "a", "value": "b"}]
    assert describe(ecs, instance["containerInstanceArn"])["tags"] == []
    assert describe(ecs, instance["containerInstanceArn"], include=["TAGS"])["tags"] == instance["tags"]


def test_register_when_identity_document_then_its_facts(ecs):
    document = '{"instanceId": "i-0123456789abcdef0", "instanceType": "m5.large", "availabilityZone": "us-east-1d"}'
    instance = ecs.register_container_instance(totalResources=total_resources(), instanceIdentityDocument=document)
    attributes = {each["name"]: each["value"] for each in instance["containerInstance"]["attributes"]}
    assert attributes == {"ecs.instance-type": "m5.large", "ecs.availability-zone": "us-east-1d"}
    assert instance["containerInstance"]["ec2InstanceId"] == "i-0123456789abcdef0"


def test_register_when_cluster_is_unknown_then_the_words_that_agents_look_for(ecs):
    code, message = code_of(ecs.register_container_instance, cluster="ghost", totalResources=total_resources())
    assert code == "ClusterNotFoundException"
    assert "Cluster not found." in message


def test_register_when_resources_are_missing_then_refused(ecs):
    code, _ = code_of(ecs.register_container_instance, cluster="default")
    assert code == "InvalidParameterException"


def test_register_when_again_with_arn_then_same_instance_with_operators_attributes(region, ecs):
    arn = an_instance(region, attributes=[("stack", "prod"), ("ecs.os-type", "linux")])
    again = ecs.register_container_instance(
        cluster="default",
        containerInstanceArn=arn,
        totalResources=total_resources(cpu=4096),
        attributes=[{"name": "ecs.os-type", "value": "linux"}],
    )["containerInstance"]
    assert again["containerInstanceArn"] == arn
    assert {each["name"] for each in again["attributes"]} == {"stack", "ecs.os-type", "ecs.availability-zone"}
    assert again["registeredResources"][0]["integerValue"] == 4096
    assert len(ecs.list_container_instances()["containerInstanceArns"]) == 1


def test_register_when_again_but_deregistered_or_unknown_then_client_exception(region, ecs):
    arn = an_instance(region)
    ecs.deregister_container_instance(containerInstance=arn)
    for gone in (arn, arn[:-4] + "0000"):
        code, _ = code_of(ecs.register_container_instance, containerInstanceArn=gone, totalResources=total_resources())
        assert code == "ClientException"


def test_register_when_client_token_repeats_then_one_instance(region, ecs):
    def add_token(params, **_):
        params["body"] = params["body"].replace(b'{"cluster"', b'{"clientToken": "t", "cluster"')

    ecs.meta.events.register("before-call.ecs.RegisterContainerInstance", add_token)
    arns = {
        ecs.register_container_instance(cluster="default", totalResources=total_resources())["containerInstance"][
            "containerInstanceArn"
        ]
        for _ in range(3)
    }
    ecs.meta.events.unregister("before-call.ecs.RegisterContainerInstance", add_token)
    assert len(arns) == 1
    assert ecs.list_container_instances()["containerInstanceArns"] == list(arns)


def test_describe_when_tasks_are_there_then_remaining_resources_and_counts(region, ecs):
    arn = an_instance(region, cpu=2048, memory=4096)
    a_task_definition(region)
    tasks = ecs.run_task(taskDefinition="web", count=3)["tasks"]
    report(region, tasks[0]["taskArn"], "RUNNING", {"containerName": "main", "status": "RUNNING"})
    instance = describe(ecs, arn, include=["CONTAINER_INSTANCE_HEALTH"])
    remaining = {each["name"]: each for each in instance["remainingResources"]}
    registered = {each["name"]: each for each in instance["registeredResources"]}
    assert (remaining["CPU"]["integerValue"], remaining["MEMORY"]["integerValue"]) == (2018, 3904)
    assert (registered["CPU"]["integerValue"], registered["MEMORY"]["integerValue"]) == (2048, 4096)
    assert remaining["PORTS"]["stringSetValue"] == ["22", "51678"]
    assert (instance["runningTasksCount"], instance["pendingTasksCount"]) == (1, 2)
    assert instance["healthStatus"]["overallStatus"] == "INSUFFICIENT_DATA"
    assert "healthStatus" not in describe(ecs, arn)


def test_describe_when_unknown_then_missing(ecs):
    answer = ecs.describe_container_instances(containerInstances=["0" * 32])
    assert answer["containerInstances"] == []
    assert answer["failures"][0]["reason"] == "MISSING"


def test_list_when_filtered_then_matching_ones(region, ecs):
    prod, test = an_instance(region, attributes=[("stack", "prod")]), an_instance(region)
    listed = lambda **filters: ecs.list_container_instances(**filters)["containerInstanceArns"]
    assert listed() == sorted([prod, test])
    assert listed(filter="attribute:stack == prod") == [prod]
    ecs.update_container_instances_state(containerInstances=[prod], status="DRAINING")
    assert listed(status="DRAINING") == [prod]
    assert listed(status="ACTIVE") == [test]
    ecs.deregister_container_instance(containerInstance=test)
    assert listed() == [prod]
    assert code_of(ecs.list_container_instances, filter="attribute:stack ==")[0] == "InvalidParameterException"


def test_deregister_when_tasks_run_then_refused_unless_forced(region, ecs):
    arn = an_instance(region)
    a_task_definition(region)
    (task,) = ecs.run_task(taskDefinition="web")["tasks"]
    assert code_of(ecs.deregister_container_instance, containerInstance=arn) == (
        "InvalidParameterException",
        "Found running tasks on the instance.",
    )
    gone = ecs.deregister_container_instance(containerInstance=arn, force=True)["containerInstance"]
    assert (gone["status"], gone["pendingTasksCount"]) == ("INACTIVE", 0)
    (stopped,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert stopped["lastStatus"] == "STOPPED"
    assert stopped["stoppedReason"] == "Container instance deregistration forced by user"
    assert describe(ecs, arn)["status"] == "INACTIVE"
    assert code_of(ecs.deregister_container_instance, containerInstance=arn)[0] == "InvalidParameterException"


def test_update_state_when_draining_then_not_placed_there_and_back(region, ecs):
    arn = an_instance(region)
    a_task_definition(region)
    answer = ecs.update_container_instances_state(containerInstances=[arn, "0" * 32], status="DRAINING")
    assert [each["status"] for each in answer["containerInstances"]] == ["DRAINING"]
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    assert code_of(ecs.run_task, taskDefinition="web")[0] == "InvalidParameterException"
    again = ecs.update_container_instances_state(containerInstances=[arn], status="DRAINING")["containerInstances"][0]
    assert again["version"] == answer["containerInstances"][0]["version"]
    ecs.update_container_instances_state(containerInstances=[arn], status="ACTIVE")
    assert len(ecs.run_task(taskDefinition="web")["tasks"]) == 1
    for status in ("DEREGISTERING", "NONSENSE"):
        code, _ = code_of(ecs.update_container_instances_state, containerInstances=[arn], status=status)
        assert code == "InvalidParameterException"


def test_update_agent_when_asked_then_no_update_or_version_unknown(region, ecs):
    arn = an_instance(region, connected=False)
    assert code_of(ecs.update_container_agent, containerInstance=arn)[0] == "MissingVersionException"
    connect(region, arn)
    assert code_of(ecs.update_container_agent, containerInstance=arn)[0] == "NoUpdateAvailableException"
