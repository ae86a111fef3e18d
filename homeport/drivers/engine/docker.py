"""Docker Engine over its HTTP API."""

from homeport.base.clock import Clock


class DockerEngine:
    """`Engine` on a Docker daemon. Make it inside a running event loop; `close` it."""

    def __init__(self, docker_host: str, clock: Clock, *, cpu_count: int = 2) -> None:
        raise NotImplementedError
