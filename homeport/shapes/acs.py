"""Messages of the agent communication service (ACS) websocket, by hand: the agent's model is not part of botocore.

Every frame, both ways, is `{"type": TYPE, "message": {…}}`. Field names are matched exactly as sent here (the Amazon
ECS agent accepts any case on the way in). Rules of use: agent docs, "ACS"; this project's docs/agent-protocol.md.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType


class RoleCredentials(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Session credentials of a role; `expiration` is RFC 3339 text, echoed verbatim to the task."""

    credentials_id: str
    role_arn: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: str


class PortMapping(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`host_port` 0 asks the agent for a dynamic port; either a port or a range `a-b`."""

    container_port: int | None = None
    host_port: int | None = None
    container_port_range: str | None = None
    protocol: str = msgspec.field(default_factory=lambda: "tcp")


class MountPoint(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    source_volume: str
    container_path: str
    read_only: bool = False


class VolumeFrom(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    source_container: str
    read_only: bool = False


class ContainerDependency(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`condition` is START, COMPLETE, SUCCESS or HEALTHY."""

    container_name: str
    condition: str


class RestartPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`restart_attempt_period` in seconds."""

    enabled: bool
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int | None = None


class DockerConfig(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`config` and `host_config` are JSON texts in Docker Engine's own spelling, laid over what the agent builds."""

    config: str = msgspec.field(default_factory=lambda: "{}")
    host_config: str = msgspec.field(default_factory=lambda: "{}")
    version: str = msgspec.field(default_factory=lambda: "1.24")


class Container(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A container to run. `cpu` in shares, `memory` the hard limit in MiB (0: none); `overrides` stays `{}` (merged here)."""

    name: str
    image: str
    essential: bool
    cpu: int = msgspec.field(default_factory=int)
    memory: int = msgspec.field(default_factory=int)
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    port_mappings: tuple[PortMapping, ...] = ()
    links: tuple[str, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    stop_timeout: int | None = None
    health_check_type: str | None = None
    restart_policy: RestartPolicy | None = None
    registry_authentication: dict[str, Any] | None = None
    logs_auth_strategy: str | None = None
    secrets: tuple[dict[str, Any], ...] = ()
    container_arn: str | None = None
    overrides: str = msgspec.field(default_factory=lambda: "{}")
    docker_config: DockerConfig = DockerConfig()


class HostVolume(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    source_path: str | None = None


class DockerVolume(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`scope` is task or shared."""

    scope: str = msgspec.field(default_factory=lambda: "task")
    autoprovision: bool = False
    driver: str | None = None
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}


class Volume(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`type` host needs `host` (an empty object for a task-scoped volume); docker needs `docker_volume_configuration`."""

    name: str
    type: str = msgspec.field(default_factory=lambda: "host")
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolume | None = None


class Association(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A GPU given to containers: `type` gpu, `name` the device id."""

    name: str
    type: str
    containers: tuple[str, ...] = ()


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`desired_status` RUNNING or STOPPED; a stop carries only `arn` and `desired_status`. `cpu` in vCPUs, `memory` in MiB."""

    arn: str
    desired_status: str
    family: str | None = None
    version: str | None = None
    containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    cpu: float | None = None
    memory: int | None = None
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    network_mode: str | None = None
    pid_mode: str | None = None
    ipc_mode: str | None = None
    associations: tuple[Association, ...] | None = None
    launch_type: str | None = None
    service_name: str | None = None
    group: str | None = None
    task_cluster_arn: str | None = None
    overrides: str = msgspec.field(default_factory=lambda: "{}")
    enable_fault_injection: bool = False


class PayloadMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Desired tasks; acknowledged once by message id. `seq_num` from one rising counter per container instance."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    tasks: tuple[Task, ...]
    generated_at: int
    seq_num: int


class HeartbeatMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str
    healthy: bool


class IAMRoleCredentialsMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    """`role_type` is TaskApplication or TaskExecution."""

    message_id: str
    task_arn: str
    role_type: str
    role_credentials: RoleCredentials


class ManifestTask(Struct, frozen=True, kw_only=True, rename="camel"):
    task_arn: str
    task_cluster_arn: str
    desired_status: str


class TaskManifestMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    """All tasks of the instance; the agent answers with those it runs that are not listed as RUNNING."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int
    timeline: int
    tasks: tuple[ManifestTask, ...]


class TaskStopVerificationAck(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str
    generated_at: int
    stop_tasks: tuple[ManifestTask, ...]


class CloseMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    message: str


class UpdateInfo(Struct, frozen=True, kw_only=True, rename="camel"):
    location: str
    signature: str


class PerformUpdateMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str
    cluster_arn: str
    container_instance_arn: str
    update_info: UpdateInfo


# ---- agent to server ------------------------------------------------------------------------------------------------


class AckRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    cluster: str
    container_instance: str
    message_id: str


class NackRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    cluster: str
    container_instance: str
    message_id: str
    reason: str


class HeartbeatAckRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str


class IAMRoleCredentialsAckRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    message_id: str
    credentials_id: str
    expiration: str | None = None


class TaskStopVerificationMessage(Struct, frozen=True, kw_only=True, rename="camel"):
    message_id: str
    stop_candidates: tuple[ManifestTask, ...]


class Frame(Struct, frozen=True):
    """The envelope, its message left undecoded."""

    type: str
    message: msgspec.Raw | UnsetType = UNSET


TO_AGENT: dict[str, type[Struct]] = {
    kind.__name__: kind
    for kind in (
        PayloadMessage,
        HeartbeatMessage,
        IAMRoleCredentialsMessage,
        TaskManifestMessage,
        TaskStopVerificationAck,
        CloseMessage,
        PerformUpdateMessage,
    )
}
TO_SERVER: dict[str, type[Struct]] = {
    kind.__name__: kind
    for kind in (
        AckRequest,
        NackRequest,
        HeartbeatAckRequest,
        IAMRoleCredentialsAckRequest,
        TaskStopVerificationMessage,
    )
}
_encoder = msgspec.json.Encoder()


def encode_frame(message: Struct) -> bytes:
    """The frame of a message; its type is the struct's name."""
    return _encoder.encode({"type": type(message).__name__, "message": message})


def decode_frame(text: bytes | str, known: dict[str, type[Struct]]) -> Struct | None:
    """The message in a frame, or None for a type not in `known`. Raises msgspec.DecodeError for anything malformed."""
    frame = msgspec.json.decode(text, type=Frame)
    if frame.type not in known:
        return None
    raw = b"{}" if frame.message is UNSET else frame.message
    return msgspec.json.decode(raw, type=known[frame.type])
