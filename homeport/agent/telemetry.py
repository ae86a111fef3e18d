"""Metrics and health of containers to the control plane, over the telemetry (TCS) websocket."""

import random
from collections.abc import Awaitable, Callable

from homeport.agent.backend import Backend
from homeport.agent.record import TaskBook
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.drivers.engine import Engine


class Telemetry:
    """Run both loops under a supervisor: `supervisor.keep("telemetry", telemetry.run)` and `…keep("stats", telemetry.sample)`."""

    def __init__(
        self,
        backend: Backend,
        book: TaskBook,
        engine: Engine,
        clock: Clock,
        rng: random.Random,
        config: AgentConfig,
        *,
        container_instance_arn: str,
        endpoint: Callable[[], Awaitable[str]],
    ) -> None:
        """`endpoint` gives the base URL for telemetry (`telemetryEndpoint` of DiscoverPollEndpoint)."""
        raise NotImplementedError

    async def run(self) -> None:
        """Connect, publish every `metrics_interval`, reconnect with backoff; never returns."""
        raise NotImplementedError

    async def sample(self) -> None:
        """Read every running container's counters once a second; never returns."""
        raise NotImplementedError
