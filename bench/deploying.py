"""A rolling deployment behind a load balancer: seconds until every task is placed, runs, is healthy, the old ones are
drained, and the deployment is over. There is no peer.
"""

import asyncio
import time

from bench.figure import Figure
from bench.services import Service, measured
from tests.system.images import build_test_image
from tests.system.live import Live

BEHIND_BALANCER = 10
_SERVE = ["sh", "-c", "trap 'exit 0' TERM; mkdir -p /www; echo ok > /www/index.html; httpd -f -p 8080 -h /www & wait"]
_PATIENCE_SECONDS = 120.0
_CHECK_SECONDS = 5
_DRAIN_SECONDS = 5


class LoadBalancer:
    """An application load balancer with one listener and one target group, its checks at 5 s."""

    def __init__(self, live: Live) -> None:
        self._elb = live.client("elbv2")
        subnets = [row["SubnetId"] for row in live.client("ec2").describe_subnets()["Subnets"]][:2]
        balancer = self._elb.create_load_balancer(Name="bench", Subnets=subnets)["LoadBalancers"][0]
        self._arn = balancer["LoadBalancerArn"]
        self.group = self._group(balancer["VpcId"])
        forward = [{"Type": "forward", "TargetGroupArn": self.group}]
        self._elb.create_listener(LoadBalancerArn=self._arn, Protocol="HTTP", Port=80, DefaultActions=forward)

    def _group(self, vpc: str) -> str:
        made = self._elb.create_target_group(
            Name="bench", Protocol="HTTP", Port=80, VpcId=vpc,
            HealthCheckIntervalSeconds=_CHECK_SECONDS, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
        )  # fmt: skip
        group = str(made["TargetGroups"][0]["TargetGroupArn"])
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(_DRAIN_SECONDS)}
        self._elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
        return group

    def states(self) -> dict[int, str]:
        """The state of each target, by its port."""
        rows = self._elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {row["Target"]["Port"]: row["TargetHealth"]["State"] for row in rows}

    def delete(self) -> None:
        self._elb.delete_load_balancer(LoadBalancerArn=self._arn)


def phases(service: Service, balancer: LoadBalancer, old_ports: set[int]) -> dict[str, bool]:
    """Which phases the newest deployment of `service` has behind it."""
    primary = next(each for each in service.show()["deployments"] if each["status"] == "PRIMARY")
    new = [task for task in service.tasks() if task["startedBy"] == primary["id"]]
    states = balancer.states()
    healthy = [port for port, state in states.items() if state == "healthy" and port not in old_ports]
    return {
        "placed": len(new) == BEHIND_BALANCER,
        "running": sum(task["lastStatus"] == "RUNNING" for task in new) == BEHIND_BALANCER,
        "healthy": len(healthy) == BEHIND_BALANCER,
        "drained": not old_ports & states.keys(),
        "done": primary["rolloutState"] == "COMPLETED",
    }


async def reached(service: Service, balancer: LoadBalancer, old_ports: set[int]) -> dict[str, float]:
    """Seconds from now until each phase was first seen to be over."""
    started = time.monotonic()
    found: dict[str, float] = {}
    while True:
        now = await asyncio.to_thread(phases, service, balancer, old_ports)
        seconds = time.monotonic() - started
        found |= {name: seconds for name, is_over in now.items() if is_over and name not in found}
        if len(found) == len(now):
            return found
        assert seconds < _PATIENCE_SECONDS, f"the deployment hangs: {now}"
        await asyncio.sleep(0.1)


async def _measure(live: Live) -> list[Figure]:
    """Ten tasks behind a load balancer, 100 % to 200 %."""
    await build_test_image()
    balancer = LoadBalancer(live)
    target = {"targetGroupArn": balancer.group, "containerName": "main", "containerPort": 8080}
    limits = {"minimumHealthyPercent": 100, "maximumPercent": 200}
    service = Service(live, "bench-balanced", _SERVE, loadBalancers=[target], deploymentConfiguration=limits)
    try:
        await service.update(desiredCount=BEHIND_BALANCER)
        while list(balancer.states().values()) != ["healthy"] * BEHIND_BALANCER:
            await asyncio.sleep(0.2)
        old_ports = set(balancer.states())
        definition = service.define("1")
        since = time.monotonic()
        await service.update(taskDefinition=definition)
        asked = time.monotonic() - since
        found = {name: seconds + asked for name, seconds in (await reached(service, balancer, old_ports)).items()}
    finally:
        service.delete()
        balancer.delete()
    how = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(found.items(), key=lambda each: each[1]))
    what = f"rolling deployment of {BEHIND_BALANCER} tasks behind a load balancer, checks each {_CHECK_SECONDS} s"
    return [Figure(what, max(found.values()), "s", how=f"since UpdateService: {how}")]


def measure() -> list[Figure]:
    """The figure; brings up a Homeport of its own and takes it down again."""
    return measured(_measure)


if __name__ == "__main__":
    for figure in measure():
        print(figure.value_text, figure.what, figure.goal_text, figure.verdict, figure.how, sep=" | ")
