"""ExplainTask over the wire: signed like any operation, takes RunTask's members, starts nothing."""

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.builders import ENDPOINT, REGION, ROOT_KEY_ID, ROOT_SECRET, to_request
from tests.fleet import a_task_definition, an_instance, connect, ecs_of


def explain_task(region, signing_name="homeport", **members):
    """Status and answer."""
    headers = {"X-Amz-Target": "Homeport_20261101.ExplainTask", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=msgspec.json.encode(members))
    auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), signing_name, REGION).add_auth(request)
    response = region.call(to_request(request.prepare()))
    return response.status, msgspec.json.decode(response.body)


def test_explain_task_when_instances_differ_then_each_has_its_reasons_in_words(region):
    small = an_instance(region, cpu=100, memory=1)
    off = an_instance(region, connected=False)
    good = an_instance(region)
    a_task_definition(region, "web")
    status, answer = explain_task(region, taskDefinition="web")
    assert status == 200
    assert answer["placeable"] is True
    assert answer["placeableCount"] == 1
    assert answer["summary"] == "The task can be placed now; 1 of 3 container instances can take one."
    reasons = {
        each["containerInstanceArn"]: [reason["reason"] for reason in each["reasons"]]
        for each in answer["containerInstances"]
    }
    assert reasons[good] == []
    assert reasons[off] == ["AGENT"]
    assert reasons[small] == ["RESOURCE:MEMORY"]


def test_explain_task_when_asked_then_no_task_is_started_and_no_version_is_made(region):
    an_instance(region)
    a_task_definition(region, "web")
    version = region.world.store.version
    explain_task(region, taskDefinition="web", count=5)
    assert region.world.store.version == version
    assert ecs_of(region).list_tasks()["taskArns"] == []


def test_explain_task_when_constraints_bind_then_the_expression_is_named(region):
    arn = an_instance(region)
    a_task_definition(region, "web")
    constraint = {"type": "memberOf", "expression": "attribute:stack == prod"}
    _, answer = explain_task(region, taskDefinition="web", placementConstraints=[constraint])
    assert answer["placeable"] is False
    assert answer["containerInstances"][0]["reasons"] == [
        {
            "reason": "MemberOf placement constraint unsatisfied.",
            "detail": "is not a member of 'attribute:stack == prod'",
        }
    ]
    assert answer["summary"] == (
        "No task can be placed: of 1 container instance, 1 with no place in the memberOf constraint. "
        f"The closest is {arn.rsplit('/', 1)[1]}: is not a member of 'attribute:stack == prod'."
    )


def test_explain_task_when_the_same_request_is_run_then_both_agree(region):
    an_instance(region)
    connect(region, an_instance(region), connected=False)
    a_task_definition(region, "web")
    members = {"taskDefinition": "web", "overrides": {"memory": "100000"}}
    _, answer = explain_task(region, **members)
    failures = ecs_of(region).run_task(**members)["failures"]
    assert [(each["containerInstanceArn"], each["reasons"][0]) for each in answer["containerInstances"]] == [
        (failure["arn"], {"reason": failure["reason"], "detail": failure["detail"]}) for failure in failures
    ]


def test_explain_task_when_the_cluster_is_empty_then_it_says_so(region):
    a_task_definition(region, "web")
    _, answer = explain_task(region, taskDefinition="web")
    assert answer["placeable"] is False
    assert answer["summary"] == "No Container Instances were found in your cluster."


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"taskDefinition": "nobody"}, "ClientException"),
        ({"taskDefinition": "web", "cluster": "nobody"}, "ClusterNotFoundException"),
        ({"taskDefinition": "web", "count": 11}, "InvalidParameterException"),
        ({"taskDefinition": "web", "placementConstraints": [{"type": "memberOf"}]}, "InvalidParameterException"),
        ({}, "InvalidParameterException"),
    ],
)
def test_explain_task_when_the_request_is_wrong_then_refused_as_run_task(region, members, code):
    a_task_definition(region, "web")
    status, answer = explain_task(region, **members)
    assert (status, answer["__type"]) == (400, code)


def test_explain_task_when_signed_for_another_service_then_refused(region):
    assert explain_task(region, signing_name="ecs", taskDefinition="web")[0] == 403
