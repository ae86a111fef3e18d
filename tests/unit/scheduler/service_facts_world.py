"""A service of two tasks as it is explained, with whatever a test changes about it."""

import random

from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.model.deployment import ServiceDeployment
from homeport.model.load_balancer import Target
from homeport.model.resources import Resources
from homeport.model.service import Service
from homeport.model.service_changes import begin_deployment
from homeport.model.status import TaskStatus
from homeport.model.task import Container, Task
from homeport.scheduler.service_facts import Facts
from homeport.shapes import ecs as shapes

ARN = "arn:aws:ecs:us-east-1:123456789012:service/default/web"
CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/blue/1"
NOW = 1000.0
CONFIGURATION = shapes.DeploymentConfiguration(
    maximum_percent=200, minimum_healthy_percent=100, strategy="ROLLING", bake_time_in_minutes=1
)
BEGUN = begin_deployment(
    Service(
        arn=ARN,
        name="web",
        cluster_arn=CLUSTER,
        task_definition_arn="web:1",
        desired_count=2,
        deployment_configuration=CONFIGURATION,
        created_at=1.0,
    ),
    Ids(random.Random(1)),
    1.0,
)
PRIMARY = BEGUN.deployment


def a_task(number=1, *, status=TaskStatus.RUNNING, checked=None, **more):
    container = Container(
        name="main", image="a", has_health_check=checked is not None, health_status=checked or "UNKNOWN"
    )
    fields = {
        "arn": f"{CLUSTER}/{number}",
        "cluster_arn": CLUSTER,
        "task_definition_arn": "web:1",
        "family": "web",
        "group": "service:web",
        "created_at": NOW - 30,
        "resources": Resources(),
        "containers": (container,),
        "last_status": status,
        "started_by": PRIMARY.id,
        "started_at": NOW - 100,
    }
    return Task(**(fields | more))


def on(number, instance, **more):
    return a_task(number, container_instance_arn=instance, **more)


def a_failed_task(number, ago, code, reason, exit_code=None, **more):
    task = a_task(
        number, status=TaskStatus.STOPPED, stop_code=code, stopped_reason=reason, stopped_at=NOW - ago, **more
    )
    return replace(task, containers=(replace(task.containers[0], exit_code=exit_code),))


def a_target(number=1, **more):
    fields = {"key": str(number), "target_group_arn": GROUP, "id": "i-1", "port": number, "registered_at": 1.0}
    return Target(**(fields | more))


def facts(*tasks, service=None, **more):
    fields = {
        "service": replace(BEGUN.service, **(service or {})),
        "deployments": (PRIMARY,),
        "attempt": None,
        "task_sets": (),
        "tasks": tasks,
        "targets": {},
        "now": NOW,
    }
    return Facts(**(fields | more))


def an_attempt(**more) -> ServiceDeployment:
    return replace(BEGUN.service_deployment, **({"status": "IN_PROGRESS"} | more))


BOTH = (a_task(1), a_task(2))
