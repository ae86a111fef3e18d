"""A service, its container instances and an agent made of assignments, on a clock that a test moves.

`World.settle()` steps the service scheduler until nothing changes; `run(seconds)` moves the clock from one wake-up to
the next, starting tasks as an agent would after `start_time`. Nothing here is asynchronous.
"""

import random

from msgspec.structs import replace

from homeport.base.arn import Arns
from homeport.base.ids import Ids
from homeport.control.service import ServiceReconciler
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.load_balancer import Target
from homeport.model.resources import Resources
from homeport.model.service import Service
from homeport.model.service_changes import begin_deployment, put_all
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_report import ended_task
from homeport.scheduler.fleet import Fleet
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store

ARNS = Arns("us-east-1", "123456789012")
CLUSTER = ARNS.cluster("default")
SERVICE = ARNS.service("default", "web")
DIGEST = "sha256:" + "d" * 64
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/1"


class ManualClock:
    def __init__(self):
        self.instant = 1_000_000.0

    def now(self):
        return self.instant


class World:
    """One service `web`. `start_time`: seconds from PENDING to RUNNING; None: tasks stay PENDING."""

    def __init__(self, *, instances=3, zones=("a", "b", "c"), cpu=100_000, start_time=1.0, image="busybox@sha256:x"):
        self.clock = ManualClock()
        self.store = Store(MemoryJournal(), self.clock, Ids(random.Random(1)))
        self.fleet = Fleet(self.store.read)
        self.reconciler = ServiceReconciler(self.store.read, self.fleet)
        self.start_time = start_time
        self.image = image
        self.wake = None
        self.on_start = lambda task: "RUNNING"
        self.update(lambda tx: tx.clusters.put(Cluster(arn=CLUSTER, name="default")))
        for number in range(instances):
            self.add_instance(number, zones[number % len(zones)], cpu=cpu)
        self.define(1)

    @property
    def now(self):
        return self.clock.instant

    def update(self, change):
        return self.store.update(change)[0]

    def add_instance(self, number, zone="a", *, cpu=100_000, **more):
        row = ContainerInstance(
            arn=ARNS.container_instance("default", f"{number:032x}"),
            cluster_arn=CLUSTER,
            ec2_instance_id=f"i-{number:08x}",
            registered=Resources(cpu_units=cpu, memory_mib=1_000_000),
            agent_connected=True,
            attributes=(shapes.Attribute(name="ecs.availability-zone", value=zone),),
            registered_at=self.now,
            **more,
        )
        self.update(lambda tx: tx.container_instances.put(row))
        return row.arn

    def change_instance(self, arn, **members):
        self.update(
            lambda tx: tx.container_instances.put(replace(tx.container_instances[arn], **members)),
        )

    def instances(self):
        return [row.arn for row in self.store.read.container_instances]

    def define(self, revision, *, family="web", cpu=10, image=None, health_check=False, **more):
        container = shapes.ContainerDefinition(
            name="main",
            image=image or self.image,
            cpu=cpu,
            memory=16,
            essential=True,
            health_check=shapes.HealthCheck(command=("CMD", "true")) if health_check else None,
            **more,
        )
        arn = ARNS.task_definition(family, revision)
        definition = shapes.TaskDefinition(
            task_definition_arn=arn, family=family, revision=revision, container_definitions=(container,)
        )
        row = TaskDefinition(arn=arn, family=family, revision=revision, definition=definition)
        self.update(lambda tx: tx.task_definitions.put(row))
        return arn

    def create(self, desired=3, *, minimum=100, maximum=200, breaker=None, task_definition=None, **more):
        service = Service(
            arn=SERVICE,
            name="web",
            cluster_arn=CLUSTER,
            task_definition_arn=task_definition or ARNS.task_definition("web", 1),
            desired_count=desired,
            deployment_configuration=shapes.DeploymentConfiguration(
                minimum_healthy_percent=minimum, maximum_percent=maximum, deployment_circuit_breaker=breaker
            ),
            created_at=self.now,
            **more,
        )
        self.begin(service)

    def begin(self, service, *, is_forced=False):
        def change(tx):
            put_all(
                tx,
                begin_deployment(
                    service,
                    tx.ids,
                    tx.now,
                    deployments=tx.deployments.by(service_arn=service.arn),
                    attempts=tx.service_deployments.by(service_arn=service.arn),
                    tasks=tx.tasks.by(service_arn=service.arn),
                    is_forced=is_forced,
                ),
            )

        self.update(change)

    def deploy(self, revision=2, *, is_forced=False, **more):
        """What UpdateService does with a new task definition."""
        service = replace(self.service, task_definition_arn=ARNS.task_definition("web", revision), **more)
        self.begin(service, is_forced=is_forced)

    def change(self, **members):
        """What UpdateService does without a new deployment."""
        self.update(lambda tx: tx.services.put(replace(tx.services[SERVICE], **members)))

    @property
    def service(self):
        return self.store.read.services.get(SERVICE)

    @property
    def tasks(self):
        """All tasks that are to run."""
        return [
            task
            for task in self.store.read.tasks.by(service_arn=SERVICE)
            if task.desired_status is DesiredStatus.RUNNING
        ]

    @property
    def live(self):
        return [task for task in self.store.read.tasks.by(service_arn=SERVICE) if not task.is_stopped]

    @property
    def deployments(self):
        return self.store.read.deployments.by(service_arn=SERVICE)

    @property
    def primary(self):
        return self.store.read.deployments.get(self.service.primary_deployment_id)

    @property
    def attempt(self):
        return self.store.read.service_deployments.by(service_arn=SERVICE)[-1]

    def revision_tasks(self, revision):
        arn = ARNS.task_definition("web", revision)
        return [task for task in self.tasks if task.task_definition_arn == arn]

    def events(self, containing=""):
        rows = self.store.read.service_events.by(service_arn=SERVICE)
        return [row.message for row in rows if containing in row.message]

    def put_task(self, task, **members):
        row = replace(self.store.read.tasks[task.arn], **members)
        self.update(lambda tx: tx.tasks.put(row))
        return row

    def run_task(self, task, **members):
        """The agent reports RUNNING."""
        return self.put_task(task, last_status=TaskStatus.RUNNING, started_at=self.now, **members)

    def end_task(self, task, code=StopCode.ESSENTIAL_CONTAINER_EXITED, reason="Essential container in task exited"):
        """The agent reports STOPPED, after an exit or after a stop that it was told of."""
        self.update(lambda tx: tx.tasks.put(ended_task(tx.tasks[task.arn], code, reason, tx.now)))

    def fail_task(self, task):
        """The task stops before it ran."""
        self.end_task(task, StopCode.TASK_FAILED_TO_START, "CannotPullContainerError: no such image")

    def container(self, task, **members):
        row = self.store.read.tasks[task.arn]
        return self.put_task(row, containers=tuple(replace(each, **members) for each in row.containers))

    def target(self, task, state="initial", group=GROUP, **more):
        """The task's target as the health checks leave it."""
        row = Target(
            key=f"{group} {task.arn}",
            target_group_arn=group,
            id="i-1",
            port=80,
            registered_at=self.now,
            state=state,
            owner=task.arn,
            **more,
        )
        self.update(lambda tx: tx.targets.put(row))

    def step(self):
        self.wake = self.update(lambda tx: self.reconciler.step(tx, SERVICE, tx.now))
        return self.wake

    def settle(self):
        """Steps until one changes nothing."""
        for _ in range(50):
            version = self.store.version
            self.step()
            if self.store.version == version:
                return
        raise AssertionError("the service scheduler does not come to rest")

    def play_agent(self):
        """Start what has been PENDING long enough, end what is to stop."""
        for task in self.live:
            if task.desired_status is DesiredStatus.STOPPED:
                self.end_task(task)
            elif (
                task.last_status is TaskStatus.PENDING
                and self.start_time is not None
                and self.now >= task.created_at + self.start_time
            ):
                if self.on_start(task) == "RUNNING":
                    self.run_task(task)
                else:
                    self.fail_task(task)

    def run(self, seconds, tick=1.0):
        """Let time pass: the agent acts and the scheduler looks, at least once every `tick` seconds."""
        end = self.now + seconds
        self.settle()
        while self.now < end:
            self.clock.instant = min(end, self.now + tick)
            self.play_agent()
            self.settle()

    def steady(self, seconds=60):
        """Run until the service is steady."""
        self.run(seconds)
        assert self.service.steady_since is not None, self.events()
