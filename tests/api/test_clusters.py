"""Clusters, as boto3 sees them."""

import pytest
from botocore.exceptions import ClientError

from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.model.service import Service
from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task import Task
from homeport.shapes import ecs as shapes

PREFIX = "arn:aws:ecs:us-east-1:123456789012:"


@pytest.fixture
def ecs(region):
    return region.client("ecs")


def code(caught):
    return caught.value.response["Error"]["Code"]


def add_instance(region, cluster="default", number=1, status="ACTIVE"):
    arn = region.world.arns.container_instance(cluster, f"{number:032x}")
    instance = ContainerInstance(
        arn=arn,
        cluster_arn=region.world.arns.cluster(cluster),
        ec2_instance_id=f"i-{number}",
        registered=Resources(cpu_units=1024, memory_mib=1024),
        status=status,
    )
    region.world.store.update(lambda tx: tx.container_instances.put(instance))
    return arn


def add_task(region, cluster="default", number=1, last_status=TaskStatus.RUNNING, **more):
    arn = region.world.arns.task(cluster, f"{number:032x}")
    stopped = last_status is TaskStatus.STOPPED
    task = Task(
        arn=arn,
        cluster_arn=region.world.arns.cluster(cluster),
        task_definition_arn=region.world.arns.task_definition("web", 1),
        family="web",
        group="family:web",
        created_at=1.0,
        resources=Resources(),
        containers=(),
        last_status=last_status,
        desired_status=DesiredStatus.STOPPED if stopped else DesiredStatus.RUNNING,
        **more,
    )
    region.world.store.update(lambda tx: tx.tasks.put(task))
    return arn


def test_create_cluster_when_new_then_active_with_all_that_was_given(ecs):
    configuration = {
        "executeCommandConfiguration": {
            "kmsKeyId": "key",
            "logging": "OVERRIDE",
            "logConfiguration": {"cloudWatchLogGroupName": "g", "s3EncryptionEnabled": False},
        }
    }
    created = ecs.create_cluster(
        clusterName="blue",
        tags=[{"key": "a", "value": "b"}],
        settings=[{"name": "containerInsights", "value": "enabled"}],
        configuration=configuration,
    )["cluster"]
    assert created == {
        "clusterArn": f"{PREFIX}cluster/blue",
        "clusterName": "blue",
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [{"key": "a", "value": "b"}],
        "settings": [{"name": "containerInsights", "value": "enabled"}],
        "configuration": configuration,
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }
    described = ecs.describe_clusters(clusters=["blue"], include=["SETTINGS", "CONFIGURATIONS", "TAGS"])
    assert described["clusters"] == [created]
    assert described["failures"] == []


def test_create_cluster_when_repeated_then_the_same_cluster(ecs):
    first = ecs.create_cluster(clusterName="blue", tags=[{"key": "a", "value": "b"}])["cluster"]
    assert ecs.create_cluster(clusterName="blue")["cluster"] == first
    assert ecs.create_cluster(clusterName="blue", tags=[{"key": "a", "value": "b"}])["cluster"] == first
    assert ecs.create_cluster()["cluster"]["clusterName"] == "default"


def test_create_cluster_when_repeated_otherwise_then_inconsistent(ecs):
    ecs.create_cluster(clusterName="blue")
    with pytest.raises(ClientError, match="inconsistent with arguments used in previous request") as caught:
        ecs.create_cluster(clusterName="blue", settings=[{"name": "containerInsights", "value": "enabled"}])
    assert code(caught) == "InvalidParameterException"


@pytest.mark.parametrize("name", ["a b", "x" * 256, "a/b"])
def test_create_cluster_when_the_name_is_malformed_then_refused(ecs, name):
    with pytest.raises(ClientError, match="Cluster must match") as caught:
        ecs.create_cluster(clusterName=name)
    assert code(caught) == "InvalidParameterException"


@pytest.mark.parametrize(
    "asked",
    [
        {"capacityProviders": ["FARGATE"]},
        {"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]},
        {"serviceConnectDefaults": {"namespace": "local"}},
    ],
)
def test_create_cluster_when_asked_for_what_is_not_built_then_refused(ecs, asked):
    with pytest.raises(ClientError, match="not supported by this version"):
        ecs.create_cluster(clusterName="blue", **asked)
    assert ecs.describe_clusters(clusters=["blue"])["failures"][0]["reason"] == "MISSING"


def test_create_cluster_when_the_account_prefers_insights_then_new_clusters_have_them(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enhanced")
    created = ecs.create_cluster(clusterName="blue")["cluster"]
    assert created["settings"] == [{"name": "containerInsights", "value": "enhanced"}]


def test_describe_clusters_when_nothing_is_named_then_the_default_without_extras(ecs):
    cluster = ecs.describe_clusters()["clusters"][0]
    assert cluster["clusterName"] == "default"
    assert (cluster["settings"], cluster["statistics"], cluster["tags"]) == ([], [], [])
    assert "configuration" not in cluster
    assert "attachments" not in cluster


def test_describe_clusters_when_named_by_arn_and_unknown_then_found_and_missing(ecs):
    answer = ecs.describe_clusters(clusters=[f"{PREFIX}cluster/default", "default", "gone"])
    assert [cluster["clusterName"] for cluster in answer["clusters"]] == ["default"]
    assert answer["failures"] == [{"arn": f"{PREFIX}cluster/gone", "reason": "MISSING"}]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["default"] * 101, "at most 100"),
        ([""], "Cluster can not be blank."),
        (["a b"], "Cluster must match"),
        (["arn:aws:ecs:us-east-1:123456789012:task/default/1"], "Unsupported resource type: task"),
        (["arn:aws:ecs:eu-west-1:123456789012:cluster/default"], "eu-west-1"),
        (["arn:aws:ecs:us-east-1:999999999999:cluster/default"], "999999999999"),
    ],
)
def test_describe_clusters_when_malformed_then_refused(ecs, names, sentence):
    with pytest.raises(ClientError, match=sentence) as caught:
        ecs.describe_clusters(clusters=names)
    assert code(caught) == "InvalidParameterException"


def test_describe_clusters_when_tasks_and_instances_are_there_then_counted(region, ecs):
    add_instance(region, number=1)
    add_instance(region, number=2, status="DRAINING")
    add_instance(region, number=3, status="INACTIVE")
    add_task(region, number=1)
    add_task(region, number=2, last_status=TaskStatus.PENDING)
    add_task(region, number=3, last_status=TaskStatus.PROVISIONING)
    add_task(region, number=4, last_status=TaskStatus.STOPPED)
    add_task(region, number=5, launch_type="EXTERNAL")
    cluster = ecs.describe_clusters(include=["STATISTICS", "ATTACHMENTS"])["clusters"][0]
    assert cluster["registeredContainerInstancesCount"] == 2
    assert (cluster["runningTasksCount"], cluster["pendingTasksCount"]) == (2, 2)
    statistics = {one["name"]: one["value"] for one in cluster["statistics"]}
    assert statistics["runningEC2TasksCount"] == "1"
    assert statistics["pendingEC2TasksCount"] == "2"
    assert statistics["runningExternalTasksCount"] == "1"
    assert statistics["runningFargateTasksCount"] == "0"
    assert cluster["attachments"] == []


def test_list_clusters_when_paged_then_every_active_one_once(ecs):
    for number in range(5):
        ecs.create_cluster(clusterName=f"c{number}")
    ecs.delete_cluster(cluster="c3")
    pages = ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 2})
    found = [arn for page in pages for arn in page["clusterArns"]]
    assert found == [f"{PREFIX}cluster/{name}" for name in ("c0", "c1", "c2", "c4", "default")]


@pytest.mark.parametrize("asked", [{"maxResults": 0}, {"maxResults": 101}, {"nextToken": "nonsense"}])
def test_list_clusters_when_page_is_malformed_then_refused(ecs, asked):
    with pytest.raises(ClientError) as caught:
        ecs.list_clusters(**asked)
    assert code(caught) == "InvalidParameterException"


def test_update_cluster_when_given_parts_then_only_these_change(ecs):
    ecs.create_cluster(clusterName="blue", settings=[{"name": "containerInsights", "value": "enabled"}])
    configuration = {"executeCommandConfiguration": {"logging": "NONE"}}
    updated = ecs.update_cluster(cluster="blue", configuration=configuration)["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert updated["configuration"] == configuration
    updated = ecs.update_cluster(
        cluster=f"{PREFIX}cluster/blue", settings=[{"name": "containerInsights", "value": "disabled"}]
    )["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert updated["configuration"] == configuration


def test_update_cluster_settings_when_given_then_they_hold(ecs):
    answer = ecs.update_cluster_settings(
        cluster="default", settings=[{"name": "containerInsights", "value": "enhanced"}]
    )
    assert answer["cluster"]["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    with pytest.raises(ClientError):
        ecs.update_cluster_settings(cluster="default", settings=[])
    with pytest.raises(ClientError, match="enabled, disabled, enhanced"):
        ecs.update_cluster_settings(cluster="default", settings=[{"name": "containerInsights", "value": "maybe"}])


def test_delete_cluster_when_empty_then_inactive_hidden_and_its_name_free(ecs):
    ecs.create_cluster(clusterName="blue", tags=[{"key": "a", "value": "b"}])
    assert ecs.delete_cluster(cluster="blue")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["blue"])["clusters"][0]["status"] == "INACTIVE"
    assert f"{PREFIX}cluster/blue" not in ecs.list_clusters()["clusterArns"]
    for call in (ecs.delete_cluster, ecs.update_cluster):
        with pytest.raises(ClientError) as caught:
            call(cluster="blue")
        assert code(caught) == "ClusterNotFoundException"
    again = ecs.create_cluster(clusterName="blue")["cluster"]
    assert (again["status"], again["tags"]) == ("ACTIVE", [])


def test_delete_cluster_when_something_is_in_it_then_refused(region, ecs):
    add_task(region, number=1)
    with pytest.raises(ClientError, match="while Tasks are active") as caught:
        ecs.delete_cluster(cluster="default")
    assert code(caught) == "ClusterContainsTasksException"
    add_instance(region)
    with pytest.raises(ClientError, match="while Container Instances are active or draining") as caught:
        ecs.delete_cluster(cluster="default")
    assert code(caught) == "ClusterContainsContainerInstancesException"


def test_delete_cluster_when_only_stopped_tasks_are_left_then_deleted(region, ecs):
    add_task(region, last_status=TaskStatus.STOPPED)
    add_instance(region, status="INACTIVE")
    assert ecs.delete_cluster(cluster="default")["cluster"]["status"] == "INACTIVE"


@pytest.mark.parametrize("call", ["delete_cluster", "update_cluster", "update_cluster_settings"])
def test_cluster_call_when_the_cluster_is_unknown_then_not_found(ecs, call):
    settings = {"settings": []} if call == "update_cluster_settings" else {}
    with pytest.raises(ClientError, match="Cluster not found") as caught:
        getattr(ecs, call)(cluster="gone", **settings)
    assert code(caught) == "ClusterNotFoundException"


def test_delete_cluster_when_a_service_is_in_it_then_refused_and_counted(region, ecs):
    arns = region.world.arns
    service = Service(
        arn=arns.service("default", "web"),
        name="web",
        cluster_arn=arns.cluster("default"),
        task_definition_arn=arns.task_definition("web", 1),
        desired_count=0,
        deployment_configuration=shapes.DeploymentConfiguration(),
        created_at=1.0,
    )
    region.world.store.update(lambda tx: tx.services.put(service))
    assert ecs.describe_clusters()["clusters"][0]["activeServicesCount"] == 1
    with pytest.raises(ClientError, match="while Services are active") as caught:
        ecs.delete_cluster(cluster="default")
    assert code(caught) == "ClusterContainsServicesException"
