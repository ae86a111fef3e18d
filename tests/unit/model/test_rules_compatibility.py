"""What kinds of capacity take a definition, and what Fargate refuses."""

import pytest
from msgspec.structs import replace

from homeport.model.rules.compatibility import compatibilities
from homeport.model.rules.sizes import cpu_units, memory_mib
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container, a_fargate_request, a_request

ROLE = "arn:aws:iam::123456789012:role/execution"


def kinds(request):
    cpu = cpu_units(request.cpu) if request.cpu else None
    memory = memory_mib(request.memory) if request.memory else None
    return compatibilities(request, cpu, memory)


def box(**settings):
    return a_container(memory=None, **settings)


def linux(**more):
    return box(linux_parameters=shapes.LinuxParameters(**more))


def logging(driver, **options):
    options = {name.replace("_", "-"): value for name, value in options.items()}
    return box(log_configuration=shapes.LogConfiguration(log_driver=driver, options=options))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (a_request(), ("EXTERNAL", "EC2")),
        (a_request(network_mode="none"), ("EXTERNAL", "EC2")),
        (a_request(network_mode="host", cpu="256", memory="512"), ("EXTERNAL", "EC2", "MANAGED_INSTANCES")),
        (a_request(network_mode="awsvpc"), ("EC2",)),
        (a_fargate_request(), ("EC2", "MANAGED_INSTANCES", "FARGATE")),
        (a_fargate_request(memory="600"), ("EC2", "MANAGED_INSTANCES")),
        (a_fargate_request(box(privileged=True)), ("EC2", "MANAGED_INSTANCES")),
        (a_request(volumes=(shapes.Volume(name="v", efs_volume_configuration=shapes.EFSVolumeConfiguration(file_system_id="f")),)),
         ("EC2",)),
        (a_fargate_request(runtime_platform=shapes.RuntimePlatform(operating_system_family="WINDOWS_SERVER_2022_CORE")),
         ("EC2", "FARGATE")),
        (a_fargate_request(trusted_execution_configuration=shapes.TrustedExecutionConfiguration(isolation_mode="SHARED")),
         ("MANAGED_INSTANCES",)),
    ],
)  # fmt: skip
def test_compatibilities_when_none_required_then_every_kind_that_would_do(request_, expected):
    assert kinds(request_) == expected


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (a_request(), "Fargate only supports network mode ‘awsvpc’."),
        (a_request(network_mode="awsvpc"), "Fargate requires that 'cpu' be defined at the task level."),
        (a_request(network_mode="awsvpc", cpu="256"), "Fargate requires that 'memory' be defined at the task level."),
        (a_fargate_request(cpu="512", memory="512"), "No Fargate configuration exists for given values: 512 CPU, 512 memory."),
        (a_fargate_request(ipc_mode="task"), "Tasks using the Fargate launch type do not support ipcMode."),
        (a_fargate_request(pid_mode="host"), "Tasks using the Fargate launch type do not support pidMode host."),
        (a_fargate_request(placement_constraints=(shapes.TaskDefinitionPlacementConstraint(type="memberOf", expression="x"),)),
         "Fargate compatible task definitions do not support placementConstraints"),
        (a_fargate_request(ephemeral_storage=shapes.EphemeralStorage(size_in_gi_b=20)), "Invalid 'ephemeralStorage' setting"),
        (a_fargate_request(ephemeral_storage=shapes.EphemeralStorage(size_in_gi_b=201)), "Invalid 'ephemeralStorage' setting"),
        (a_fargate_request(volumes=(shapes.Volume(name="v", host=shapes.HostVolumeProperties(source_path="/x")),)),
         "Fargate compatible task definitions do not support sourcePath"),
        (a_fargate_request(volumes=(shapes.Volume(name="v", docker_volume_configuration=shapes.DockerVolumeConfiguration()),)),
         "Fargate compatible task definitions do not support dockerVolumeConfiguration"),
        (a_fargate_request(box(privileged=True)), "Fargate compatible task definitions do not support privileged"),
        (a_fargate_request(box(disable_networking=True)), "do not support disableNetworking"),
        (a_fargate_request(box(docker_security_options=("label:a",))), "do not support dockerSecurityOptions"),
        (a_fargate_request(box(resource_requirements=(shapes.ResourceRequirement(type="GPU", value="1"),))),
         "do not support resourceRequirements"),
        (a_fargate_request(box(start_timeout=121)), "The value must be between 2 and 120."),
        (a_fargate_request(box(stop_timeout=1)), "The value must be between 2 and 120."),
        (a_fargate_request(logging("json-file")), "do not support log driver json-file"),
        (a_fargate_request(logging("awslogs", awslogs_group="g", awslogs_region="r")),
         "Log driver awslogs requires options: awslogs-stream-prefix."),
        (a_fargate_request(logging("awslogs", awslogs_group="g", awslogs_region="r", awslogs_stream_prefix="p")),
         "Fargate requires task definition to have execution role ARN to support log driver awslogs."),
        (a_fargate_request(box(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a")),
         "Fargate requires task definition to have execution role ARN to support ECR images."),
        (a_fargate_request(linux(devices=(shapes.Device(host_path="/dev/x"),))), "do not support devices"),
        (a_fargate_request(linux(shared_memory_size=1)), "do not support sharedMemorySize"),
        (a_fargate_request(linux(tmpfs=(shapes.Tmpfs(container_path="/t", size=1),))), "do not support tmpfs"),
        (a_fargate_request(linux(max_swap=0)), "do not support maxSwap"),
        (a_fargate_request(linux(swappiness=0)), "do not support swappiness"),
        (a_fargate_request(linux(capabilities=shapes.KernelCapabilities(add=("NET_ADMIN",)))), "capability SYS_PTRACE"),
    ],
)  # fmt: skip
def test_fargate_when_required_and_refused_then_the_sentence(request_, sentence):
    assert "FARGATE" not in kinds(request_)
    with pytest.raises(shapes.ClientException) as caught:
        kinds(replace(request_, requires_compatibilities=("FARGATE",)))
    assert sentence in caught.value.message


def test_fargate_when_everything_it_has_is_used_then_compatible():
    rich = box(
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/a",
        linux_parameters=shapes.LinuxParameters(
            init_process_enabled=True, capabilities=shapes.KernelCapabilities(add=("SYS_PTRACE",), drop=("ALL",))
        ),
        log_configuration=shapes.LogConfiguration(
            log_driver="awslogs",
            options={"awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p"},
        ),
        start_timeout=2,
        stop_timeout=120,
    )
    request = a_fargate_request(
        rich,
        execution_role_arn=ROLE,
        pid_mode="task",
        ephemeral_storage=shapes.EphemeralStorage(size_in_gi_b=21),
        requires_compatibilities=("EC2", "FARGATE"),
        volumes=(shapes.Volume(name="v"),),
    )
    assert "FARGATE" in kinds(request)


@pytest.mark.parametrize(
    ("kind", "request_", "sentence"),
    [
        ("EXTERNAL", a_fargate_request(), "External launch type does not support network mode awsvpc."),
        ("MANAGED_INSTANCES", a_request(), "Managed instances only support the network modes awsvpc and host."),
        ("MANAGED_INSTANCES", a_request(network_mode="host"), "Managed instances require that 'cpu' and 'memory'"),
        ("MANAGED_INSTANCES", a_fargate_request(logging("syslog")), "Managed instances do not support log driver syslog."),
        ("EC2", a_request(a_container(resource_requirements=(shapes.ResourceRequirement(type="NeuronDevice", value="ALL"),))),
         "resourceRequirements of type NeuronDevice"),
    ],
)  # fmt: skip
def test_other_kinds_when_required_and_refused_then_the_sentence(kind, request_, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        kinds(replace(request_, requires_compatibilities=(kind,)))
    assert sentence in caught.value.message
