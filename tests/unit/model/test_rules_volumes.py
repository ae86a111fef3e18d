"""Volumes and mount points."""

import pytest

from homeport.model.rules.volumes import check_volumes, filled_volumes, kind_of
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container, a_request

HOST = shapes.HostVolumeProperties


def volume(name="data", **more):
    return shapes.Volume(name=name, **more)


def docker(**more):
    return volume(docker_volume_configuration=shapes.DockerVolumeConfiguration(**more))


def efs(**more):
    return volume(efs_volume_configuration=shapes.EFSVolumeConfiguration(**{"file_system_id": "fs-1", **more}))


def mount(source="data", path="/data"):
    return shapes.MountPoint(source_volume=source, container_path=path)


@pytest.mark.parametrize(
    "one",
    [
        volume(),
        volume(host=HOST()),
        volume(host=HOST(source_path="/srv")),
        volume(host=HOST(source_path="C:\\data")),
        docker(),
        docker(scope="shared", autoprovision=True, driver="local"),
        docker(scope="task"),
        efs(root_directory="/", transit_encryption="ENABLED", transit_encryption_port=0),
        efs(transit_encryption="ENABLED", authorization_config=shapes.EFSAuthorizationConfig(access_point_id="fsap-1")),
        efs(authorization_config=shapes.EFSAuthorizationConfig(iam="DISABLED")),
        volume(host=HOST(), docker_volume_configuration=shapes.DockerVolumeConfiguration()),
        volume(configured_at_launch=True),
    ],
)
def test_volume_when_allowed_then_passes(one):
    check_volumes(a_request(a_container(mount_points=(mount(),)), volumes=(one,)))


@pytest.mark.parametrize(
    ("volumes", "sentence"),
    [
        ((volume(None),), "Volume.name should not be null or empty."),
        ((volume("a b"),), "Volume.name contains invalid characters."),
        ((volume(), volume()), "Duplicate volume name 'data'."),
        ((volume(host=HOST(source_path="/a"), docker_volume_configuration=shapes.DockerVolumeConfiguration()),),
         "Volume 'data' can have only one of host and dockerVolumeConfiguration."),
        ((docker(autoprovision=True),), "Invalid 'autoprovision' setting for volume 'data'."),
        ((docker(scope="task", autoprovision=False),), "Invalid 'autoprovision' setting for volume 'data'."),
        ((efs(file_system_id=""),), "Invalid 'fileSystemId' setting for volume 'data'."),
        ((efs(authorization_config=shapes.EFSAuthorizationConfig(iam="ENABLED")),), "Transit encryption must be enabled"),
        ((efs(transit_encryption="ENABLED", root_directory="/a",
              authorization_config=shapes.EFSAuthorizationConfig(access_point_id="fsap-1")),), "The root directory"),
        ((efs(transit_encryption_port=65_536),), "Invalid 'transitEncryptionPort' setting"),
        ((volume("a", configured_at_launch=True), volume("b", configured_at_launch=True)),
         "Only one volume can be configured at launch."),
        ((volume(s3files_volume_configuration=shapes.S3FilesVolumeConfiguration(file_system_arn="arn:x")),),
         "A task role is required for S3 Files volumes."),
    ],
)  # fmt: skip
def test_volume_when_not_allowed_then_refused_with_the_sentence(volumes, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        check_volumes(a_request(volumes=volumes))
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("mounts", "sentence"),
    [
        ((mount("other"),), "Unknown volume 'other'."),
        ((mount(None),), "Unknown volume 'null'."),
        ((mount(path=None),), "Invalid 'containerPath' setting for container 'app'."),
        ((mount(), mount()), "Duplicate mount point '/data' for container 'app'."),
    ],
)
def test_mount_point_when_not_allowed_then_refused_with_the_sentence(mounts, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        check_volumes(a_request(a_container(mount_points=mounts), volumes=(volume(),)))
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    ("one", "kind"),
    [(volume(), "host"), (volume(host=HOST()), "host"), (docker(), "docker_volume_configuration"),
     (efs(), "efs_volume_configuration"), (volume(configured_at_launch=True), "configured_at_launch"),
     (volume(configured_at_launch=False), "host"),
     (volume(host=HOST(), efs_volume_configuration=shapes.EFSVolumeConfiguration(file_system_id="fs-1")),
      "efs_volume_configuration")],
)  # fmt: skip
def test_kind_when_asked_then_what_the_volume_is(one, kind):
    assert kind_of(one) == kind


def test_filled_volumes_when_nothing_is_configured_then_host_and_others_stay():
    given = (volume("a"), volume("b", host=HOST(source_path="/b")), docker())
    assert filled_volumes(given) == (volume("a", host=HOST()), *given[1:])
    assert filled_volumes(None) == ()
