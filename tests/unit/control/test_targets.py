"""Targets of services' tasks: registered once they run, drained before they stop, gone with a death."""

import random

import pytest
from msgspec.structs import replace

from homeport.base.ids import Ids
from homeport.control.plan import as_told
from homeport.control.targets import DrainingTargets, ServiceTargets
from homeport.model.deployment import Deployment, ServiceRevision
from homeport.model.load_balancer import Target, TargetGroup, target_key
from homeport.model.service import Service, TaskSet
from homeport.model.status import DesiredStatus, StopCode, TaskStatus
from homeport.model.target_health import is_held
from homeport.model.task import Container
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_report import apply_report
from homeport.shapes import ecs as shapes
from homeport.store.journal import MemoryJournal
from homeport.store.store import Store
from tests.control_plane import ARNS, CLUSTER, DEFINITION, a_definition, a_task, an_instance

SERVICE = ARNS.service("default", "web")
GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/0123456789abcdef"
OTHER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/admin/0123456789abcdef"
DEPLOYMENT = "ecs-svc/1"


class HandClock:
    """Stands still until it is moved."""

    time = 1000.0

    def now(self):
        return self.time


def a_group(arn=GROUP, delay="300", **more):
    fields = {"name": "web", "protocol": "HTTP", "port": 80, "vpc_id": "vpc-1", "target_type": "instance"}
    attributes = {"deregistration_delay.timeout_seconds": delay}
    return TargetGroup(arn=arn, created_at=1.0, attributes=attributes, **(fields | more))


def an_entry(group=GROUP, container="main", port=80):
    return shapes.LoadBalancer(target_group_arn=group, container_name=container, container_port=port)


def a_container(name="main", host_port=32768, container_port=80, **more):
    binding = shapes.NetworkBinding(container_port=container_port, host_port=host_port, protocol="tcp")
    fields = {"image": "busybox", "last_status": "RUNNING", "network_bindings": (binding,)}
    return Container(name=name, **(fields | more))


class World:
    """A store with a service of one deployment and one target group, and the two reconcilers of targets."""

    def __init__(self, *entries, groups=None, network_mode=None):
        self.clock = HandClock()
        self.store = Store(MemoryJournal(), self.clock, Ids(random.Random(1)))
        self.targets, self.draining = ServiceTargets(), DrainingTargets()
        entries = entries or (an_entry(),)
        service = Service(
            arn=SERVICE,
            name="web",
            cluster_arn=CLUSTER,
            task_definition_arn=DEFINITION,
            desired_count=1,
            deployment_configuration=shapes.DeploymentConfiguration(),
            created_at=1.0,
        )
        common = {"service_arn": SERVICE, "cluster_arn": CLUSTER, "task_definition_arn": DEFINITION, "created_at": 1.0}
        revision = ServiceRevision(arn="revision/1", load_balancers=entries, **common)
        deployment = Deployment(id=DEPLOYMENT, revision_arn="revision/1", updated_at=1.0, **common)
        definition = TaskDefinition(
            arn=DEFINITION, family="web", revision=1, definition=a_definition(network_mode=network_mode)
        )
        self.put(
            "container_instances",
            an_instance(attributes=(shapes.Attribute(name="homeport.address", value="10.0.0.7"),)),
        )
        self.put("services", service)
        self.put("service_revisions", revision)
        self.put("deployments", deployment)
        self.put("task_definitions", definition)
        self.put("target_groups", *(groups or [a_group()]))

    def put(self, table, *rows):
        def change(tx):
            for row in rows:
                getattr(tx, table).put(row)

        self.store.update(change)

    def task(self, number=1, **more):
        """A running task of the service."""
        fields = {
            "service_arn": SERVICE,
            "started_by": DEPLOYMENT,
            "last_status": TaskStatus.RUNNING,
            "availability_zone": "us-east-1a",
            "containers": (a_container(host_port=32767 + number),),
        }
        self.put("tasks", a_task(number, **(fields | more)))
        return a_task(number).arn

    def change(self, arn, **changes):
        self.put("tasks", replace(self.row(arn), **changes))

    def stop(self, arn):
        self.put("tasks", self.row(arn).stopping(StopCode.SERVICE_SCHEDULER_INITIATED, "enough", self.clock.now()))

    def row(self, arn):
        return self.store.read.tasks.get(arn)

    def look(self, after=0.0):
        self.clock.time += after
        for row in self.store.read.tasks if after == 0 else ():
            list(self.targets.wakes["task"](row))
        wake, _ = self.store.update(lambda tx: self.targets.step(tx, SERVICE, tx.now))
        return wake

    def all(self):
        return list(self.store.read.targets)

    def owned(self, arn):
        return self.store.read.targets.by(owner=arn)

    def events(self):
        return [event.message for event in self.store.read.service_events.by(service_arn=SERVICE)]


def test_targets_when_task_runs_then_registered_at_its_host_port_with_one_event():
    world = World()
    tasks = [world.task(number) for number in (1, 2, 3)]
    world.look()
    assert [(each.id, each.port, each.owner, each.state) for each in world.all()] == [
        ("i-1", 32767 + number, task, "initial") for number, task in zip((1, 2, 3), tasks, strict=True)
    ]
    assert world.all()[0].availability_zone == "us-east-1a"
    assert world.events() == [f"(service web) registered 3 targets in (target-group {GROUP})"]
    version = world.store.version
    world.look()
    assert world.store.version == version


@pytest.mark.parametrize(
    "changes",
    [
        {"last_status": TaskStatus.PENDING},
        {"containers": (a_container(last_status="PENDING"),)},
        {"containers": (a_container(network_bindings=()),)},
        {"containers": (a_container(container_port=81),)},
        {"desired_status": DesiredStatus.STOPPED},
        {"started_by": "someone", "service_arn": None},
    ],
)
def test_targets_when_task_is_not_reachable_yet_then_none(changes):
    world = World()
    world.task(**changes)
    world.look()
    assert world.all() == []


def test_targets_when_there_are_several_groups_then_one_each():
    world = World(an_entry(), an_entry(OTHER, "admin", 9000), groups=[a_group(), a_group(OTHER, target_type="ip")])
    containers = (a_container(), a_container("admin", 32900, 9000))
    world.task(containers=containers)
    world.look()
    assert {(each.target_group_arn, each.id, each.port) for each in world.all()} == {
        (GROUP, "i-1", 32768),
        (OTHER, "10.0.0.7", 32900),
    }
    assert len(world.events()) == 2


def test_targets_when_network_mode_is_host_then_container_port():
    world = World(network_mode="host")
    world.task(containers=(a_container(network_bindings=()),))
    world.look()
    assert [each.port for each in world.all()] == [80]


def test_targets_when_task_has_its_own_address_then_that_and_the_container_port():
    world = World(groups=[a_group(target_type="ip")])
    detail = shapes.KeyValuePair(name="privateIPv4Address", value="172.31.0.9")
    world.task(attachments=(shapes.Attachment(id="1", type="ElasticNetworkInterface", details=(detail,)),))
    world.look()
    assert [(each.id, each.port) for each in world.all()] == [("172.31.0.9", 80)]


def test_targets_when_task_is_of_a_task_set_then_the_task_sets_groups():
    world = World(groups=[a_group(), a_group(OTHER)])
    world.put(
        "task_sets",
        TaskSet(
            arn="set",
            id="ecs-svc/7",
            service_arn=SERVICE,
            cluster_arn=CLUSTER,
            task_definition_arn=DEFINITION,
            created_at=1.0,
            updated_at=1.0,
            load_balancers=(an_entry(OTHER),),
        ),
    )
    world.task(started_by="ecs-svc/7")
    world.look()
    assert [each.target_group_arn for each in world.all()] == [OTHER]


@pytest.mark.parametrize("is_there", [True, False])
def test_targets_when_deployment_is_not_known_then_as_the_service_says(is_there):
    world = World()
    entries = (an_entry(),)
    if is_there:
        world.put("services", replace(world.store.read.services.get(SERVICE), load_balancers=entries))
    else:
        world.store.update(lambda tx: tx.services.delete(SERVICE))
    world.task(started_by=None)
    world.look()
    assert len(world.all()) == is_there


def test_targets_when_they_are_of_task_sets_then_events_name_those():
    world = World()
    service = world.store.read.services[SERVICE]
    world.put("services", replace(service, deployment_controller="EXTERNAL"))
    tasks = [world.task(number, started_by=f"ecs-svc/{number}") for number in (1, 2)]
    for number in (1, 2):
        common = {"service_arn": SERVICE, "cluster_arn": CLUSTER, "task_definition_arn": DEFINITION}
        row = TaskSet(
            arn=str(number),
            id=f"ecs-svc/{number}",
            created_at=1.0,
            updated_at=1.0,
            load_balancers=(an_entry(),),
            **common,
        )
        world.put("task_sets", row)
    world.look()
    world.stop(tasks[1])
    world.look()
    assert world.events() == [
        f"(service web, taskSet ecs-svc/1) registered 1 targets in (target-group {GROUP})",
        f"(service web, taskSet ecs-svc/2) registered 1 targets in (target-group {GROUP})",
        f"(service web, taskSet ecs-svc/2) deregistered 1 targets in (target-group {GROUP})",
        "(service web, taskSet ecs-svc/2) has begun draining connections on 1 tasks.",
    ]


def test_targets_when_user_registered_the_same_place_then_it_becomes_the_tasks_with_its_health():
    world = World()
    key = target_key(GROUP, "i-1", 32768)
    row = Target(key=key, target_group_arn=GROUP, id="i-1", port=32768, registered_at=1.0, state="healthy", reason=None)
    world.put("targets", row)
    task = world.task()
    world.look()
    assert [(each.owner, each.state) for each in world.all()] == [(task, "healthy")]


def test_targets_when_task_shall_stop_then_drains_and_stops_after_the_delay():
    world = World()
    task = world.task()
    world.look()
    world.stop(task)
    assert is_held(world.store.read, world.row(task))
    assert world.look().at == world.clock.time + 300
    (target,) = world.all()
    assert (target.state, target.reason, target.drain_until) == (
        "draining",
        "Target.DeregistrationInProgress",
        world.clock.time + 300,
    )
    assert world.row(task).last_status is TaskStatus.DEACTIVATING
    assert as_told(world.store.read, world.row(task)).desired_status is DesiredStatus.RUNNING
    assert world.events()[1:] == [
        f"(service web) deregistered 1 targets in (target-group {GROUP})",
        "(service web, taskSet ecs-svc/1) has begun draining connections on 1 tasks.",
    ]
    world.look(after=299)
    assert world.row(task).last_status is TaskStatus.DEACTIVATING
    world.look(after=1)
    assert world.all() == []
    assert world.row(task).last_status is TaskStatus.STOPPING
    assert as_told(world.store.read, world.row(task)).desired_status is DesiredStatus.STOPPED
    assert len(world.events()) == 3


def test_targets_when_delays_differ_then_the_longest_holds_the_task():
    world = World(an_entry(), an_entry(OTHER), groups=[a_group(delay="10"), a_group(OTHER, delay="20")])
    task = world.task()
    world.look()
    world.stop(task)
    world.look()
    wake = world.look(after=10)
    assert wake.at == world.clock.time + 10
    assert len(world.all()) == 1
    assert is_held(world.store.read, world.row(task))
    world.look(after=10)
    assert not is_held(world.store.read, world.row(task))


def test_targets_when_delay_is_zero_then_only_until_load_balancers_know():
    world = World(groups=[a_group(delay="0")])
    task = world.task()
    world.look()
    world.stop(task)
    assert world.look().at == world.clock.time + 0.5
    world.look(after=0.5)
    assert world.all() == []


def test_targets_when_unused_then_task_stops_at_once():
    world = World()
    task = world.task()
    world.look()
    world.put("targets", replace(world.all()[0], state="unused"))
    world.stop(task)
    world.look()
    assert world.all() == []
    assert world.row(task).last_status is TaskStatus.STOPPING


@pytest.mark.parametrize("how", ["stopped", "container", "process"])
def test_targets_when_task_dies_then_lost_at_once(how):
    world = World()
    task = world.task()
    world.look()
    if how == "stopped":
        world.put("tasks", world.row(task).stopped(5.0))
    elif how == "process":
        world.put("tasks", apply_report(world.row(task), shapes.SubmitTaskStateChangeRequest(status="STOPPING"), 5.0))
        assert not is_held(world.store.read, world.row(task))
    else:
        world.change(task, containers=(a_container(last_status="STOPPED"),))
        world.stop(task)
        assert not is_held(world.store.read, world.row(task))
    world.look()
    assert world.all() == []
    assert world.row(task).last_status is (TaskStatus.STOPPED if how == "stopped" else TaskStatus.STOPPING)
    assert world.events()[-1] == f"(service web) deregistered 1 targets in (target-group {GROUP})"


def test_targets_when_task_dies_while_draining_then_gone_without_another_event():
    world = World()
    task = world.task()
    world.look()
    world.stop(task)
    world.look()
    told = len(world.events())
    world.put("tasks", world.row(task).stopped(5.0))
    assert world.look().at is None
    assert world.all() == []
    assert len(world.events()) == told


def test_targets_when_container_started_anew_on_another_port_then_registered_there():
    world = World()
    task = world.task()
    world.look()
    world.change(task, containers=(a_container(host_port=40000),))
    world.look()
    assert [each.port for each in world.owned(task)] == [40000]


def test_targets_when_task_has_none_then_status_stays_as_it_was():
    world = World()
    task = world.task(containers=(a_container(network_bindings=()),))
    world.stop(task)
    world.look()
    assert world.row(task).last_status is TaskStatus.RUNNING


def test_targets_when_service_row_is_gone_then_drained_all_the_same():
    world = World()
    task = world.task()
    world.look()
    world.store.update(lambda tx: tx.services.delete(SERVICE))
    world.stop(task)
    world.look()
    assert world.row(task).last_status is TaskStatus.DEACTIVATING


def end(world, key):
    wake, _ = world.store.update(lambda tx: world.draining.step(tx, key, tx.now))
    return wake


def test_draining_targets_when_users_target_has_drained_then_gone():
    world = World()
    row = Target(key="k", target_group_arn=GROUP, id="i-9", port=80, registered_at=1.0, drain_until=1010.0)
    world.put("targets", row)
    assert end(world, "k").at == 1010.0
    assert world.all() == [row]
    world.clock.time = 1010.0
    assert end(world, "k").at is None
    assert world.all() == []


def test_draining_targets_when_task_or_group_is_gone_then_gone():
    world = World()
    lost = Target(key="a", target_group_arn=GROUP, id="i-9", port=80, registered_at=1.0, owner="task/gone")
    stray = Target(key="b", target_group_arn=OTHER, id="i-9", port=80, registered_at=1.0)
    kept = Target(key="c", target_group_arn=GROUP, id="i-9", port=80, registered_at=1.0)
    world.put("targets", lost, stray, kept)
    for key in "abc":
        end(world, key)
    assert world.all() == [kept]
