"""What an agent remembers of a task: its own journal holds exactly these structs.

Four facts, as in the Amazon ECS agent: *desired* (asked by the control plane), *known* (observed), *applied* (asked of
the engine), *sent* (acknowledged by the control plane). Known and desired only rise.
"""

from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from homeport.drivers.engine import PortBinding
from homeport.shapes import acs


class ContainerStatus(IntEnum):
    """The life of a container on an instance, in order."""

    NONE = 0
    MANIFEST_PULLED = 1
    PULLED = 2
    CREATED = 3
    RUNNING = 4
    RESOURCES_PROVISIONED = 5
    STOPPED = 6


class ContainerRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`endpoint_id` is the unguessable name in `/v3/ID`, `/v4/ID` and `/api/ID`. Instants in epoch seconds.

    `reason` is `NAME: text` as the control plane is told. `sent_status` is what was last acknowledged. `ended_at`: its
    process is over since then, and the engine has yet to tell how.
    """

    spec: acs.Container
    docker_name: str
    endpoint_id: str
    known: ContainerStatus = ContainerStatus.NONE
    applied: ContainerStatus = ContainerStatus.NONE
    sent: ContainerStatus = ContainerStatus.NONE
    docker_id: str | None = None
    image_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    ports: tuple[PortBinding, ...] = ()
    network_mode: str = ""
    ip_addresses: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str, str], ...] = ()
    labels: dict[str, str] = {}
    log_driver: str = ""
    log_options: dict[str, str] = {}
    pid: int = 0
    ended_at: float | None = None
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    health: str = ""
    health_since: float | None = None
    health_output: str = ""
    health_exit_code: int = 0
    restart_count: int = 0
    restarted_at: float | None = None

    @property
    def name(self) -> str:
        return self.spec.name


class TaskRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`desired` is RUNNING or STOPPED. Credentials are not kept here: they live in memory only.

    `credentials_id` and `execution_credentials_id` name what the control plane has sent or will send again.
    `sent_ending`: the control plane knows that the task is about to be STOPPED.
    """

    spec: acs.Task
    containers: tuple[ContainerRecord, ...]
    desired: ContainerStatus = ContainerStatus.RUNNING
    known: ContainerStatus = ContainerStatus.NONE
    sent: ContainerStatus = ContainerStatus.NONE
    sent_ending: bool = False
    reason: str | None = None
    credentials_id: str | None = None
    execution_credentials_id: str | None = None
    accepted_at: float = 0.0
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    cgroup_parent: str | None = None
    volumes_provisioned: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return self.spec.arn

    @property
    def id(self) -> str:
        return self.spec.arn.rsplit("/", 1)[1]

    def container(self, name: str) -> ContainerRecord | None:
        return next((record for record in self.containers if record.name == name), None)


class TaskBook(Protocol):
    """The agent's tasks, for those who only look: the task endpoints, telemetry, image clean-up."""

    def all(self) -> tuple[TaskRecord, ...]: ...
    def by_arn(self, task_arn: str) -> TaskRecord | None: ...
    def by_endpoint_id(self, endpoint_id: str) -> tuple[TaskRecord, ContainerRecord] | None: ...
    def by_docker_id(self, docker_id: str) -> tuple[TaskRecord, ContainerRecord] | None: ...
