"""What an agent offers on its own host: the task endpoint, introspection, the log intake. Composition only.

endpoints = Endpoints(config, clock, ids, backend, credentials, endpoint_seed=agent.identity.endpoint_seed)
Agent(..., credentials=credentials, serve=endpoints.serve, log_config=endpoints.log_config)
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from homeport.agent.backend import Backend
from homeport.agent.credentials import Credentials
from homeport.agent.dns import DnsServer, HostResolvers
from homeport.agent.docker_stats import StatsReader
from homeport.agent.introspection import introspection_app
from homeport.agent.listen import serve_app, serve_task_endpoint, with_address
from homeport.agent.log_forwarder import LogForwarder, LogsBackend
from homeport.agent.log_intake import LogIntake, load_or_create_id
from homeport.agent.log_options import docker_log_options
from homeport.agent.log_spool import LogSpool
from homeport.agent.looking import Host
from homeport.agent.metadata import Metadata
from homeport.agent.protection import Protection
from homeport.agent.record import ContainerRecord, TaskRecord
from homeport.agent.task_server import task_app
from homeport.base.clock import Clock
from homeport.base.config import AgentConfig
from homeport.base.ids import Ids
from homeport.base.listening import LOG_INTAKE
from homeport.drivers.engine import Engine


class FullBackend(Backend, LogsBackend, Protocol):
    """Calls of both services."""


class ServedHost(Host, Protocol):
    @property
    def engine(self) -> Engine: ...


class Endpoints:
    """Keeps its spool and its secret below `config.data_dir`. One call of `serve` at a time."""

    def __init__(
        self,
        config: AgentConfig,
        clock: Clock,
        ids: Ids,
        backend: FullBackend,
        credentials: Credentials,
    ) -> None:
        self._config = config
        self._clock = clock
        self._ids = ids
        self._backend = backend
        self._credentials = credentials
        self._dns = _dns_server(config, clock)
        self._intake_id = load_or_create_id(config.data_dir / "log-spool" / "intake-id", ids)

    def log_config(
        self, _task: TaskRecord, _container: ContainerRecord, config: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Docker's LogConfig of a container, with `awslogs` pointed at the intake."""
        driver, options = config.get("Type", ""), config.get("Config") or {}
        return {**config, "Config": docker_log_options(driver, options, self._config, self._intake_id)}

    def dns_servers(self) -> tuple[str, ...]:
        """Resolvers for containers that share the bridge; none: the engine's own choice stands."""
        return self._dns.for_containers() if self._dns is not None else ()

    async def serve(self, host: ServedHost) -> None:
        """All endpoints, until cancelled. A port that is taken is tried again; the others work meanwhile."""
        config, clock = self._config, self._clock
        metadata = Metadata(host, self._backend, StatsReader(host.engine, clock), config.cluster)
        protection = Protection(host, self._backend, self._credentials, config.cluster)
        tasks = task_app(host, self._credentials, metadata, protection, clock)
        spool = LogSpool(config.data_dir / "log-spool")
        forwarder = LogForwarder(spool, self._backend, clock, self._ids.rng())
        intake = LogIntake(spool, forwarder, self._backend, clock, self._intake_id)
        forwarder.wake()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(serve_app(intake.app(), LOG_INTAKE, "127.0.0.1", config.log_intake_port, clock))
                group.create_task(forwarder.run())
                group.create_task(intake.keep_synced())
                if self._dns is not None:
                    group.create_task(self._dns.serve())
                group.create_task(
                    serve_task_endpoint(tasks, config.task_endpoint_address, config.task_endpoint_port, clock)
                )
                group.create_task(
                    serve_app(
                        introspection_app(host, config.cluster),
                        "introspection",
                        "127.0.0.1",
                        config.introspection_port,
                        clock,
                    )
                )
        finally:
            spool.close()


def _dns_server(config: AgentConfig, clock: Clock) -> DnsServer | None:
    if config.dns_address is None:
        return None
    resolvers = HostResolvers(config.resolv_conf)
    return DnsServer(config.dns_address, config.dns_port, clock, resolvers, add_address=with_address)
