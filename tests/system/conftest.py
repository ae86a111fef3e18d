"""One running Homeport for all system tests that do not kill it."""

import gc

import pytest

from homeport.cli.demo_image import build_demo_image
from tests.system.images import TEST_IMAGE
from tests.system.live import Live


@pytest.fixture(autouse=True)
def _own_leaks():
    """What a test leaves open is found at its own end, not in a later test that cannot help it."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def test_image():
    build_demo_image(TEST_IMAGE)
    return TEST_IMAGE


@pytest.fixture(scope="module")
def live(tmp_path_factory, test_image):
    homeport = Live(tmp_path_factory.mktemp("homeport")).up()
    yield homeport
    homeport.down()
