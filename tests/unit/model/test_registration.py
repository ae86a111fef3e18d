"""What a registering agent becomes."""

import pytest

from homeport.base.errors import ApiError
from homeport.model.container_instance import ContainerInstance
from homeport.model.instance_view import instance_view
from homeport.model.registration import (
    gpu_ids_of,
    identity_document,
    merged_attributes,
    re_registered,
    registered_resources,
)
from homeport.model.resources import Resources
from homeport.shapes import ecs as shapes


def integer(name, value) -> shapes.Resource:
    return shapes.Resource(name=name, type="INTEGER", integer_value=value)


def string_set(name, *values) -> shapes.Resource:
    return shapes.Resource(name=name, type="STRINGSET", string_set_value=values)


def attribute(name, value=None) -> shapes.Attribute:
    return shapes.Attribute(name=name, value=value)


def request(*resources, **members) -> shapes.RegisterContainerInstanceRequest:
    given = resources or (integer("CPU", 2048), integer("MEMORY", 4096), string_set("PORTS", "22", "2375"))
    return shapes.RegisterContainerInstanceRequest(total_resources=given, **members)


def test_registered_resources_when_given_then_amounts_and_reserved_ports():
    devices = (shapes.PlatformDevice(id="g0", type="GPU"),)
    resources = registered_resources(request(platform_devices=devices))
    assert resources == Resources(cpu_units=2048, memory_mib=4096, ports=(22, 2375), gpu_count=1)
    assert gpu_ids_of(request(integer("CPU", 1), string_set("GPU", "a", "b"))) == ("a", "b")


@pytest.mark.parametrize(
    "resources",
    [
        (integer("CPU", 1),),
        (integer("CPU", -1), integer("MEMORY", 1)),
        (integer("CPU", 1), integer("MEMORY", 1), string_set("PORTS", "x")),
        (integer("CPU", 1), integer("MEMORY", 1), string_set("PORTS", "70000")),
    ],
)
def test_registered_resources_when_malformed_then_refused(resources):
    with pytest.raises(ApiError):
        registered_resources(request(*resources))


def test_attributes_when_sent_then_every_one_comes_back_and_document_fills_in():
    sent = (attribute("ecs.capability.secrets"), attribute("ecs.cpu-architecture", "arm64"), attribute("stack", "prod"))
    document = identity_document(
        '{"instanceType": "m5.large", "availabilityZone": "eu-west-1c", "architecture": "x86_64", "imageId": "ami-1"}'
    )
    merged = {each.name: each.value for each in merged_attributes(sent, document, "eu-west-1")}
    assert merged == {
        "ecs.availability-zone": "eu-west-1c",
        "ecs.instance-type": "m5.large",
        "ecs.ami-id": "ami-1",
        "ecs.cpu-architecture": "arm64",
        "ecs.capability.secrets": None,
        "stack": "prod",
    }


def test_attributes_when_registered_again_then_operators_stay_and_old_capabilities_go():
    earlier = (attribute("stack", "prod"), attribute("ecs.capability.old"), attribute("ecs.availability-zone", "z1"))
    merged = {
        each.name: each.value for each in merged_attributes((attribute("ecs.os-type", "linux"),), {}, "r", earlier)
    }
    assert merged == {"stack": "prod", "ecs.availability-zone": "z1", "ecs.os-type": "linux"}


@pytest.mark.parametrize("text", ["{", "[]", "1"])
def test_identity_document_when_malformed_then_refused(text):
    with pytest.raises(ApiError):
        identity_document(text)


def an_instance(**members) -> ContainerInstance:
    return ContainerInstance(
        arn="arn:aws:ecs:us-east-1:123456789012:container-instance/default/1",
        cluster_arn="c",
        ec2_instance_id="i-1",
        registered=Resources(cpu_units=1024, memory_mib=1024, ports=(22,), gpu_count=2),
        gpu_ids=("g0", "g1"),
        **members,
    )


def again(instance, now=50.0) -> ContainerInstance:
    return re_registered(
        instance,
        registered=instance.registered,
        attributes=(),
        gpu_ids=instance.gpu_ids,
        tags=(),
        version_info=shapes.VersionInfo(agent_version="2"),
        now=now,
    )


def test_re_registered_when_lost_then_active_and_its_time_starts_anew():
    updated = again(an_instance(status="INACTIVE", status_reason="gone", disconnected_at=10.0))
    assert (updated.status, updated.status_reason, updated.disconnected_at, updated.version) == (
        "ACTIVE",
        None,
        50.0,
        2,
    )


def test_re_registered_when_draining_then_still_draining():
    updated = again(an_instance(status="DRAINING", agent_version="1", docker_version="20.10"))
    assert (updated.status, updated.agent_version, updated.docker_version) == ("DRAINING", "2", "20.10")


def test_view_when_shown_then_resources_in_ecs_form():
    instance = an_instance(agent_connected=True, tags=(shapes.Tag(key="a", value="b"),))
    free = Resources(cpu_units=512, memory_mib=256, ports=(22, 8080), ports_udp=(53,))
    view = instance_view(instance, free, (2, 1), taken_gpu_ids={"g0"}, with_health=True)
    remaining = {each.name: each.string_set_value or each.integer_value for each in view.remaining_resources}
    assert remaining == {"CPU": 512, "MEMORY": 256, "PORTS": ("22", "8080"), "PORTS_UDP": ("53",), "GPU": ("g1",)}
    registered = {each.name: each.string_set_value or each.integer_value for each in view.registered_resources}
    assert registered == {"CPU": 1024, "MEMORY": 1024, "PORTS": ("22",), "PORTS_UDP": 0, "GPU": ("g0", "g1")}
    assert (view.running_tasks_count, view.pending_tasks_count, view.tags) == (2, 1, ())
    assert view.health_status.overall_status == "INSUFFICIENT_DATA"
