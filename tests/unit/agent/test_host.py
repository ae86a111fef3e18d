"""What a host registers, what fits on it, and which ports it gives."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.agent.host import HostResources, PortAllocator, PortsExhausted, dynamic_range, is_port_free, registration
from homeport.base.config import AgentConfig
from homeport.base.errors import Permanent
from homeport.drivers.engine import EngineInfo, PortBinding
from homeport.shapes import acs

INFO = EngineInfo(
    version="20.10.24",
    api_version="1.41",
    cpu_count=2,
    memory_mib=4096,
    architecture="aarch64",
    cgroup_version="1",
    cgroup_driver="cgroupfs",
    security_options=("name=apparmor", "name=seccomp,profile=default"),
    log_drivers=("json-file", "awslogs"),
    volume_plugins=("local",),
)


def config(**changes: object) -> AgentConfig:
    return AgentConfig(data_dir=Path("/nowhere"), endpoint="http://localhost", **changes)  # type: ignore[arg-type]


def a_task(name: str, **changes: object) -> acs.Task:
    return acs.Task(arn=f"arn:task/{name}", desired_status="RUNNING", **changes)  # type: ignore[arg-type]


def a_container(**changes: object) -> acs.Container:
    return acs.Container(name="app", image="app", essential=True, **changes)  # type: ignore[arg-type]


def test_registration_when_first_then_size_ports_and_attributes() -> None:
    request = registration(
        INFO,
        config(reserved_memory_mib=96, instance_attributes={"stack": "blue"}, gpu_ids=("GPU-1",), region="eu-west-1"),
        task_limits=True,
    )
    resources = {each.name: each for each in request.total_resources or ()}
    assert resources["CPU"].integer_value == 2048
    assert resources["MEMORY"].integer_value == 4000
    assert resources["PORTS"].string_set_value == ("22", "2375", "2376", "51678", "51679")
    attributes = {each.name: each.value for each in request.attributes or ()}
    assert attributes["ecs.cpu-architecture"] == "arm64"
    assert attributes["ecs.availability-zone"] == "eu-west-1a"
    assert attributes["ecs.instance-type"] == "homeport.2x4"
    assert attributes["stack"] == "blue"
    assert {
        "ecs.capability.task-cpu-mem-limit",
        "ecs.capability.docker-plugin.local",
        "com.amazonaws.ecs.capability.logging-driver.none",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "com.amazonaws.ecs.capability.docker-remote-api.1.32",
        "com.amazonaws.ecs.capability.apparmor",
    } <= set(attributes)
    assert "com.amazonaws.ecs.capability.docker-remote-api.1.26" not in attributes
    assert "com.amazonaws.ecs.capability.selinux" not in attributes
    assert [device.id for device in request.platform_devices or ()] == ["GPU-1"]


def test_registration_when_again_then_its_arn_and_no_custom_attributes() -> None:
    request = registration(
        INFO, config(instance_attributes={"stack": "blue"}), task_limits=False, container_instance_arn="arn:ci"
    )
    assert request.container_instance_arn == "arn:ci"
    names = {each.name for each in request.attributes or ()}
    assert "stack" not in names
    assert "ecs.capability.task-cpu-mem-limit" not in names


def test_registration_when_an_attribute_is_given_twice_then_sent_once() -> None:
    request = registration(INFO, config(instance_attributes={"ecs.instance-type": "m5.large"}), task_limits=True)
    assert [each.value for each in request.attributes or () if each.name == "ecs.instance-type"] == ["m5.large"]


def test_registration_when_the_reserve_exceeds_the_host_then_refused() -> None:
    with pytest.raises(Permanent, match="5000 MiB"):
        registration(INFO, config(reserved_memory_mib=5000), task_limits=True)


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (a_task("t", cpu=2.0, memory=4096), ()),
        (a_task("t", cpu=2.001), ("CPU",)),
        (a_task("t", memory=4097), ("MEMORY",)),
        (a_task("t", containers=(a_container(cpu=1024), a_container(cpu=1025))), ("CPU",)),
        (a_task("t", containers=(a_container(memory=9000),)), ("MEMORY",)),
        (
            a_task(
                "t",
                containers=(
                    a_container(
                        memory=9000, docker_config=acs.DockerConfig(host_config='{"MemoryReservation":104857600}')
                    ),
                ),
            ),
            (),
        ),
        (
            a_task("t", containers=(a_container(port_mappings=(acs.PortMapping(container_port=80, host_port=22),)),)),
            ("PORTS_TCP",),
        ),
        (
            a_task(
                "t",
                network_mode="host",
                containers=(a_container(port_mappings=(acs.PortMapping(container_port=53, protocol="udp"),)),),
            ),
            ("PORTS_UDP",),
        ),
        (a_task("t", containers=(a_container(port_mappings=(acs.PortMapping(container_port=22, host_port=0),)),)), ()),
    ],
)
def test_lacking_when_a_task_asks_then_names_what_is_missing(task: acs.Task, missing: tuple[str, ...]) -> None:
    host = HostResources(INFO, config(reserved_ports_udp=(53,)))
    assert host.lacking(task) == missing


def test_admit_when_the_first_does_not_fit_then_the_next_goes_ahead() -> None:
    host = HostResources(INFO, config())
    big, small, other = a_task("big", cpu=4.0), a_task("small", cpu=1.0), a_task("other", cpu=1.0)
    assert host.admit([big, small, other]) == (small.arn, other.arn)
    assert host.admit([a_task("late", cpu=0.5)]) == ()
    host.release(small.arn)
    host.release(small.arn)
    assert host.admit([a_task("late", cpu=0.5)]) == ("arn:task/late",)


def test_take_when_an_adopted_task_overcommits_then_only_tasks_that_need_nothing_fit() -> None:
    host = HostResources(INFO, config())
    host.take_anyway(a_task("a", cpu=2.0))
    host.take_anyway(a_task("b", cpu=2.0))
    assert host.take(a_task("a", cpu=2.0))
    assert host.lacking(a_task("c", cpu=0.1)) == ("CPU",)
    assert host.lacking(a_task("d")) == ()


def test_release_when_gpu_and_ports_were_held_then_free_again() -> None:
    host = HostResources(INFO, config())
    gpu = (acs.Association(name="GPU-1", type="gpu", containers=("app",)),)
    ports = (a_container(port_mappings=(acs.PortMapping(container_port=80, host_port=8080),)),)
    assert host.take(a_task("a", associations=gpu, containers=ports))
    assert host.lacking(a_task("b", associations=gpu, containers=ports)) == ("PORTS_TCP", "GPU")
    host.release("arn:task/a")
    assert host.take(a_task("b", associations=gpu, containers=ports))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3000), st.booleans()), max_size=40))
def test_take_and_release_when_in_any_order_then_never_overcommitted_and_all_comes_back(
    steps: list[tuple[int, int, bool]],
) -> None:
    host, held = HostResources(INFO, config()), dict[str, int]()
    for number, memory, is_release in steps:
        task = a_task(str(number), memory=max(1, memory))
        if is_release:
            host.release(task.arn)
            held.pop(task.arn, None)
        elif host.take(task):
            held.setdefault(task.arn, max(1, memory))
        assert sum(held.values()) <= 4096
    for arn in held:
        host.release(arn)
    assert host.take(a_task("all", memory=4096, cpu=2.0))


def ports(*, taken: frozenset[int] = frozenset(), first: int = 100, last: int = 109) -> PortAllocator:
    return PortAllocator(first, last, is_free=lambda _, port: port not in taken)


def dynamic(count: int = 1) -> tuple[acs.PortMapping, ...]:
    return tuple(acs.PortMapping(container_port=80 + n, host_port=0) for n in range(count))


def numbers(bindings: tuple[PortBinding, ...]) -> list[int]:
    return [binding.host_port for binding in bindings]


def test_allocate_when_dynamic_then_ascending_and_the_same_for_the_same_owner() -> None:
    allocator = ports(taken=frozenset({101}))
    assert numbers(allocator.allocate("a", dynamic(2))) == [100, 102]
    assert numbers(allocator.allocate("a", dynamic(2))) == [100, 102]
    allocator.release("a")
    assert numbers(allocator.allocate("b", dynamic())) == [103]


def test_allocate_when_a_range_then_contiguous_and_beside_other_holders() -> None:
    allocator = ports()
    allocator.adopt("old", [PortBinding(host_ip="0.0.0.0", host_port=102, container_port=1, protocol="tcp")])
    mapping = acs.PortMapping(container_port_range="8000-8002")
    assert [(b.host_port, b.container_port) for b in allocator.allocate("a", (mapping,))] == [
        (103, 8000),
        (104, 8001),
        (105, 8002),
    ]
    assert numbers(allocator.allocate("b", (mapping,))) == [106, 107, 108]
    with pytest.raises(PortsExhausted, match="3 contiguous"):
        allocator.allocate("c", (mapping,))
    assert numbers(allocator.allocate("d", dynamic(3))) == [109, 100, 101]
    with pytest.raises(PortsExhausted):
        allocator.allocate("e", dynamic())


def test_allocate_when_the_whole_range_is_wanted_then_found_wherever_the_search_starts() -> None:
    allocator = ports()
    allocator.allocate("a", dynamic(4))
    allocator.release("a")
    mapping = acs.PortMapping(container_port_range="1-10")
    assert numbers(allocator.allocate("b", (mapping,))) == list(range(100, 110))


def test_allocate_when_one_of_several_fails_then_holds_nothing() -> None:
    allocator = ports()
    fixed = acs.PortMapping(container_port=80, host_port=8080)
    allocator.allocate("a", (fixed,))
    with pytest.raises(PortsExhausted, match="8080/tcp is already allocated"):
        allocator.allocate("b", (*dynamic(2), fixed))
    assert len(allocator.allocate("c", dynamic(10))) == 10
    udp = acs.PortMapping(container_port=80, host_port=8080, protocol="udp")
    assert allocator.allocate("d", (udp,))[0].protocol == "udp"


def test_dynamic_range_when_configured_or_not_then_from_where(tmp_path: Path) -> None:
    kernel = tmp_path / "ip_local_port_range"
    assert dynamic_range(config(dynamic_port_range=(5, 6)), kernel) == (5, 6)
    assert dynamic_range(config(), kernel) == (49153, 65535)
    kernel.write_text("32768\t60999\n")
    assert dynamic_range(config(), kernel) == (32768, 60999)


def test_is_port_free_when_something_listens_then_false() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_port_free("tcp", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        assert not is_port_free("udp", listener.getsockname()[1])
