"""Task scale-in protection through boto3."""

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tests.fleet import a_task_definition, an_instance, ecs_of


@pytest.fixture
def ecs(region):
    return ecs_of(region)


@pytest.fixture
def task_arns(region, ecs):
    """A task of a service and a standalone one."""
    an_instance(region)
    a_task_definition(region)
    of_service, standalone = (task["taskArn"] for task in ecs.run_task(taskDefinition="web", count=2)["tasks"])

    def change(tx):
        arn = region.world.arns.service("default", "web")
        tx.tasks.put(replace(tx.tasks[of_service], service_name="web", service_arn=arn, group="service:web"))

    region.world.store.update(change)
    return of_service, standalone


def test_update_protection_when_service_task_then_protected_for_two_hours(region, ecs, task_arns):
    of_service, standalone = task_arns
    answer = ecs.update_task_protection(
        cluster="default", tasks=[of_service, standalone, "0" * 32], protectionEnabled=True
    )
    (protected,) = answer["protectedTasks"]
    assert (protected["taskArn"], protected["protectionEnabled"]) == (of_service, True)
    assert protected["expirationDate"].timestamp() == pytest.approx(region.clock.now() + 7200, abs=60)
    assert [(each["arn"], each["reason"]) for each in answer["failures"]] == [
        (standalone, "TASK_NOT_VALID"),
        ("arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32, "MISSING"),
    ]
    assert ecs.get_task_protection(cluster="default", tasks=[of_service])["protectedTasks"] == [protected]
    assert ecs.get_task_protection(cluster="default")["protectedTasks"] == [protected]
    ecs.update_task_protection(cluster="default", tasks=[of_service], protectionEnabled=False)
    assert ecs.get_task_protection(cluster="default")["protectedTasks"] == [
        {"taskArn": of_service, "protectionEnabled": False}
    ]


@pytest.mark.parametrize(
    "parameters", [{"expiresInMinutes": 0}, {"expiresInMinutes": 2881}, {"tasks": []}, {"tasks": ["0" * 32] * 11}]
)
def test_update_protection_when_out_of_range_then_refused(ecs, task_arns, parameters):
    given = {"cluster": "default", "tasks": [task_arns[0]], "protectionEnabled": True} | parameters
    with pytest.raises(ClientError) as caught:
        ecs.update_task_protection(**given)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_get_protection_when_it_has_run_out_then_not_protected(region, ecs, task_arns):
    ecs.update_task_protection(cluster="default", tasks=[task_arns[0]], protectionEnabled=True, expiresInMinutes=1)
    region.clock.advance(61)
    (task,) = ecs.get_task_protection(cluster="default", tasks=[task_arns[0]])["protectedTasks"]
    assert task["protectionEnabled"] is False


def test_get_protection_when_a_hundred_tasks_are_named_then_answered_and_no_more_than_that(ecs, task_arns):
    failures = ecs.get_task_protection(cluster="default", tasks=[f"{number:032x}" for number in range(100)])["failures"]
    assert len(failures) == 100
    with pytest.raises(ClientError) as caught:
        ecs.get_task_protection(cluster="default", tasks=["0" * 32] * 101)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_update_protection_when_more_are_protected_than_wanted_then_blocked_for_others(region, ecs):
    an_instance(region)
    a_task_definition(region)
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
    deployment = ecs.describe_services(services=["web"])["services"][0]["deployments"][0]["id"]
    arns = [ecs.run_task(taskDefinition="web", startedBy=deployment)["tasks"][0]["taskArn"] for _ in range(3)]
    service_arn = region.world.arns.service("default", "web")

    def adopt(tx):
        for arn in arns:
            tx.tasks.put(replace(tx.tasks[arn], service_name="web", service_arn=service_arn))

    region.world.store.update(adopt)

    def protect(*tasks, enabled=True):
        answer = ecs.update_task_protection(cluster="default", tasks=tasks, protectionEnabled=enabled)
        return [each["taskArn"] for each in answer["protectedTasks"]], answer["failures"]

    assert protect(*arns[:2]) == (arns[:2], [])
    ecs.update_service(service="web", desiredCount=1)
    protected, (failure,) = protect(arns[2], arns[0])
    assert protected == [arns[0]], "a protection may be prolonged"
    assert (failure["arn"], failure["reason"]) == (arns[2], "DEPLOYMENT_BLOCKED")
    assert failure["detail"].startswith("Can't set task protection as one or more protected tasks are preventing")
    assert protect(arns[1], enabled=False) == ([arns[1]], [])
    assert protect(arns[2]) == ([arns[2]], [])
