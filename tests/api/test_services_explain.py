"""ExplainService over the wire."""

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.builders import ENDPOINT, REGION, ROOT_KEY_ID, ROOT_SECRET, to_request
from tests.fleet import a_task_definition, an_instance, ecs_of


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
