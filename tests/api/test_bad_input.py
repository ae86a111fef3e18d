"""Malformed and boundary values for every operation: always a modelled 4xx, never a 500, and nothing changed.

For each operation a well-formed request is drawn from its model and then spoiled: a member of the wrong type, beyond
its limit, missing, or of absurd size; or it names what does not exist. Whatever is answered must be an answer that
the operation declares, or a common error of AWS; an error must leave the store as it was.
"""

import random
import zlib

import msgspec
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.api.codecs import service_model
from homeport.api.gateway import SERVICES, import_handlers
from homeport.api.operation import HANDLERS
from homeport.shapes import ecs as ecs_shapes
from homeport.shapes import logs as logs_shapes
from tests.builders import COMMON_ERRORS, ENDPOINT, REGION, ROOT_KEY_ID, ROOT_SECRET, a_region, to_request
from tests.wire.shape_values import value_of

OPERATIONS = [
    pytest.param(service, spec, id=f"{service.name}-{spec.name}")
    for service in SERVICES
    if service.protocols[0] == "json"
    for spec in service.operations.values()
]
import_handlers()
HANDLED = [case for case in OPERATIONS if (case.values[0].name, case.values[1].name) in HANDLERS]
SPOILERS = [
    None, True, -1, 0, 1.5, 2**31, -(2**31) - 1, 2**63, 2**64, 1e308, "", " ", "x", "x" * 300, "é€😀", "\x00", "a\nb", "../..", "-",
    "arn:aws:ecs:us-east-1:123456789012:cluster/nothing", "arn:aws:ecs:eu-west-1:999999999999:task/a/b", "arn:::::", "a:b", "a/b/c/d/e",
    [], [None], [[]], ["x"] * 101, {}, {"": ""}, {"x": {"y": {}}}, [{}],
]  # fmt: skip


#: What exists in the region, by the member that names it: so that calls get past "not found".
KNOWN: dict[str, object] = {
    "cluster": "default",
    "clusters": ["default"],
    "clusterName": "default",
    "service": "sets",
    "services": ["web", "sets"],
    "taskDefinition": "web:1",
    "taskDefinitions": ["web:1"],
    "family": "web",
    "familyPrefix": "web",
    "logGroupName": "group",
    "logGroupIdentifier": "group",
    "logStreamName": "stream",
    "resourceArn": "arn:aws:ecs:us-east-1:123456789012:cluster/default",
}
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]


@pytest.fixture
def shared():
    made = a_region()
    furnish(made)
    yield made
    made.close()


def furnish(region) -> None:
    """A task definition, a connected container instance, a task on it, services with and without task sets, a log stream."""
    ecs, logs = ecs_shapes.SERVICE, logs_shapes.SERVICE
    good(
        region,
        ecs,
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[{"name": "app", "image": "a", "memory": 16}],
    )
    attributes = [{"name": "ecs.os-type", "value": "linux"}]
    answer = good(
        region, ecs, "RegisterContainerInstance", cluster="default", totalResources=RESOURCES, attributes=attributes
    )
    instance = answer["containerInstance"]["containerInstanceArn"]
    online = msgspec.structs.replace(region.world.store.read.container_instances[instance], agent_connected=True)
    region.world.store.update(lambda tx: tx.container_instances.put(online))
    task = good(region, ecs, "RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
    web = good(region, ecs, "CreateService", serviceName="web", taskDefinition="web", desiredCount=1)["service"]
    good(region, ecs, "CreateService", serviceName="sets", desiredCount=1, deploymentController={"type": "EXTERNAL"})
    task_set = {"cluster": "default", "service": "sets", "taskDefinition": "web"}
    task_set = good(region, ecs, "CreateTaskSet", **task_set)["taskSet"]["taskSetArn"]
    good(region, logs, "CreateLogGroup", logGroupName="group")
    good(region, logs, "CreateLogStream", logGroupName="group", logStreamName="stream")
    KNOWN.update(containerInstance=instance, containerInstances=[instance], task=task, tasks=[task], targetId=instance)
    attempt, revision = web["currentServiceDeployment"], web["currentServiceRevisions"][0]["arn"]
    KNOWN.update(taskSet=task_set, taskSets=[task_set], primaryTaskSet=task_set, serviceDeploymentArn=attempt)
    KNOWN.update(serviceDeploymentArns=[attempt], serviceRevisionArns=[revision])


def good(region, api, operation: str, /, **members):
    response = call(region, api, operation, members)
    assert response.status == 200, response.body
    return msgspec.json.decode(response.body)


def call(region, service, name: str, value):
    """The answer to a signed JSON request of any content."""
    headers = {"X-Amz-Target": f"{service.target_prefix}.{name}", "Content-Type": "application/x-amz-json-1.1"}
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=body)
    auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), service.signing_name, REGION).add_auth(request)
    return region.call(to_request(request.prepare()))


def snapshot(region) -> bytes:
    return msgspec.json.encode([list(table) for table in region.world.store.read.all_tables])


def check(region, service, spec, value) -> None:
    """One call: a success, or a declared error that changed nothing."""
    before = snapshot(region)
    response = call(region, service, spec.name, value)
    if response.status == 200:
        assert isinstance(msgspec.json.decode(response.body), dict)
        return
    error = msgspec.json.decode(response.body)
    assert 400 <= response.status < 500, (response.status, error, value)
    assert error["__type"] in COMMON_ERRORS | set(spec.errors), (error, value)
    assert isinstance(error["message"], str)
    assert error["message"], value
    assert snapshot(region) == before, "an error must change nothing"


def model_of(service, spec):
    return service_model(service.name).operation_model(spec.name).input_shape


def drawn(service, spec, round_: int):
    shape = model_of(service, spec)
    if shape is None:
        return {}
    value = value_of(shape, random.Random(zlib.crc32(f"{service.name}{spec.name}{round_}".encode())))
    value = msgspec.json.decode(msgspec.json.encode(_numbers(value)))
    known = {name: item for name, item in KNOWN.items() if name in shape.members}
    return value | known if round_ % 2 else value


#: Requests that are served, to be spoiled in one place at a time.
SERVED = {
    "CreateCluster": {"clusterName": "c", "settings": [{"name": "containerInsights", "value": "enabled"}], "tags": [{"key": "k", "value": "v"}]},
    "RegisterTaskDefinition": {
        "family": "web", "networkMode": "bridge", "cpu": "256", "memory": "512", "requiresCompatibilities": ["EC2"], "ipcMode": "none",
        "taskRoleArn": "arn:aws:iam::123456789012:role/web", "tags": [{"key": "k", "value": "v"}], "pidMode": "task",
        "volumes": [{"name": "data", "host": {"sourcePath": "/data"}}, {"name": "v", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}}],
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
        "containerDefinitions": [
            {
                "name": "app", "image": "busybox:1", "cpu": 64, "memory": 64, "memoryReservation": 32, "essential": True,
                "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}, {"containerPortRange": "100-110", "protocol": "udp"}],
                "environment": [{"name": "A", "value": "b"}], "entryPoint": ["sh"], "command": ["-c", "true"],
                "mountPoints": [{"sourceVolume": "data", "containerPath": "/d", "readOnly": True}], "links": ["side"],
                "dependsOn": [{"containerName": "side", "condition": "HEALTHY"}], "startTimeout": 10, "stopTimeout": 10,
                "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}], "dockerLabels": {"a": "b"}, "user": "1:1",
                "linuxParameters": {"capabilities": {"add": ["KILL"]}, "initProcessEnabled": True, "sharedMemorySize": 8,
                                    "tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["rw"]}], "maxSwap": 1, "swappiness": 5},
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"}},
                "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}, "hostname": "h",
                "extraHosts": [{"hostname": "x", "ipAddress": "10.0.0.1"}], "dnsServers": ["10.0.0.1"], "workingDirectory": "/",
                "systemControls": [{"namespace": "net.core.somaxconn", "value": "10"}],
            },
            {"name": "side", "image": "busybox:1", "memory": 64, "healthCheck": {"command": ["CMD", "true"], "interval": 5, "timeout": 2, "retries": 1}},
        ],
    },
    "RunTask": {
        "cluster": "default", "taskDefinition": "web:1", "count": 1, "group": "g", "startedBy": "me", "launchType": "EC2", "clientToken": "t",
        "overrides": {"containerOverrides": [{"name": "app", "command": ["x"], "environment": [{"name": "A", "value": "b"}], "cpu": 1, "memory": 20}],
                      "taskRoleArn": "arn:aws:iam::123456789012:role/web", "cpu": "256", "memory": "512"},
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}, {"type": "distinctInstance"}],
        "placementStrategy": [{"type": "spread", "field": "instanceId"}, {"type": "binpack", "field": "memory"}],
        "tags": [{"key": "k", "value": "v"}], "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": True,
    },
    "StartTask": {"cluster": "default", "taskDefinition": "web:1", "containerInstances": KNOWN, "startedBy": "me"},
    "CreateService": {
        "cluster": "default", "serviceName": "other", "taskDefinition": "web:1", "desiredCount": 2, "clientToken": "t", "launchType": "EC2",
        "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50, "strategy": "ROLLING", "alarms": {"alarmNames": ["a"], "enable": False, "rollback": False},
                                    "deploymentCircuitBreaker": {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 4}}},
        "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}], "availabilityZoneRebalancing": "ENABLED",
        "placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}], "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"}, "tags": [{"key": "k", "value": "v"}], "enableECSManagedTags": True, "propagateTags": "SERVICE",
    },
    "UpdateService": {
        "cluster": "default", "service": "web", "desiredCount": 3, "taskDefinition": "web", "forceNewDeployment": True,
        "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5, "lifecycleHooks": [
            {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"], "timeoutConfiguration": {"timeoutInMinutes": 5, "action": "CONTINUE"}}]},
        "placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}], "propagateTags": "NONE",
    },
    "CreateTaskSet": {"cluster": "default", "service": "sets", "taskDefinition": "web", "scale": {"value": 10, "unit": "PERCENT"}, "externalId": "x", "clientToken": "t"},
    "UpdateTaskSet": {"cluster": "default", "service": "sets", "taskSet": KNOWN, "scale": {"value": 10, "unit": "PERCENT"}},
    "ListServiceDeployments": {"cluster": "default", "service": "web", "status": ["PENDING"], "createdAt": {"before": 1, "after": 2}, "maxResults": 5},
    "StopTask": {"cluster": "default", "task": KNOWN, "reason": "why"},
    "RegisterContainerInstance": {
        "cluster": "default", "clientToken": "t", "totalResources": RESOURCES, "attributes": [{"name": "a.b", "value": "c"}],
        "tags": [{"key": "k", "value": "v"}], "versionInfo": {"agentVersion": "1.2.3", "dockerVersion": "20"},
    },
    "SubmitTaskStateChange": {
        "cluster": "default", "task": KNOWN, "status": "RUNNING", "reason": "r", "pullStartedAt": 1.5, "pullStoppedAt": 2.5, "executionStoppedAt": 3,
        "containers": [{"containerName": "app", "runtimeId": "abc", "exitCode": 0, "status": "RUNNING", "reason": "r", "imageDigest": "sha256:0",
                        "networkBindings": [{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]}],
    },
    "PutAttributes": {"cluster": "default", "attributes": [{"name": "a", "value": "b", "targetType": "container-instance", "targetId": KNOWN}]},
    "ListContainerInstances": {"cluster": "default", "filter": "attribute:a == b", "maxResults": 5, "status": "ACTIVE"},
    "ListTasks": {"cluster": "default", "family": "web", "desiredStatus": "RUNNING", "maxResults": 5},
    "ListAttributes": {"cluster": "default", "targetType": "container-instance", "attributeName": "ecs.os-type"},
    "UpdateTaskProtection": {"cluster": "default", "tasks": KNOWN, "protectionEnabled": True, "expiresInMinutes": 5},
    "TagResource": {"resourceArn": "arn:aws:ecs:us-east-1:123456789012:cluster/default", "tags": [{"key": "k", "value": "v"}]},
    "UpdateContainerInstancesState": {"cluster": "default", "containerInstances": KNOWN, "status": "DRAINING"},
    "PutLogEvents": {"logGroupName": "group", "logStreamName": "stream", "logEvents": [{"timestamp": 1, "message": "m"}]},
    "GetLogEvents": {"logGroupName": "group", "logStreamName": "stream", "startTime": 0, "endTime": 9, "limit": 5, "startFromHead": True},
    "FilterLogEvents": {"logGroupName": "group", "filterPattern": '{ $.a = 1 && $.b = "x" }', "startTime": 0, "limit": 5},
    "DescribeLogStreams": {"logGroupName": "group", "orderBy": "LastEventTime", "descending": True, "limit": 5},
    "PutRetentionPolicy": {"logGroupName": "group", "retentionInDays": 7},
}  # fmt: skip


def known_in(value, name=""):
    """The value with what exists in the region where it says so."""
    if value is KNOWN:
        return KNOWN[name]
    if isinstance(value, dict):
        return {key: known_in(item, key) for key, item in value.items()}
    return [known_in(item) for item in value] if isinstance(value, list) else value


def _numbers(value):
    if hasattr(value, "timestamp"):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def spots(value, path=()):
    """Every place in a value that can be spoiled."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from spots(item, (*path, key))


def spoiled(value, path, spoiler):
    if not path:
        return spoiler
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = spoiled(value[path[0]], path[1:], spoiler)
    return copy


@pytest.mark.parametrize(("service", "spec"), OPERATIONS)
def test_operation_when_given_random_well_formed_values_then_answers_or_declares(shared, service, spec):
    for round_ in range(4):
        check(shared, service, spec, drawn(service, spec, round_))


@pytest.mark.parametrize(("service", "spec"), HANDLED)
def test_operation_when_each_member_alone_is_absurd_then_answers_or_declares(shared, service, spec):
    shape = model_of(service, spec)
    for member in shape.members if shape is not None else ():
        for spoiler in SPOILERS:
            known = {name: item for name, item in KNOWN.items() if name in shape.members}
            check(shared, service, spec, {member: spoiler})
            check(shared, service, spec, known | {member: spoiler})


@pytest.mark.parametrize(("service", "spec"), HANDLED)
def test_operation_when_any_part_is_spoiled_then_answers_or_declares(shared, service, spec):
    rng = random.Random(zlib.crc32(spec.name.encode()))
    for round_ in range(3):
        value = drawn(service, spec, round_)
        places = list(spots(value))
        for _ in range(8):
            check(shared, service, spec, spoiled(value, rng.choice(places), rng.choice(SPOILERS)))


@pytest.mark.parametrize("name", SERVED)
def test_served_request_when_one_place_is_spoiled_then_answers_or_declares(shared, name):
    service = ecs_shapes.SERVICE if name in ecs_shapes.OPERATIONS else logs_shapes.SERVICE
    spec = service.operations[name]
    value = known_in(SERVED[name])
    rng = random.Random(zlib.crc32(name.encode()))
    places = list(spots(value))
    for path in places:
        for spoiler in rng.sample(SPOILERS, 8 if len(places) > 60 else len(SPOILERS)):
            check(shared, service, spec, spoiled(value, path, spoiler))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(data=st.data())
def test_anything_when_it_has_the_members_of_the_model_but_any_values_then_answers_or_declares(shared, data):
    service, spec = data.draw(st.sampled_from(OPERATIONS)).values
    shape = model_of(service, spec)
    names = st.sampled_from(list(shape.members)) if shape is not None and shape.members else st.just("x")
    value = data.draw(st.dictionaries(names, ANY | st.sampled_from(SPOILERS), max_size=4) | ANY)
    check(shared, service, spec, value)


@settings(max_examples=100)
@given(body=st.binary(max_size=40) | st.text(alphabet='{}[]":,0ae\\u', max_size=20).map(str.encode))
def test_body_when_it_is_any_bytes_then_answers_or_declares(shared, body):
    service = ecs_shapes.SERVICE
    check(shared, service, service.operations["RunTask"], body)


@settings(max_examples=60)
@given(fields=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_query_when_it_has_any_fields_then_they_are_not_looked_at(shared, fields):
    from urllib.parse import urlencode

    body = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"} | fields)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=body)
    auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), "sts", REGION).add_auth(request)
    assert shared.call(to_request(request.prepare())).status in (200, 400)


@pytest.mark.parametrize(("service", "spec"), OPERATIONS)
def test_operation_when_the_caller_is_not_known_then_refused(shared, service, spec):
    headers = {"X-Amz-Target": f"{service.target_prefix}.{spec.name}", "Content-Type": "application/x-amz-json-1.1"}
    before = snapshot(shared)
    for key_id, secret, signed in (
        (ROOT_KEY_ID, ROOT_SECRET, False),
        (ROOT_KEY_ID, "wrong", True),
        ("AKIAFOREIGN00000000", ROOT_SECRET, True),
    ):
        request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=b"{}")
        if signed:
            auth.SigV4Auth(Credentials(key_id, secret), service.signing_name, REGION).add_auth(request)
        assert shared.call(to_request(request.prepare())).status == 403
    assert snapshot(shared) == before


@pytest.mark.parametrize(("service", "spec"), OPERATIONS)
def test_operation_when_the_signature_is_old_then_refused(region, service, spec):
    headers = {"X-Amz-Target": f"{service.target_prefix}.{spec.name}", "Content-Type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=b"{}")
    auth.SigV4Auth(Credentials(ROOT_KEY_ID, ROOT_SECRET), service.signing_name, REGION).add_auth(request)
    region.clock.advance(16 * 60)
    response = region.call(to_request(request.prepare()))
    assert (response.status, b"Signature expired" in response.body) == (403, True)
