"""A service behind a load balancer while clients never pause: scaled, rolled, and with everything around it killed."""

import os
import subprocess
import time

import pytest

from homeport.base.local import read_state
from tests.system.live import Live, until
from tests.system.load import LoadProcess

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
CLIENTS, FAST_CLIENTS = 8, 2
NAME = "loaded"


class Loaded:
    """A service of three small web servers that answer their revision's name."""

    def __init__(self, live):
        self.live = live
        self.elb = live.client("elbv2")
        subnets = [each["SubnetId"] for each in live.client("ec2").describe_subnets()["Subnets"]]
        balancer = self.elb.create_load_balancer(Name=NAME, Subnets=subnets[:2])["LoadBalancers"][0]
        self.group = self._group(balancer["VpcId"])
        action = {"Type": "forward", "TargetGroupArn": self.group}
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action]
        )
        live.aws("elbv2", "wait", "load-balancer-available", "--names", NAME)
        live.ecs.create_service(
            serviceName=NAME,
            taskDefinition=self.define("r1"),
            desiredCount=3,
            loadBalancers=[{"targetGroupArn": self.group, "containerName": "web", "containerPort": 80}],
        )
        until(self.health, 30, what="targets")  # the waiter is content with a group that has none
        live.aws("elbv2", "wait", "target-in-service", "--target-group-arn", self.group)
        self.settled(3)
        (shown,) = live.status()["loadBalancers"]
        self.address = shown["address"]

    def _group(self, vpc):
        arn = self.elb.create_target_group(
            Name=NAME, Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        return arn

    def define(self, name):
        serve = f"mkdir -p /www; echo {name} > /www/index.html; exec httpd -f -p 80 -h /www"
        container = {
            "name": "web",
            "command": ["sh", "-c", serve],
            "memory": 16,
            "portMappings": [{"containerPort": 80}],
        }
        return self.live.register(NAME, container)

    def update(self, **change):
        self.live.ecs.update_service(service=NAME, **change)

    def health(self):
        """State by port of the targets."""
        answer = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {each["Target"]["Port"]: each["TargetHealth"]["State"] for each in answer}

    def containers(self):
        """Containers of the tasks that run, by host port."""
        arns = self.live.ecs.list_tasks(serviceName=NAME)["taskArns"]
        tasks = self.live.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        running = [task["containers"][0] for task in tasks if task["lastStatus"] == "RUNNING"]
        return {each["networkBindings"][0]["hostPort"]: each["runtimeId"] for each in running}

    def settled(self, count, seconds=60):
        """Waits until one deployment is left and the targets, all healthy, are exactly the `count` running tasks."""

        def settles():
            (service,) = self.live.ecs.describe_services(services=[NAME])["services"]
            counts = [(each["status"], each["runningCount"]) for each in service["deployments"]]
            health = self.health()
            return (
                counts == [("PRIMARY", count)]
                and list(health.values()) == ["healthy"] * count
                and set(health) == set(self.containers())
            )

        until(settles, seconds, 0.2, what=f"{count} tasks and their targets, not {self.health()}")


class Step:
    """Load during one step of the story, and then at most `failed` failures."""

    def __init__(self, loaded, name, *, failed=0):
        self._name, self._failed = name, failed
        self._load = LoadProcess(loaded.address, 80, connections=CLIENTS, fast=FAST_CLIENTS)

    def __enter__(self):
        self._started = time.monotonic()
        self._load.__enter__()
        return self

    def __exit__(self, kind, *rest):
        self._load.__exit__(kind, *rest)
        result = self._load.result
        print(f"{self._name}: {time.monotonic() - self._started:.1f} s", result)
        if kind is None:
            assert result["served"] > 0
            assert result["failed"] <= self._failed, f"{self._name}: {result}"
            self.answered = set(result["bodies"])


@pytest.fixture
def loaded(tmp_path, test_image):
    live = Live(tmp_path / "homeport").up()
    try:
        yield (made := Loaded(live))
        live.ecs.delete_service(service=NAME, force=True)
        until(lambda: not made.containers() and not made.health(), 20, what="nothing left")
    finally:
        print(live.logs())
        live.down()


def kill(live, name):
    """kill -9 of the server or the agent, and wait for its successor."""
    pid = read_state(live.data_dir, "supervisor")[name]["pid"]
    os.kill(pid, 9)
    until(lambda: read_state(live.data_dir, "supervisor")[name]["pid"] != pid, 15, 0.01, f"another {name}")
    until(lambda: live.status()["health"], 30, what="the server answers")


@pytest.mark.timeout(300)
def test_service_when_scaled_rolled_and_killed_under_load_then_only_a_dead_containers_requests_fail(loaded):
    with Step(loaded, "scale 3 to 10"):
        loaded.update(desiredCount=10)
        loaded.settled(10)
    with Step(loaded, "scale 10 to 3"):
        loaded.update(desiredCount=3)
        loaded.settled(3)
    with Step(loaded, "rolling update") as step:
        loaded.update(taskDefinition=loaded.define("r2"))
        loaded.settled(3)
    assert step.answered == {"r1", "r2"}
    with Step(loaded, "kill a container", failed=CLIENTS + FAST_CLIENTS) as step:
        port, container = min(loaded.containers().items())
        subprocess.run(["docker", "kill", container], check=True, capture_output=True, timeout=30)
        until(lambda: port not in loaded.health(), 10, what="the dead target gone")
        loaded.settled(3)
    with Step(loaded, "kill -9 of the server"):
        kill(loaded.live, "server")
        loaded.settled(3)
    with Step(loaded, "kill -9 of the agent") as step:
        kill(loaded.live, "agent")
        time.sleep(1)
        loaded.settled(3)
    assert step.answered == {"r2"}
