"""One running Homeport for all system tests that do not kill it."""

import pytest

from homeport.cli.demo_image import build_demo_image
from tests.system.images import TEST_IMAGE
from tests.system.live import Live


@pytest.fixture(scope="session")
def test_image():
    build_demo_image(TEST_IMAGE)
    return TEST_IMAGE


@pytest.fixture(scope="module")
def live(tmp_path_factory, test_image):
    homeport = Live(tmp_path_factory.mktemp("homeport")).up()
    yield homeport
    homeport.down()
