"""RegisterTaskDefinition as a whole: limits, order, and that what was given comes back."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from homeport.model.rules import task_definition
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container, a_fargate_request, a_request

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:7"
FILLED = {"cpu": 0, "essential": True, "environment": (), "mount_points": (), "volumes_from": (), "port_mappings": (),
          "system_controls": ()}  # fmt: skip


def register(request):
    return task_definition.register(request, arn=ARN, revision=7, registered_at=1.5, registered_by="me")


def refused(request):
    with pytest.raises(shapes.ClientException) as caught:
        register(request)
    return caught.value.message


def test_register_when_least_is_given_then_defaults_are_filled_in():
    made = register(a_request())
    assert made == shapes.TaskDefinition(
        task_definition_arn=ARN,
        family="web",
        revision=7,
        status="ACTIVE",
        registered_at=1.5,
        registered_by="me",
        volumes=(),
        placement_constraints=(),
        compatibilities=("EXTERNAL", "EC2"),
        requires_attributes=(),
        container_definitions=(shapes.ContainerDefinition(name="app", image="busybox", memory=64, **FILLED),),
    )


def test_register_when_sizes_have_units_then_they_come_back_as_numbers():
    made = register(a_fargate_request(cpu="1 vCPU", memory="2 GB", requires_compatibilities=("FARGATE",)))
    assert (made.cpu, made.memory) == ("1024", "2048")


RICH = a_container(
    repository_credentials=shapes.RepositoryCredentials(credentials_parameter="arn:x"),
    cpu=10,
    memory=128,
    memory_reservation=64,
    links=("helper:h",),
    port_mappings=(
        shapes.PortMapping(container_port=80, host_port=8080, protocol="tcp", name="web", app_protocol="http"),
    ),
    essential=True,
    restart_policy=shapes.ContainerRestartPolicy(enabled=True, ignored_exit_codes=(1,), restart_attempt_period=60),
    entry_point=("sh", "-c"),
    command=("true",),
    environment=(shapes.KeyValuePair(name="B", value="2"), shapes.KeyValuePair(name="A", value="1")),
    environment_files=(shapes.EnvironmentFile(value="arn:aws:s3:::b/a.env", type="s3"),),
    mount_points=(shapes.MountPoint(source_volume="v", container_path="/v", read_only=False),),
    volumes_from=(shapes.VolumeFrom(source_container="helper", read_only=True),),
    linux_parameters=shapes.LinuxParameters(
        init_process_enabled=False,
        max_swap=0,
        tmpfs=(shapes.Tmpfs(container_path="/t", size=1, mount_options=("rw",)),),
    ),
    secrets=(shapes.Secret(name="S", value_from="p"),),
    depends_on=(shapes.ContainerDependency(container_name="helper", condition="SUCCESS"),),
    start_timeout=10,
    stop_timeout=20,
    version_consistency="disabled",
    hostname="h",
    user="1000:1000",
    working_directory="/w",
    disable_networking=False,
    privileged=False,
    readonly_root_filesystem=True,
    dns_servers=("10.0.0.2",),
    dns_search_domains=("local",),
    extra_hosts=(shapes.HostEntry(hostname="a", ip_address="10.0.0.3"),),
    docker_security_options=("no-new-privileges",),
    interactive=True,
    pseudo_terminal=False,
    docker_labels={"a": "b"},
    ulimits=(shapes.Ulimit(name="nofile", soft_limit=1, hard_limit=2),),
    log_configuration=shapes.LogConfiguration(
        log_driver="awslogs", options={"awslogs-group": "g", "awslogs-region": "r"}, secret_options=()
    ),
    health_check=shapes.HealthCheck(command=("CMD-SHELL", "true"), interval=5),
    system_controls=(shapes.SystemControl(namespace="net.core.somaxconn", value="1"),),
    resource_requirements=(shapes.ResourceRequirement(type="GPU", value="1"),),
    firelens_configuration=shapes.FirelensConfiguration(type="fluentbit", options={}),
    credential_specs=("credentialspec:arn",),
)


def test_register_when_every_setting_is_given_then_every_one_comes_back():
    assert all(value is not None for value in asdict(RICH).values()), "a setting of the model is missing in this test"
    request = a_request(
        RICH,
        a_container("helper", essential=False),
        execution_role_arn="arn:aws:iam::123456789012:role/e",
        task_role_arn="role",
        network_mode="bridge",
        volumes=(shapes.Volume(name="v", host=shapes.HostVolumeProperties(source_path="/v")),),
        placement_constraints=(
            shapes.TaskDefinitionPlacementConstraint(type="memberOf", expression="attribute:a == b"),
        ),
        requires_compatibilities=("EC2",),
        cpu="256",
        memory="512",
        pid_mode="task",
        ipc_mode="none",
        inference_accelerators=(shapes.InferenceAccelerator(device_name="d", device_type="t"),),
        ephemeral_storage=shapes.EphemeralStorage(size_in_gi_b=30),
        runtime_platform=shapes.RuntimePlatform(cpu_architecture="X86_64"),
        enable_fault_injection=False,
    )
    made = register(request)
    assert made.container_definitions[0] == RICH
    for name, value in asdict(request).items():
        if name not in ("container_definitions", "tags", "proxy_configuration", "trusted_execution_configuration"):
            assert getattr(made, name) == value, name


containers = st.builds(
    a_container,
    st.just("app"),
    cpu=st.none() | st.integers(0, 128),
    memory=st.integers(6, 512),
    essential=st.sampled_from([None, True]),
    environment=st.none() | st.lists(st.builds(shapes.KeyValuePair, name=st.text("AB", min_size=1), value=st.text()), max_size=3).map(tuple),
    port_mappings=st.none() | st.lists(st.integers(1, 65_535), unique=True, max_size=3).map(
        lambda ports: tuple(shapes.PortMapping(container_port=port) for port in ports)),
    stop_timeout=st.none() | st.integers(0, 600),
    docker_labels=st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
)  # fmt: skip


@given(container=containers, mode=st.sampled_from([None, "bridge", "host", "awsvpc"]))
@settings(max_examples=80)
def test_register_when_the_answer_is_registered_again_then_it_is_the_same(container, mode):
    made = register(a_request(container, network_mode=mode))
    again = register(a_request(*made.container_definitions, network_mode=made.network_mode, volumes=made.volumes))
    assert again == made
    given_settings = {name: value for name, value in asdict(container).items() if value is not None}
    given_settings.pop("port_mappings", None)
    back = asdict(made.container_definitions[0])
    assert {name: back[name] for name in given_settings} == given_settings
    assert msgspec.json.decode(msgspec.json.encode(made), type=shapes.TaskDefinition) == made


def test_containers_when_none_or_too_many_or_twice_then_refused():
    empty = shapes.RegisterTaskDefinitionRequest(family="web", container_definitions=())
    assert refused(empty) == "Container list cannot be empty."
    register(a_request(*(a_container(f"c{number}") for number in range(10))))
    assert refused(a_request(*(a_container(f"c{number}") for number in range(11)))) == "Too many containers."
    assert refused(a_request(a_container(), a_container())) == "Duplicate container name 'app'."


def test_size_when_over_64_kib_then_refused():
    register(a_request(a_container(command=("x" * 64_000,))))
    assert "64 KB" in refused(a_request(a_container(command=("x" * 65_536,))))


@pytest.mark.parametrize(
    ("constraint", "sentence"),
    [
        ({"type": "memberOf"}, "must have the type memberOf and an expression"),
        ({"expression": "attribute:a == b"}, "must have the type memberOf and an expression"),
        ({"type": "memberOf", "expression": "attribute:a =="}, "Invalid expression 'attribute:a =='"),
        ({"type": "memberOf", "expression": "x" * 2001}, "at most 2000 characters"),
    ],
)
def test_constraint_when_malformed_then_refused(constraint, sentence):
    wrong = shapes.TaskDefinitionPlacementConstraint(**constraint)
    assert sentence in refused(a_request(placement_constraints=(wrong,)))


def test_constraints_when_over_ten_then_refused():
    one = shapes.TaskDefinitionPlacementConstraint(type="memberOf", expression="attribute:a == b")
    register(a_request(placement_constraints=(one,) * 10))
    assert "at most 10" in refused(a_request(placement_constraints=(one,) * 11))


def control(namespace):
    return a_container(system_controls=(shapes.SystemControl(namespace=namespace, value="1"),))


PROXY = shapes.ProxyConfiguration(container_name="envoy")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (a_request(family="a b"), "Family contains invalid characters."),
        (a_request(a_container(name=None)), "Container.name should not be null or empty."),
        (a_request(a_container(image="")), "Container.image should not be null or empty."),
        (a_request(proxy_configuration=PROXY), "Unknown proxy container 'envoy'."),
        (a_request(a_container("envoy"), proxy_configuration=PROXY), "only supported when networkMode=awsvpc"),
        (a_request(enable_fault_injection=True), "Fault injection is only supported"),
        (a_request(a_container(resource_requirements=(shapes.ResourceRequirement(type="InferenceAccelerator", value="d"),))),
         "Unknown inference accelerator 'd'."),
        (a_request(control("vm.swappiness")), "'vm.swappiness' is not supported."),
        (a_request(control("net.core.somaxconn"), network_mode="host"), "not supported when networkMode=host"),
        (a_request(control("kernel.shmmax"), ipc_mode="host"), "not supported when ipcMode=host"),
        (a_request(requires_compatibilities=("FARGATE",)), "Fargate only supports network mode"),
    ],
)  # fmt: skip
def test_register_when_a_rule_is_broken_then_refused_with_its_sentence(request_, sentence):
    assert sentence in refused(request_)


@pytest.mark.parametrize("namespace", ["net.core.somaxconn", "kernel.shmmax", "kernel.msgmax", "fs.mqueue.msg_max"])
def test_system_control_when_namespaced_then_allowed(namespace):
    register(a_request(control(namespace)))


def test_role_when_an_empty_string_then_none():
    made = register(a_request(task_role_arn="", execution_role_arn=""))
    assert (made.task_role_arn, made.execution_role_arn) == (None, None)
    assert made.requires_attributes == ()
