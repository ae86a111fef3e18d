"""Services as their users drive them: aws-cli, ecs-deploy and Terraform against a running Homeport."""

import shutil
import subprocess

import pytest

from tests.system.live import BIN, IMAGE, until
from tests.system.test_terraform import PROVIDER, Terraform

FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
SERVE = f"mkdir -p /www; echo $RELEASE > /www/index.html; httpd -p 8080 -h /www; {FOREVER}"
HEALTHY = {"healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5, "startPeriod": 1}}


def app(**more):
    return {"name": "app", "command": ["sh", "-c", FOREVER]} | HEALTHY | more


def service(live, name, cluster="default"):
    return live.ecs.describe_services(cluster=cluster, services=[name])["services"][0]


def test_service_when_driven_by_the_cli_then_waits_deployments_and_deletion(live):
    live.register("cli-web", app())
    made = live.aws(
        "ecs", "create-service", "--service-name", "cli-web", "--task-definition", "cli-web", "--desired-count", "2",
        "--enable-ecs-managed-tags", "--propagate-tags", "SERVICE", "--tags", "key=team,value=blue",
    )["service"]  # fmt: skip
    first = made["deployments"][0]["id"]
    live.aws("ecs", "wait", "services-stable", "--services", "cli-web")
    tasks = live.aws("ecs", "list-tasks", "--service-name", "cli-web")["taskArns"]
    assert len(tasks) == 2
    (task, _) = live.aws("ecs", "describe-tasks", "--tasks", *tasks, "--include", "TAGS")["tasks"]
    assert (task["group"], task["startedBy"]) == ("service:cli-web", first)
    tags = {tag["key"]: tag["value"] for tag in task["tags"]}
    assert tags == {"team": "blue", "aws:ecs:clusterName": "default", "aws:ecs:serviceName": "cli-web"}

    forced = live.aws("ecs", "update-service", "--service", "cli-web", "--force-new-deployment")["service"]
    assert [each["status"] for each in forced["deployments"]] == ["PRIMARY", "ACTIVE"]
    live.aws("ecs", "wait", "services-stable", "--services", "cli-web")
    (deployment,) = until(
        lambda: (found := service(live, "cli-web")["deployments"])[0]["rolloutState"] == "COMPLETED" and found,
        what="the deployment's end",
    )
    assert deployment["id"] != first
    newest, oldest = live.aws("ecs", "list-service-deployments", "--service", "cli-web")["serviceDeployments"]
    assert newest["status"] == "SUCCESSFUL"
    assert oldest["status"] in ("STOPPED", "SUCCESSFUL")
    revision = newest["targetServiceRevisionArn"]
    (described,) = live.aws(
        "ecs", "describe-service-deployments", "--service-deployment-arns", newest["serviceDeploymentArn"]
    )["serviceDeployments"]
    assert described["targetServiceRevision"]["runningTaskCount"] == 2
    assert [each["arn"] for each in described["sourceServiceRevisions"]] == [oldest["targetServiceRevisionArn"]]
    live.aws("ecs", "describe-service-revisions", "--service-revision-arns", revision)
    messages = [event["message"] for event in service(live, "cli-web")["events"]]
    assert sum(message.startswith("(service cli-web) has started 1 tasks: (task ") for message in messages), messages
    explained = live.homeport("explain", "service", "cli-web")
    assert explained.stdout == "The service is steady: its 2 tasks run and pass their checks.\n"

    refused = live.aws("ecs", "delete-service", "--service", "cli-web", check=False)
    assert "The service cannot be stopped while it is scaled above 0." in refused
    live.aws("ecs", "update-service", "--service", "cli-web", "--desired-count", "0")
    live.aws("ecs", "delete-service", "--service", "cli-web")
    live.aws("ecs", "wait", "services-inactive", "--services", "cli-web")
    assert live.aws("ecs", "list-tasks", "--service-name", "cli-web")["taskArns"] == []


def test_service_when_a_task_dies_then_replaced_at_once_and_explained(live):
    live.register("cli-dies", app())
    live.ecs.create_service(serviceName="cli-dies", taskDefinition="cli-dies", desiredCount=1)
    (arn,) = until(lambda: live.ecs.list_tasks(serviceName="cli-dies")["taskArns"], what="a task")
    live.wait(arn, "RUNNING")
    explained = live.homeport("explain", "service", "cli-dies", check=False)
    assert explained.returncode == 1
    assert "UNKNOWN by the containers' own checks." in explained.stdout, explained.stdout
    live.ecs.stop_task(task=arn)
    (other,) = until(
        lambda: (found := live.ecs.list_tasks(serviceName="cli-dies")["taskArns"]) and arn not in found and found,
        what="its replacement",
    )
    live.wait(other, "RUNNING")
    (shown,) = [each for each in live.status()["services"] if each["name"] == "cli-dies"]
    assert (shown["running"], shown["desired"], shown["taskDefinition"]) == (1, 1, "cli-dies:1")
    assert "1 of 1" in live.homeport("status").stdout
    live.ecs.delete_service(service="cli-dies", force=True)
    live.aws("ecs", "wait", "services-inactive", "--services", "cli-dies")


def attempt(live, name):
    """The newest service deployment."""
    arn = live.ecs.list_service_deployments(service=name)["serviceDeployments"][0]["serviceDeploymentArn"]
    return live.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]


def paused(live, name):
    """The newest service deployment once its PAUSE hook waits, and the hook's id."""

    def reached():
        found = attempt(live, name)
        hooks = [hook for hook in found.get("lifecycleHookDetails", ()) if hook["status"] == "AWAITING_ACTION"]
        return hooks and (found["serviceDeploymentArn"], hooks[0]["hookId"])

    return until(reached, what="a hook that waits")


def ended(live, name, status):
    return until(lambda: (found := attempt(live, name))["status"] == status and found, what=f"{name} {status}")


def test_service_when_blue_green_with_a_pause_then_continued_stopped_and_rolled_back(live):
    live.register("pause", app())
    hooks = [{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}]
    strategy = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": hooks}
    live.ecs.create_service(
        serviceName="pause", taskDefinition="pause", desiredCount=1, deploymentConfiguration=strategy
    )
    arn, hook = paused(live, "pause")
    explained = live.homeport("explain", "service", "pause", check=False).stdout
    assert f"Lifecycle hook {hook} waits for ContinueServiceDeployment" in explained
    live.aws("ecs", "continue-service-deployment", "--service-deployment-arn", arn, "--hook-id", hook)
    blue = ended(live, "pause", "SUCCESSFUL")["targetServiceRevision"]["arn"]

    live.ecs.update_service(service="pause", forceNewDeployment=True)
    arn, _ = paused(live, "pause")
    live.aws("ecs", "stop-service-deployment", "--service-deployment-arn", arn)
    assert ended(live, "pause", "ROLLBACK_SUCCESSFUL")["rollback"]["serviceRevisionArn"] == blue

    live.ecs.update_service(service="pause", forceNewDeployment=True)
    arn, hook = paused(live, "pause")
    live.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook, action="ROLLBACK")
    over = ended(live, "pause", "ROLLBACK_SUCCESSFUL")
    assert (over["serviceDeploymentArn"], over["targetServiceRevision"]["requestedTaskCount"]) == (arn, 0)
    live.aws("ecs", "wait", "services-stable", "--services", "pause")
    assert [each["arn"] for each in service(live, "pause")["currentServiceRevisions"]] == [blue]
    live.ecs.delete_service(service="pause", force=True)


def ecs_deploy(live, *arguments, check=True):
    environment = live.environment()
    command = [str(BIN / "ecs"), *arguments, "--region", environment["AWS_REGION"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_service_when_driven_by_ecs_deploy_then_deploys_scales_and_rolls_back(live):
    live.register("tool", app(environment=[{"name": "RELEASE", "value": "1"}]))
    live.ecs.create_service(serviceName="tool", taskDefinition="tool", desiredCount=1)
    live.aws("ecs", "wait", "services-stable", "--services", "tool")
    until(lambda: service(live, "tool")["deployments"][0]["rolloutState"] == "COMPLETED", what="its first deployment")
    ecs_deploy(live, "deploy", "default", "tool", "-e", "app", "RELEASE", "2", "--no-deregister")
    assert service(live, "tool")["taskDefinition"].endswith("tool:2")
    definition = live.ecs.describe_task_definition(taskDefinition="tool:2")["taskDefinition"]
    assert definition["containerDefinitions"][0]["environment"] == [{"name": "RELEASE", "value": "2"}]
    ecs_deploy(live, "scale", "default", "tool", "3")
    assert service(live, "tool")["runningCount"] == 3
    missing = ("deploy", "default", "tool", "-i", "app", "nowhere.invalid/none:1", "--timeout", "20", "--rollback")
    failed = ecs_deploy(live, *missing, "--no-deregister", check=False)
    assert failed.returncode != 0
    assert "Rolling back to task definition" in failed.stdout, failed.stdout + failed.stderr
    rolled_back = service(live, "tool")
    definition = live.ecs.describe_task_definition(taskDefinition=rolled_back["taskDefinition"])["taskDefinition"]
    assert definition["containerDefinitions"][0]["image"] == IMAGE
    live.ecs.delete_service(service="tool", force=True)


STACK = """
variable "release" { default = "1" }
variable "replicas" { default = 2 }

data "aws_vpc" "default" { default = true }
data "aws_subnets" "all" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_ecs_cluster" "main" { cluster_name = "default" }

resource "aws_lb" "web" {
  name               = "tf-services"
  load_balancer_type = "application"
  subnets            = data.aws_subnets.all.ids
}
resource "aws_lb_target_group" "web" {
  name                 = "tf-services"
  port                 = 80
  protocol             = "HTTP"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 1
  health_check {
    interval          = 5
    timeout           = 2
    healthy_threshold = 2
  }
}
resource "aws_lb_listener" "web" {
  load_balancer_arn = aws_lb.web.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}

resource "aws_ecs_task_definition" "web" {
  family = "tf-services"
  container_definitions = jsonencode([
    { name = "app", image = "IMAGE", memory = 32, command = ["sh", "-c", "SERVE"],
      environment = [{ name = "RELEASE", value = var.release }], portMappings = [{ containerPort = 8080 }] }
  ])
}

resource "aws_ecs_service" "web" {
  name                               = "web"
  cluster                            = data.aws_ecs_cluster.main.arn
  task_definition                    = aws_ecs_task_definition.web.arn
  desired_count                      = var.replicas
  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 150
  health_check_grace_period_seconds  = 30
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  wait_for_steady_state              = true
  availability_zone_rebalancing      = "ENABLED"
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  ordered_placement_strategy {
    type  = "spread"
    field = "attribute:ecs.availability-zone"
  }
  ordered_placement_strategy {
    type  = "binpack"
    field = "memory"
  }
  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.os-type == linux"
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.web.arn
    container_name   = "app"
    container_port   = 8080
  }
  tags       = { release = var.release }
  depends_on = [aws_lb_listener.web]
}

resource "aws_ecs_service" "daemon" {
  name                = "daemon"
  cluster             = data.aws_ecs_cluster.main.arn
  task_definition     = aws_ecs_task_definition.web.arn
  scheduling_strategy = "DAEMON"
}

resource "aws_ecs_service" "external" {
  name          = "external"
  cluster       = data.aws_ecs_cluster.main.arn
  desired_count = 1
  deployment_controller { type = "EXTERNAL" }
}
resource "aws_ecs_task_set" "blue" {
  service         = aws_ecs_service.external.id
  cluster         = data.aws_ecs_cluster.main.arn
  task_definition = aws_ecs_task_definition.web.arn
  scale { value = 0 }
}
"""


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")
@pytest.mark.timeout(900)
def test_service_when_driven_by_terraform_then_every_second_plan_is_empty(live, tmp_path):
    stack = STACK.replace("IMAGE", IMAGE).replace("SERVE", SERVE)
    (tmp_path / "main.tf").write_text(PROVIDER + stack)
    terraform = Terraform(tmp_path, live)
    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    terraform.assert_empty_plan()
    assert service(live, "web")["runningCount"] == 2
    update = ("-var=release=2", "-var=replicas=3")
    terraform("apply", "-auto-approve", "-input=false", *update)
    terraform.assert_empty_plan(*update)
    updated = service(live, "web")
    assert (updated["runningCount"], updated["taskDefinition"].rsplit(":", 1)[1]) == (3, "2")
    assert updated["deploymentConfiguration"]["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    terraform("destroy", "-auto-approve", "-input=false", *update)
    assert live.ecs.list_services()["serviceArns"] == []
