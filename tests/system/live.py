"""A running Homeport on this machine for tests: real processes, real ports, the real engine."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3

from tests.system.images import TEST_IMAGE

BIN = Path(sys.executable).parent
IMAGE = TEST_IMAGE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=30.0, every=0.05, what="condition"):
    """The first truthy value of `condition()`; fails the test when the time is over. Real processes have no virtual clock."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what}")


def page_of(url):
    """The page, once its server has come up: a container runs a moment before what is in it listens."""

    def asked():
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            return None

    return until(asked, 10, what=url)


def speaks_http(port):
    """Whether something answers requests at this port of the loopback, whatever it says."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


class Live:
    """`homeport up --detach` in a directory of its own."""

    def __init__(self, data_dir: Path, *, agent_options=(), server_options=()):
        self.data_dir = data_dir
        self.port = free_port()
        self._agent_options = [
            "--stop-timeout=5",
            f"--introspection-port={free_port()}",
            f"--log-intake-port={free_port()}",
            *agent_options,
        ]
        self._server_options = list(server_options)
        self._clients = {}

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def homeport(self, *arguments, check=True, **more):
        command = [str(BIN / "homeport"), *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=120, **more)

    def up(self):
        options = [f"--agent-option={option}" for option in self._agent_options]
        options += [f"--server-option={option}" for option in self._server_options]
        done = self.homeport("up", "--detach", "--port", str(self.port), *options, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return self

    def down(self):
        self.homeport("down", check=False)

    def logs(self):
        return "".join(
            f"\n== {path.name}\n{path.read_text()[-4000:]}" for path in (self.data_dir / "logs").glob("*.log")
        )

    def status(self):
        return json.loads(self.homeport("status", "--json", check=False).stdout)

    def environment(self):
        """The variables that `eval "$(homeport env)"` sets, on top of a clean environment."""
        exports = dict(
            line.removeprefix("export ").split("=", 1)
            for line in self.homeport("env").stdout.splitlines()
            if line.startswith("export ")
        )
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **clean,
            **exports,
            "AWS_PAGER": "",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service):
        if service not in self._clients:
            env = self.environment()
            self._clients[service] = boto3.session.Session().client(
                service,
                endpoint_url=self.endpoint,
                region_name=env["AWS_REGION"],
                aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    @property
    def ecs(self):
        return self.client("ecs")

    def aws(self, *arguments, check=True, timeout=120):
        """The aws-cli's answer: parsed JSON, or text where it is none."""
        command = [str(BIN / "aws"), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=self.environment(), check=False
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.stderr}"
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return done.stdout if check else done.stderr

    def register(self, family, *containers, **more):
        """A bridge-mode task definition; containers default to the test image with 32 MiB."""
        filled = [{"image": IMAGE, "memory": 32, "essential": True, **container} for container in containers]
        answer = self.ecs.register_task_definition(family=family, containerDefinitions=filled, **more)
        return answer["taskDefinition"]["taskDefinitionArn"]

    def run(self, definition, **more):
        answer = self.ecs.run_task(taskDefinition=definition, **more)
        assert not answer["failures"], answer["failures"]
        return [task["taskArn"] for task in answer["tasks"]]

    def task(self, arn):
        return self.ecs.describe_tasks(tasks=[arn])["tasks"][0]

    def wait(self, arn, status, seconds=60.0):
        """The task once its last status is `status`; fails at once when it stopped instead."""

        def reached():
            task = self.task(arn)
            if task["lastStatus"] == "STOPPED" != status:
                raise AssertionError(
                    f"stopped: {task.get('stoppedReason')} {[c.get('reason') for c in task['containers']]}"
                )
            return task if task["lastStatus"] == status else None

        return until(reached, seconds, what=f"{arn} {status}")
