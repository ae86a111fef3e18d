"""The task endpoint and introspection, over real HTTP without a port."""

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from homeport.agent.backend import Refused
from homeport.agent.credentials import EXECUTION_ROLE, TASK_ROLE, Credentials
from homeport.agent.docker_stats import StatsReader
from homeport.agent.introspection import introspection_app
from homeport.agent.metadata import Metadata
from homeport.agent.metadata_view import container_view
from homeport.agent.protection import Protection
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.task_server import task_app
from homeport.agent.throttle import Throttle
from homeport.base.errors import NotFound, Transient
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs, ecs
from tests.unit.agent.unix_app import ask, serving

ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/" + "a" * 32
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "1" * 32
ENDPOINT_ID = "0c1f2e3d-0000-4000-8000-000000000001"
SPEC = acs.Container(
    name="web",
    image="nginx:1",
    essential=True,
    cpu=128,
    memory=256,
    container_arn="arn:container",
    docker_config=acs.DockerConfig(
        host_config='{"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "/app", "awslogs-endpoint": "e"}}}'
    ),
)
CONTAINER = ContainerRecord(
    spec=SPEC,
    docker_name="ecs-web-1-web-abc",
    endpoint_id=ENDPOINT_ID,
    known=ContainerStatus.RUNNING,
    docker_id="d0c" * 8,
    image_id="sha256:1",
    ports=(PortBinding(host_ip="0.0.0.0", host_port=32768, container_port=80, protocol="tcp"),),
    network_mode="bridge",
    ip_addresses=("172.17.0.3",),
    volumes=(("data", "/var/lib/docker/volumes/data/_data", "/data"),),
    labels={"com.amazonaws.ecs.container-name": "web"},
    log_driver="awslogs",
    log_options={"awslogs-credentials-endpoint": "secret"},
    created_at=1_795_000_000.25,
    started_at=1_795_000_001.0,
)
NOT_YET = ContainerRecord(
    spec=acs.Container(name="later", image="x", essential=False), docker_name="n", endpoint_id="y"
)
TASK = TaskRecord(
    spec=acs.Task(arn=ARN, desired_status="RUNNING", family="web", version="7", cpu=0.25, memory=512),
    containers=(CONTAINER, NOT_YET),
    known=ContainerStatus.RUNNING,
    credentials_id="role-id",
    execution_credentials_id="execution-id",
    pull_started_at=1_794_999_999.5,
)


class Book:
    def __init__(self, *tasks):
        self.tasks = tasks

    def all(self):
        return self.tasks

    def by_arn(self, task_arn):
        return next((task for task in self.tasks if task.arn == task_arn), None)

    def by_endpoint_id(self, endpoint_id):
        return self._find(lambda container: container.endpoint_id == endpoint_id)

    def by_docker_id(self, docker_id):
        return self._find(lambda container: container.docker_id == docker_id)

    def _find(self, is_it):
        return next(((task, each) for task in self.tasks for each in task.containers if is_it(each)), None)


class Backend:
    """Answers by operation: a value, or an exception to raise; `None` never answers."""

    def __init__(self):
        self.answers = {}
        self.calls = []

    async def call(self, operation, request, *, credentials=None):
        self.calls.append((operation, request, credentials))
        answer = self.answers[operation]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class StatsEngine:
    def __init__(self):
        self.readings = 0

    async def stats(self, container_id):
        if container_id != CONTAINER.docker_id:
            raise NotFound("no such container")
        self.readings += 1
        return {"networks": {"eth0": {"rx_bytes": 100 * self.readings, "tx_bytes": 0}}, "memory_stats": {"usage": 1}}


class FixedClock:
    at = 1000.0

    def monotonic(self):
        return self.at


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.backend = Backend()
        self.credentials = Credentials()
        self.engine = StatsEngine()
        self.clock = FixedClock()
        self.host = SimpleNamespace(
            tasks=Book(TASK),
            instance=SimpleNamespace(arn=INSTANCE),
            identity=SimpleNamespace(availability_zone="us-east-1a"),
        )

    def app(self):
        metadata = Metadata(self.host, self.backend, StatsReader(self.engine, self.clock), "default")
        protection = Protection(self.host, self.backend, self.credentials, "default")
        return task_app(self.host, self.credentials, metadata, protection, self.clock)

    def ask(self, *requests, app=None):
        """Answers to `(method, path, options…)` or plain paths, asked one after another."""

        async def main():
            async with serving(app or self.app(), self.folder) as session:
                return [
                    await ask(session, *(("GET", each) if isinstance(each, str) else each[:2]), **_options(each))
                    for each in requests
                ]

        return asyncio.run(main())


def _options(request):
    return {"data": request[2]} if not isinstance(request, str) and len(request) > 2 else {}


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


def role(credentials_id="role-id"):
    return acs.RoleCredentials(
        credentials_id=credentials_id,
        role_arn="arn:role",
        access_key_id="ASIA",
        secret_access_key="secret",
        session_token="token",
        expiration="2026-11-23T01:58:07Z",
    )


def test_credentials_when_held_are_served_verbatim(server):
    server.credentials.put(ARN, TASK_ROLE, role())
    expected = {
        "RoleArn": "arn:role",
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-11-23T01:58:07Z",
    }
    paths = ("/v2/credentials/role-id", "/v1/credentials?id=role-id", "/v2//credentials/role-id")
    assert server.ask(*paths) == [(200, expected)] * 3


def test_credentials_when_not_held_say_why(server):
    answers = server.ask(
        "/v2/credentials", "/v2/credentials/", "/v1/credentials", "/v2/credentials/guess", "/v2/credentials/role-id"
    )
    assert [(status, body["code"], body["HTTPErrorCode"]) for status, body in answers] == [
        (400, "NoIdInRequest", 400),
        (400, "NoIdInRequest", 400),
        (400, "NoIdInRequest", 400),
        (400, "InvalidIdInRequest", 400),
        (503, "CredentialsUninitialized", 503),
    ]


def test_credentials_when_replaced_or_removed_are_gone():
    held = Credentials()
    held.put(ARN, TASK_ROLE, role("one"))
    held.put(ARN, EXECUTION_ROLE, role("two"))
    held.put(ARN, TASK_ROLE, role("three"))
    assert held.get("one") is None
    assert held.get("three") == role("three")
    held.remove(ARN, TASK_ROLE)
    assert (held.get("three"), held.get("two")) == (None, role("two"))
    held.remove(ARN)
    assert held.get("two") is None
    assert held.of_task(ARN, EXECUTION_ROLE) is None


def test_container_metadata_when_version_4_has_every_documented_field(server):
    ((status, body),) = server.ask(f"/v4/{ENDPOINT_ID}")
    assert status == 200
    assert body == {
        "DockerId": "d0c" * 8,
        "Name": "web",
        "DockerName": "ecs-web-1-web-abc",
        "Image": "nginx:1",
        "ImageID": "sha256:1",
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}],
        "Labels": {"com.amazonaws.ecs.container-name": "web"},
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 128, "Memory": 256},
        "CreatedAt": "2026-11-18T11:06:40.25Z",
        "StartedAt": "2026-11-18T11:06:41Z",
        "Type": "NORMAL",
        "LogDriver": "awslogs",
        "LogOptions": {"awslogs-group": "/app"},
        "ContainerARN": "arn:container",
        "Volumes": [{"DockerName": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data"}],
        "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.3"]}],
    }


def test_container_metadata_when_version_3_lacks_what_came_later(server):
    (_, old), (_, new) = server.ask(f"/v3/{ENDPOINT_ID}", f"/v4/{ENDPOINT_ID}")
    assert set(new) - set(old) == {"LogDriver", "LogOptions", "ContainerARN"}
    assert "HostIp" not in old["Ports"][0]


def test_task_metadata_when_asked_shows_containers_that_exist(server):
    (_, new), (_, old) = server.ask(f"/v4/{ENDPOINT_ID}/task", f"/v3/{ENDPOINT_ID}/task")
    assert {name: value for name, value in new.items() if name != "Containers"} == {
        "Cluster": "default",
        "TaskARN": ARN,
        "Family": "web",
        "Revision": "7",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 0.25, "Memory": 512},
        "PullStartedAt": "2026-11-18T11:06:39.5Z",
        "AvailabilityZone": "us-east-1a",
        "LaunchType": "EC2",
        "FaultInjectionEnabled": False,
    }
    assert [container["Name"] for container in new["Containers"]] == ["web"]
    assert set(new) - set(old) == {"LaunchType", "FaultInjectionEnabled"}


def test_metadata_when_the_id_is_unknown_fails_as_each_version_does(server):
    answers = server.ask("/v3/x", "/v3/x/task", "/v4/x", "/v4/x/task/stats", "/v2/metadata", "/v2/stats/abc")
    assert [status for status, _ in answers] == [500, 500, 404, 404, 400, 400]
    assert all(isinstance(body, str) for _, body in answers)


def test_tags_when_available_are_shown_and_errors_only_in_version_4(server):
    tags = ecs.ListTagsForResourceResponse(tags=(ecs.Tag(key="team", value="x"),))
    refusal = Refused("AccessDeniedException", "no")
    server.backend.answers["ListTagsForResource"] = [tags, tags, refusal, Transient("away"), tags, refusal]
    with_tags, with_errors, old = (
        body
        for _, body in server.ask(
            f"/v4/{ENDPOINT_ID}/taskWithTags", f"/v4/{ENDPOINT_ID}/taskWithTags", f"/v3/{ENDPOINT_ID}/taskWithTags"
        )
    )
    assert with_tags["TaskTags"] == with_tags["ContainerInstanceTags"] == {"team": "x"}
    assert [(error["ErrorField"], error["ErrorCode"], error["StatusCode"]) for error in with_errors["Errors"]] == [
        ("ContainerInstanceTags", "AccessDeniedException", 400),
        ("TaskTags", "ServerException", 500),
    ]
    assert "ContainerInstanceTags" in old
    assert "Errors" not in old
    assert [call[1].resource_arn for call in server.backend.calls[:2]] == [INSTANCE, ARN]


def test_stats_when_asked_often_cost_the_engine_one_reading_a_second(server):
    first, second = server.ask(f"/v4/{ENDPOINT_ID}/stats", f"/v4/{ENDPOINT_ID}/task/stats")
    assert first[1]["network_rate_stats"] is None
    assert second[1] == {CONTAINER.docker_id: first[1]}
    assert server.engine.readings == 1

    async def later():
        reader = StatsReader(server.engine, server.clock)
        await reader.read(CONTAINER.docker_id)
        server.clock.at += 2
        return await asyncio.gather(
            reader.read(CONTAINER.docker_id), reader.read(CONTAINER.docker_id), reader.read("x")
        )

    one, other, none = asyncio.run(later())
    assert one is other
    assert one["network_rate_stats"] == {"rx_bytes_per_sec": 50.0, "tx_bytes_per_sec": 0.0}
    assert none is None


def test_associations_when_asked_name_the_containers_own(server):
    spec = acs.Task(
        arn=ARN,
        desired_status="RUNNING",
        associations=(
            acs.Association(name="gpu-0", type="gpu", containers=("web",)),
            acs.Association(name="gpu-1", type="gpu", containers=("later",)),
        ),
    )
    server.host.tasks = Book(TaskRecord(spec=spec, containers=TASK.containers))
    base = f"/v4/{ENDPOINT_ID}/associations"
    assert server.ask(f"{base}/gpu", f"{base}/other") == [
        (200, {"Associations": ["gpu-0"]}),
        (200, {"Associations": []}),
    ]
    assert server.ask(f"{base}/gpu/gpu-1")[0][0] == 404


PROTECTION = f"/api/{ENDPOINT_ID}/task-protection/v1/state"


def protected(**members):
    return SimpleNamespace(protected_tasks=(ecs.ProtectedTask(task_arn=ARN, **members),), failures=())


def test_protection_when_asked_is_signed_by_the_tasks_own_role(server):
    server.credentials.put(ARN, TASK_ROLE, role())
    server.backend.answers = {
        "GetTaskProtection": protected(protection_enabled=False),
        "UpdateTaskProtection": protected(protection_enabled=True, expiration_date=1_795_000_000.0),
    }
    got, put = server.ask(
        ("GET", PROTECTION), ("PUT", PROTECTION, '{"ProtectionEnabled": true, "ExpiresInMinutes": 60}')
    )
    assert got == (200, {"protection": {"ExpirationDate": None, "ProtectionEnabled": False, "TaskArn": ARN}})
    assert put[1]["protection"] == {
        "ExpirationDate": "2026-11-18T11:06:40Z",
        "ProtectionEnabled": True,
        "TaskArn": ARN,
    }
    operation, request, credentials = server.backend.calls[1]
    assert (operation, request.tasks, request.expires_in_minutes, credentials) == (
        "UpdateTaskProtection",
        (ARN,),
        60,
        role(),
    )


@pytest.mark.parametrize(
    "body", ["", "{}", b'{"\xff": 1}', '{"ProtectionEnabled": 1}', '{"ProtectionEnabled": true, "More": 1}']
)
def test_protection_when_the_body_is_wrong_is_refused(server, body):
    server.credentials.put(ARN, TASK_ROLE, role())
    ((status, answer),) = server.ask(("PUT", PROTECTION, body))
    assert (status, answer["error"]["Code"], answer["error"]["Arn"]) == (400, "InvalidParameterException", ARN)
    assert server.backend.calls == []


def test_protection_when_it_cannot_be_had_says_why(server):
    assert server.ask(PROTECTION)[0] == (
        403,
        {
            "error": {
                "Arn": ARN,
                "Code": "AccessDeniedException",
                "Message": "Invalid Request: no task IAM role credentials available",
            }
        },
    )
    server.credentials.put(ARN, TASK_ROLE, role())
    failure = SimpleNamespace(
        protected_tasks=(), failures=(ecs.Failure(arn=ARN, reason="TASK_NOT_VALID", detail="no service"),)
    )
    server.backend.answers["GetTaskProtection"] = [
        failure,
        Refused("AccessDeniedException", "no"),
        Refused("ClusterNotFoundException", "Cluster not found."),
        Transient("away"),
        TimeoutError(),
    ]
    answers = server.ask(*[PROTECTION] * 5, "/api/guess/task-protection/v1/state")
    assert answers[0] == (200, {"failure": {"Arn": ARN, "Reason": "TASK_NOT_VALID", "Detail": "no service"}})
    assert [(status, body["error"]["Code"]) for status, body in answers[1:]] == [
        (403, "AccessDeniedException"),
        (400, "ClusterNotFoundException"),
        (500, "ServerException"),
        (504, "RequestCanceled"),
        (404, "ResourceNotFoundException"),
    ]


def test_fault_injection_when_asked_is_not_enabled(server):
    answers = server.ask(
        ("POST", f"/api/{ENDPOINT_ID}/fault/v1/network-latency/start", "{}"),
        ("POST", "/api/guess/fault/v1/network-latency/status", "{}"),
    )
    assert answers[0] == (400, {"Error": f"enableFaultInjection is not enabled for task: {ARN}"})
    assert answers[1][0] == 404


def test_requests_when_too_many_are_answered_429(server):
    answers = server.ask(*["/v2/metadata"] * 62)
    assert [status for status, _ in answers] == [400] * 60 + [429] * 2


def test_throttle_when_time_passes_allows_the_steady_rate_to_each_caller():
    throttle = Throttle(rate=40, burst=60)
    assert sum(throttle.allows("a", 0.0) for _ in range(100)) == 60
    assert sum(throttle.allows("b", 0.0) for _ in range(100)) == 60
    assert sum(throttle.allows("a", 0.5) for _ in range(100)) == 20
    assert sum(throttle.allows("a", 100.0) for _ in range(100)) == 60


def test_introspection_when_asked_shows_the_host_and_its_tasks(server):
    app = introspection_app(server.host, "default")
    metadata, everything, by_arn, by_id, unknown, other = server.ask(
        "/v1/metadata",
        "/v1/tasks",
        f"/v1/tasks?taskarn={ARN}",
        "/v1/tasks?dockerid=d0cd",
        "/v1/tasks?taskarn=none",
        "/anything/else",
        app=app,
    )
    assert (metadata[1]["Cluster"], metadata[1]["ContainerInstanceArn"]) == ("default", INSTANCE)
    assert metadata[1]["Version"].startswith("Homeport agent - v")
    assert [task["Arn"] for task in everything[1]["Tasks"]] == [ARN]
    assert by_arn == by_id == (200, everything[1]["Tasks"][0])
    assert by_arn[1]["Containers"][0]["DockerName"] == "ecs-web-1-web-abc"
    assert (unknown[0], unknown[1]["Arn"]) == (404, "")
    assert other == (200, {"AvailableCommands": ["/v1/metadata", "/v1/tasks"]})


@pytest.mark.parametrize(
    ("kind", "health", "shown"),
    [
        ("docker", "starting", {}),
        ("docker", "healthy", {"status": "HEALTHY", "statusSince": "2026-11-18T11:06:40Z", "output": "text"}),
        (
            "docker",
            "unhealthy",
            {"status": "UNHEALTHY", "statusSince": "2026-11-18T11:06:40Z", "exitCode": 3, "output": "text"},
        ),
        (None, "healthy", None),  # the image's own check
    ],
)
def test_health_is_shown_of_the_task_definitions_check_alone(kind, health, shown):
    container = replace(
        CONTAINER,
        spec=replace(SPEC, health_check_type=kind),
        health=health,
        health_since=1_795_000_000.0,
        health_output="text",
        health_exit_code=3,
    )
    assert container_view(TASK, container, 4).get("Health") == shown
