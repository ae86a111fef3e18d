"""Routes, refusals, errors, request ids and permissions, as a client sees them."""

import gzip

import msgspec
import pytest
from botocore.exceptions import ClientError

from homeport.api import operation as operations
from homeport.api.gateway import OWN_SERVICES, SERVICES, Gateway
from homeport.base.session import mint_session
from homeport.shapes import ecs
from tests.api.test_front_door_signatures import JSON_HEADERS, code_of, signed
from tests.builders import ENDPOINT


def error_of(call) -> tuple[str, str, int]:
    """Code, message and HTTP status of the error that `call` ends in."""
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def target(name: str) -> dict[str, str]:
    return JSON_HEADERS | {"X-Amz-Target": name}


def test_caller_identity_when_root_then_the_account(region):
    answer = region.client("sts").get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:root")
    assert answer["UserId"] == "123456789012"


def test_every_answer_when_given_then_it_carries_a_new_request_id(region):
    first = region.client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    second = region.client("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    assert len(first) == 36
    assert first != second


def test_operation_when_declared_but_not_served_then_a_declared_error(region):
    code, message, status = error_of(lambda: region.client("ecs").create_gateway(name="g"))
    assert code in ecs.OPERATIONS["CreateGateway"].errors
    assert (message, status) == ("Homeport does not serve ecs:CreateGateway yet.", 400)


def test_operation_when_of_the_model_but_outside_our_selection_then_unknown_operation(region):
    code, message, _ = error_of(lambda: region.client("logs").describe_queries())
    assert (code, message) == ("UnknownOperationException", "Homeport does not serve logs:DescribeQueries yet.")


def test_query_operation_when_not_served_then_invalid_action(region):
    code, message, status = error_of(lambda: region.client("sts").get_session_token())
    assert (code, message, status) == ("InvalidAction", "Homeport does not serve sts:GetSessionToken yet.", 400)


@pytest.mark.parametrize("service", ["secretsmanager", "elb", "efs", "servicediscovery", "cloudwatch", "s3"])
def test_service_when_not_served_then_a_client_error(region, service):
    client = region.client(service)
    name = {"secretsmanager": "list_secrets", "elb": "describe_load_balancers", "efs": "describe_file_systems",
            "servicediscovery": "list_namespaces", "cloudwatch": "list_metrics", "s3": "list_buckets"}[service]  # fmt: skip
    _, _, status = error_of(getattr(client, name))
    assert 400 <= status < 500


@pytest.mark.parametrize("name", ["AmazonEC2ContainerServiceV20141113.NoSuch", "NoService.X", "", ".", "x" * 5000])
def test_target_when_unknown_then_unknown_operation(region, name):
    response = region.call(signed(headers=target(name)))
    assert (response.status, code_of(response)) == (404, "UnknownOperationException")


@pytest.mark.parametrize("url", ["/", "/favicon.ico", "/service/X/operation/Y", "/?Action=GetCallerIdentity"])
def test_anything_when_unsigned_then_refused_before_it_is_looked_at(region, url):
    request = signed(url=ENDPOINT + url, method="GET", headers={}, body=b"")
    headers = {name: value for name, value in request.headers.items() if name != "authorization"}
    response = region.call(msgspec.structs.replace(request, headers=headers))
    assert response.status == 403
    assert b"MissingAuthenticationToken" in response.body


def test_query_when_in_the_url_then_served(region):
    url = ENDPOINT + "/?Action=GetCallerIdentity&Version=2011-06-15"
    response = region.call(signed(url=url, method="GET", headers={}, body=b"", service="sts"))
    assert response.status == 200
    assert b"<Account>123456789012</Account>" in response.body


@pytest.mark.parametrize(
    "body", [b"Action=%ff", b"Action=GetCallerIdentity&a.b=1&a=2", b"\xff\xfe", b"&".join([b"a=1"] * 10_001)]
)
def test_query_when_malformed_then_a_client_error(region, body):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    response = region.call(signed(headers=headers, body=body, service="sts"))
    assert response.status in (200, 400, 404)  # fields that the model does not know are not looked at


def test_body_when_gzipped_then_read(region):
    request = signed(headers=JSON_HEADERS | {"Content-Encoding": "gzip"}, body=gzip.compress(b'{"maxResults": 1}'))
    assert region.call(request).status == 200


@pytest.mark.parametrize(
    ("encoding", "body", "code"),
    [
        ("gzip", b"not gzip", "SerializationException"),
        ("gzip", gzip.compress(b"{}" * 100, mtime=0)[:-9], "SerializationException"),
        ("br", b"{}", "SerializationException"),
        ("gzip", gzip.compress(b" " * (11 << 20)), "RequestEntityTooLargeException"),
    ],
)
def test_body_when_its_encoding_is_bad_then_refused(region, encoding, body, code):
    response = region.call(signed(headers=JSON_HEADERS | {"Content-Encoding": encoding}, body=body))
    assert code_of(response) == code


@pytest.mark.parametrize(
    "body", [b"{", b"nul", b"\xff", b'{"nextToken":"\xff"}', b"[" * 100_000, b'{"a":' * 100_000, b"{}{}", b"{'a':1}"]
)
def test_json_when_malformed_then_serialization_exception(region, body):
    response = region.call(signed(body=body))
    assert (response.status, code_of(response)) == (400, "SerializationException")


def test_json_when_the_body_is_empty_then_it_stands_for_no_members(region):
    assert region.call(signed(body=b"")).status == 200


@pytest.mark.parametrize(
    ("operation", "body", "code", "message"),
    [
        ("RunTask", b'{"taskDefinition": 3}', "SerializationException", "NUMBER_VALUE can not be converted to a String"),
        ("RunTask", b'{"taskDefinition": []}', "SerializationException", "Start of list found where not expected"),
        ("RunTask", b'{"taskDefinition": "a", "count": "1"}', "SerializationException", "STRING_VALUE can not be converted to an Integer"),
        ("RunTask", b'{"taskDefinition": "a", "tags": {}}', "SerializationException", "Start of structure or map found where not expected."),
        ("RunTask", b"[]", "SerializationException", "Start of list found where not expected"),
        ("RunTask", b"{}", "InvalidParameterException",
         "1 validation error detected: Value null at 'taskDefinition' failed to satisfy constraint: Member must not be null"),
        ("RunTask", b'{"taskDefinition": "a", "launchType": "MOON"}', "InvalidParameterException",
         ("1 validation error detected: Value 'MOON' at 'launchType' failed to satisfy constraint: "
         "Member must satisfy enum value set: [EC2, EXTERNAL, FARGATE, MANAGED_INSTANCES]")),
        ("RunTask", b'{"taskDefinition": "a", "tags": [{"key": "k"}, {"key": ""}]}', "InvalidParameterException",
         ("1 validation error detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: "
         "Member must have length greater than or equal to 1")),
        ("UpdateTaskProtection", b'{"cluster": "a", "tasks": [null], "protectionEnabled": true}', "InvalidParameterException",
         "1 validation error detected: Value null at 'tasks.1.member' failed to satisfy constraint: Member must not be null"),
    ],
)  # fmt: skip
def test_input_when_it_does_not_fit_the_model_then_aws_words(region, operation, body, code, message):
    headers = target(f"AmazonEC2ContainerServiceV20141113.{operation}")
    response = region.call(signed(headers=headers, body=body))
    assert msgspec.json.decode(response.body) == {"__type": code, "message": message}
    assert response.headers["x-amzn-ErrorType"] == code


def test_handler_when_it_fails_then_server_exception_without_internals(region, monkeypatch, capsys):
    def explode(ctx, tx, request):
        tx.regions.delete(region.world.arns.region)
        raise RuntimeError("secret detail")

    handler = operations.HANDLERS[("ecs", "ListClusters")]
    broken = operations.Handler(handler.service, handler.spec._replace(read_only=False), explode)
    monkeypatch.setitem(operations.HANDLERS, ("ecs", "ListClusters"), broken)
    region.gateway = Gateway(region.world)
    version = region.world.store.version
    code, message, status = error_of(lambda: region.client("ecs").list_clusters())
    assert (code, status) == ("ServerException", 500)
    assert "secret" not in message
    assert region.world.store.version == version
    assert "secret detail" in "".join(capsys.readouterr())


def test_answer_when_the_journal_holds_back_then_it_waits(region):
    region.journal.held = True
    region.world.store.update(
        lambda tx: tx.clusters.put(msgspec.structs.replace(next(iter(tx.clusters)), status="INACTIVE"))
    )
    flushed = []
    flush = region.journal.flush
    region.journal.flush = lambda: (flushed.append(True), flush())
    region.client("ecs").list_clusters()
    assert flushed, "even a read tells of state that must not be lost"


TASK = "arn:aws:ecs:us-east-1:123456789012:task/web/" + "a" * 32
OTHER = "arn:aws:ecs:us-east-1:123456789012:task/web/" + "b" * 32


def task_client(region, service):
    made = mint_session(
        region.world.sealer, region.world.ids, principal_arn="arn:aws:sts::123456789012:assumed-role/web/abc",
        account_id="123456789012", task_arn=TASK, now=region.clock.now(), lifetime=3600,
    )  # fmt: skip
    return region.client(service, key_id=made.access_key_id, secret=made.secret_access_key, token=made.session_token)


@pytest.mark.parametrize(
    ("service", "method", "arguments"),
    [
        ("ecs", "list_clusters", {}),
        ("ecs", "run_task", {"taskDefinition": "x"}),
        ("ecs", "stop_task", {"cluster": "web", "task": TASK}),
        ("ecs", "get_task_protection", {"cluster": "web", "tasks": [OTHER]}),
        ("ecs", "get_task_protection", {"cluster": "web", "tasks": [TASK, OTHER]}),
        ("ecs", "get_task_protection", {"cluster": "web"}),
        ("ecs", "get_task_protection", {"cluster": "other", "tasks": ["a" * 32]}),
        ("ecs", "update_task_protection", {"cluster": "web", "tasks": [OTHER], "protectionEnabled": True}),
    ],
)
def test_task_role_when_it_asks_for_more_than_itself_then_denied(region, service, method, arguments):
    code, message, _ = error_of(lambda: getattr(task_client(region, service), method)(**arguments))
    assert code == "AccessDeniedException"
    operation = "".join(word.capitalize() for word in method.split("_"))
    assert message.startswith(
        f"User: arn:aws:sts::123456789012:assumed-role/web/abc is not authorized to perform: {service}:{operation}"
    )


@pytest.mark.parametrize("tasks", [[TASK], ["a" * 32]])
def test_task_role_when_it_asks_about_its_own_task_then_not_denied(region, tasks):
    try:
        task_client(region, "ecs").get_task_protection(cluster="web", tasks=tasks)
    except ClientError as error:
        assert error.response["Error"]["Code"] != "AccessDeniedException"


def test_key_when_it_is_not_roots_then_denied_by_default(region):
    user = region.access_key("AKIAUSER000000000000", "secret", "arn:aws:iam::123456789012:user/ann", 0.0)
    region.world.store.update(lambda tx: tx.access_keys.put(user))
    client = region.client("ecs", key_id="AKIAUSER000000000000", secret="secret")
    assert error_of(client.list_clusters)[0] == "AccessDeniedException"


def test_handlers_when_imported_then_every_name_is_of_a_served_model():
    known = {(service.name, name) for service in (*SERVICES, *OWN_SERVICES) for name in service.operations}
    assert set(operations.HANDLERS) <= known
