"""Images for tests with a real engine: `python tests/system/images.py` makes them by hand."""

from homeport.cli.demo_image import DEFAULT_DOCKER_HOST, build_demo_image, ensure_image

TEST_IMAGE = "homeport/test-busybox:latest"
DOCKER_HOST = DEFAULT_DOCKER_HOST


async def build_test_image(docker_host: str = DOCKER_HOST) -> str:
    """BusyBox with all its applets; returns the image's name. Repeatable."""
    return await ensure_image(TEST_IMAGE, docker_host)


if __name__ == "__main__":
    print(build_demo_image(TEST_IMAGE))
