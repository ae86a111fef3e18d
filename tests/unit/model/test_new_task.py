"""New tasks: what they take, carry and show."""

import random

import msgspec
import pytest

from homeport.base.ids import Ids
from homeport.model.container_instance import ContainerInstance
from homeport.model.new_task import host_ports, new_task, placed_on, resources_of, task_template
from homeport.model.resources import Resources
from homeport.model.status import TaskStatus
from homeport.model.task import Container
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_view import TaskViews, task_view
from homeport.shapes import ecs as shapes

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/default"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/default/"


def ports(*mappings: shapes.PortMapping) -> tuple[shapes.PortMapping, ...]:
    return mappings


def a_container(name="main", **members) -> shapes.ContainerDefinition:
    return shapes.ContainerDefinition(name=name, image="busybox", **members)


def a_definition(*containers, **members) -> shapes.TaskDefinition:
    return shapes.TaskDefinition(family="web", container_definitions=containers or (a_container(memory=64),), **members)


def a_row(definition: shapes.TaskDefinition) -> TaskDefinition:
    arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"
    return TaskDefinition(arn=arn, family="web", revision=1, definition=definition)


def an_instance(**members) -> ContainerInstance:
    return ContainerInstance(
        arn="arn:aws:ecs:us-east-1:123456789012:container-instance/default/1",
        cluster_arn=CLUSTER,
        ec2_instance_id="i-1",
        registered=Resources(cpu_units=1024, memory_mib=1024),
        **members,
    )


def test_resources_when_task_sizes_are_set_then_they_count():
    definition = a_definition(a_container(cpu=10, memory=64), cpu="256", memory="512")
    assert resources_of(definition) == Resources(cpu_units=256, memory_mib=512)


def test_resources_when_only_containers_have_sizes_then_sums_with_reservation_first():
    definition = a_definition(a_container(cpu=10, memory=64), a_container("side", memory=128, memory_reservation=32))
    assert resources_of(definition) == Resources(cpu_units=10, memory_mib=96)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("bridge", ((8080,), (53,))),
        (None, ((8080,), (53,))),
        ("host", ((80, 443, 7000, 7001, 7002, 8080), (53,))),
        ("awsvpc", ((), ())),
        ("none", ((), ())),
    ],
)
def test_host_ports_when_network_mode_then_only_fixed_ones(mode, expected):
    container = a_container(
        port_mappings=ports(
            shapes.PortMapping(container_port=80),
            shapes.PortMapping(container_port=443, host_port=0),
            shapes.PortMapping(container_port=8080, host_port=8080, protocol="tcp"),
            shapes.PortMapping(container_port=53, host_port=53, protocol="udp"),
            shapes.PortMapping(container_port_range="7000-7002"),
        )
    )
    assert host_ports(a_definition(container, network_mode=mode)) == expected


def test_template_when_overridden_then_containers_and_resources_follow():
    overrides = shapes.TaskOverride(
        container_overrides=(shapes.ContainerOverride(name="main", cpu=100, memory=256, memory_reservation=128),)
    )
    definition = a_definition(a_container(cpu=10, memory=64), a_container("side", memory=32, essential=False))
    task = task_template(a_row(definition), cluster_arn=CLUSTER, created_at=5.0, overrides=overrides)
    main, side = task.containers
    assert (main.cpu, main.memory, main.memory_reservation) == ("100", "256", "128")
    assert (side.cpu, side.memory, side.memory_reservation, side.essential) == ("0", "32", None, False)
    assert task.resources == Resources(cpu_units=100, memory_mib=160)
    assert [each.name for each in task.overrides.container_overrides] == ["main", "side"]
    assert (task.group, task.last_status, task.launch_type) == ("family:web", TaskStatus.PROVISIONING, "EC2")


def test_new_task_when_roles_then_credentials_ids_of_its_own():
    ids = Ids(random.Random(1))
    template = task_template(
        a_row(a_definition(task_role_arn="arn:aws:iam::1:role/x")), cluster_arn=CLUSTER, created_at=5.0
    )
    one, two = new_task(template, TASK + "1", ids), new_task(template, TASK + "2", ids)
    assert one.credentials_id
    assert one.credentials_id != two.credentials_id
    assert one.execution_credentials_id is None
    override = shapes.TaskOverride(execution_role_arn="arn:aws:iam::1:role/y")
    template = task_template(a_row(a_definition()), cluster_arn=CLUSTER, created_at=5.0, overrides=override)
    task = new_task(template, TASK + "3", ids)
    assert task.credentials_id is None
    assert task.execution_credentials_id


def test_placed_when_on_instance_then_pending_with_its_zone_and_architecture():
    template = task_template(a_row(a_definition()), cluster_arn=CLUSTER, created_at=5.0)
    instance = an_instance(
        attributes=(
            shapes.Attribute(name="ecs.availability-zone", value="us-east-1b"),
            shapes.Attribute(name="ecs.cpu-architecture", value="arm64"),
        )
    )
    task = placed_on(template, instance)
    assert (task.last_status, task.availability_zone) == (TaskStatus.PENDING, "us-east-1b")
    assert task.attributes == (shapes.Attribute(name="ecs.cpu-architecture", value="arm64"),)
    assert task.version == 1


def test_placed_when_gpus_then_free_ones_are_given_out():
    gpu = (shapes.ResourceRequirement(type="GPU", value="2"),)
    template = task_template(
        a_row(a_definition(a_container(memory=64, resource_requirements=gpu))), cluster_arn=CLUSTER, created_at=5.0
    )
    assert template.resources.gpu_count == 2
    task = placed_on(template, an_instance(gpu_ids=("g0", "g1", "g2")), taken_gpu_ids=["g1"])
    assert task.containers[0].gpu_ids == ("g0", "g2")


def test_view_when_shown_then_every_member_of_ecs():
    task = placed_on(
        new_task(
            task_template(a_row(a_definition()), cluster_arn=CLUSTER, created_at=5.0), TASK + "1", Ids(random.Random(1))
        ),
        an_instance(),
    )
    view = msgspec.to_builtins(task_view(task))
    assert view["taskArn"] == TASK + "1"
    assert (view["lastStatus"], view["desiredStatus"], view["healthStatus"]) == ("PENDING", "RUNNING", "UNKNOWN")
    assert (view["cpu"], view["memory"], view["version"], view["attachments"]) == ("0", "64", 1, ())
    assert view["overrides"] == {"containerOverrides": ({"name": "main"},), "inferenceAcceleratorOverrides": ()}
    (container,) = view["containers"]
    assert container["containerArn"].startswith("arn:aws:ecs:us-east-1:123456789012:container/default/1/")
    assert (container["networkBindings"], container["networkInterfaces"]) == ((), ())
    assert (container["cpu"], container["memory"], container["lastStatus"]) == ("0", "64", "PENDING")
    assert "stoppedAt" not in view


def test_views_when_row_is_the_same_then_bytes_are_kept_and_when_replaced_then_not():
    views = TaskViews(kept=2)
    template = task_template(a_row(a_definition()), cluster_arn=CLUSTER, created_at=5.0)
    tasks = [new_task(template, f"{TASK}{number}", Ids(random.Random(number))) for number in range(3)]
    first = views.view(tasks[0])
    assert views.view(tasks[0]) is first
    assert views.view(tasks[0], with_tags=True) is first
    tagged = msgspec.structs.replace(tasks[1], tags=(shapes.Tag(key="a", value="b"),))
    assert views.view(tagged, with_tags=True) is not views.view(tagged)
    changed = msgspec.structs.replace(tasks[0], version=2)
    assert msgspec.json.decode(msgspec.json.encode(views.view(changed)))["version"] == 2
    for task in tasks:
        assert msgspec.json.decode(msgspec.json.encode(views.view(task)))["taskArn"] == task.arn


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "UNKNOWN"),
        ([("HEALTHY", True, True), ("UNKNOWN", True, False), ("UNHEALTHY", False, True)], "HEALTHY"),
        ([("HEALTHY", True, True), ("UNKNOWN", True, True)], "UNKNOWN"),
        ([("UNHEALTHY", True, True), ("UNKNOWN", True, True)], "UNHEALTHY"),
        ([("UNKNOWN", True, False)], "UNKNOWN"),
    ],
)
def test_health_when_containers_differ_then_only_checked_essential_ones_count(statuses, expected):
    containers = tuple(
        Container(name=f"c{number}", image="i", health_status=status, essential=essential, has_health_check=checked)
        for number, (status, essential, checked) in enumerate(statuses)
    )
    template = task_template(a_row(a_definition()), cluster_arn=CLUSTER, created_at=5.0)
    assert msgspec.structs.replace(template, containers=containers).health_status() == expected
