"""ExplainService over the wire."""

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from homeport.model.new_task import new_task, placed_on, task_template
from homeport.model.status import TaskStatus
from tests.builders import ENDPOINT, REGION, ROOT_KEY_ID, ROOT_SECRET, to_request
from tests.fleet import a_task_definition, an_instance, connect, ecs_of


def explain(region, **members):
    """Status and answer."""
    headers = {"X-Amz-Target": "Homeport_20261101.ExplainService", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=msgspec.json.encode(members))
    auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), "homeport", REGION).add_auth(request)
    response = region.call(to_request(request.prepare()))
    return response.status, msgspec.json.decode(response.body)


@pytest.fixture
def ecs(region):
    a_task_definition(region, "web")
    ecs = ecs_of(region)
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=3)
    return ecs


def test_explain_service_when_there_is_no_room_then_says_where_there_is_none(region, ecs):
    _, answer = explain(region, service="web")
    assert answer["steady"] is False
    assert answer["waitsFor"] == ["3 of 3 tasks are missing. No Container Instances were found in your cluster."]
    an_instance(region, memory=150)
    _, answer = explain(region, service=answer["serviceArn"], cluster="default")
    (sentence,) = answer["waitsFor"]
    assert sentence.startswith("3 of 3 tasks are missing. Only 2 of 3 tasks can be placed: of 1 container instance, ")
    assert answer["summary"] == sentence


def test_explain_service_when_nothing_is_wanted_then_steady_and_nothing_is_changed(region, ecs):
    ecs.update_service(service="web", desiredCount=0)
    version = region.world.store.version
    _, answer = explain(region, service="web")
    assert (answer["steady"], answer["waitsFor"]) == (True, [])
    assert answer["summary"] == "The service is steady: it is to run no tasks."
    assert region.world.store.version == version


def test_explain_service_when_it_is_not_there_then_refused(region):
    assert explain(region, service="nobody")[1]["__type"] == "ServiceNotFoundException"
    assert explain(region, service="web", cluster="nobody")[1]["__type"] == "ClusterNotFoundException"


def a_running_task(region, service, instance) -> None:
    """One that the service's scheduler would have started there."""

    def change(tx):
        row = tx.services[service["serviceArn"]]
        template = task_template(
            tx.task_definitions[row.task_definition_arn],
            cluster_arn=row.cluster_arn,
            created_at=tx.now,
            group=row.group,
            launch_type="EC2",
            started_by=row.primary_deployment_id,
            service_name=row.name,
            service_arn=row.arn,
        )
        arn = f"{row.cluster_arn.replace(':cluster/', ':task/')}/{tx.ids.hex32()}"
        task = placed_on(new_task(template, arn, tx.ids), tx.container_instances[instance], ())
        tx.tasks.put(replace(task, last_status=TaskStatus.RUNNING, started_at=tx.now - 60))

    region.world.store.update(change)


def test_explain_service_when_its_instance_drains_then_says_what_the_task_waits_for(region, ecs):
    service = ecs.update_service(service="web", desiredCount=1)["service"]
    instance = an_instance(region)
    a_running_task(region, service, instance)
    assert explain(region, service="web")[1]["steady"] is True
    ecs.update_container_instances_state(containerInstances=[instance], status="DRAINING")
    assert explain(region, service="web")[1]["waitsFor"] == [
        "1 of 1 tasks has no replacement yet. No task can be placed: of 1 container instance, 1 with the status DRAINING.",
        f"1 task is on the draining container instance {instance[-32:]} and stays until a replacement is healthy.",
    ]


def test_explain_service_when_an_agent_is_away_then_says_that_it_may_not_be_so_any_more(region, ecs):
    service = ecs.update_service(service="web", desiredCount=1)["service"]
    instance = an_instance(region)
    a_running_task(region, service, instance)
    connect(region, instance, connected=False)
    _, answer = explain(region, service="web")
    assert answer["summary"].endswith("as far as is known: 1 is on a container instance whose agent is not connected.")


def test_explain_service_when_it_is_a_daemon_then_an_instance_has_room_for_one(region, ecs):
    instances = [an_instance(region), an_instance(region, memory=10)]
    service = ecs.create_service(serviceName="d", taskDefinition="web", schedulingStrategy="DAEMON")["service"]
    a_running_task(region, service, instances[0])
    store = region.world.store
    store.update(lambda tx: tx.services.put(replace(tx.services[service["serviceArn"]], desired_count=2)))
    (sentence,) = explain(region, service="d")[1]["waitsFor"]
    assert sentence.startswith("1 of 2 tasks is missing. No task can be placed: of 2 container instances, ")
    assert sentence.endswith(f"The closest is {instances[1][-32:]}: needs 64 MiB memory, 10 MiB free.")


def test_explain_service_when_it_has_task_sets_then_room_is_told_for_each(region):
    a_task_definition(region, "small")
    large = [{"name": "main", "image": "busybox", "memory": 4000}]
    a_task_definition(region, "large", containerDefinitions=large)
    an_instance(region, memory=100)
    client = ecs_of(region)
    client.create_service(serviceName="e", desiredCount=1, deploymentController={"type": "EXTERNAL"})
    for family in ("small", "large"):
        scale = {"value": 100.0, "unit": "PERCENT"}
        client.create_task_set(cluster="default", service="e", taskDefinition=family, scale=scale)
    small, large = explain(region, service="e")[1]["waitsFor"]
    assert small.endswith(
        "wants 1 task and lacks 1. The task can be placed now; 1 of 1 container instance can take one."
    )
    assert "lacks 1. No task can be placed" in large
