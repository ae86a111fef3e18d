"""Requests per second over HTTP, against moto's server: same client, same bodies, by turns.

Homeport's server is a process of its own with its journal on disk. Stand-in agents register container instances and
acknowledge payloads without running anything, so that what is measured is the control plane. moto keeps state in
memory, checks no signature, places on instances nobody runs, has no agent to tell, and closes each connection after
one answer.
"""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import boto3

from bench.figure import Figure, number
from bench.wire import Load, apart, signed_request
from homeport.agent.aws import AwsBackend
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.local import Credentials, read_state, root_credentials
from homeport.shapes import acs
from homeport.shapes import ecs as shapes
from tests.system.live import free_port, until

_CONNECTIONS = 8
_SECONDS = 3.0
_ROUNDS = 3
_INSTANCES = 10
_DEFINITION: dict[str, Any] = {
    "family": "bench",
    "containerDefinitions": [{"name": "main", "image": "bench:1", "memory": 6, "essential": True}],
}


def _client(endpoint: str, access_key: str, secret_key: str, service: str = "ecs") -> Any:
    session = boto3.session.Session()
    keys = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    return session.client(service, region_name="us-east-1", endpoint_url=endpoint, **keys)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _stand_in(backend: AwsBackend, url: str, ready: asyncio.Barrier) -> None:
    """An agent that says yes to everything and runs nothing."""
    resources = (
        shapes.Resource(name="CPU", type="INTEGER", integer_value=1_000_000_000),
        shapes.Resource(name="MEMORY", type="INTEGER", integer_value=1_000_000_000),
        shapes.Resource(name="PORTS", type="STRINGSET", string_set_value=()),
        shapes.Resource(name="PORTS_UDP", type="STRINGSET", string_set_value=()),
    )
    names = [f"com.amazonaws.ecs.capability.docker-remote-api.1.{minor}" for minor in (17, 18, 19, 21)]
    attributes = tuple(shapes.Attribute(name=name) for name in names)
    request = shapes.RegisterContainerInstanceRequest(
        cluster="default", total_resources=resources, attributes=attributes
    )
    answer = await backend.call("RegisterContainerInstance", request)
    arn = answer.container_instance.container_instance_arn
    query = {
        "agentHash": "bench", "agentVersion": "1.0.0", "clusterArn": "default", "containerInstanceArn": arn,
        "dockerVersion": "DockerVersion: none", "protocolVersion": "2", "sendCredentials": "false", "seqNum": "1",
    }  # fmt: skip
    link = await backend.connect(f"{url}/acs", query)
    await ready.wait()
    while (frame := await link.receive()) is not None:
        message = acs.decode_frame(frame, acs.TO_AGENT)
        if isinstance(message, acs.HeartbeatMessage):
            await link.send(acs.encode_frame(acs.HeartbeatAckRequest(message_id=message.message_id)))
        elif isinstance(message, acs.PayloadMessage | acs.TaskManifestMessage):
            ack = acs.AckRequest(cluster="default", container_instance=arn, message_id=message.message_id)
            await link.send(acs.encode_frame(ack))


class _Subject:
    """A server under load: one task definition, ten tasks, and the two requests that are sent."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        self._port = int(endpoint.rsplit(":", 1)[1])
        self._ecs = _client(endpoint, access_key, secret_key)
        self._ecs.register_task_definition(**_DEFINITION)
        arns = [task["taskArn"] for task in self._ecs.run_task(taskDefinition="bench", count=10)["tasks"]]
        bodies: dict[str, dict[str, Any]] = {
            "DescribeTasks": {"cluster": "default", "tasks": arns},
            "RunTask": {"cluster": "default", "taskDefinition": "bench:1"},
        }
        self._requests = {
            name: signed_request(endpoint, name, body, access_key, secret_key) for name, body in bodies.items()
        }
        self.rates: dict[str, list[float]] = {name: [] for name in bodies}

    async def load(self, operation: str) -> None:
        """One round; the rate is requests per second."""
        load = Load("127.0.0.1", self._port, self._requests[operation], _CONNECTIONS, _SECONDS)
        self.rates[operation].append(await apart(load))

    def check(self) -> None:
        """Refusals cost little: a server that was full did not do the work."""
        assert self._ecs.run_task(taskDefinition="bench")["tasks"], "the instances are full"

    def rate(self, operation: str) -> float:
        return statistics.median(self.rates[operation])


@contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def _homeport() -> AsyncIterator[_Subject]:
    """Homeport's server on an SQLite journal, with its stand-in agents."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        options = ("--data-dir", directory, "--port", str(free_port()), "--region", "us-east-1", "--log-level", "error")
        with _process(sys.executable, "-m", "homeport.server", *options):
            endpoint = until(lambda: read_state(data_dir, "server").get("endpoint"), what="the server's address")
            key = root_credentials(data_dir)
            assert key is not None
            async with _stand_ins(_agent_config(data_dir, endpoint, key)):
                yield await asyncio.to_thread(_Subject, endpoint, key.access_key_id, key.secret_access_key)


@asynccontextmanager
async def _stand_ins(config: AgentConfig) -> AsyncIterator[None]:
    """Container instances that are connected while the context is open."""
    backend = AwsBackend(config, SystemClock())
    ready = asyncio.Barrier(_INSTANCES + 1)
    agents = [asyncio.create_task(_stand_in(backend, config.endpoint, ready)) for _ in range(_INSTANCES)]
    try:
        async with asyncio.timeout(30):
            await ready.wait()
        yield
    finally:
        for agent in agents:
            agent.cancel()
        await asyncio.gather(*agents, return_exceptions=True)
        await backend.close()


def _agent_config(data_dir: Path, endpoint: str, key: Credentials) -> AgentConfig:
    return AgentConfig(
        data_dir=data_dir,
        endpoint=endpoint,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
    )


@contextmanager
def _moto() -> Iterator[_Subject]:
    port = free_port()
    with _process(str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)):
        until(lambda: _answers(port), what="moto's server")
        endpoint = f"http://127.0.0.1:{port}"
        _moto_instances(endpoint)
        yield _Subject(endpoint, "mock", "mock")


def _moto_instances(endpoint: str) -> None:
    """As many as Homeport has; moto wants an EC2 instance behind each. Theirs are of a fixed size: small tasks fit."""
    ecs, ec2 = _client(endpoint, "mock", "mock"), _client(endpoint, "mock", "mock", "ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    instances = ec2.run_instances(ImageId=image, MinCount=_INSTANCES, MaxCount=_INSTANCES)["Instances"]
    ecs.create_cluster(clusterName="default")
    for instance in instances:
        document = {"instanceId": instance["InstanceId"], "region": "us-east-1", "accountId": "123456789012"}
        ecs.register_container_instance(cluster="default", instanceIdentityDocument=json.dumps(document))


async def _measure() -> list[Figure]:
    names = {"DescribeTasks": "DescribeTasks of ten tasks, requests/s ÷ moto", "RunTask": "RunTask, requests/s ÷ moto"}
    figures = []
    async with _homeport() as ours:
        with _moto() as theirs:
            for operation, name in names.items():
                for _ in range(_ROUNDS):
                    await ours.load(operation)
                    await theirs.load(operation)
                mine, moto = ours.rate(operation), theirs.rate(operation)
                how = f"{number(mine)}/s; moto {number(moto)}/s"
                figures.append(Figure(name, mine / moto, goal=20, is_most=False, how=how))
            for subject in (ours, theirs):
                await asyncio.to_thread(subject.check)
    return figures


def measure() -> list[Figure]:
    """The ratios of both servers' rates; the servers take turns."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
