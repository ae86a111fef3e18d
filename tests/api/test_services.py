"""CreateService, UpdateService, DeleteService, DescribeServices and ListServices through boto3."""

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from homeport.model.service_events import announce
from tests.fleet import a_task_definition, an_instance, ecs_of


@pytest.fixture
def ecs(region):
    a_task_definition(region, "web")
    return ecs_of(region)


def refused(code, message, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (code, message)


def create(ecs, name="web", **members):
    members = {"taskDefinition": "web", "desiredCount": 2} | members
    return ecs.create_service(serviceName=name, **members)["service"]


def described(ecs, name="web", **members):
    (service,) = ecs.describe_services(services=[name], **members)["services"]
    return service


def row(region, name="web"):
    return region.world.store.read.services[region.world.arns.service("default", name)]


def put(region, service):
    region.world.store.update(lambda tx: tx.services.put(service))


def test_create_service_when_only_the_needful_is_given_then_defaults_are_filled_in(region, ecs):
    service = create(ecs, tags=[{"key": "a", "value": "b"}])
    arn = "arn:aws:ecs:us-east-1:123456789012:service/default/web"
    assert (service["serviceArn"], service["serviceName"], service["status"]) == (arn, "web", "ACTIVE")
    assert service["clusterArn"] == "arn:aws:ecs:us-east-1:123456789012:cluster/default"
    assert service["taskDefinition"] == "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"
    assert (service["desiredCount"], service["runningCount"], service["pendingCount"]) == (2, 0, 0)
    assert service["deploymentConfiguration"] == {
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "strategy": "ROLLING",
    }
    assert (service["launchType"], service["schedulingStrategy"]) == ("EC2", "REPLICA")
    assert service["deploymentController"] == {"type": "ECS"}
    assert service["availabilityZoneRebalancing"] == "ENABLED"
    assert (service["enableECSManagedTags"], service["enableExecuteCommand"]) == (False, False)
    assert service["propagateTags"] == "NONE"
    assert service["createdBy"] == "arn:aws:iam::123456789012:root"
    assert service["tags"] == [{"key": "a", "value": "b"}]
    for absent in ("networkConfiguration", "capacityProviderStrategy", "platformVersion", "roleArn", "taskSets"):
        assert absent not in service
    for empty in ("loadBalancers", "serviceRegistries", "events", "placementConstraints", "placementStrategy"):
        assert service[empty] == []


def test_create_service_when_controlled_by_ecs_then_first_deployment_begins(ecs):
    service = create(ecs)
    (deployment,) = service["deployments"]
    assert deployment["id"].startswith("ecs-svc/")
    assert len(deployment["id"]) == len("ecs-svc/") + 19
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    assert (deployment["desiredCount"], deployment["failedTasks"]) == (2, 0)
    assert deployment["taskDefinition"] == service["taskDefinition"]
    (revision,) = service["currentServiceRevisions"]
    assert revision["requestedTaskCount"] == 2
    (attempt,) = ecs.list_service_deployments(service="web")["serviceDeployments"]
    assert service["currentServiceDeployment"] == attempt["serviceDeploymentArn"]
    assert attempt["targetServiceRevisionArn"] == revision["arn"]


def test_create_service_when_daemon_then_its_own_defaults(ecs):
    service = ecs.create_service(serviceName="d", taskDefinition="web", schedulingStrategy="DAEMON")["service"]
    configuration = service["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (0, 100)
    assert (service["desiredCount"], service["availabilityZoneRebalancing"]) == (0, "DISABLED")


@pytest.mark.parametrize(
    "members",
    [
        {"placementStrategy": [{"type": "binpack", "field": "memory"}]},
        {"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 50}},
        {"placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1a"}]},
        {"launchType": "EXTERNAL"},
    ],
)
def test_create_service_when_rebalancing_cannot_be_then_it_is_disabled_unless_asked_for(ecs, members):
    assert create(ecs, **members)["availabilityZoneRebalancing"] == "DISABLED"
    with pytest.raises(ClientError, match="Availability Zone Rebalancing does not support"):
        create(ecs, "other", availabilityZoneRebalancing="ENABLED", **members)


def test_create_service_when_the_name_is_taken_then_refused(region, ecs):
    create(ecs)
    message = "Creation of service was not idempotent."
    refused("InvalidParameterException", message, create, ecs=ecs)
    put(region, replace(row(region), status="DRAINING"))
    message = "Unable to Start a service that is still Draining."
    refused("InvalidParameterException", message, create, ecs=ecs)


def test_create_service_when_the_name_is_of_an_inactive_one_then_nothing_of_that_remains(region, ecs):
    create(ecs)
    region.world.store.update(lambda tx: announce(tx, row(region), "has reached a steady state."))
    put(region, replace(row(region), status="INACTIVE"))
    service = create(ecs, desiredCount=1)
    assert (service["status"], service["events"], len(service["deployments"])) == ("ACTIVE", [], 1)
    assert len(ecs.list_service_deployments(service="web")["serviceDeployments"]) == 1


def test_create_service_when_the_token_is_known_then_the_same_answer(region, ecs):
    first = create(ecs, clientToken="t")
    assert create(ecs, clientToken="t") == first
    refused(
        "ClientException",
        "The client token was already used with different request parameters.",
        create,
        ecs=ecs,
        clientToken="t",
        desiredCount=3,
    )
    put(region, replace(row(region), status="INACTIVE"))
    assert create(ecs, clientToken="t")["currentServiceDeployment"] != first["currentServiceDeployment"]


def test_update_service_when_only_a_count_or_a_percent_changes_then_no_deployment(ecs):
    before = create(ecs, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    after = ecs.update_service(
        service="web",
        desiredCount=5,
        deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50},
        placementStrategy=[{"type": "spread", "field": "attribute:ecs.availability-zone"}],
        placementConstraints=[{"type": "distinctInstance"}],
        enableECSManagedTags=True,
        propagateTags="SERVICE",
        availabilityZoneRebalancing="DISABLED",
    )["service"]
    assert [each["id"] for each in after["deployments"]] == [each["id"] for each in before["deployments"]]
    assert after["currentServiceDeployment"] == before["currentServiceDeployment"]
    assert after["desiredCount"] == after["deployments"][0]["desiredCount"] == 5
    assert after["deploymentConfiguration"] == {
        "maximumPercent": 150,
        "minimumHealthyPercent": 50,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "strategy": "ROLLING",
    }
    assert after["placementConstraints"] == [{"type": "distinctInstance"}]
    assert (after["enableECSManagedTags"], after["propagateTags"]) == (True, "SERVICE")
    assert described(ecs) == after | {"tags": []}


def test_update_service_when_placement_is_emptied_then_it_is_gone(ecs):
    create(
        ecs,
        placementStrategy=[{"type": "binpack", "field": "memory"}],
        placementConstraints=[{"type": "distinctInstance"}],
    )
    service = ecs.update_service(service="web", placementStrategy=[{}], placementConstraints=[])["service"]
    assert (service["placementStrategy"], service["placementConstraints"]) == ([], [])


def test_update_service_when_the_task_definition_changes_then_a_deployment_begins(region, ecs):
    before = create(ecs)
    a_task_definition(region, "web")
    after = ecs.update_service(service="web", taskDefinition="web")["service"]
    assert after["taskDefinition"].endswith("web:2")
    primary, older = after["deployments"]
    assert (primary["status"], older["status"]) == ("PRIMARY", "ACTIVE")
    assert older["id"] == before["deployments"][0]["id"]
    newest, first = ecs.list_service_deployments(service="web")["serviceDeployments"]
    assert (newest["status"], first["status"]) == ("PENDING", "STOP_REQUESTED")
    assert after["currentServiceDeployment"] == newest["serviceDeploymentArn"]


def test_update_service_when_five_deployments_have_tasks_then_no_sixth_begins(region, ecs):
    an_instance(region)
    service = create(ecs)
    for number in range(5):
        primary = service["deployments"][0]["id"]
        if number < 4:
            give_a_task(region, ecs, primary)
        if number:
            assert len(service["deployments"]) == number + 1
        if number < 4:
            service = ecs.update_service(service="web", forceNewDeployment=True)["service"]
    message = "5 active deployments exist, unable to create new deployment."
    refused("InvalidParameterException", message, ecs.update_service, service="web", forceNewDeployment=True)
    assert ecs.update_service(service="web", desiredCount=3)["service"]["desiredCount"] == 3


def give_a_task(region, ecs, deployment):
    (task,) = ecs.run_task(taskDefinition="web", startedBy=deployment)["tasks"]
    arn = row(region).arn
    region.world.store.update(
        lambda tx: tx.tasks.put(replace(tx.tasks[task["taskArn"]], service_arn=arn, service_name="web"))
    )


def test_update_service_when_raised_amid_a_deployment_then_both_revisions_grow(region, ecs):
    create(ecs)

    def complete(tx):
        (only,) = tx.deployments.by(service_arn=row(region).arn)
        tx.deployments.put(replace(only, rollout_state="COMPLETED", completed_at=1.0))

    region.world.store.update(complete)
    ecs.update_service(service="web", forceNewDeployment=True)
    service = ecs.update_service(service="web", desiredCount=5)["service"]
    assert [each["desiredCount"] for each in service["deployments"]] == [5, 5]


def test_update_service_when_the_task_definition_stays_then_no_deployment_unless_forced(region, ecs):
    create(ecs)
    ecs.deregister_task_definition(taskDefinition="web:1")
    assert len(ecs.update_service(service="web", taskDefinition="web:1", desiredCount=1)["service"]["deployments"]) == 1
    assert len(ecs.update_service(service="web", forceNewDeployment=True)["service"]["deployments"]) == 2
    a_task_definition(region, "web")
    ecs.deregister_task_definition(taskDefinition="web:2")
    refused("ClientException", "TaskDefinition is inactive", ecs.update_service, service="web", taskDefinition="web:2")


def test_update_service_when_it_is_not_there_or_not_active_then_refused(region, ecs):
    refused("ServiceNotFoundException", "Service not found.", ecs.update_service, service="web")
    create(ecs)
    put(region, replace(row(region), status="DRAINING"))
    refused("ServiceNotActiveException", "Service was not ACTIVE.", ecs.update_service, service="web")


def test_delete_service_when_scaled_above_zero_then_only_by_force(ecs):
    create(ecs)
    message = "The service cannot be stopped while it is scaled above 0."
    refused("InvalidParameterException", message, ecs.delete_service, service="web")
    service = ecs.delete_service(service="web", force=True)["service"]
    assert (service["status"], service["desiredCount"]) == ("DRAINING", 0)
    assert ecs.delete_service(service="web")["service"]["status"] == "DRAINING"
    assert ecs.list_services()["serviceArns"] == []
    assert described(ecs)["status"] == "DRAINING"


def test_delete_service_when_at_zero_or_daemon_then_no_force_is_needed(region, ecs):
    create(ecs, desiredCount=0)
    assert ecs.delete_service(service="web")["service"]["status"] == "DRAINING"
    ecs.create_service(serviceName="d", taskDefinition="web", schedulingStrategy="DAEMON")
    assert ecs.delete_service(service="d")["service"]["status"] == "DRAINING"
    put(region, replace(row(region), status="INACTIVE"))
    refused("ServiceNotFoundException", "Service not found.", ecs.delete_service, service="web")
    refused("ServiceNotFoundException", "Service not found.", ecs.delete_service, service="nobody")


def test_delete_cluster_when_it_has_a_service_then_refused(region, ecs):
    create(ecs)
    assert ecs.describe_clusters()["clusters"][0]["activeServicesCount"] == 1
    message = "The Cluster cannot be deleted while Services are active."
    refused("ClusterContainsServicesException", message, ecs.delete_cluster, cluster="default")


def test_describe_services_when_named_in_any_form_then_found_and_the_rest_missing(ecs):
    arn = create(ecs, tags=[{"key": "a", "value": "b"}])["serviceArn"]
    old_form = "arn:aws:ecs:us-east-1:123456789012:service/web"
    answer = ecs.describe_services(services=["web", arn, old_form, "nobody", f"{arn}2"], include=["TAGS"])
    (service,) = answer["services"]
    assert service["tags"] == [{"key": "a", "value": "b"}]
    assert answer["failures"] == [
        {"arn": arn.replace("/web", "/nobody"), "reason": "MISSING"},
        {"arn": f"{arn}2", "reason": "MISSING"},
    ]
    assert described(ecs)["tags"] == []


def test_describe_services_when_named_wrongly_then_refused(ecs):
    refused("InvalidParameterException", "Services cannot be empty.", ecs.describe_services, services=[])
    message = "Services cannot have more than 10 elements."
    refused("InvalidParameterException", message, ecs.describe_services, services=[f"s{n}" for n in range(11)])
    message = "Invalid identifier: Identifier is for cluster other. Your cluster is default"
    arn = "arn:aws:ecs:us-east-1:123456789012:service/other/web"
    refused("InvalidParameterException", message, ecs.describe_services, services=[arn])
    refused("InvalidParameterException", "Invalid service name or ARN.", ecs.describe_services, services=["a b"])


def test_describe_services_when_there_are_events_then_newest_first(region, ecs):
    create(ecs)
    for number in range(3):
        region.clock.advance(1)
        region.world.store.update(lambda tx, number=number: announce(tx, row(region), f"event {number}"))
    messages = [event["message"] for event in described(ecs)["events"]]
    assert messages == ["(service web) event 2", "(service web) event 1", "(service web) event 0"]


def test_list_services_when_there_are_many_then_ten_to_a_page_and_filters_hold(ecs):
    for number in range(12):
        create(ecs, f"s{number:02}", desiredCount=0)
    ecs.create_service(serviceName="d", taskDefinition="web", schedulingStrategy="DAEMON")
    first = ecs.list_services()
    assert len(first["serviceArns"]) == 10
    rest = ecs.list_services(nextToken=first["nextToken"])
    assert (len(rest["serviceArns"]), "nextToken" in rest) == (3, False)
    assert len(ecs.list_services(maxResults=100)["serviceArns"]) == 13
    assert [arn[-2:] for arn in ecs.list_services(schedulingStrategy="DAEMON")["serviceArns"]] == ["/d"]
    assert ecs.list_services(launchType="FARGATE")["serviceArns"] == []
    assert ecs.list_services(resourceManagementType="ECS")["serviceArns"] == []
    refused("NamespaceNotFoundException", "Namespace not found.", ecs.list_services_by_namespace, namespace="any")


def test_list_tasks_when_by_service_then_the_service_must_be(ecs):
    create(ecs)
    assert ecs.list_tasks(serviceName="web")["taskArns"] == []
    refused("ServiceNotFoundException", "Service not found.", ecs.list_tasks, serviceName="nobody")


def test_counts_when_tasks_run_or_stop_then_only_those_that_are_to_run_count(region, ecs):
    an_instance(region)
    deployment = create(ecs)["deployments"][0]["id"]
    arns = [ecs.run_task(taskDefinition="web", startedBy=deployment)["tasks"][0]["taskArn"] for _ in range(3)]

    def adopt(tx):
        for number, arn in enumerate(arns):
            task = replace(tx.tasks[arn], service_arn=row(region).arn, service_name="web")
            task = replace(task, last_status=type(task.last_status).RUNNING) if number else task
            tx.tasks.put(task)

    region.world.store.update(adopt)
    ecs.stop_task(task=arns[2])
    service = described(ecs)
    assert (service["runningCount"], service["pendingCount"]) == (1, 1)
    (primary,) = service["deployments"]
    assert (primary["runningCount"], primary["pendingCount"]) == (1, 1)
    (revision,) = service["currentServiceRevisions"]
    assert (revision["runningTaskCount"], revision["pendingTaskCount"]) == (1, 1)
    assert sorted(ecs.list_tasks(serviceName="web")["taskArns"]) == sorted(arns[:2])
    protected = ecs.update_task_protection(cluster="default", tasks=[arns[0]], protectionEnabled=True)
    assert protected["failures"] == []


def test_tags_of_a_service_when_changed_then_shown_and_kept_off_inactive_ones(region, ecs):
    arn = create(ecs)["serviceArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["b"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "1"}]
    assert described(ecs, include=["TAGS"])["tags"] == [{"key": "a", "value": "1"}]
    message = "Long arn format must be used for tagging operations"
    short = arn.replace("default/", "")
    refused("InvalidParameterException", message, ecs.tag_resource, resourceArn=short, tags=[])
    put(region, replace(row(region), status="INACTIVE"))
    message = "The specified service is inactive. Specify an active service and try again."
    refused("InvalidParameterException", message, ecs.tag_resource, resourceArn=arn, tags=[])
