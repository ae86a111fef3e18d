"""`requiresAttributes`, what placement adds, and what this version cannot run."""

import pytest

from homeport.model.rules.capabilities import is_ecr_image, placement_attributes, required_attributes, secret_source
from homeport.model.rules.support import unsupported
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1"
COM = "com.amazonaws.ecs.capability."
ECS = "ecs.capability."
API = f"{COM}docker-remote-api."
ROLE = "arn:aws:iam::123456789012:role/r"


def definition(*containers, **settings):
    return shapes.TaskDefinition(container_definitions=containers or (a_container(),), **settings)


def names(*containers, **settings):
    return {attribute.name for attribute in required_attributes(definition(*containers, **settings))}


def awslogs(**options):
    options = {name.replace("_", "-"): value for name, value in options.items()}
    return a_container(log_configuration=shapes.LogConfiguration(log_driver="awslogs", options=options))


def volume(**more):
    return {"volumes": (shapes.Volume(name="v", **more),)}


CASES = [
    (definition(), set()),
    (definition(awslogs()), {f"{COM}logging-driver.awslogs", f"{API}1.19"}),
    (definition(awslogs(), execution_role_arn=ROLE),
     {f"{COM}logging-driver.awslogs", f"{API}1.19", f"{ECS}execution-role-awslogs"}),
    (definition(awslogs(mode="non-blocking", awslogs_create_group="true")),
     {f"{COM}logging-driver.awslogs", f"{API}1.19", f"{API}1.28", f"{API}1.29"}),
    (definition(a_container(log_configuration=shapes.LogConfiguration(log_driver="json-file"))),
     {f"{COM}logging-driver.json-file", f"{API}1.18"}),
    (definition(a_container(image=ECR)), {f"{COM}ecr-auth"}),
    (definition(a_container(image=ECR), execution_role_arn=ROLE), {f"{COM}ecr-auth", f"{ECS}execution-role-ecr-pull"}),
    (definition(a_container(memory_reservation=32)), {f"{API}1.21"}),
    (definition(a_container(docker_labels={"a": "b"})), {f"{API}1.18"}),
    (definition(a_container(user="1000")), {f"{API}1.17"}),
    (definition(a_container(privileged=True)), {f"{API}1.17", f"{COM}privileged-container"}),
    (definition(a_container(stop_timeout=5)), {f"{ECS}container-ordering"}),
    (definition(a_container(health_check=shapes.HealthCheck(command=("CMD", "true")))),
     {f"{ECS}container-health-check", f"{API}1.24"}),
    (definition(a_container(health_check=shapes.HealthCheck(command=("CMD", "true"), start_period=5))),
     {f"{ECS}container-health-check", f"{API}1.29"}),
    (definition(a_container(restart_policy=shapes.ContainerRestartPolicy(enabled=True))), {f"{ECS}container-restart-policy"}),
    (definition(a_container(secrets=(shapes.Secret(name="a", value_from="/p"),
                                     shapes.Secret(name="b", value_from="arn:aws:secretsmanager:r:1:secret:s")))),
     {f"{ECS}secrets.ssm.environment-variables", f"{ECS}secrets.asm.environment-variables"}),
    (definition(a_container(environment_files=(shapes.EnvironmentFile(value="arn:aws:s3:::b/a.env", type="s3"),))),
     {f"{ECS}env-files.s3"}),
    (definition(a_container(port_mappings=(shapes.PortMapping(container_port_range="80-81"),))),
     {f"{ECS}network.container-port-range"}),
    (definition(a_container(linux_parameters=shapes.LinuxParameters(init_process_enabled=True))), {f"{API}1.25"}),
    (definition(a_container(linux_parameters=shapes.LinuxParameters(shared_memory_size=64))), {f"{API}1.22"}),
    (definition(a_container(docker_security_options=("apparmor:x", "label:y"))), {f"{COM}apparmor", f"{COM}selinux"}),
    (definition(a_container(firelens_configuration=shapes.FirelensConfiguration(
        type="fluentbit", options={"config-file-type": "file"}))),
     {f"{ECS}firelens.fluentbit", f"{ECS}firelens.options.config.file"}),
    (definition(task_role_arn=ROLE), {f"{COM}task-iam-role"}),
    (definition(task_role_arn=ROLE, network_mode="host"), {f"{COM}task-iam-role", f"{COM}task-iam-role-network-host"}),
    (definition(network_mode="awsvpc"), {f"{API}1.18", f"{ECS}task-eni"}),
    (definition(pid_mode="task"), {f"{ECS}pid-ipc-namespace-sharing"}),
    (definition(ipc_mode="none"), {f"{ECS}pid-ipc-namespace-sharing", f"{API}1.32"}),
    (definition(**volume()), set()),
    (definition(**volume(docker_volume_configuration=shapes.DockerVolumeConfiguration(driver="local"))),
     {f"{ECS}docker-plugin.local", f"{API}1.25"}),
    (definition(**volume(efs_volume_configuration=shapes.EFSVolumeConfiguration(file_system_id="f"))),
     {f"{ECS}efs", f"{API}1.25"}),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "expected"), CASES)
def test_required_attributes_when_computed_then_as_ecs(wanted, expected):
    assert {attribute.name for attribute in required_attributes(wanted)} == expected


def test_required_attributes_when_several_containers_ask_then_each_once_and_without_value():
    found = required_attributes(definition(awslogs(), awslogs()))
    assert len(found) == len({attribute.name for attribute in found}) == 2
    assert all(attribute.value is None for attribute in found)


def test_placement_attributes_when_platform_is_named_then_instances_must_be_of_it():
    arm = definition(runtime_platform=shapes.RuntimePlatform(cpu_architecture="ARM64", operating_system_family="LINUX"))
    assert [(one.name, one.value) for one in placement_attributes(arm)] == [
        ("ecs.cpu-architecture", "arm64"),
        ("ecs.os-type", "linux"),
    ]
    assert placement_attributes(definition()) == ()


@pytest.mark.parametrize(
    ("image", "expected"),
    [(ECR, True), ("busybox", False), (None, False), ("public.ecr.aws/a/b", False), ("evil.com/a.dkr.ecr.amazonaws.com", False)],
)  # fmt: skip
def test_is_ecr_image_when_asked_then_only_private_registries(image, expected):
    assert is_ecr_image(image) is expected


@pytest.mark.parametrize(
    ("value", "source"),
    [("/a/b", "ssm"), ("arn:aws:ssm:r:1:parameter/x", "ssm"), ("arn:aws:secretsmanager:r:1:secret:s-abc:k::", "asm")],
)
def test_secret_source_when_asked_then_by_the_arn(value, source):
    assert secret_source(value) == source


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (definition(network_mode="awsvpc"), "the network mode awsvpc"),
        (definition(a_container(secrets=(shapes.Secret(name="a", value_from="b"),))), "secrets"),
        (definition(a_container(environment_files=(shapes.EnvironmentFile(value="a", type="s3"),))), "environment files"),
        (definition(a_container(log_configuration=shapes.LogConfiguration(log_driver="awsfirelens"))), "FireLens"),
        (definition(a_container(firelens_configuration=shapes.FirelensConfiguration(type="fluentd"))), "FireLens"),
        (definition(a_container(repository_credentials=shapes.RepositoryCredentials(credentials_parameter="a"))),
         "repository credentials"),
        (definition(a_container(resource_requirements=(shapes.ResourceRequirement(type="GPU", value="ALL"),))),
         "the resource requirement GPU ALL"),
        (definition(**volume(efs_volume_configuration=shapes.EFSVolumeConfiguration(file_system_id="f"))), "EFS volumes"),
        (definition(**volume(configured_at_launch=True)), "volumes configured at launch"),
        (definition(enable_fault_injection=True), "fault injection"),
        (definition(pid_mode="task"), "the pidMode task"),
        (definition(ipc_mode="task"), "the ipcMode task"),
        (definition(pid_mode="host", ipc_mode="host"), None),
        (definition(runtime_platform=shapes.RuntimePlatform(operating_system_family="WINDOWS_SERVER_2022_CORE")),
         "the operating system family WINDOWS_SERVER_2022_CORE"),
        (definition(), None),
        (definition(network_mode="host"), None),
        (definition(a_container(resource_requirements=(shapes.ResourceRequirement(type="GPU", value="2"),))), None),
        (definition(**volume(docker_volume_configuration=shapes.DockerVolumeConfiguration())), None),
        (definition(awslogs(), task_role_arn=ROLE, execution_role_arn=ROLE), None),
    ],
)  # fmt: skip
def test_unsupported_when_asked_then_names_the_first_thing(wanted, expected):
    assert unsupported(wanted) == expected
