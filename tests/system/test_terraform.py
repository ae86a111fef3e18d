"""Terraform with the AWS provider: apply, an empty plan, an update, an empty plan, destroy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: Folders of plug-ins on this machine, where Terraform reaches no registry.
MIRRORS = [
    found.parent for root in ("/opt", "/usr/share/terraform") for found in Path(root).glob("*/registry.terraform.io")
]
pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")

PROVIDER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}
provider "aws" {}
"""
TASK = """
variable "release" { default = "1" }
variable "days" { default = 7 }

resource "aws_cloudwatch_log_group" "app" {
  name              = "/tf/app"
  retention_in_days = var.days
  tags              = { release = var.release }
}

resource "aws_ecs_cluster" "main" {
  name = "tf-main"
  setting {
    name  = "containerInsights"
    value = "disabled"
  }
  tags = { release = var.release }
}

resource "aws_ecs_task_definition" "app" {
  family       = "tf-app"
  network_mode = "bridge"
  cpu          = "256"
  memory       = "128"
  container_definitions = jsonencode([
    { name = "init", image = "app:${var.release}", essential = false, command = ["true"], memory = 32 },
    { name = "app", image = "app:${var.release}", essential = true, memory = 64, cpu = 64,
      portMappings = [{ containerPort = 8080 }],
      environment  = [{ name = "B", value = "2" }, { name = "A", value = "1" }],
      dependsOn    = [{ containerName = "init", condition = "SUCCESS" }],
      healthCheck  = { command = ["CMD-SHELL", "true"], interval = 5 },
      ulimits      = [{ name = "nofile", softLimit = 1024, hardLimit = 4096 }],
      linuxParameters  = { initProcessEnabled = true },
      logConfiguration = { logDriver = "awslogs", options = {
        awslogs-group = "/tf/app", awslogs-region = "us-east-1", awslogs-stream-prefix = "app" } } }
  ])
  volume {
    name      = "data"
    host_path = "/srv"
  }
  volume {
    name = "scratch"
    docker_volume_configuration {
      scope  = "task"
      driver = "local"
    }
  }
  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.os-type == linux"
  }
  tags = { release = var.release }
}
"""


class Terraform:
    def __init__(self, directory, live):
        self.directory = directory
        mirrors = "".join(f'filesystem_mirror {{ path = "{path}" }}\n' for path in MIRRORS)
        (directory / "rc").write_text(f"provider_installation {{\n{mirrors}}}\n" if MIRRORS else "")
        self._env = {**live.environment(), "TF_CLI_CONFIG_FILE": str(directory / "rc"), "TF_IN_AUTOMATION": "1"}
        self._env["PATH"] = os.environ["PATH"]

    def __call__(self, *arguments, codes=(0,)):
        command = ["terraform", *arguments, "-no-color"]
        done = subprocess.run(
            command, cwd=self.directory, env=self._env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode in codes, done.stdout[-6000:] + done.stderr[-6000:]
        return done

    def assert_empty_plan(self, *variables):
        done = self("plan", "-detailed-exitcode", "-input=false", *variables, codes=(0, 2))
        assert done.returncode == 0, done.stdout


def test_stack_when_applied_updated_and_destroyed_then_every_second_plan_is_empty(live, tmp_path):
    (tmp_path / "main.tf").write_text(PROVIDER + TASK)
    terraform = Terraform(tmp_path, live)
    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    terraform.assert_empty_plan()
    update = ("-var=release=2", "-var=days=14")
    terraform("apply", "-auto-approve", "-input=false", *update)
    terraform.assert_empty_plan(*update)
    described = live.ecs.describe_task_definition(taskDefinition="tf-app")["taskDefinition"]
    assert (described["revision"], described["containerDefinitions"][1]["image"]) == (2, "app:2")
    terraform("destroy", "-auto-approve", "-input=false", *update)
    assert live.client("logs").describe_log_groups(logGroupNamePrefix="/tf/")["logGroups"] == []
