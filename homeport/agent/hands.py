"""What the agent does to its host: each action of `lifecycle` as calls to the engine, its outcome as a change of the record.

An outcome is a function from record to record, because other things may have happened to the task meanwhile.
`Transient` passes through: the worker tries again. Everything here can be repeated: names are functions of the task.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from homeport.agent import lifecycle
from homeport.agent.cgroup import CgroupFailed, Cgroups
from homeport.agent.docker_config import Surroundings, container_body
from homeport.agent.images import Images, PullFailed
from homeport.agent.ports import PortAllocator, PortsExhausted
from homeport.agent.record import ContainerRecord, ContainerStatus, TaskRecord
from homeport.agent.volumes import find_volume, plan_volume
from homeport.base.clock import Clock
from homeport.base.errors import NotFound, Permanent
from homeport.drivers.engine import ContainerState, Engine, PortBinding, TimedOut

Change = Callable[[TaskRecord], TaskRecord]
LogConfig = Callable[[TaskRecord, ContainerRecord, Mapping[str, Any]], Mapping[str, Any]]
PORT_TRIES = 3
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - as ECS reports it


class Hands:
    """The effects of one host. `log_config` turns a container's Docker LogConfig into what is given to the engine.

    `dns` tells the resolvers of containers on the bridge whose task definition names none (none: the engine's choice).
    """

    def __init__(
        self,
        *,
        engine: Engine,
        images: Images,
        cgroups: Cgroups,
        ports: PortAllocator,
        around: Surroundings,
        clock: Clock,
        stop_timeout: float,
        log_config: LogConfig | None = None,
        dns: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._engine = engine
        self._images = images
        self._cgroups = cgroups
        self._ports = ports
        self._around = around
        self._clock = clock
        self._stop_timeout = max(1, round(stop_timeout))
        self._log_config = log_config
        self._dns = dns

    async def perform(self, task: TaskRecord, action: lifecycle.Action) -> Change:
        """Do it; returns what it changed. Raises Transient."""
        match action:
            case lifecycle.ProvisionCgroup():
                return await self._provision_cgroup(task)
            case lifecycle.ProvisionVolume(volume=name):
                return await self._provision_volume(task, name)
            case lifecycle.Pull(container=name):
                return await self._pull(_get(task, name))
            case lifecycle.Create(container=name):
                return await self._create(task, _get(task, name))
            case lifecycle.Start(container=name):
                return await self._start(task, _get(task, name))
            case lifecycle.Stop(container=name, timeout=timeout):
                return await self._stop(_get(task, name), timeout)

    async def look(self, container: ContainerRecord) -> Change:
        """Ask the engine about a container."""
        try:
            return self.saw(container.name, await self._engine.inspect(container.docker_id or container.docker_name))
        except NotFound:
            return self.missed(container.name)

    async def process_end(self, container: ContainerRecord) -> Change:
        """What the end of the container's process changes. Raises NotFound if it cannot be waited for."""
        await self._engine.process_end(container.docker_id or container.docker_name, container.pid)
        now = self._clock.now()
        return lambda task: lifecycle.with_container(
            task, lifecycle.process_ended(_get(task, container.name), container.pid, now)
        )

    def saw(self, name: str, state: ContainerState) -> Change:
        """What a state of the engine changes."""
        now = self._clock.now()
        return lambda task: lifecycle.with_container(task, lifecycle.observed(task, _get(task, name), state, now))

    def missed(self, name: str) -> Change:
        """What it changes that the engine has no such container."""
        now = self._clock.now()

        def change(task: TaskRecord) -> TaskRecord:
            container = _get(task, name)
            if max(container.known, container.applied) < ContainerStatus.CREATED:
                return task
            return lifecycle.with_container(task, lifecycle.vanished(container, now))

        return change

    async def _provision_cgroup(self, task: TaskRecord) -> Change:
        shares = tuple(container.spec.cpu for container in task.containers)
        try:
            parent = await self._cgroups.create(task.id, task.spec.cpu, task.spec.memory, shares)
        except CgroupFailed as error:
            return self._task_failed(error.reason)
        return lambda current: replace(current, cgroup_parent=parent)

    async def _provision_volume(self, task: TaskRecord, name: str) -> Change:
        volume = find_volume(task.spec, name)
        plan = plan_volume(task.spec, volume) if volume else None
        if plan is None:
            return self._task_failed(f"CannotCreateVolumeError: volume {name} is not defined in the task")
        try:
            if not await self._engine.volume_exists(plan.docker_name):
                if not plan.is_made:
                    return self._task_failed(f"CannotCreateVolumeError: no such volume: {plan.docker_name}")
                await self._engine.create_volume(plan.docker_name, plan.driver, plan.options, plan.labels)
        except Permanent as error:
            return self._task_failed(f"CannotCreateVolumeError: {error}")
        return lambda current: replace(
            current, volumes_provisioned=tuple(dict.fromkeys((*current.volumes_provisioned, name)))
        )

    def _task_failed(self, reason: str) -> Change:
        return lambda task: lifecycle.stopping(replace(task, reason=task.reason or reason[:1024]))

    async def _pull(self, container: ContainerRecord) -> Change:
        try:
            pulled = await self._images.pull(container.spec.image)
        except PullFailed as error:
            return _fail(container.name, error.reason)
        stopped_at = self._clock.now()

        def change(task: TaskRecord) -> TaskRecord:
            current = replace(
                _get(task, container.name),
                known=ContainerStatus.PULLED,
                image_id=pulled.image_id,
                image_digest=pulled.digest,
            )
            return replace(lifecycle.with_container(task, current), pull_stopped_at=stopped_at)

        return change

    async def _create(self, task: TaskRecord, container: ContainerRecord) -> Change:
        try:
            ports = self._allocate_ports(task, container)
            body = container_body(task, container, ports, self._around)
        except PortsExhausted as error:
            return _fail(container.name, f"CannotCreateContainerError: {error}")
        except ValueError as error:
            return _fail(container.name, str(error))
        host = body["HostConfig"]
        if self._log_config is not None and "LogConfig" in host:
            host["LogConfig"] = self._log_config(task, container, host["LogConfig"])
        if host.get("NetworkMode", "bridge") in {"bridge", "default"} and not host.get("Dns"):
            host |= {"Dns": list(servers)} if (servers := self._dns()) else {}
        try:
            docker_id = await self._engine.create(container.docker_name, body)
        except TimedOut:
            return _fail(
                container.name, "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"
            )
        except Permanent as error:
            return _fail(container.name, f"CannotCreateContainerError: {_engine_text(error)}")
        created_at = self._clock.now()
        return lambda current: lifecycle.with_container(
            current,
            replace(
                _get(current, container.name),
                known=ContainerStatus.CREATED,
                applied=ContainerStatus.CREATED,
                docker_id=docker_id,
                ports=ports,
                network_mode=host.get("NetworkMode") or "bridge",
                labels=body["Labels"],
                created_at=created_at,
            ),
        )

    def _allocate_ports(self, task: TaskRecord, container: ContainerRecord) -> tuple[PortBinding, ...]:
        mappings = container.spec.port_mappings
        match task.spec.network_mode:
            case "none":
                return ()
            case "host":
                return tuple(
                    PortBinding(
                        host_ip=_ALL_ADDRESSES,
                        host_port=mapping.container_port,
                        container_port=mapping.container_port,
                        protocol=mapping.protocol,
                    )
                    for mapping in mappings
                    if mapping.container_port is not None
                )
        return self._ports.allocate(port_owner(task.arn, container.name), mappings) if mappings else ()

    async def _start(self, task: TaskRecord, container: ContainerRecord, tries: int = PORT_TRIES) -> Change:
        name = container.name
        try:
            await self._engine.start(container.docker_id or container.docker_name)
        except TimedOut:
            # It may still start behind our back: the task is stopped through the engine, not just called stopped.
            reason = "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
            return lambda task: lifecycle.stopping(
                lifecycle.with_container(task, replace(_get(task, name), reason=reason))
            )
        except NotFound:
            return self.missed(name)
        except Permanent as error:
            if tries > 1 and _is_port_taken(error) and _has_dynamic_ports(container):
                return await self._start_elsewhere(task, container, tries - 1)
            reason = f"CannotStartContainerError: {_engine_text(error)}"
            return _fail(name, reason, await self._exit_code_of_failed_start(container))
        started_at = self._clock.now()

        def change(task: TaskRecord) -> TaskRecord:
            current = _get(task, name)
            return lifecycle.with_container(
                task,
                replace(
                    current,
                    known=ContainerStatus.RUNNING,
                    applied=ContainerStatus.RUNNING,
                    exit_code=None,
                    started_at=started_at,
                )
                if current.known is not ContainerStatus.STOPPED
                else current,
            )

        return change

    async def _start_elsewhere(self, task: TaskRecord, container: ContainerRecord, tries: int) -> Change:
        """Somebody took the host port between our choice and the start: choose others, make the container again."""
        await self._engine.remove(container.docker_id or container.docker_name)
        self._ports.release(port_owner(task.arn, container.name))
        created = await self._create(task, container)
        remade = created(task)
        fresh = _get(remade, container.name)
        if fresh.known is ContainerStatus.STOPPED:
            return created
        started = await self._start(remade, fresh, tries)
        return lambda current: started(created(current))

    async def _exit_code_of_failed_start(self, container: ContainerRecord) -> int | None:
        """The engine's own code for a start that failed, such as 127 for a command that does not exist."""
        try:
            state = await self._engine.inspect(container.docker_id or container.docker_name)
        except Permanent:
            return None
        return state.exit_code or None

    async def _stop(self, container: ContainerRecord, grace: int | None) -> Change:
        name = container.name
        reference = container.docker_id or container.docker_name
        now = self._clock.now()
        try:
            await self._engine.stop(reference, grace if grace is not None else self._stop_timeout)
            return self.stopped(name, await self._engine.inspect(reference))
        except NotFound:
            return lambda task: lifecycle.with_container(
                task, replace(_get(task, name), known=ContainerStatus.STOPPED, finished_at=now, pid=0)
            )
        except Permanent as error:  # It may run on: not called stopped, but asked for again.
            reason = f"CannotStopContainerError: {_engine_text(error)}"[:1024]
            return lambda task: lifecycle.with_container(
                task, replace(_get(task, name), reason=_get(task, name).reason or reason)
            )

    def stopped(self, name: str, state: ContainerState) -> Change:
        """As `saw`, but a container that was never started counts as stopped too."""
        saw = self.saw(name, state)

        def change(task: TaskRecord) -> TaskRecord:
            task = saw(task)
            container = _get(task, name)
            if state.status == "created":
                container = replace(container, known=ContainerStatus.STOPPED)
            return lifecycle.with_container(task, container)

        return change


def port_owner(task_arn: str, name: str) -> str:
    """The key under which a container holds its host ports."""
    return f"{task_arn}/{name}"


def _get(task: TaskRecord, name: str) -> ContainerRecord:
    container = task.container(name)
    assert container is not None, name
    return container


def _fail(name: str, reason: str, exit_code: int | None = None) -> Change:
    return lambda task: lifecycle.with_container(task, lifecycle.failed(_get(task, name), reason, exit_code))


def _is_port_taken(error: Exception) -> bool:
    return "port is already allocated" in str(error) or "address already in use" in str(error)


def _has_dynamic_ports(container: ContainerRecord) -> bool:
    return any(not mapping.host_port for mapping in container.spec.port_mappings)


def _engine_text(error: Exception) -> str:
    """The engine's own text, in the form that ECS shows it."""
    text = str(error)
    return text if text.startswith("Error response from daemon") else f"Error response from daemon: {text}"
