"""Names of families, containers, images, volumes, ports and clusters."""

import pytest

from homeport.model.rules import names
from homeport.shapes import ecs as shapes

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 255])
def test_name_when_allowed_then_passes_everywhere(name):
    names.check_family(name)
    names.check_cluster_name(name)
    assert names.check_container_name(name) == name
    assert names.check_volume_name(name) == name


@pytest.mark.parametrize("name", ["x" * 256, "a b", "a/b", "ä", "a.b", "a\n", "a:1"])
def test_name_when_malformed_then_refused_everywhere(name):
    with pytest.raises(shapes.ClientException, match=r"Family contains invalid characters\."):
        names.check_family(name)
    with pytest.raises(shapes.ClientException, match=r"Container\.name contains invalid characters\."):
        names.check_container_name(name)
    with pytest.raises(shapes.ClientException, match=r"Volume\.name contains invalid characters\."):
        names.check_volume_name(name)
    with pytest.raises(shapes.InvalidParameterException, match="Cluster must match"):
        names.check_cluster_name(name)


@pytest.mark.parametrize("name", [None, ""])
def test_container_name_when_missing_then_says_so(name):
    with pytest.raises(shapes.ClientException, match=r"Container\.name should not be null or empty\."):
        names.check_container_name(name)


@pytest.mark.parametrize(
    "image",
    [
        "busybox",
        "busybox:1.36",
        "quay.io/a/b_c-d:x.y",
        "localhost:5000/a#b",
        f"busybox@{DIGEST}",
        f"r.io/a:1@{DIGEST}",
        "x" * 255,
        f"{'x' * 255}@{DIGEST}",
    ],
)
def test_image_when_allowed_then_passes(image):
    names.check_image(image)


@pytest.mark.parametrize(
    "image", ["a b", "x" * 256, "a@sha256:12", "a@md5:" + "a" * 64, f"@{DIGEST}", "a;b", f"a@{DIGEST}0", "a\n"]
)
def test_image_when_malformed_then_refused(image):
    with pytest.raises(shapes.ClientException, match=r"Container\.image contains invalid characters\."):
        names.check_image(image)


@pytest.mark.parametrize("image", [None, ""])
def test_image_when_missing_then_says_so(image):
    with pytest.raises(shapes.ClientException, match=r"Container\.image should not be null or empty\."):
        names.check_image(image)


@pytest.mark.parametrize(("name", "is_allowed"), [("http", True), ("a-b_9", True), ("x" * 64, True), ("_a", True),
                                                   ("-a", False), ("A", False), ("x" * 65, False), ("", False)])  # fmt: skip
def test_port_name_when_checked_then_small_letters_and_no_leading_hyphen(name, is_allowed):
    if is_allowed:
        names.check_port_name("app", name)
    else:
        with pytest.raises(shapes.ClientException):
            names.check_port_name("app", name)
