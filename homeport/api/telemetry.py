"""What agents measured, kept in memory for whoever asks later: a ring of samples per container.

Bounds: 30 samples a container (ten minutes at an agent's 20 s), 20,000 containers, those that reported longest ago
going first: about 150 MB at the very most.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from msgspec import Struct

from homeport.shapes import tcs

SAMPLES = 30
CONTAINERS = 20_000


class Sample(Struct, frozen=True, kw_only=True, gc=False):
    """One cycle of one container. CPU in percent of the whole host, memory in MiB, the rest cumulative bytes."""

    at: float
    cpu_percent: float | None = None
    memory_mib: float | None = None
    memory_most_mib: float | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    restart_count: int | None = None


class Telemetry:
    """Samples by task ARN and container name."""

    def __init__(self, samples: int = SAMPLES, containers: int = CONTAINERS) -> None:
        self._samples = samples
        self._containers = containers
        self._rings: OrderedDict[tuple[str, str], deque[Sample]] = OrderedDict()

    def record(self, metrics: tcs.PublishMetricsRequest) -> None:
        for task in metrics.task_metrics or ():
            for container in task.container_metrics:
                self._append((task.task_arn, container.container_name), sample_of(container, metrics.timestamp))

    def _append(self, key: tuple[str, str], sample: Sample) -> None:
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = deque(maxlen=self._samples)
        ring.append(sample)
        self._rings.move_to_end(key)
        if len(self._rings) > self._containers:
            self._rings.popitem(last=False)

    def samples(self, task_arn: str, container_name: str) -> Sequence[Sample]:
        """Oldest first; empty if the container never reported or was forgotten."""
        return tuple(self._rings.get((task_arn, container_name), ()))

    def latest(self, task_arn: str, container_name: str) -> Sample | None:
        ring = self._rings.get((task_arn, container_name))
        return ring[-1] if ring else None


def sample_of(metric: tcs.ContainerMetric, at: float) -> Sample:
    network = metric.network_stats_set or tcs.NetworkStatsSet()
    storage = metric.storage_stats_set or tcs.StorageStatsSet()
    restarts = metric.restart_stats_set
    return Sample(
        at=at,
        cpu_percent=_mean(metric.cpu_stats_set),
        memory_mib=_mean(metric.memory_stats_set),
        memory_most_mib=metric.memory_stats_set.max if metric.memory_stats_set else None,
        received_bytes=_counter(network.rx_bytes),
        sent_bytes=_counter(network.tx_bytes),
        read_bytes=_counter(storage.read_size_bytes),
        written_bytes=_counter(storage.write_size_bytes),
        restart_count=restarts.restart_count if restarts else None,
    )


def _mean(stats: tcs.StatsSet | None) -> float | None:
    return stats.sum / stats.sample_count if stats and stats.sample_count else None


def _counter(stats: tcs.ULongStatsSet | None) -> int | None:
    """A cumulative counter's last value is its largest; what exceeds 2^63-1 comes beside it."""
    return stats.max + (stats.overflow_max or 0) if stats else None
