"""Images for tests with a real engine: `python tests/system/images.py` makes them by hand."""

import asyncio

from homeport.base.clock import SystemClock
from homeport.cli.demo_image import build_demo_image

TEST_IMAGE = "homeport/test-busybox:latest"
DOCKER_HOST = "unix:///var/run/docker.sock"


async def build_test_image(docker_host: str = DOCKER_HOST) -> str:
    """BusyBox with all its applets; returns the image's name. Repeatable."""
    return await build_demo_image(docker_host, SystemClock(), TEST_IMAGE)


if __name__ == "__main__":
    print(asyncio.run(build_test_image()))
