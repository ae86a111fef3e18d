"""Messages of the telemetry (TCS) websocket. Same envelope as ACS, but frames from the agent start with HTTP header
lines and a blank line (CRLF), which `strip_headers` cuts off.
"""

import msgspec
from msgspec import Struct

from homeport.shapes.acs import HeartbeatMessage, encode_frame

__all__ = ["HeartbeatMessage", "encode_frame"]


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Pages of one cycle share `message_id`; the last has `fin`. `idle`: no task runs."""

    cluster: str
    container_instance: str
    message_id: str = ""
    request_id: str | None = None
    idle: bool | None = None
    fin: bool | None = None


class StatsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """CPU in percent of the whole host, memory in MiB without page cache."""

    min: float = msgspec.field(default_factory=float)
    max: float = msgspec.field(default_factory=float)
    sum: float = msgspec.field(default_factory=float)
    sample_count: int = msgspec.field(default_factory=int)


class ULongStatsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A cumulative counter over the cycle; the overflow parts hold what exceeds 2^63-1."""

    min: int = msgspec.field(default_factory=int)
    max: int = msgspec.field(default_factory=int)
    sum: int = msgspec.field(default_factory=int)
    sample_count: int = msgspec.field(default_factory=int)
    overflow_min: int | None = None
    overflow_max: int | None = None
    overflow_sum: int | None = None


class NetworkStatsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    rx_bytes: ULongStatsSet | None = None
    rx_dropped: ULongStatsSet | None = None
    rx_errors: ULongStatsSet | None = None
    rx_packets: ULongStatsSet | None = None
    tx_bytes: ULongStatsSet | None = None
    tx_dropped: ULongStatsSet | None = None
    tx_errors: ULongStatsSet | None = None
    tx_packets: ULongStatsSet | None = None
    rx_bytes_per_second: StatsSet | None = None
    tx_bytes_per_second: StatsSet | None = None


class StorageStatsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    read_size_bytes: ULongStatsSet | None = None
    write_size_bytes: ULongStatsSet | None = None


class RestartStatsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    restart_count: int = msgspec.field(default_factory=int)


class ContainerMetric(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    container_name: str
    container_arn: str | None = None
    cpu_stats_set: StatsSet | None = None
    memory_stats_set: StatsSet | None = None
    network_stats_set: NetworkStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None
    restart_stats_set: RestartStatsSet | None = None


class TaskMetric(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    task_arn: str
    task_definition_family: str
    task_definition_version: str
    cluster_arn: str | None = None
    container_metrics: tuple[ContainerMetric, ...] = ()


class PublishMetricsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    metadata: Metadata
    timestamp: float
    task_metrics: tuple[TaskMetric, ...] | None = None


class HealthContainer(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`health_status` is HEALTHY, UNHEALTHY or UNKNOWN."""

    container_name: str
    health_status: str
    status_since: float | None = None
    status_message: str | None = None


class TaskHealth(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    task_arn: str
    task_definition_family: str
    task_definition_version: str
    cluster_arn: str | None = None
    containers: tuple[HealthContainer, ...] = ()


class PublishHealthRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    metadata: Metadata
    timestamp: float
    tasks: tuple[TaskHealth, ...] = ()


class InstanceStatus(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """`type` ContainerRuntime; `status` INITIALIZING, OK, IMPAIRED or INSUFFICIENT_DATA."""

    type: str
    status: str
    last_updated: float | None = None
    last_status_change: float | None = None
    status_reason: str | None = None


class PublishInstanceStatusRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    metadata: Metadata
    timestamp: float
    statuses: tuple[InstanceStatus, ...] = ()


class AckPublishMetric(Struct, frozen=True, kw_only=True, rename="camel"):
    message: str


class AckPublishHealth(Struct, frozen=True, kw_only=True, rename="camel"):
    message: str


class AckPublishInstanceStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    message: str


TO_SERVER: dict[str, type[Struct]] = {
    kind.__name__: kind for kind in (PublishMetricsRequest, PublishHealthRequest, PublishInstanceStatusRequest)
}
TO_AGENT: dict[str, type[Struct]] = {
    kind.__name__: kind for kind in (HeartbeatMessage, AckPublishMetric, AckPublishHealth, AckPublishInstanceStatus)
}


def with_headers(headers: dict[str, str], frame: bytes) -> bytes:
    """A frame as an agent sends it: header lines, a blank line, the envelope."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n" + frame


def strip_headers(frame: bytes) -> bytes:
    """The envelope in an agent's frame; a frame without header lines is returned as it is."""
    if frame.lstrip()[:1] == b"{":
        return frame
    return frame.partition(b"\r\n\r\n")[2]
