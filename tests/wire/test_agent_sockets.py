"""The agent link over real sockets: signed upgrades, refusals with a body, payloads right after RunTask."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from homeport.agent.aws import AwsBackend
from homeport.agent.backend import Refused
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig, ServerConfig
from homeport.base.ids import Ids
from homeport.base.seal import Sealer
from homeport.base.supervise import Supervisor
from homeport.drivers.logs.sqlite import SqliteLogStore
from homeport.server.http import HttpServer
from homeport.server.region import start_region
from homeport.shapes import acs, tcs
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal

CAPABILITIES = ("docker-remote-api.1.17", "docker-remote-api.1.18", "docker-remote-api.1.19", "logging-driver.awslogs")
LOGS = shapes.LogConfiguration(
    log_driver="awslogs",
    options={"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
)


@asynccontextmanager
async def a_server(folder):
    """A whole server on a port of its own, and a signed way in."""
    clock, sealer = SystemClock(), Sealer(b"0" * 32)
    supervisor = Supervisor(clock)
    logs = SqliteLogStore(folder / "logs.db")
    region = await start_region(
        ServerConfig(data_dir=folder), MemoryJournal(), clock, Ids(random.Random(1)), sealer, logs, supervisor
    )
    http = HttpServer(region.gateway, region.sockets)
    port = await http.start("127.0.0.1", 0)
    (key,) = region.world.store.read.access_keys
    config = AgentConfig(
        data_dir=folder,
        endpoint=f"http://127.0.0.1:{port}",
        access_key_id=key.access_key_id,
        secret_access_key=sealer.open("access-key", key.sealed_secret).decode(),
    )
    try:
        async with AwsBackend(config, clock) as backend:
            yield backend, config
    finally:
        await region.sockets.close()
        await http.close()
        await region.stop()
        await supervisor.close()
        logs.close()


async def register(backend):
    """A container instance with room; its ARN."""
    request = shapes.RegisterContainerInstanceRequest(
        cluster="default",
        total_resources=(
            shapes.Resource(name="CPU", type="INTEGER", integer_value=4096),
            shapes.Resource(name="MEMORY", type="INTEGER", integer_value=4096),
            shapes.Resource(name="PORTS", type="STRINGSET", string_set_value=("22",)),
            shapes.Resource(name="PORTS_UDP", type="STRINGSET", string_set_value=()),
        ),
        attributes=tuple(shapes.Attribute(name=f"com.amazonaws.ecs.capability.{name}") for name in CAPABILITIES),
    )
    answer = await backend.call("RegisterContainerInstance", request)
    return answer.container_instance.container_instance_arn


async def endpoints(backend, arn):
    request = shapes.DiscoverPollEndpointRequest(cluster="default", container_instance=arn)
    return await backend.call("DiscoverPollEndpoint", request)


def query(arn):
    return {
        "agentHash": "x",
        "agentVersion": "1.105.1",
        "clusterArn": "default",
        "containerInstanceArn": arn,
        "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
        "protocolVersion": "2",
        "sendCredentials": "true",
        "seqNum": "1",
    }


async def next_of(socket, kind):
    async with asyncio.timeout(5):
        while True:
            message = acs.decode_frame(await socket.receive(), acs.TO_AGENT)
            if isinstance(message, kind):
                return message


def test_run_task_when_agent_is_connected_then_payload_names_our_own_logs_endpoint(tmp_path):
    async def main():
        async with a_server(tmp_path) as (backend, config):
            arn = await register(backend)
            container = shapes.ContainerDefinition(name="a", image="busybox", memory=16, log_configuration=LOGS)
            await backend.call(
                "RegisterTaskDefinition",
                shapes.RegisterTaskDefinitionRequest(family="f", container_definitions=(container,)),
            )
            socket = await backend.connect((await endpoints(backend, arn)).endpoint, query(arn))
            await next_of(socket, acs.TaskManifestMessage)
            answer = await backend.call("RunTask", shapes.RunTaskRequest(task_definition="f"))
            (task,) = (await next_of(socket, acs.PayloadMessage)).tasks
            assert task.arn == answer.tasks[0].task_arn
            assert f'"awslogs-endpoint":"{config.endpoint}"' in task.containers[0].docker_config.host_config
            await socket.close()

    asyncio.run(main())


def test_connect_when_instance_is_unknown_then_refused_with_the_code_agents_know(tmp_path):
    async def main():
        async with a_server(tmp_path) as (backend, _):
            arn = await register(backend)
            endpoint = (await endpoints(backend, arn)).endpoint
            with pytest.raises(Refused) as caught:
                await backend.connect(endpoint, query(arn[:-4] + "0000"))
            assert caught.value.code == "InactiveInstanceException"

    asyncio.run(main())


def test_telemetry_when_frame_has_header_lines_then_acknowledged(tmp_path):
    async def main():
        async with a_server(tmp_path) as (backend, _):
            arn = await register(backend)
            endpoint = (await endpoints(backend, arn)).telemetry_endpoint
            socket = await backend.connect(endpoint, {"cluster": "default", "containerInstance": arn})
            metadata = tcs.Metadata(cluster="default", container_instance=arn, message_id="m", fin=True, idle=True)
            publish = acs.encode_frame(tcs.PublishMetricsRequest(metadata=metadata, timestamp=1.5))
            await socket.send(tcs.with_headers({"Host": "x"}, publish))
            frames = [acs.decode_frame(await socket.receive(), tcs.TO_AGENT) for _ in range(2)]
            assert tcs.AckPublishMetric(message="m") in frames
            await socket.close()

    asyncio.run(main())
