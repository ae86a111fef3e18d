"""Service deployments and service revisions through boto3."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from homeport.model.deployment import HookState
from homeport.shapes.ecs import DeploymentConfiguration, DeploymentLifecycleHook
from tests.fleet import a_task_definition, ecs_of

INVALID = "InvalidParameterException"
BREAKER = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 7}}


@pytest.fixture
def ecs(region):
    ecs = ecs_of(region)
    a_task_definition(region, "web")
    ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        deploymentConfiguration={"deploymentCircuitBreaker": BREAKER},
    )
    return ecs


def attempts(ecs, **members):
    return ecs.list_service_deployments(service="web", **members)["serviceDeployments"]


def newest(ecs):
    return attempts(ecs)[0]["serviceDeploymentArn"]


def change(region, arn, **members):
    region.world.store.update(lambda tx: tx.service_deployments.put(replace(tx.service_deployments[arn], **members)))


def refusal(call, **members):
    with pytest.raises(ClientError) as caught:
        call(**members)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_describe_service_deployments_when_under_way_then_target_and_breaker(region, ecs):
    arn = newest(ecs)
    (attempt,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert (attempt["serviceDeploymentArn"], attempt["status"]) == (arn, "PENDING")
    assert attempt["deploymentCircuitBreaker"] == {"status": "MONITORING", "failureCount": 0, "threshold": 7}
    assert attempt["deploymentConfiguration"]["deploymentCircuitBreaker"] == BREAKER
    assert (attempt["sourceServiceRevisions"], "rollback" in attempt) == ([], False)
    target = attempt["targetServiceRevision"]
    assert (target["requestedTaskCount"], target["runningTaskCount"], target["pendingTaskCount"]) == (2, 0, 0)
    change(
        region,
        arn,
        status="ROLLBACK_IN_PROGRESS",
        rollback_reason="why",
        rollback_started_at=5.0,
        rollback_revision_arn="r",
    )
    (attempt,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert (attempt["rollback"]["reason"], attempt["rollback"]["serviceRevisionArn"]) == ("why", "r")


def test_describe_service_deployments_when_named_wrongly_then_refused_or_missing(ecs):
    arn = newest(ecs)
    answer = ecs.describe_service_deployments(serviceDeploymentArns=[f"{arn}X"])
    assert answer["failures"] == [{"arn": f"{arn}X", "reason": "MISSING"}]
    many = refusal(ecs.describe_service_deployments, serviceDeploymentArns=[arn] * 21)
    assert many == (INVALID, "Specify between 1 and 20 ARNs.")
    message = "Invalid service-revision ARN"
    assert message in refusal(ecs.describe_service_revisions, serviceRevisionArns=[arn])[1]


def test_describe_service_revisions_when_digests_are_known_then_shown(region, ecs):
    arn = attempts(ecs)[0]["targetServiceRevisionArn"]
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
    assert revision["containerImages"] == [{"containerName": "main", "image": "busybox"}]
    assert revision["taskDefinition"].endswith("web:1")
    digest = {"main": "sha256:1"}
    region.world.store.update(
        lambda tx: tx.service_revisions.put(replace(tx.service_revisions[arn], image_digests=digest))
    )
    (revision,) = ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"]
    assert revision["containerImages"][0]["imageDigest"] == "sha256:1"


def test_list_service_deployments_when_filtered_and_paged_then_newest_first(region, ecs):
    for _ in range(4):
        region.clock.advance(10)
        ecs.update_service(service="web", forceNewDeployment=True)
    everything = attempts(ecs)
    assert [each["createdAt"] for each in everything] == sorted(
        (each["createdAt"] for each in everything), reverse=True
    )
    assert len(attempts(ecs, status=["PENDING"])) == 1
    between = everything[2]["createdAt"] + timedelta(seconds=5)
    assert attempts(ecs, createdAt={"after": between}) == everything[:2]
    assert attempts(ecs, createdAt={"before": between}) == everything[2:]
    page = ecs.list_service_deployments(service="web", maxResults=3)
    rest = ecs.list_service_deployments(service="web", maxResults=3, nextToken=page["nextToken"])
    assert page["serviceDeployments"] + rest["serviceDeployments"] == everything
    assert refusal(ecs.list_service_deployments, service="nobody")[0] == "ServiceNotFoundException"


def test_list_service_deployments_when_the_page_has_no_size_then_it_has_twenty(ecs):
    for _ in range(21):
        ecs.update_service(service="web", forceNewDeployment=True)
    first = ecs.list_service_deployments(service="web")
    assert len(first["serviceDeployments"]) == 20
    assert len(attempts(ecs, nextToken=first["nextToken"])) == 2


@pytest.mark.parametrize(
    ("stop_type", "status"),
    [(None, "ROLLBACK_REQUESTED"), ("ROLLBACK", "ROLLBACK_REQUESTED"), ("ABORT", "STOP_REQUESTED")],
)
def test_stop_service_deployment_when_under_way_then_requested_once(ecs, stop_type, status):
    arn = newest(ecs)
    members = {} if stop_type is None else {"stopType": stop_type}
    for _ in range(2):
        assert ecs.stop_service_deployment(serviceDeploymentArn=arn, **members)["serviceDeploymentArn"] == arn
        assert attempts(ecs)[0]["status"] == status


def test_stop_service_deployment_when_over_or_unknown_then_refused(region, ecs):
    arn = newest(ecs)
    change(region, arn, status="SUCCESSFUL")
    message = "The service deployment can not be stopped in the status SUCCESSFUL."
    assert refusal(ecs.stop_service_deployment, serviceDeploymentArn=arn) == ("ConflictException", message)
    unknown = refusal(ecs.stop_service_deployment, serviceDeploymentArn=f"{arn}X")
    assert unknown == ("ServiceDeploymentNotFoundException", "Service deployment not found.")


@pytest.mark.parametrize(("action", "status"), [(None, "SUCCEEDED"), ("CONTINUE", "SUCCEEDED"), ("ROLLBACK", "FAILED")])
def test_continue_service_deployment_when_a_hook_waits_then_answered(region, ecs, action, status):
    arn = newest(ecs)
    hook = HookState(
        id="h",
        index=0,
        stage="POST_SCALE_UP",
        step=0,
        status="AWAITING_ACTION",
        started_at=1.0,
        expires_at=2.0,
    )
    configuration = DeploymentConfiguration(
        lifecycle_hooks=(DeploymentLifecycleHook(target_type="PAUSE", lifecycle_stages=("POST_SCALE_UP",)),)
    )
    change(region, arn, hooks=(hook,), stage="POST_SCALE_UP", status="IN_PROGRESS", configuration=configuration)
    unknown = refusal(ecs.continue_service_deployment, serviceDeploymentArn=arn, hookId="x")
    assert unknown == (INVALID, "The service deployment has no lifecycle hook x.")
    members = {} if action is None else {"action": action}
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="h", **members)
    (attempt,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    (detail,) = attempt["lifecycleHookDetails"]
    assert (detail["hookId"], detail["status"], attempt["lifecycleStage"]) == ("h", status, "POST_SCALE_UP")
    again = refusal(ecs.continue_service_deployment, serviceDeploymentArn=arn, hookId="h")
    assert again == (INVALID, "The lifecycle hook h does not await an action.")


def test_history_when_it_is_older_than_90_days_then_neither_listed_nor_kept(region, ecs):
    old = newest(ecs)
    revision = attempts(ecs)[0]["targetServiceRevisionArn"]
    long_ago = region.clock.now() - 91 * 86400
    change(region, old, status="SUCCESSFUL", created_at=long_ago, finished_at=long_ago)
    assert attempts(ecs) == []
    ecs.update_service(service="web", forceNewDeployment=True)
    assert [each["serviceDeploymentArn"] != old for each in attempts(ecs)] == [True]
    described = ecs.describe_service_deployments(serviceDeploymentArns=[old])
    assert [failure["reason"] for failure in described["failures"]] == ["MISSING"]
    kept = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert len(kept) == 1, "the older deployment still runs it"

    def retire(tx):
        tx.deployments.delete(next(row.id for row in tx.deployments if row.revision_arn == revision))

    region.world.store.update(retire)
    ecs.update_service(service="web", forceNewDeployment=True)
    gone = ecs.describe_service_revisions(serviceRevisionArns=[revision])
    assert gone["serviceRevisions"] == []
