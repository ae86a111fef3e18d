"""Settings of one container."""

import pytest

from homeport.model.rules.containers import SECRETS_NEED_ROLE, check_container
from homeport.model.rules.logging import check_log_routing
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container

ROLE = "arn:aws:iam::123456789012:role/execution"


def health(command=("CMD-SHELL", "true"), **more):
    return {"health_check": shapes.HealthCheck(command=command, **more)}


def restart(**more):
    return {"restart_policy": shapes.ContainerRestartPolicy(enabled=True, **more)}


def limit(soft, hard, name="nofile"):
    return shapes.Ulimit(name=name, soft_limit=soft, hard_limit=hard)


def linux(**more):
    return {"linux_parameters": shapes.LinuxParameters(**more)}


def logs(driver, secret_options=None, **options):
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return {
        "log_configuration": shapes.LogConfiguration(log_driver=driver, options=named, secret_options=secret_options)
    }


def env_file(value):
    return shapes.EnvironmentFile(value=value, type="s3")


def tmpfs(path="/run", size=16, options=()):
    return linux(tmpfs=(shapes.Tmpfs(container_path=path, size=size, mount_options=options),))


def need(kind, value=None, sharing=None):
    return {"resource_requirements": (shapes.ResourceRequirement(type=kind, value=value, sharing_strategy=sharing),)}


@pytest.mark.parametrize(
    "settings",
    [
        health(),
        health(("CMD", "curl", "-f"), interval=5, timeout=2, retries=1, start_period=0),
        health(interval=300, timeout=60, retries=10, start_period=300),
        health(("echo test",)),
        restart(),
        restart(restart_attempt_period=60, ignored_exit_codes=tuple(range(50))),
        restart(restart_attempt_period=1800),
        {"start_timeout": 2, "stop_timeout": 0},
        {"start_timeout": 600, "stop_timeout": 3600},
        {"ulimits": (limit(1, 2), limit(-1, -1, "core"), limit(5, -1, "nproc"))},
        {"environment": (shapes.KeyValuePair(name="A", value=""), shapes.KeyValuePair(name="A"))},
        {"environment_files": tuple(env_file(f"arn:aws:s3:::bucket/{n}.env") for n in range(10))},
        linux(swappiness=0, max_swap=0, shared_memory_size=1, init_process_enabled=True),
        linux(capabilities=shapes.KernelCapabilities(add=("SYS_PTRACE", "CAP_NET_ADMIN"), drop=("ALL",))),
        linux(devices=(shapes.Device(host_path="/dev/null"),)),
        tmpfs(options=("rw", "noexec", "mode=1777", "uid=1000")),
        need("GPU", "2"),
        need("GPU", "ALL"),
        need("GPU", sharing="NVIDIA_MPS") if "NVIDIA_MPS" in str(shapes.SharingStrategy) else need("GPU", "1"),
        need("NeuronDevice", "ALL"),
        need("InferenceAccelerator", "device1"),
        logs("json-file"),
        logs("awslogs", awslogs_group="g", awslogs_region="us-east-1", mode="non-blocking"),
        logs("splunk", (shapes.Secret(name="splunk-token", value_from="t"),), splunk_url="https://splunk"),
        {"secrets": (shapes.Secret(name="A", value_from="parameter"),)},
        {"extra_hosts": (shapes.HostEntry(hostname="a", ip_address="10.0.0.1"),)},
    ],
)
def test_container_when_allowed_then_passes(settings):
    check_container(a_container(**settings), ROLE)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (health(()), "Invalid 'healthCheck.command' setting"),
        (health(("CMD-SHELL",)), "Invalid 'healthCheck.command' setting"),
        (health(interval=4), "Invalid 'healthCheck.interval' setting for container 'app'. The value must be between 5 and 300."),
        (health(interval=301), "Invalid 'healthCheck.interval' setting"),
        (health(timeout=1), "Invalid 'healthCheck.timeout' setting for container 'app'. The value must be between 2 and 60."),
        (health(timeout=61), "Invalid 'healthCheck.timeout' setting"),
        (health(retries=0), "Invalid 'healthCheck.retries' setting for container 'app'. The value must be between 1 and 10."),
        (health(retries=11), "Invalid 'healthCheck.retries' setting"),
        (health(start_period=-1), "Invalid 'healthCheck.startPeriod' setting"),
        (health(start_period=301), "Invalid 'healthCheck.startPeriod' setting"),
        (restart(restart_attempt_period=59), "Invalid 'restartPolicy.restartAttemptPeriod' setting"),
        (restart(restart_attempt_period=1801), "Invalid 'restartPolicy.restartAttemptPeriod' setting"),
        (restart(ignored_exit_codes=tuple(range(51))), "Invalid 'restartPolicy.ignoredExitCodes' setting"),
        ({"start_timeout": 1}, "Invalid 'startTimeout' setting"),
        ({"stop_timeout": -1}, "Invalid 'stopTimeout' setting"),
        ({"ulimits": (limit(3, 2),)}, "The soft limit of 'nofile' is greater than its hard limit."),
        ({"ulimits": (limit(-1, 2),)}, "The soft limit of 'nofile' is greater than its hard limit."),
        ({"ulimits": (limit(-2, 2),)}, "The limit 'nofile' cannot be negative."),
        ({"ulimits": (limit(1, 2), limit(1, 2))}, "The limit 'nofile' is set more than once."),
        ({"environment": (shapes.KeyValuePair(value="x"),)}, "Invalid 'environment' setting"),
        ({"environment_files": tuple(env_file(f"arn:aws:s3:::b/{n}.env") for n in range(11))}, "At most 10 files"),
        ({"environment_files": (env_file("s3://b/a.env"),)}, "Invalid 'environmentFiles' setting"),
        ({"environment_files": (env_file("arn:aws:s3:::b/a.txt"),)}, "Invalid 'environmentFiles' setting"),
        (linux(swappiness=101), "Invalid 'linuxParameters.swappiness' setting"),
        (linux(swappiness=-1), "Invalid 'linuxParameters.swappiness' setting"),
        (linux(max_swap=-1), "Invalid 'linuxParameters.maxSwap' setting"),
        ({**linux(max_swap=1), "memory": None, "memory_reservation": 64}, "'memory' must be specified for the container."),
        (linux(shared_memory_size=0), "Invalid 'linuxParameters.sharedMemorySize' setting"),
        (linux(capabilities=shapes.KernelCapabilities(add=("FLY",))), "Unknown capability 'FLY'."),
        (linux(devices=(shapes.Device(host_path="dev"),)), "'hostPath' must be an absolute path."),
        (tmpfs(path="run"), "Invalid 'linuxParameters.tmpfs' setting"),
        (tmpfs(size=0), "Invalid 'linuxParameters.tmpfs' setting"),
        (tmpfs(options=("fast",)), "Unknown mount option 'fast'."),
        (need("GPU"), "Specify either a value or a sharing strategy for 'GPU'."),
        (need("GPU", "0"), "The value of 'GPU' must be a positive number or ALL."),
        (need("GPU", "many"), "The value of 'GPU' must be a positive number or ALL."),
        (need("NeuronDevice", "1"), "The value of 'NeuronDevice' must be ALL."),
        (need("InferenceAccelerator"), "Invalid 'resourceRequirements' setting"),
        (logs("awslogs"), "Log driver awslogs requires options: awslogs-group, awslogs-region."),
        (logs("awslogs", awslogs_group="g"), "Log driver awslogs requires options: awslogs-region."),
        (logs("splunk", splunk_url="u"), "Log driver splunk requires options: splunk-token."),
        (logs("json-file", mode="fast"), "Invalid log option 'mode' for container 'app'."),
        ({"secrets": (shapes.Secret(name="", value_from="p"),)}, "Invalid 'secrets' setting"),
        ({"secrets": (shapes.Secret(name="A", value_from="p"),) * 2}, "The secret name must be unique"),
        ({"secrets": (shapes.Secret(name="A", value_from="p"),), "environment": (shapes.KeyValuePair(name="A"),)},
         "The secret name must be unique"),
        ({"system_controls": (shapes.SystemControl(namespace="net.core.somaxconn"),)}, "Invalid 'systemControls' setting"),
        ({"credential_specs": ("a", "b")}, "Invalid 'credentialSpecs' setting"),
        ({"extra_hosts": (shapes.HostEntry(hostname="", ip_address="1"),)}, "Invalid 'extraHosts' setting"),
    ],
)  # fmt: skip
def test_container_when_not_allowed_then_refused_with_the_sentence(settings, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        check_container(a_container(**settings), ROLE)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    "settings",
    [
        {"secrets": (shapes.Secret(name="A", value_from="p"),)},
        logs("splunk", (shapes.Secret(name="splunk-token", value_from="t"),), splunk_url="u"),
    ],
)
def test_secrets_when_no_execution_role_then_the_sentence_of_ecs(settings):
    with pytest.raises(shapes.ClientException) as caught:
        check_container(a_container(**settings), None)
    assert caught.value.message == SECRETS_NEED_ROLE


def test_log_routing_when_checked_then_one_router_wherever_it_is_used():
    router = a_container("router", firelens_configuration=shapes.FirelensConfiguration(type="fluentbit"))
    user = a_container("app", **logs("awsfirelens"))
    check_log_routing((router, user))
    check_log_routing((a_container(),))
    with pytest.raises(shapes.ClientException, match="one container must have a FireLens configuration"):
        check_log_routing((user,))
    with pytest.raises(shapes.ClientException, match="At most one container"):
        check_log_routing((router, router))
