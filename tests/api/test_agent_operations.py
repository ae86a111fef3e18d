"""What agents call, through boto3."""

import pytest

from tests.builders import ENDPOINT
from tests.fleet import a_task_definition, an_instance, ecs_of, report


@pytest.fixture
def ecs(region):
    return ecs_of(region)


@pytest.fixture
def task_arn(region, ecs):
    an_instance(region)
    a_task_definition(region)
    return ecs.run_task(taskDefinition="web")["tasks"][0]["taskArn"]


def describe(ecs, arn) -> dict:
    return ecs.describe_tasks(tasks=[arn])["tasks"][0]


def test_discover_poll_endpoint_when_asked_then_websocket_bases(ecs):
    answer = ecs.discover_poll_endpoint(cluster="default", containerInstance="x")
    assert (answer["endpoint"], answer["telemetryEndpoint"]) == (ENDPOINT + "/acs", ENDPOINT + "/tcs")


def test_task_state_change_when_running_then_described_with_bindings(region, ecs, task_arn):
    binding = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    container = {"containerName": "main", "status": "RUNNING", "runtimeId": "abc", "networkBindings": [binding]}
    report(region, task_arn, "RUNNING", container, pullStartedAt=1.5, pullStoppedAt=2.5)
    task = describe(ecs, task_arn)
    assert (task["lastStatus"], task["connectivity"], task["version"]) == ("RUNNING", "CONNECTED", 2)
    assert task["pullStartedAt"].timestamp() == 1.5
    assert task["containers"][0]["networkBindings"] == [binding]
    assert task["containers"][0]["runtimeId"] == "abc"
    report(region, task_arn, "RUNNING", container)
    assert describe(ecs, task_arn)["version"] == 2


def test_task_state_change_when_stopped_then_exit_code_and_stop_code(region, ecs, task_arn):
    report(region, task_arn, "RUNNING", {"containerName": "main", "status": "RUNNING"})
    report(region, task_arn, "STOPPED", {"containerName": "main", "status": "STOPPED", "exitCode": 7})
    task = describe(ecs, task_arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["containers"][0]["exitCode"] == 7
    assert {"stoppingAt", "stoppedAt", "executionStoppedAt", "startedAt"} <= set(task)


@pytest.mark.parametrize("task", ["0" * 32, "arn:aws:ecs:us-east-1:123456789012:task/other/x", "", "a" * 100])
def test_task_state_change_when_task_is_unknown_then_acknowledged(ecs, task):
    answer = ecs.submit_task_state_change(cluster="default", task=task, status="STOPPED")
    assert answer["acknowledgment"] == "ACK"


def test_task_state_change_when_cluster_is_unknown_then_acknowledged(ecs, task_arn):
    assert ecs.submit_task_state_change(cluster="ghost", task="0" * 32, status="RUNNING")["acknowledgment"] == "ACK"
    ecs.submit_task_state_change(cluster="ghost", task=task_arn, status="RUNNING")
    assert describe(ecs, task_arn)["lastStatus"] == "RUNNING"


def test_container_state_change_when_sent_then_container_changes(ecs, task_arn):
    ecs.submit_container_state_change(cluster="default", task=task_arn, containerName="main", status="RUNNING")
    task = describe(ecs, task_arn)
    assert (task["lastStatus"], task["containers"][0]["lastStatus"]) == ("PENDING", "RUNNING")


def test_attachment_state_changes_when_unknown_then_acknowledged(ecs, task_arn):
    attachment = {"attachmentArn": "arn:aws:ecs:us-east-1:123456789012:attachment/x", "status": "ATTACHED"}
    answer = ecs.submit_attachment_state_changes(cluster="default", attachments=[attachment])
    assert answer["acknowledgment"] == "ACK"
    assert describe(ecs, task_arn)["version"] == 1
