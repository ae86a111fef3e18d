"""Containers of the payload as Docker's create bodies."""

import json

import pytest
from msgspec.structs import replace

from homeport.agent.accept import new_record, refuse
from homeport.agent.docker_config import Surroundings, container_body, overlaid
from homeport.agent.volumes import docker_name, plan_volume, volumes_to_provision
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs
from tests.unit.agent.scripted import a_container, a_task

AROUND = Surroundings(agent_id="a1", cluster="default", region="eu-west-1")
CREDENTIALS = acs.RoleCredentials(
    credentials_id="cred-1", role_arn="arn", access_key_id="A", secret_access_key="S", session_token="T", expiration="E"
)


def body_of(*containers: acs.Container, name: str = "main", ports: tuple[PortBinding, ...] = (), **fields):
    task = new_record(a_task(1, *containers, **fields), 0.0, endpoint_seed="seed", task_limits=False)
    return container_body(task, task.container(name), ports, AROUND)


def env_of(body) -> dict[str, str]:
    return dict(line.split("=", 1) for line in body["Env"])


def test_payload_fields_become_docker_fields() -> None:
    body = body_of(a_container(command=("a", "b"), entry_point=("sh",), cpu=0, memory=2, environment={"X": "1"}))
    assert (body["Image"], body["Cmd"], body["Entrypoint"]) == ("main:latest", ["a", "b"], ["sh"])
    assert (body["HostConfig"]["CpuShares"], body["HostConfig"]["Memory"]) == (2, 4 * 1024 * 1024)
    assert body["HostConfig"]["NetworkMode"] == "bridge"
    assert env_of(body)["X"] == "1"


def test_image_defaults_stay_when_the_payload_says_nothing() -> None:
    body = body_of(a_container())
    assert not {"Cmd", "Entrypoint", "ExposedPorts"} & set(body)
    assert "Memory" not in body["HostConfig"]


def test_ecs_variables_are_injected() -> None:
    env = env_of(body_of(a_container(), role_credentials=CREDENTIALS))
    endpoint = env["ECS_CONTAINER_METADATA_URI_V4"].rsplit("/", 1)[1]
    assert env["ECS_CONTAINER_METADATA_URI"] == f"http://169.254.170.2/v3/{endpoint}"
    assert env["ECS_AGENT_URI"] == f"http://169.254.170.2/api/{endpoint}"
    assert env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] == "/v2/credentials/cred-1"
    assert (env["AWS_REGION"], env["AWS_DEFAULT_REGION"]) == ("eu-west-1", "eu-west-1")


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_region_of_the_task_definition_wins(name) -> None:
    env = env_of(body_of(a_container(environment={name: "xx"})))
    assert {key: env[key] for key in ("AWS_REGION", "AWS_DEFAULT_REGION") if key in env} == {name: "xx"}


def test_docker_config_is_laid_over() -> None:
    config = acs.DockerConfig(
        config=json.dumps({"User": "nobody", "Labels": {"a": "b"}}),
        host_config=json.dumps({"CapAdd": ["NET_ADMIN"], "NetworkMode": "host", "Memory": None}),
    )
    body = body_of(a_container(memory=64, docker_config=config))
    assert body["User"] == "nobody"
    assert body["Labels"]["a"] == "b"
    assert body["Labels"]["com.amazonaws.ecs.container-name"] == "main"
    assert body["HostConfig"]["CapAdd"] == ["NET_ADMIN"]
    assert body["HostConfig"]["Memory"] == 64 * 1024 * 1024


def test_ports_are_published_except_on_the_host_network() -> None:
    ports = (PortBinding(host_ip="0.0.0.0", host_port=32768, container_port=80, protocol="tcp"),)
    body = body_of(a_container(), ports=ports)
    assert body["ExposedPorts"] == {"80/tcp": {}}
    assert body["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "32768"}]}
    body = body_of(a_container(), ports=ports, network_mode="host")
    assert "PortBindings" not in body["HostConfig"]


def test_siblings_go_by_their_docker_names() -> None:
    body = body_of(
        a_container("db"),
        a_container(links=("db:d", "db"), volumes_from=(acs.VolumeFrom(source_container="db", read_only=True),)),
    )
    name = docker_name(a_task(1), "db")
    assert body["HostConfig"]["Links"] == [f"{name}:d", f"{name}:db"]
    assert body["HostConfig"]["VolumesFrom"] == [f"{name}:ro"]
    assert name.startswith("ecs-web-3-db-")
    assert len(name.rsplit("-", 1)[1]) == 20


def test_volumes_of_every_kind() -> None:
    volumes = (
        acs.Volume(name="bind", host=acs.HostVolume(source_path="/srv")),
        acs.Volume(name="scratch", host=acs.HostVolume()),
        acs.Volume(name="own", type="docker", docker_volume_configuration=acs.DockerVolume(driver="local")),
        acs.Volume(
            name="common",
            type="docker",
            docker_volume_configuration=acs.DockerVolume(scope="shared", autoprovision=True),
        ),
        acs.Volume(name="unused", host=acs.HostVolume()),
    )
    mounts = tuple(
        acs.MountPoint(source_volume=volume.name, container_path=f"/{volume.name}", read_only=volume.name == "bind")
        for volume in volumes[:4]
    )
    task = a_task(1, a_container(mount_points=mounts), volumes=volumes)
    assert volumes_to_provision(task) == ("scratch", "own", "common")
    plans = {volume.name: plan_volume(task, volume) for volume in volumes}
    assert plans["bind"] is None
    assert (plans["scratch"].is_task_scoped, plans["own"].is_task_scoped, plans["common"].is_task_scoped) == (
        True,
        True,
        False,
    )
    assert plans["common"].docker_name == "common"
    binds = body_of(a_container(mount_points=mounts), volumes=volumes)["HostConfig"]["Binds"]
    assert binds == [
        "/srv:/bind:ro",
        f"{docker_name(task, 'scratch')}:/scratch",
        f"{docker_name(task, 'own')}:/own",
        "common:/common",
    ]


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (a_container(docker_config=acs.DockerConfig(config="{")), "DockerClientConfigError: "),
        (a_container(docker_config=acs.DockerConfig(host_config="[]")), "HostConfigError: "),
        (a_container(health_check_type="docker"), "DockerClientConfigError: "),
        (a_container(mount_points=(acs.MountPoint(source_volume="no", container_path="/"),)), "HostConfigError: "),
    ],
)
def test_what_cannot_be_expressed_is_a_reason(container, reason) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        body_of(container)


def test_task_level_settings_apply_to_every_container() -> None:
    task = new_record(a_task(1, pid_mode="host", ipc_mode="none"), 0.0, endpoint_seed="s", task_limits=True)
    task = replace(task, cgroup_parent="/ecs/1")
    host = container_body(task, task.containers[0], (), AROUND)["HostConfig"]
    assert (host["CgroupParent"], host["PidMode"], host["IpcMode"]) == ("/ecs/1", "host", "none")


def test_gpus_are_requested_for_their_containers() -> None:
    gpus = (acs.Association(name="GPU-1", type="gpu", containers=("main",)),)
    host = body_of(a_container(), associations=gpus)["HostConfig"]
    assert host["DeviceRequests"] == [{"DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (a_task(1, network_mode="awsvpc"), "network mode awsvpc"),
        (a_task(1, pid_mode="task"), "pidMode"),
        (a_task(1, a_container(secrets=({"name": "S"},))), "secrets"),
        (a_task(1, a_container(memory=64), memory=32), "memory"),
        (a_task(1, volumes=(acs.Volume(name="v", type="efs"),)), "volume type efs"),
        (a_task(1, volumes=(acs.Volume(name="v"),)), "no host object"),
        (a_task(1, containers=None), "no containers"),
        (a_task(1), None),
    ],
)
def test_task_this_agent_cannot_run_is_refused_with_a_reason(task, text) -> None:
    reason = refuse(task)
    assert (text is None and reason is None) or text in reason


def test_secret_keys_are_not_in_the_record() -> None:
    record = new_record(a_task(1, role_credentials=CREDENTIALS), 0.0, endpoint_seed="s", task_limits=False)
    assert record.spec.role_credentials is None
    assert record.credentials_id == "cred-1"


def test_overlay_merges_objects_and_replaces_the_rest() -> None:
    assert overlaid({"a": {"b": 1}, "c": [1], "d": 1}, {"a": {"e": 2}, "c": [2], "d": None}) == {
        "a": {"b": 1, "e": 2},
        "c": [2],
        "d": 1,
    }


def test_environment_when_the_agent_is_not_on_port_80_then_credentials_have_their_full_address():
    around = replace(AROUND, endpoint="http://169.254.170.2:40001")
    task = new_record(
        a_task(1, a_container(), role_credentials=CREDENTIALS), 0.0, endpoint_seed="seed", task_limits=False
    )
    env = env_of(container_body(task, task.containers[0], (), around))
    assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://169.254.170.2:40001/v2/credentials/cred-1"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in env
