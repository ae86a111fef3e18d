"""A service behind a target group on a real engine: its tasks are registered, checked, drained and replaced."""

import http.client
import subprocess

import pytest

from tests.system.live import until

DELAY = 3
SERVE = "mkdir -p /www; echo pong > /www/ping; exec httpd -f -p 80 -h /www"


class Web:
    """A service `web` whose tasks answer /ping, in a target group that a listener uses."""

    def __init__(self, live):
        self.live = live
        self.elb = live.client("elbv2")
        subnets = [each["SubnetId"] for each in live.client("ec2").describe_subnets()["Subnets"]]
        balancer = self.elb.create_load_balancer(Name="targets", Subnets=subnets[:2])["LoadBalancers"][0]
        self.group = self.elb.create_target_group(
            Name="targets",
            Protocol="HTTP",
            Port=80,
            VpcId=balancer["VpcId"],
            HealthCheckPath="/ping",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elb.modify_target_group_attributes(
            TargetGroupArn=self.group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(DELAY)}],
        )
        action = {"Type": "forward", "TargetGroupArn": self.group}
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action]
        )
        container = {"name": "web", "command": ["sh", "-c", SERVE], "portMappings": [{"containerPort": 80}]}
        entry = {"targetGroupArn": self.group, "containerName": "web", "containerPort": 80}
        live.ecs.create_service(
            serviceName="web",
            taskDefinition=live.register("web", container),
            desiredCount=2,
            loadBalancers=[entry],
            healthCheckGracePeriodSeconds=0,
        )

    def health(self):
        """State by port."""
        answer = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {each["Target"]["Port"]: each["TargetHealth"]["State"] for each in answer}

    def settle(self, count):
        """The ports, once that many targets are healthy and no others are there."""

        def settled():
            found = self.health()
            return set(found) if list(found.values()) == ["healthy"] * count else None

        return until(settled, 40, what=f"{count} healthy targets")

    def tasks(self):
        """Tasks that are to run, by host port."""
        arns = self.live.ecs.list_tasks(serviceName="web")["taskArns"]
        found = self.live.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return {
            task["containers"][0]["networkBindings"][0]["hostPort"]: task
            for task in found
            if task["containers"][0].get("networkBindings")
        }

    def events(self):
        service = self.live.ecs.describe_services(services=["web"])["services"][0]
        return [event["message"].removeprefix("(service web) ") for event in service["events"]]


def ping(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    connection.request("GET", "/ping")
    status = connection.getresponse().status
    connection.close()
    return status


def docker(*arguments):
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def web(live):
    return Web(live)


def test_targets_when_tasks_come_fail_and_go_then_follow_them(web, live):
    ports = web.settle(2)
    assert ports == set(web.tasks())
    assert f"registered 2 targets in (target-group {web.group})" in web.events() or (
        web.events().count(f"registered 1 targets in (target-group {web.group})") == 2
    )

    # A killed container's target is gone at once and another comes in its place.
    killed = min(ports)
    docker("kill", web.tasks()[killed]["containers"][0]["runtimeId"])
    until(lambda: killed not in web.health(), 10, what="the dead target gone")
    ports = web.settle(2)

    # A task whose health check fails is replaced, with the reason.
    sick = min(ports)
    arn = web.tasks()[sick]["taskArn"]
    docker("exec", web.tasks()[sick]["containers"][0]["runtimeId"], "rm", "/www/ping")
    until(lambda: live.task(arn)["desiredStatus"] == "STOPPED", 30, what="the sick task given up")
    stopped = live.task(arn)
    assert stopped["stoppedReason"] == f"Task failed ELB health checks in (target-group {web.group})"
    assert any("is unhealthy in (target-group" in each and "[404]" in each for each in web.events())
    until(lambda: sick not in web.health(), 20, what="the sick target gone")
    web.settle(2)

    # Fewer tasks: the one that goes still answers while it drains.
    tasks = web.tasks()
    live.ecs.update_service(service="web", desiredCount=1)
    draining = until(lambda: [port for port, state in web.health().items() if state == "draining"], 10)[0]
    assert ping(draining) == 200
    leaving = tasks[draining]["taskArn"]
    assert live.task(leaving)["lastStatus"] == "DEACTIVATING"
    live.wait(leaving, "STOPPED", 20)
    assert draining not in web.health()
    assert any(event.endswith(") has begun draining connections on 1 tasks.") for event in web.events())

    live.ecs.delete_service(service="web", force=True)
    until(lambda: not web.health(), 20, what="no targets")
