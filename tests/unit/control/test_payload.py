"""Task definitions as agents get them: every row of the protocol's mapping table."""

import json

import pytest
from msgspec.structs import replace

from homeport.control.payload import Rendering, render_stop, render_task
from homeport.model.overrides import effective_definition
from homeport.model.status import DesiredStatus
from homeport.shapes import acs
from homeport.shapes import ecs as shapes
from tests.control_plane import a_container, a_definition, a_task

RENDERING = Rendering(region="eu-west-1")
CREDENTIALS = acs.RoleCredentials(
    credentials_id="c", role_arn="r", access_key_id="a", secret_access_key="s", session_token="t", expiration="e"
)


def rendered(definition, task=None, rendering=RENDERING):
    """The rendered task, by way of the wire."""
    task = task or a_task()
    return json.loads(_encode(render_task(task, effective_definition(definition, task.overrides), rendering)))


def _encode(message):
    import msgspec

    return msgspec.json.encode(message)


def container(rendering=RENDERING, mode=None, **fields):
    (one,) = rendered(a_definition(a_container(**fields), network_mode=mode), rendering=rendering)["containers"]
    return one


def host_config(**more):
    return json.loads(container(**more)["dockerConfig"]["hostConfig"])


def config(**more):
    return json.loads(container(**more)["dockerConfig"]["config"])


def test_container_when_minimal_then_explicit_defaults():
    one = container()
    assert one["containerArn"].startswith("arn:aws:ecs:us-east-1:123456789012:container/default/")
    del one["containerArn"]
    assert one == {
        "name": "main",
        "image": "busybox",
        "essential": True,
        "cpu": 0,
        "memory": 0,
        "environment": {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"},
        "overrides": "{}",
        "dockerConfig": {"config": "{}", "hostConfig": '{"NetworkMode":"bridge"}', "version": "1.24"},
    }


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"essential": False}, "essential", False),
        ({"cpu": 10}, "cpu", 10),
        ({"memory": 64}, "memory", 64),
        ({"command": ("a", "b")}, "command", ["a", "b"]),
        ({"entry_point": ("sh",)}, "entryPoint", ["sh"]),
        ({"links": ("db:database",)}, "links", ["db:database"]),
        ({"start_timeout": 5}, "startTimeout", 5),
        ({"stop_timeout": 6}, "stopTimeout", 6),
        (
            {"environment": (shapes.KeyValuePair(name="A", value="1"), shapes.KeyValuePair(name="A", value="2"))},
            "environment",
            {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "A": "2"},
        ),
        (
            {"mount_points": (shapes.MountPoint(source_volume="v", container_path="/v", read_only=True),)},
            "mountPoints",
            [{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}],
        ),
        (
            {"volumes_from": (shapes.VolumeFrom(source_container="a"),)},
            "volumesFrom",
            [{"sourceContainer": "a"}],
        ),
        (
            {"depends_on": (shapes.ContainerDependency(container_name="a", condition="HEALTHY"),)},
            "dependsOn",
            [{"containerName": "a", "condition": "HEALTHY"}],
        ),
        (
            {"restart_policy": shapes.ContainerRestartPolicy(enabled=True, ignored_exit_codes=(0, 3))},
            "restartPolicy",
            {"enabled": True, "ignoredExitCodes": [0, 3], "restartAttemptPeriod": 300},
        ),
        (
            {"port_mappings": (shapes.PortMapping(container_port=80),)},
            "portMappings",
            [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
        ),
        (
            {"port_mappings": (shapes.PortMapping(container_port=53, host_port=5353, protocol="udp"),)},
            "portMappings",
            [{"containerPort": 53, "hostPort": 5353, "protocol": "udp"}],
        ),
        (
            {"port_mappings": (shapes.PortMapping(container_port_range="7000-7003"),)},
            "portMappings",
            [{"containerPortRange": "7000-7003", "protocol": "tcp"}],
        ),
        ({"health_check": shapes.HealthCheck(command=("CMD", "true"))}, "healthCheckType", "docker"),
        (
            {"secrets": (shapes.Secret(name="S", value_from="/plain/name"),)},
            "secrets",
            [
                {
                    "name": "S",
                    "valueFrom": "/plain/name",
                    "region": "eu-west-1",
                    "provider": "ssm",
                    "type": "ENVIRONMENT_VARIABLE",
                    "target": "CONTAINER",
                }
            ],
        ),
    ],
)
def test_container_when_field_is_given_then_it_is_where_agents_look(given, name, expected):
    assert container(**given)[name] == expected


def test_port_when_host_mode_then_host_port_is_the_containers():
    mapping = container(mode="host", port_mappings=(shapes.PortMapping(container_port=80),))["portMappings"]
    assert mapping == [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"user": "1:2"}, {"User": "1:2"}),
        ({"working_directory": "/w"}, {"WorkingDir": "/w"}),
        ({"hostname": "h"}, {"Hostname": "h"}),
        ({"docker_labels": {"a": "b"}}, {"Labels": {"a": "b"}}),
        ({"pseudo_terminal": True}, {"Tty": True}),
        ({"interactive": True}, {"OpenStdin": True}),
        ({"disable_networking": True}, {"NetworkDisabled": True}),
        (
            {"health_check": shapes.HealthCheck(command=("CMD-SHELL", "x"), interval=7, retries=2, start_period=9)},
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "x"],
                    "Interval": 7_000_000_000,
                    "Timeout": 5_000_000_000,
                    "Retries": 2,
                    "StartPeriod": 9_000_000_000,
                }
            },
        ),
    ],
)
def test_config_when_field_is_given_then_dockers_own_spelling(given, expected):
    assert config(**given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"memory_reservation": 2}, {"MemoryReservation": 2 * 1024 * 1024}),
        ({"privileged": True}, {"Privileged": True}),
        ({"readonly_root_filesystem": True}, {"ReadonlyRootfs": True}),
        ({"dns_servers": ("1.1.1.1",)}, {"Dns": ["1.1.1.1"]}),
        ({"dns_search_domains": ("x.y",)}, {"DnsSearch": ["x.y"]}),
        ({"docker_security_options": ("no-new-privileges",)}, {"SecurityOpt": ["no-new-privileges"]}),
        (
            {"extra_hosts": (shapes.HostEntry(hostname="a", ip_address="10.0.0.1"),)},
            {"ExtraHosts": ["a:10.0.0.1"]},
        ),
        (
            {"ulimits": (shapes.Ulimit(name="nofile", soft_limit=1, hard_limit=2),)},
            {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]},
        ),
        (
            {"system_controls": (shapes.SystemControl(namespace="net.core.somaxconn", value="9"),)},
            {"Sysctls": {"net.core.somaxconn": "9"}},
        ),
        ({"log_configuration": None}, {}),
    ],
)
def test_host_config_when_field_is_given_then_dockers_own_spelling(given, expected):
    assert host_config(**given) == {"NetworkMode": "bridge"} | expected


@pytest.mark.parametrize(
    ("linux", "expected"),
    [
        (
            {"capabilities": shapes.KernelCapabilities(add=("NET_ADMIN",), drop=("ALL",))},
            {"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]},
        ),
        (
            {"devices": (shapes.Device(host_path="/dev/x"),)},
            {"Devices": [{"PathOnHost": "/dev/x", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]},
        ),
        (
            {"devices": (shapes.Device(host_path="/dev/x", container_path="/dev/y", permissions=("read", "mknod")),)},
            {"Devices": [{"PathOnHost": "/dev/x", "PathInContainer": "/dev/y", "CgroupPermissions": "rm"}]},
        ),
        ({"init_process_enabled": True}, {"Init": True}),
        ({"shared_memory_size": 3}, {"ShmSize": 3 * 1024 * 1024}),
        (
            {"tmpfs": (shapes.Tmpfs(container_path="/t", size=64, mount_options=("noexec",)),)},
            {"Tmpfs": {"/t": "size=64m,noexec"}},
        ),
        ({"max_swap": 10}, {"MemorySwap": 74 * 1024 * 1024}),
        ({"max_swap": 0}, {"MemorySwap": 64 * 1024 * 1024}),
        ({"max_swap": 10, "swappiness": 60}, {"MemorySwap": 74 * 1024 * 1024, "MemorySwappiness": 60}),
        ({"swappiness": 60}, {}),
    ],
)
def test_linux_parameters_when_given_then_host_config(linux, expected):
    given = host_config(memory=64, linux_parameters=shapes.LinuxParameters(**linux))
    assert given == {"NetworkMode": "bridge"} | expected


def test_max_swap_when_no_hard_limit_then_nothing_to_add_it_to():
    assert "MemorySwap" not in host_config(linux_parameters=shapes.LinuxParameters(max_swap=10))


@pytest.mark.parametrize(
    ("driver", "options", "rendering", "expected"),
    [
        ("json-file", None, RENDERING, {"mode": "non-blocking", "max-buffer-size": "10m"}),
        ("json-file", {"mode": "blocking"}, RENDERING, {"mode": "blocking"}),
        ("syslog", None, replace(RENDERING, log_mode="blocking"), {"mode": "blocking"}),
        (
            "json-file",
            {"mode": "non-blocking", "max-buffer-size": "1m"},
            RENDERING,
            {"mode": "non-blocking", "max-buffer-size": "1m"},
        ),
        (
            "awslogs",
            {"awslogs-group": "g", "awslogs-stream-prefix": "p", "mode": "blocking"},
            replace(RENDERING, logs_endpoint="http://h:1"),
            {
                "awslogs-group": "g",
                "awslogs-stream": f"p/main/{1:032x}",
                "awslogs-region": "eu-west-1",
                "awslogs-endpoint": "http://h:1",
                "mode": "blocking",
            },
        ),
        (
            "awslogs",
            {"awslogs-group": "g", "awslogs-region": "x", "awslogs-endpoint": "http://e", "mode": "blocking"},
            replace(RENDERING, logs_endpoint="http://h:1"),
            {"awslogs-group": "g", "awslogs-region": "x", "awslogs-endpoint": "http://e", "mode": "blocking"},
        ),
    ],
)
def test_log_configuration_when_given_then_complete_for_the_driver(driver, options, rendering, expected):
    logs = shapes.LogConfiguration(log_driver=driver, options=options)
    given = host_config(log_configuration=logs, rendering=rendering)
    assert given["LogConfig"] == {"Type": driver, "Config": expected}


def test_awslogs_when_execution_role_then_its_credentials_are_used():
    logs = shapes.LogConfiguration(log_driver="awslogs", options={"awslogs-group": "g"})
    with_role = replace(RENDERING, execution_role_credentials=CREDENTIALS)
    assert container(log_configuration=logs, rendering=with_role)["logsAuthStrategy"] == "ExecutionRole"
    assert "logsAuthStrategy" not in container(log_configuration=logs)
    assert "logsAuthStrategy" not in container(rendering=with_role)


def test_secrets_when_by_arn_then_provider_and_region_of_the_arn():
    arn = "arn:aws:secretsmanager:us-west-2:1:secret:name-abc:key::"
    logs = shapes.LogConfiguration(
        log_driver="splunk", secret_options=(shapes.Secret(name="splunk-token", value_from=arn),)
    )
    (secret,) = container(log_configuration=logs)["secrets"]
    assert secret == {
        "name": "splunk-token",
        "valueFrom": arn,
        "region": "us-west-2",
        "provider": "asm",
        "type": "BOOTSTRAP",
        "target": "LOG_DRIVER",
    }


def test_repository_credentials_when_given_then_read_by_the_agent():
    arn = "arn:aws:secretsmanager:us-west-2:1:secret:name-abc"
    one = container(repository_credentials=shapes.RepositoryCredentials(credentials_parameter=arn))
    assert one["registryAuthentication"] == {
        "type": "asm",
        "asmAuthData": {"credentialsParameter": arn, "region": "us-west-2"},
    }


@pytest.mark.parametrize("mode", ["bridge", "host", "none"])
def test_network_mode_when_given_then_on_task_and_in_every_container(mode):
    task = rendered(a_definition(a_container("a"), a_container("b"), network_mode=mode))
    assert task["networkMode"] == mode
    modes = [json.loads(one["dockerConfig"]["hostConfig"])["NetworkMode"] for one in task["containers"]]
    assert modes == [mode, mode]


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (shapes.Volume(name="v"), {"name": "v", "type": "host", "host": {}}),
        (
            shapes.Volume(name="v", host=shapes.HostVolumeProperties(source_path="/p")),
            {"name": "v", "type": "host", "host": {"sourcePath": "/p"}},
        ),
        (
            shapes.Volume(name="v", docker_volume_configuration=shapes.DockerVolumeConfiguration()),
            {"name": "v", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}},
        ),
        (
            shapes.Volume(
                name="v",
                docker_volume_configuration=shapes.DockerVolumeConfiguration(
                    scope="shared", autoprovision=True, driver="d", driver_opts={"a": "b"}, labels={"c": "d"}
                ),
            ),
            {
                "name": "v",
                "type": "docker",
                "dockerVolumeConfiguration": {
                    "scope": "shared",
                    "autoprovision": True,
                    "driver": "d",
                    "driverOpts": {"a": "b"},
                    "labels": {"c": "d"},
                },
            },
        ),
    ],
)
def test_volume_when_given_then_as_agents_have_it(volume, expected):
    assert rendered(a_definition(volumes=(volume,)))["volumes"] == [expected]


def test_task_when_sized_then_vcpus_and_mebibytes():
    task = rendered(a_definition(cpu="256", memory="512", pid_mode="task", ipc_mode="host"))
    assert (task["cpu"], task["memory"], task["pidMode"], task["ipcMode"]) == (0.25, 512, "task", "host")
    assert (task["family"], task["version"], task["desiredStatus"]) == ("web", "1", "RUNNING")
    assert "cpu" not in rendered(a_definition())


def test_overrides_when_given_then_merged_and_none_are_left_to_the_agent():
    override = shapes.ContainerOverride(
        name="main",
        command=("x",),
        environment=(shapes.KeyValuePair(name="B", value="2"),),
        cpu=7,
        memory=128,
        memory_reservation=1,
    )
    task = a_task(overrides=shapes.TaskOverride(container_overrides=(override,), cpu="512", memory="1024"))
    environment = (shapes.KeyValuePair(name="A", value="1"), shapes.KeyValuePair(name="B", value="1"))
    given = rendered(a_definition(a_container(command=("y",), environment=environment), cpu="256"), task)
    (one,) = given["containers"]
    assert (given["cpu"], given["memory"], given["overrides"], one["overrides"]) == (0.5, 1024, "{}", "{}")
    assert (one["command"], one["cpu"], one["memory"]) == (["x"], 7, 128)
    assert one["environment"] == {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", "A": "1", "B": "2"}
    assert json.loads(one["dockerConfig"]["hostConfig"])["MemoryReservation"] == 1024 * 1024


def test_gpus_when_given_to_containers_then_associations():
    task = a_task()
    task = replace(task, containers=(replace(task.containers[0], gpu_ids=("g0", "g1")),))
    assert rendered(a_definition(), task)["associations"] == [
        {"name": "g0", "type": "gpu", "containers": ["main"]},
        {"name": "g1", "type": "gpu", "containers": ["main"]},
    ]


def test_stop_when_rendered_then_only_arn_and_status():
    task = replace(a_task(), desired_status=DesiredStatus.STOPPED)
    assert json.loads(_encode(render_stop(task))) == {
        "arn": task.arn,
        "desiredStatus": "STOPPED",
        "overrides": "{}",
    }
