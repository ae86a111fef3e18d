"""Deployments that shift traffic, of a real web service behind a real load balancer, under load: no request fails."""

import http.server
import json
import os
import threading
import time
import urllib.request

import pytest

from homeport.base.local import read_state
from tests.system.live import Live, until
from tests.system.load import LoadProcess

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
ROLE = "arn:aws:iam::123456789012:role/ecs"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:check"
OVER = ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED")


class Functions(http.server.BaseHTTPRequestHandler):
    """A Lambda endpoint with one function, which answers what the server's `answers` say, in order."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((self.path, json.loads(body)))
        answers = self.server.answers
        said = json.dumps(answers[min(len(self.server.calls), len(answers)) - 1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class Site:
    """A service `site` with a production listener on 80 and a test listener on 8080; revisions answer their names."""

    def __init__(self, live):
        self.live = live
        elb = live.client("elbv2")
        subnets = [each["SubnetId"] for each in live.client("ec2").describe_subnets()["Subnets"]]
        balancer = elb.create_load_balancer(Name="site", Subnets=subnets[:2])["LoadBalancers"][0]
        self.groups = [self._group(elb, name, balancer["VpcId"]) for name in ("one", "two")]
        self.rules = [self._rule(elb, balancer["LoadBalancerArn"], port) for port in (80, 8080)]
        elb.get_waiter("load_balancer_available").wait(
            LoadBalancerArns=[balancer["LoadBalancerArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        (shown,) = live.status()["loadBalancers"]
        self.address = shown["address"]
        self.arn = live.ecs.create_service(
            serviceName="site",
            taskDefinition=self.define("r1"),
            desiredCount=2,
            loadBalancers=[self._entry()],
            deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0},
        )["service"]["serviceArn"]
        assert self.ended()["status"] == "SUCCESSFUL"

    def remove(self):
        """Nothing of it runs any more."""
        self.live.ecs.delete_service(service="site", force=True)
        until(self._is_gone, 30, what="nothing left")

    def _is_gone(self):
        arns = self.live.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
        tasks = self.live.ecs.describe_tasks(tasks=arns)["tasks"]
        return all(task["lastStatus"] == "STOPPED" for task in tasks)

    def _group(self, elb, name, vpc):
        arn = elb.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "3"}
        elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        return arn

    def _rule(self, elb, balancer, port):
        action = {"Type": "forward", "TargetGroupArn": self.groups[0]}
        listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=[action])[
            "Listeners"
        ][0]["ListenerArn"]
        return elb.describe_rules(ListenerArn=listener)["Rules"][0]["RuleArn"]

    def _entry(self):
        advanced = {
            "alternateTargetGroupArn": self.groups[1],
            "productionListenerRule": self.rules[0],
            "testListenerRule": self.rules[1],
            "roleArn": ROLE,
        }
        return {
            "targetGroupArn": self.groups[0],
            "containerName": "web",
            "containerPort": 80,
            "advancedConfiguration": advanced,
        }

    def define(self, name):
        serve = f"mkdir -p /www; echo {name} > /www/index.html; exec httpd -f -p 80 -h /www"
        container = {"name": "web", "command": ["sh", "-c", serve], "portMappings": [{"containerPort": 80}]}
        return self.live.register("site", container)

    def deploy(self, name, **configuration):
        self.live.ecs.update_service(
            service="site", taskDefinition=self.define(name), deploymentConfiguration=configuration
        )

    def attempt(self):
        (brief, *_) = self.live.ecs.list_service_deployments(service="site")["serviceDeployments"]
        arn = brief["serviceDeploymentArn"]
        return self.live.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]

    def at(self, stage, seconds=60):
        return until(
            lambda: found if (found := self.attempt()).get("lifecycleStage") == stage else None, seconds, what=stage
        )

    def ended(self, seconds=120):
        return until(lambda: found if (found := self.attempt())["status"] in OVER else None, seconds, what="its end")

    def answers(self, port=80):
        with urllib.request.urlopen(f"http://{self.address}:{port}/", timeout=5) as answer:
            return answer.read().decode().strip()

    def running(self):
        (service,) = self.live.ecs.describe_services(services=["site"])["services"]
        return [(row["status"], row["runningCount"]) for row in service["deployments"]]


@pytest.fixture(scope="module")
def functions():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Functions)
    server.daemon_threads, server.calls, server.answers = True, [], [{"hookStatus": "SUCCEEDED"}]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory, test_image, functions):
    endpoint = f"http://127.0.0.1:{functions.server_address[1]}"
    live = Live(tmp_path_factory.mktemp("homeport"), server_options=[f"--lambda-endpoint={endpoint}"]).up()
    try:
        yield (made := Site(live))
        made.remove()
    finally:
        print(live.logs())
        live.down()


def quiet(result):
    print(result)
    assert result["failed"] == 0, result
    return set(result["bodies"])


@pytest.mark.timeout(300)
def test_deployments_when_they_shift_traffic_under_load_then_no_request_fails(site, functions):
    pause = {"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}
    checks = {
        "targetType": "AWS_LAMBDA",
        "hookTargetArn": FUNCTION,
        "roleArn": ROLE,
        "lifecycleStages": ["POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT"],
    }
    with LoadProcess(site.address, 80, fast=2) as load:
        site.deploy("r2", strategy="BLUE_GREEN", bakeTimeInMinutes=1, lifecycleHooks=[pause, checks])
        paused = site.at("POST_TEST_TRAFFIC_SHIFT")
        assert (site.answers(), until(lambda: site.answers(8080) == "r2", 5)) == ("r1", True)
        (hook,) = paused["lifecycleHookDetails"]
        assert hook["status"] == "AWAITING_ACTION"
        site.live.ecs.continue_service_deployment(
            serviceDeploymentArn=paused["serviceDeploymentArn"], hookId=hook["hookId"]
        )
        assert site.ended()["status"] == "SUCCESSFUL"
        assert site.answers() == "r2"
    assert quiet(load.result) == {"r1", "r2"}
    assert [call["lifecycleStage"] for _, call in functions.calls] == ["POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT"]

    with LoadProcess(site.address, 80, fast=2) as load:
        canary = {"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 5}
        site.deploy("r3", strategy="CANARY", canaryConfiguration=canary, bakeTimeInMinutes=0, lifecycleHooks=[])
        found = site.at("PRODUCTION_TRAFFIC_SHIFT")
        assert found["targetServiceRevision"]["requestedProductionTrafficWeight"] == 25.0
        time.sleep(2)
        site.live.ecs.stop_service_deployment(serviceDeploymentArn=found["serviceDeploymentArn"], stopType="ROLLBACK")
        assert site.ended()["status"] == "ROLLBACK_SUCCESSFUL"
        assert site.answers() == "r2"
    assert quiet(load.result) == {"r2", "r3"}
    until(lambda: site.running() == [("PRIMARY", 2)], 30, what="only blue")


@pytest.mark.timeout(300)
def test_deployment_when_the_server_is_killed_at_its_stages_then_it_goes_on(site):
    with LoadProcess(site.address, 80, fast=2) as load:
        pause = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
        linear = {"stepPercent": 50.0, "stepBakeTimeInMinutes": 0}
        site.deploy("r4", strategy="LINEAR", linearConfiguration=linear, bakeTimeInMinutes=0, lifecycleHooks=[pause])
        for _ in range(2):
            kill(site.live)
            hook = until(lambda: waiting(site), 60, what="the pause")
            kill(site.live)
            site.live.ecs.continue_service_deployment(
                serviceDeploymentArn=site.attempt()["serviceDeploymentArn"], hookId=hook["hookId"]
            )
        kill(site.live)
        assert site.ended()["status"] == "SUCCESSFUL"
        assert site.answers() == "r4"
    assert quiet(load.result) >= {"r4"}


def waiting(site):
    hooks = site.attempt().get("lifecycleHookDetails") or []
    return next((hook for hook in hooks if hook["status"] == "AWAITING_ACTION"), None)


def kill(live):
    """kill -9 of the server, and wait for its successor."""
    pid = read_state(live.data_dir, "supervisor")["server"]["pid"]
    os.kill(pid, 9)
    until(lambda: read_state(live.data_dir, "supervisor")["server"]["pid"] != pid, 15, 0.01, "another server")
    until(lambda: live.status()["health"], 30, what="the server answers")
