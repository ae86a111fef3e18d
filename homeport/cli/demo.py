"""`make demo`: Homeport's main job on this machine, as a user would do it.

Starts Homeport in a directory of its own, builds a small image locally (no registry is needed), puts a service of
three tasks behind an Application Load Balancer, and, while visitors keep asking, scales it and rolls it to a new
revision. Shows what happens, how many requests were served and how many failed, a task's log, and cleans up.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from pathlib import Path
from typing import Any

import msgspec

from homeport.cli import local
from homeport.cli.console import new_console
from homeport.cli.demo_image import DEMO_IMAGE, build_demo_image
from homeport.cli.demo_load import Visitors

console = new_console()
_PORT = 8080
_GROUP = "/demo/web"


def main() -> int:
    """0 if everything was seen to work and no request failed."""
    data_dir = Path(tempfile.mkdtemp(prefix="homeport-demo-"))
    started = time.monotonic()  # noqa: TID251 - shown to a person
    try:
        _say(f"build image {DEMO_IMAGE} from this machine's busybox")
        build_demo_image()
        _say("start Homeport: control plane, agent, load balancers")
        # Ports of its own, so that the demo runs beside a Homeport that is already up.
        introspection = _free_port()
        own = (f"--log-intake-port={_free_port()}", f"--introspection-port={introspection}", "--cleanup-wait=1")
        options = [f"--agent-option={option}" for option in own]
        _homeport("up", "--detach", "--data-dir", str(data_dir), "--port", str(_free_port()), *options)
        failed = Demo(data_dir, introspection).run()
        console.print(f"[bold green]done[/] in {time.monotonic() - started:.1f} s")  # noqa: TID251
        console.print(
            'Yours to keep: .venv/bin/homeport up --detach && eval "$(.venv/bin/homeport env)"', soft_wrap=True
        )
    finally:
        _homeport("down", "--data-dir", str(data_dir))
        shutil.rmtree(data_dir, ignore_errors=True)
    return 1 if failed else 0


def _say(text: str) -> None:
    console.print(f"[bold]▸[/] {text}")


def _homeport(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "homeport.cli.app", *arguments], check=True)  # noqa: S603 - our own module


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Demo:
    """The AWS calls of the demo, in the order of its story."""

    def __init__(self, data_dir: Path, introspection_port: int) -> None:
        self._agent = f"http://127.0.0.1:{introspection_port}"
        self.ecs, self.elb = local.client(data_dir, "ecs"), local.client(data_dir, "elbv2")
        self.ec2, self.logs = local.client(data_dir, "ec2"), local.client(data_dir, "logs")
        self.region = local.credentials_and_endpoint(data_dir)[0].region

    def run(self) -> int:
        """The number of failed requests."""
        self.logs.create_log_group(logGroupName=_GROUP)
        _say("an Application Load Balancer in the default VPC")
        target_group, balancer = self._load_balancer()
        url = f"http://{balancer['DNSName']}/"
        _say("a service of 3 tasks behind it")
        self._register("one")
        self.ecs.create_service(
            serviceName="web",
            taskDefinition="demo-web",
            desiredCount=3,
            loadBalancers=[{"targetGroupArn": target_group, "containerName": "web", "containerPort": _PORT}],
        )
        self._watch("3 healthy tasks", lambda: self._healthy(target_group) == 3)
        console.print(f"  {url} says: {_get(url)}")
        visitors = Visitors(url)
        _say("visitors ask all the time; scale to 5")
        self.ecs.update_service(service="web", desiredCount=5)
        self._watch("5 healthy tasks", lambda: self._healthy(target_group) == 5)
        _say("roll out revision two")
        self._register("two")
        self.ecs.update_service(service="web", taskDefinition="demo-web")
        self._watch("deployment completed", self._is_completed)
        visitors.stop()
        served = ", ".join(f"{count} by revision {body}" for body, count in sorted(visitors.answers.items()))
        failed = visitors.failures.total()
        console.print(f"  [bold]{visitors.answers.total()} requests served[/] ({served}), [bold]{failed} failed[/]")
        for text, count in visitors.failures.most_common(3):
            console.print(f"  {count} x {text}")
        self._show_events()
        self._stop(balancer["LoadBalancerArn"])
        return failed

    def _load_balancer(self) -> tuple[str, dict[str, Any]]:
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [subnet["SubnetId"] for subnet in self.ec2.describe_subnets()["Subnets"]]
        group = self.elb.create_target_group(
            Name="web",
            Protocol="HTTP",
            Port=80,
            VpcId=vpc,
            TargetType="instance",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
        self.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
        balancer: dict[str, Any] = self.elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]
        arn = balancer["LoadBalancerArn"]
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        self.elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        self._watch("load balancer active", lambda: self._state(arn) == "active")
        return group, balancer

    def _state(self, arn: str) -> str:
        found = self.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
        return str(found["State"]["Code"])

    def _register(self, revision: str) -> None:
        script = (
            f"echo starting; mkdir -p /www; echo {revision} > /www/index.html; trap 'echo stopping; exit 0' TERM; "
            f"httpd -p {_PORT} -h /www; echo ready; while :; do sleep 0.1; done"
        )
        options = {"awslogs-group": _GROUP, "awslogs-region": self.region, "awslogs-stream-prefix": revision}
        container = {
            "name": "web",
            "image": DEMO_IMAGE,
            "cpu": 64,
            "memory": 64,
            "command": ["sh", "-c", script],
            "portMappings": [{"containerPort": _PORT, "hostPort": 0}],
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        answer = self.ecs.register_task_definition(
            family="demo-web", networkMode="bridge", containerDefinitions=[container]
        )
        console.print(f"  {answer['taskDefinition']['taskDefinitionArn']}")

    def _healthy(self, group: str) -> int:
        targets = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sum(target["TargetHealth"]["State"] == "healthy" for target in targets)

    def _service(self) -> dict[str, Any]:
        service: dict[str, Any] = self.ecs.describe_services(services=["web"])["services"][0]
        return service

    def _is_completed(self) -> bool:
        deployments = self._service()["deployments"]
        return len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"

    def _watch(self, what: str, condition: Any) -> None:
        """Print how long it took; give up after two minutes with what the service says of itself."""
        started = time.monotonic()  # noqa: TID251 - shown to a person
        if not local.wait_until(condition, 120, every=0.1):
            self._show_events()
            raise SystemExit(f"not within two minutes: {what}")
        console.print(f"  {time.monotonic() - started:5.1f} s  {what}")  # noqa: TID251

    def _show_events(self) -> None:
        services = self.ecs.describe_services(services=["web"])["services"]
        for event in reversed(services[0]["events"][:6] if services else []):
            console.print(f"  [dim]{event['message']}[/]", soft_wrap=True)

    def _stop(self, balancer_arn: str) -> None:
        _say("stop everything; a task's log stays")
        self.ecs.update_service(service="web", desiredCount=0)
        self._watch("no task left", lambda: self._service()["runningCount"] == 0)
        self.ecs.delete_service(service="web")
        self.elb.delete_load_balancer(LoadBalancerArn=balancer_arn)
        lines: list[str] = []

        def has_log() -> bool:
            answer = self.logs.filter_log_events(
                logGroupName=_GROUP, logStreamNamePrefix="two", filterPattern="stopping"
            )
            lines[:] = [f"{event['logStreamName']}: {event['message']}" for event in answer["events"]]
            return bool(lines)

        self._watch("the log is there", has_log)
        console.print(f"  {lines[0]}", soft_wrap=True)
        self._watch("the containers are removed", self._is_clean)

    def _is_clean(self) -> bool:
        """Whether the agent remembers no task any more: it does so until it has removed what the task left."""
        with local.directly(f"{self._agent}/v1/tasks", timeout=5) as answer:
            return not msgspec.json.decode(answer.read())["Tasks"]


def _get(url: str) -> str:
    for _ in range(50):
        try:
            with local.directly(url, timeout=5) as answer:
                text: str = answer.read().decode().strip()
                return text
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


if __name__ == "__main__":
    sys.exit(main())
