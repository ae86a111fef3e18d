"""Task sets of services with the EXTERNAL deployment controller, through boto3."""

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from homeport.model.load_balancer import Listener, TargetGroup
from tests.fleet import a_task_definition, ecs_of

PLACE = {"cluster": "default", "service": "web"}
ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
GROUP = f"{ELB}targetgroup/web/1"
INVALID = "InvalidParameterException"
NOT_EXTERNAL = (
    "Amazon ECS only supports task set management on services configured to use external deployment controllers."
)


@pytest.fixture
def ecs(region):
    ecs = ecs_of(region)
    a_task_definition(region, "web")
    ecs.create_service(serviceName="web", desiredCount=10, deploymentController={"type": "EXTERNAL"})
    return ecs


def create(ecs, percent=None, **members):
    scale = {} if percent is None else {"scale": {"value": percent, "unit": "PERCENT"}}
    return ecs.create_task_set(**PLACE, taskDefinition="web", **scale, **members)["taskSet"]


def service_of(ecs):
    return ecs.describe_services(services=["web"])["services"][0]


def refusal(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**PLACE | members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_create_task_set_when_scaled_then_count_is_rounded_up(ecs):
    task_set = create(ecs, 25.0, externalId="blue", tags=[{"key": "a", "value": "b"}])
    assert task_set["id"].startswith("ecs-svc/")
    assert task_set["taskSetArn"] == f"arn:aws:ecs:us-east-1:123456789012:task-set/default/web/{task_set['id']}"
    assert (task_set["status"], task_set["stabilityStatus"]) == ("ACTIVE", "STABILIZING")
    assert (task_set["scale"], task_set["computedDesiredCount"]) == ({"value": 25.0, "unit": "PERCENT"}, 3)
    assert (task_set["externalId"], task_set["launchType"]) == ("blue", "EC2")
    assert task_set["tags"] == [{"key": "a", "value": "b"}]
    service = service_of(ecs)
    assert (service["deployments"], len(service["taskSets"]), "taskDefinition" in service) == ([], 1, False)


def test_create_task_set_when_no_scale_is_given_then_zero(ecs):
    assert create(ecs)["scale"] == {"value": 0.0, "unit": "PERCENT"}


def test_create_task_set_when_the_token_is_known_then_the_same(ecs):
    assert create(ecs, clientToken="t")["id"] == create(ecs, clientToken="t")["id"]
    assert create(ecs)["id"] != create(ecs)["id"]


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"taskDefinition": "nobody"}, "ClientException", "TaskDefinition not found."),
        ({"scale": {"value": 101.0, "unit": "PERCENT"}}, INVALID, "The scale of a task set must be"),
        ({"launchType": "FARGATE"}, INVALID, "does not support launch_type FARGATE"),
        ({"serviceRegistries": [{"registryArn": "x"}]}, "UnsupportedFeatureException", "Service discovery is not"),
        ({"externalId": "x" * 256}, INVALID, "externalId must be at most 255"),
        ({"service": "nobody"}, "ServiceNotFoundException", "Service not found."),
        (
            {"service": "rolling"},
            INVALID,
            NOT_EXTERNAL,
        ),
        ({"cluster": "nobody"}, "ClusterNotFoundException", "Cluster not found."),
        (
            {"loadBalancers": [{"targetGroupArn": "x", "containerName": "main", "containerPort": 80}]},
            INVALID,
            "The container main did not have a container port 80 defined.",
        ),
    ],
)
def test_create_task_set_when_it_cannot_be_then_refused(ecs, members, code, message):
    ecs.create_service(serviceName="rolling", taskDefinition="web", desiredCount=1)
    found = refusal(ecs.create_task_set, **{"taskDefinition": "web"} | members)
    assert found[0] == code
    assert message in found[1]


def test_update_task_set_when_scaled_then_it_stabilizes_anew(region, ecs):
    task_set = create(ecs, 10.0)
    region.world.store.update(
        lambda tx: tx.task_sets.put(replace(tx.task_sets[task_set["taskSetArn"]], stability_status="STEADY_STATE"))
    )
    for name in (task_set["taskSetArn"], task_set["id"], task_set["id"].rpartition("/")[2]):
        same = ecs.update_task_set(**PLACE, taskSet=name, scale={"value": 10.0, "unit": "PERCENT"})["taskSet"]
        assert same["stabilityStatus"] == "STEADY_STATE"
    changed = ecs.update_task_set(**PLACE, taskSet=task_set["id"], scale={"value": 100.0, "unit": "PERCENT"})["taskSet"]
    assert (changed["stabilityStatus"], changed["computedDesiredCount"]) == ("STABILIZING", 10)
    message = "The specified task set was not found."
    assert refusal(ecs.update_task_set, taskSet="1", scale={"value": 1.0, "unit": "PERCENT"}) == (
        "TaskSetNotFoundException",
        message,
    )


def test_update_service_primary_task_set_when_another_was_then_they_change_places(region, ecs):
    blue = create(ecs, 100.0)
    a_task_definition(region, "web")
    green = create(ecs, 100.0)
    for task_set, definition in ((blue, "web:1"), (green, "web:2")):
        answer = ecs.update_service_primary_task_set(**PLACE, primaryTaskSet=task_set["id"])["taskSet"]
        assert answer["status"] == "PRIMARY"
        assert service_of(ecs)["taskDefinition"].endswith(definition)
    statuses = {each["id"]: each["status"] for each in service_of(ecs)["taskSets"]}
    assert statuses == {blue["id"]: "ACTIVE", green["id"]: "PRIMARY"}
    assert ecs.update_service(service="web", desiredCount=4)["service"]["taskDefinition"].endswith("web:2")


def test_delete_task_set_when_it_is_not_the_primary_one_then_it_drains(ecs):
    task_set = create(ecs, 10.0)
    ecs.update_service_primary_task_set(**PLACE, primaryTaskSet=task_set["id"])
    message = "Primary TaskSet cannot be deleted"
    for force in (False, True):
        assert refusal(ecs.delete_task_set, taskSet=task_set["id"], force=force) == (INVALID, message)
    ecs.update_service_primary_task_set(**PLACE, primaryTaskSet=create(ecs, 100.0)["id"])
    gone = ecs.delete_task_set(**PLACE, taskSet=task_set["id"])["taskSet"]
    assert (gone["status"], gone["computedDesiredCount"]) == ("DRAINING", 0)
    assert ecs.delete_task_set(**PLACE, taskSet=task_set["id"])["taskSet"]["status"] == "DRAINING"
    scale = {"value": 1.0, "unit": "PERCENT"}
    assert refusal(ecs.update_task_set, taskSet=task_set["id"], scale=scale)[1] == "The task set is being deleted."
    assert refusal(ecs.update_service_primary_task_set, primaryTaskSet=task_set["id"])[0] == INVALID


def test_create_task_set_when_there_are_five_then_refused(ecs):
    for _ in range(5):
        create(ecs)
    message = "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
    assert refusal(ecs.create_task_set, taskDefinition="web") == (INVALID, message)


def test_service_when_it_has_a_primary_task_set_then_it_shows_what_that_runs(region, ecs):
    port = {"portMappings": [{"containerPort": 80}]}
    a_task_definition(region, "web", containerDefinitions=[{"name": "main", "image": "busybox", "memory": 64} | port])
    region.world.store.update(put_listener)
    entry = {"targetGroupArn": GROUP, "containerName": "main", "containerPort": 80}
    twice = [entry, entry | {"targetGroupArn": f"{GROUP}2"}]
    assert refusal(ecs.create_task_set, taskDefinition="web", loadBalancers=twice)[1].endswith("one target group.")
    task_set = create(ecs, 100.0, loadBalancers=[entry], launchType="EXTERNAL")
    before = service_of(ecs)
    assert (before["loadBalancers"], before["launchType"], "taskDefinition" in before) == ([], "EC2", False)
    ecs.update_service_primary_task_set(**PLACE, primaryTaskSet=task_set["id"])
    after = service_of(ecs)
    assert (after["loadBalancers"], after["launchType"]) == ([entry], "EXTERNAL")
    assert after["taskDefinition"].endswith("web:2")
    assert after["healthCheckGracePeriodSeconds"] == 0
    assert after["roleArn"].endswith("/AWSServiceRoleForECS")


def put_listener(tx):
    tx.target_groups.put(
        TargetGroup(
            arn=GROUP, name="x", protocol="HTTP", port=80, vpc_id="vpc-1", target_type="instance", created_at=1.0
        )
    )
    forward = ({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP, "Weight": 1}]}},)
    tx.listeners.put(
        Listener(
            arn=f"{ELB}listener/app/alb/1/2",
            load_balancer_arn="lb",
            port=80,
            protocol="HTTP",
            default_actions=forward,
            created_at=1.0,
        )
    )


def test_create_service_when_external_then_a_name_is_enough(ecs):
    service = ecs.create_service(serviceName="bare", deploymentController={"type": "EXTERNAL"})["service"]
    assert (service["desiredCount"], service["deployments"], service["taskSets"]) == (0, [], [])


def test_describe_task_sets_when_the_service_deploys_by_itself_then_refused(ecs):
    ecs.create_service(serviceName="rolling", taskDefinition="web", desiredCount=1)
    assert refusal(ecs.describe_task_sets, service="rolling") == (INVALID, NOT_EXTERNAL)


def test_delete_service_when_it_has_task_sets_then_only_by_force(ecs):
    create(ecs)
    ecs.update_service(service="web", desiredCount=0)
    message = "The service cannot be stopped while deployments are active."
    assert refusal(ecs.delete_service) == (INVALID, message)
    assert ecs.delete_service(service="web", force=True)["service"]["status"] == "DRAINING"
    assert refusal(ecs.describe_task_sets) == ("ServiceNotActiveException", "Service was not ACTIVE.")


def test_describe_task_sets_when_named_then_those_else_all(ecs):
    first, second = create(ecs, tags=[{"key": "a", "value": "b"}]), create(ecs)
    answer = ecs.describe_task_sets(**PLACE, taskSets=[first["id"], "ecs-svc/1"], include=["TAGS"])
    assert [each["tags"] for each in answer["taskSets"]] == [[{"key": "a", "value": "b"}]]
    assert answer["failures"] == [{"arn": first["taskSetArn"].replace(first["id"], "ecs-svc/1"), "reason": "MISSING"}]
    everything = ecs.describe_task_sets(**PLACE)["taskSets"]
    assert [each["id"] for each in everything] == [first["id"], second["id"]]
    assert everything[0]["tags"] == []


def test_tags_of_a_task_set_when_changed_then_listed(ecs):
    arn = create(ecs)["taskSetArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "1"}]
    with pytest.raises(ClientError) as caught:
        ecs.tag_resource(resourceArn=arn[:-1], tags=[])
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
