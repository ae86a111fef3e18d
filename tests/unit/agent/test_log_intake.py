"""The log intake as dockerd's awslogs driver meets it."""

import asyncio
import json
import random

import pytest

from homeport.agent.log_forwarder import LogForwarder
from homeport.agent.log_intake import LogIntake, intake_credentials, load_or_create_id
from homeport.agent.log_options import docker_log_options
from homeport.agent.log_spool import LogSpool
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.ids import Ids
from tests.unit.agent.logs_backend import MemoryLogs
from tests.unit.agent.unix_app import serving

ID = "11111111-2222-4333-8444-555555555555"
STREAM = {"logGroupName": "/app", "logStreamName": "web/main/1"}
EVENTS = {**STREAM, "logEvents": [{"timestamp": 1, "message": "hello"}]}


class Intake:
    def __init__(self, folder, *groups):
        self.folder = folder
        self.backend = MemoryLogs(*groups)

    def run(self, body):
        async def main():
            spool = LogSpool(self.folder / "spool")
            clock = SystemClock()
            self.forwarder = LogForwarder(spool, self.backend, clock, random.Random(1))
            intake = LogIntake(spool, self.forwarder, self.backend, clock, ID, ask_seconds=0.05)
            async with serving(intake.app(), self.folder) as session:
                self.session = session
                await body()
            spool.close()

        asyncio.run(main())

    async def send(self, operation, body, *, path="/", key=None):
        key = key or intake_credentials(ID).access_key_id
        headers = {
            "x-amz-target": f"Logs_20140328.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={key}/20261123/us-east-1/logs/aws4_request, Signature=0",
        }
        data = body if isinstance(body, bytes) else json.dumps(body)
        async with self.session.post(path, data=data, headers=headers) as response:
            return response.status, json.loads(await response.read())


@pytest.fixture
def intake(tmp_path):
    return Intake(tmp_path, "/app")


def test_events_when_sent_are_acknowledged_before_they_are_forwarded(intake):
    async def body():
        assert await intake.send("CreateLogStream", STREAM) == (200, {})
        intake.backend.down = True
        status, answer = await intake.send("PutLogEvents", EVENTS)
        assert status == 200
        assert answer["nextSequenceToken"].isdecimal()
        intake.backend.down = False
        assert await intake.forwarder.forward_some()
        assert intake.backend.groups["/app"]["web/main/1"] == ["hello"]
        assert not await intake.forwarder.forward_some()

    intake.run(body)


def test_events_when_a_container_writes_bytes_that_are_no_utf8_are_kept_with_marks_in_their_place(intake):
    async def body():
        await intake.send("CreateLogStream", STREAM)
        raw = json.dumps(EVENTS).encode().replace(b"hello", b"caf\xe9 \xc3\xa9")
        assert (await intake.send("PutLogEvents", raw))[0] == 200
        await intake.forwarder.forward_some()
        assert intake.backend.groups["/app"]["web/main/1"] == ["caf\ufffd é"]

    intake.run(body)


def test_stream_when_its_group_is_missing_is_refused_as_aws_does(intake):
    async def body():
        status, answer = await intake.send("CreateLogStream", {**STREAM, "logGroupName": "/none"})
        assert (status, answer["__type"]) == (400, "ResourceNotFoundException")
        assert answer["message"] == "The specified log group does not exist."
        await intake.send("CreateLogStream", STREAM)
        status, answer = await intake.send("CreateLogStream", STREAM)
        assert (status, answer["__type"]) == (400, "ResourceAlreadyExistsException")

    intake.run(body)


@pytest.mark.parametrize("trouble", ["down", "hangs"])
def test_stream_when_the_control_plane_is_away_is_made_later(intake, trouble):
    async def body():
        setattr(intake.backend, trouble, True)
        assert await intake.send("CreateLogStream", STREAM, path="/create-group/") == (200, {})
        assert (await intake.send("PutLogEvents", EVENTS, path="/create-group/"))[0] == 200
        setattr(intake.backend, trouble, False)
        intake.backend.groups.clear()
        await intake.forwarder.forward_some()
        assert intake.backend.groups == {"/app": {"web/main/1": ["hello"]}}

    intake.run(body)


def test_group_when_docker_creates_it_exists_at_once(intake):
    async def body():
        assert await intake.send("CreateLogGroup", {"logGroupName": "/new"}) == (200, {})
        assert "/new" in intake.backend.groups

    intake.run(body)


def test_requests_when_not_signed_with_the_intakes_key_are_refused(intake):
    async def body():
        status, answer = await intake.send("PutLogEvents", EVENTS, key="AKIAOTHER")
        assert (status, answer["__type"]) == (400, "UnrecognizedClientException")
        for path, expected in (("/v2/credentials/guess", 404), (f"/v2/credentials/{ID}", 200)):
            async with intake.session.get(path) as response:
                assert response.status == expected
        held = await (await intake.session.get(f"/v2/credentials/{ID}")).json()
        assert held["AccessKeyId"] == intake_credentials(ID).access_key_id
        assert held["Expiration"] > "2090"

    intake.run(body)


def test_requests_when_malformed_or_unknown_are_refused_and_spool_nothing(intake):
    async def body():
        for operation, content, code in (
            ("PutLogEvents", {"logGroupName": "/app"}, "InvalidParameterException"),
            ("PutLogEvents", [], "InvalidParameterException"),
            ("DescribeLogGroups", {}, "UnknownOperationException"),
        ):
            status, answer = await intake.send(operation, content)
            assert (status, answer["__type"]) == (400, code)
        assert not await intake.forwarder.forward_some()

    intake.run(body)


def test_id_when_loaded_again_is_the_same_and_private(tmp_path):
    path = tmp_path / "spool" / "intake-id"
    first = load_or_create_id(path, Ids(random.Random(1)))
    assert load_or_create_id(path, Ids(random.Random(2))) == first
    assert path.stat().st_mode & 0o077 == 0


CONFIG = AgentConfig(data_dir="/x", endpoint="http://10.0.0.1:4566", log_intake_port=51681)


def test_log_options_when_awslogs_point_at_the_intake():
    options = docker_log_options(
        "awslogs",
        {"awslogs-group": "/app", "awslogs-stream": "s", "awslogs-stream-prefix": "p", "mode": "non-blocking"},
        CONFIG,
        ID,
    )
    assert options == {
        "awslogs-group": "/app",
        "awslogs-stream": "s",
        "mode": "non-blocking",
        "awslogs-region": "us-east-1",
        "awslogs-endpoint": "http://127.0.0.1:51681",
        "awslogs-credentials-endpoint": f"@127.0.0.1:51681/v2/credentials/{ID}",
        "awslogs-force-flush-interval-seconds": "1",
    }


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("json-file", {"max-size": "10m"}),
        ("fluentd", {"fluentd-address": "x"}),
        ("awslogs", {"awslogs-group": "/app", "awslogs-endpoint": "https://logs.eu-west-1.amazonaws.com"}),
    ],
)
def test_log_options_when_logs_go_elsewhere_stay_as_they_are(driver, options):
    assert docker_log_options(driver, options, CONFIG, ID) == options


def test_log_options_when_the_endpoint_is_the_control_planes_are_rewritten():
    options = docker_log_options(
        "awslogs",
        {"awslogs-create-group": "true", "awslogs-endpoint": "http://10.0.0.1:4566/", "awslogs-region": "eu-west-1"},
        CONFIG,
        ID,
    )
    assert options["awslogs-endpoint"] == "http://127.0.0.1:51681/create-group"
    assert options["awslogs-region"] == "eu-west-1"
