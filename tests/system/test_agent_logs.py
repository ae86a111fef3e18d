"""A real dockerd's awslogs driver, the agent's log intake, and CloudWatch Logs behind the real front door."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from homeport.agent.aws import AwsBackend
from homeport.agent.credentials import Credentials
from homeport.agent.endpoints import Endpoints
from homeport.api.request import Request
from homeport.base.clock import SystemClock
from homeport.base.config import AgentConfig
from homeport.base.ids import system_ids
from tests.builders import ROOT_KEY_ID, ROOT_SECRET, RegionUnderTest
from tests.system.data_plane import eventually
from tests.system.live import free_port, speaks_http

pytestmark = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker Engine")


class NoTasks:
    def all(self):
        return ()

    def by_endpoint_id(self, _endpoint_id):
        return None


class LoggedHost:
    """The front door on a port (`is_up`), and an agent's endpoints that come and go."""

    def __init__(self, region, data_dir):
        self.region = region
        self.is_up = True
        self.clock = SystemClock()
        self.front_port = free_port()
        self.config = AgentConfig(
            data_dir=data_dir,
            endpoint=f"http://127.0.0.1:{self.front_port}",
            access_key_id=ROOT_KEY_ID,
            secret_access_key=ROOT_SECRET,
            task_endpoint_address="127.0.0.1",
            task_endpoint_port=free_port(),
            introspection_port=free_port(),
            log_intake_port=free_port(),
        )

    async def front(self, request):
        if not self.is_up:
            return web.Response(status=503)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        answer = await self.region.gateway.handle(
            Request(request.method, request.path, request.query_string, headers, body)
        )
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    async def __aenter__(self):
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self.front)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.front_port).start()
        self.backend = AwsBackend(self.config, self.clock)
        await self.start_agent()
        return self

    async def __aexit__(self, *_):
        await self.kill_agent()
        await self.backend.close()
        await self.runner.cleanup()

    async def start_agent(self):
        self.endpoints = Endpoints(self.config, self.clock, system_ids(), self.backend, Credentials())
        host = SimpleNamespace(
            tasks=NoTasks(), instance=None, identity=SimpleNamespace(availability_zone=None), engine=None
        )
        self.serving = asyncio.ensure_future(self.endpoints.serve(host))
        await eventually(lambda: asyncio.to_thread(speaks_http, self.config.log_intake_port), True)

    async def kill_agent(self):
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)

    async def run(self, image, name, script, *flags, group="/hp/app", **options):
        """`docker run` with the options the agent would give; exit code and the engine's own words."""
        wanted = {"awslogs-group": group, "awslogs-stream": f"web/main/{name}", **options}
        config = self.endpoints.log_config(None, None, {"Type": "awslogs", "Config": wanted})
        log_options = [part for key, value in config["Config"].items() for part in ("--log-opt", f"{key}={value}")]
        command = ("run", "--rm", "--name", f"hp-logs-{name}", *flags, "--log-driver", "awslogs", *log_options)
        process = await asyncio.create_subprocess_exec(
            "docker",
            *command,
            image,
            "sh",
            "-c",
            script,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, words = await process.communicate()
        return process.returncode, words.decode()

    def messages(self, name, group="/hp/app"):
        events = self.region.world.logs.read(
            group,
            (f"web/main/{name}",),
            start_ms=None,
            end_ms=None,
            after=None,
            limit=300_000,
            newest_first=False,
        )
        return [event.message for event in events]

    async def arrived(self, name, count, group="/hp/app"):
        for _ in range(200):
            if self.region.world.logs.group(group) and self.region.world.logs.stream(group, f"web/main/{name}"):
                found = self.messages(name, group)
                if len(found) >= count:
                    return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"fewer than {count} events of {name} within 10 s")


def with_host(tmp_path, body):
    region = RegionUnderTest(clock=SystemClock())

    async def main():
        async with LoggedHost(region, tmp_path) as host:
            await body(host)

    try:
        region.run(main())
    finally:
        region.close()


def test_container_when_its_group_is_missing_fails_to_start_as_on_ecs(tmp_path, test_image):
    async def body(host):
        code, words = await host.run(test_image, "missing", "echo never")
        assert code == 125
        assert "ResourceNotFoundException: The specified log group does not exist." in words

    with_host(tmp_path, body)


def test_lines_when_written_arrive_within_two_seconds_and_all(tmp_path, test_image):
    async def body(host):
        create = {"awslogs-create-group": "true"}
        script = "echo first; sleep 2; i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done"
        running = asyncio.ensure_future(host.run(test_image, "lines", script, **create))
        assert await host.arrived("lines", 1) == ["first"]
        assert (await running)[0] == 0
        found = await host.arrived("lines", 30_001)
        assert found == ["first", *(f"line {number}" for number in range(30_000))]

    with_host(tmp_path, body)


def test_logs_when_the_control_plane_and_the_agent_go_away_arrive_later(tmp_path, test_image):
    """The container starts, runs and ends with no control plane; its lines survive the agent's end."""

    async def body(host):
        host.is_up = False
        assert (await host.run(test_image, "away", "echo kept", **{"awslogs-create-group": "true"}))[0] == 0
        await host.kill_agent()
        host.is_up = True
        await host.start_agent()
        assert await host.arrived("away", 1) == ["kept"]

    with_host(tmp_path, body)
