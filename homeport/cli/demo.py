"""`make demo`: Homeport's main job on this machine, in under a minute, as a user would do it.

Starts Homeport in a directory of its own on a free port, builds a small image locally (no registry is needed),
registers a task definition, runs it, shows its states, its published port's answer and its log, and cleans up.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console

from homeport.cli import local
from homeport.cli.demo_image import DEMO_IMAGE, build_demo_image

console = Console(highlight=False)
PAGE = "Hello from a real container on Homeport"


def main() -> int:
    """0 if everything was seen to work."""
    data_dir = Path(tempfile.mkdtemp(prefix="homeport-demo-"))
    started = time.monotonic()  # noqa: TID251 - shown to a person
    try:
        _say("1", f"build image {DEMO_IMAGE} from this machine's busybox")
        build_demo_image()
        _say("2", "start Homeport: control plane and agent")
        # Ports of its own, so that the demo runs beside a Homeport that is already up.
        own = [f"--agent-option=--{name}-port={_free_port()}" for name in ("log-intake", "introspection")]
        _homeport("up", "--detach", "--data-dir", str(data_dir), "--port", str(_free_port()), *own)
        _run_task(data_dir)
        console.print(f"[bold green]done[/] in {time.monotonic() - started:.1f} s")  # noqa: TID251
        console.print('Yours to keep: .venv/bin/homeport up --detach && eval "$(.venv/bin/homeport env)"')
    finally:
        _homeport("down", "--data-dir", str(data_dir))
        shutil.rmtree(data_dir, ignore_errors=True)
    return 0


def _say(step: str, text: str) -> None:
    console.print(f"[bold]{step}[/] {text}")


def _homeport(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "homeport.cli.app", *arguments], check=True)  # noqa: S603 - our own module


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run_task(data_dir: Path) -> None:
    ecs, logs = local.client(data_dir, "ecs"), local.client(data_dir, "logs")
    _say("3", "create a log group and register a task definition")
    logs.create_log_group(logGroupName="/demo/web")
    definition = ecs.register_task_definition(**_definition(local.credentials_and_endpoint(data_dir)[0].region))
    console.print(f"  {definition['taskDefinition']['taskDefinitionArn']}")
    _say("4", "run it")
    answer = ecs.run_task(taskDefinition="demo-web")
    if answer["failures"]:
        raise SystemExit(f"not placed: {answer['failures']}")
    arn = answer["tasks"][0]["taskArn"]
    task = _watch(ecs, arn, "RUNNING")
    binding = task["containers"][0]["networkBindings"][0]
    url = f"http://127.0.0.1:{binding['hostPort']}/"
    _say("5", f"ask its published port: {url}")
    console.print(f"  {_get(url)}")
    _say("6", "stop it and read its log")
    ecs.stop_task(task=arn, reason="the demo is over")
    task = _watch(ecs, arn, "STOPPED")
    console.print(f"  {task['stopCode']}: {task['stoppedReason']}; exit code {task['containers'][0].get('exitCode')}")
    for line in _log_lines(logs, arn):
        console.print(f"  log: {line}")


def _definition(region: str) -> dict[str, Any]:
    script = f"echo starting; mkdir -p /www; echo '{PAGE}' > /www/index.html; trap 'echo stopping; exit 0' TERM; httpd -p 8080 -h /www; echo ready; while :; do sleep 0.1; done"
    return {
        "family": "demo-web",
        "networkMode": "bridge",
        "containerDefinitions": [
            {
                "name": "web",
                "image": DEMO_IMAGE,
                "essential": True,
                "cpu": 64,
                "memory": 64,
                "command": ["sh", "-c", script],
                "portMappings": [{"containerPort": 8080, "hostPort": 0}],
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "/demo/web", "awslogs-region": region, "awslogs-stream-prefix": "web"},
                },
            }
        ],
    }


def _watch(ecs: Any, arn: str, wanted: str) -> dict[str, Any]:
    """Print each new status until `wanted` (at most a minute)."""
    started, seen = time.monotonic(), ""  # noqa: TID251
    while time.monotonic() - started < 60:  # noqa: TID251
        task: dict[str, Any] = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        if task["lastStatus"] != seen:
            seen = task["lastStatus"]
            console.print(f"  {time.monotonic() - started:5.2f} s  {seen}")  # noqa: TID251
        if seen == wanted:
            return task
        if seen == "STOPPED":
            break
        time.sleep(0.02)
    raise SystemExit(f"the task is {seen}: {task.get('stoppedReason')} {[c.get('reason') for c in task['containers']]}")


def _get(url: str) -> str:
    for _ in range(50):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
                text: str = answer.read().decode().strip()
                return text
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def _log_lines(logs: Any, arn: str) -> list[str]:
    stream = f"web/web/{arn.rsplit('/', 1)[1]}"
    lines: list[str] = []
    for _ in range(50):
        answer = logs.get_log_events(logGroupName="/demo/web", logStreamName=stream, startFromHead=True)
        lines = [event["message"] for event in answer["events"]]
        if "stopping" in lines:
            break
        time.sleep(0.1)
    return lines


if __name__ == "__main__":
    sys.exit(main())
