"""What a container uses, read from the kernel's own files: five small reads, some 80 µs, where Docker's API takes 1-2 s.

Counters come from the container's control group (v1 or v2) and, for the network, from its first process's view of the
interfaces. `Series` turns a cycle of one-second readings into the sets of the telemetry protocol.
"""

import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from homeport.shapes import tcs

_MIB = 1024 * 1024
_LARGEST = 2**63 - 1
_LARGE = 64 * 1024
_MANY = 4096
_MOST_READINGS = 120
_NETWORK_FIELDS = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


class Network(NamedTuple):
    """Totals over all interfaces but loopback, since the container's start."""

    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Reading(NamedTuple):
    """One look at a container. `cpu_ns` and the storage bytes are totals; `memory_bytes` is without page cache.

    `network` is None where the container has no interfaces of its own.
    """

    cpu_ns: int
    memory_bytes: int
    read_bytes: int
    write_bytes: int
    network: Network | None


class Reader(Protocol):
    """Where readings come from; None for a container that is gone (or never was here)."""

    def __call__(self, pid: int, *, has_network: bool) -> Reading | None: ...


class HostReader:
    """Reads `/proc` and the control group hierarchy of this host. Blocks for some 80 µs."""

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = str(proc)
        self._root = str(groups)
        self._is_unified = (groups / "cgroup.controllers").exists()
        self._groups: dict[int, dict[str, str]] = {}

    def __call__(self, pid: int, *, has_network: bool) -> Reading | None:
        try:
            groups = self._groups.get(pid) or self._find(pid)
            network = parse_network(_text(f"{self._proc}/{pid}/net/dev")) if has_network else None
            return _unified(groups[""], network) if self._is_unified else _split(groups, network)
        except (OSError, KeyError):  # The process or its group has just gone; the number may come again.
            self._groups.pop(pid, None)
            return None

    def _find(self, pid: int) -> dict[str, str]:
        """Directories by controller; a process stays in its group, so they are remembered."""
        if len(self._groups) > _MANY:
            self._groups.clear()
        paths = parse_groups(_text(f"{self._proc}/{pid}/cgroup"))
        self._groups[pid] = {
            controller: "/".join(filter(None, (self._root, controller, path.strip("/"))))
            for controller, path in paths.items()
        }
        return self._groups[pid]


def _split(groups: Mapping[str, str], network: Network | None) -> Reading:
    memory = groups["memory"]
    cache = parse_flat(_text(f"{memory}/memory.stat")).get("total_cache", 0)
    read, written = parse_blkio(_text(f"{groups['blkio']}/blkio.throttle.io_service_bytes"))
    return Reading(
        cpu_ns=int(_text(f"{groups['cpuacct']}/cpuacct.usage")),
        memory_bytes=max(0, int(_text(f"{memory}/memory.usage_in_bytes")) - cache),
        read_bytes=read,
        write_bytes=written,
        network=network,
    )


def _unified(group: str, network: Network | None) -> Reading:
    cache = parse_flat(_text(f"{group}/memory.stat")).get("file", 0)
    read, written = parse_io_stat(_text(f"{group}/io.stat")) if os.path.exists(f"{group}/io.stat") else (0, 0)  # noqa: PTH110
    return Reading(
        cpu_ns=parse_flat(_text(f"{group}/cpu.stat"))["usage_usec"] * 1000,
        memory_bytes=max(0, int(_text(f"{group}/memory.current")) - cache),
        read_bytes=read,
        write_bytes=written,
        network=network,
    )


def _text(path: str) -> str:
    """The whole of a kernel file. Plain system calls: text layers and path objects cost more than the read itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, _LARGE).decode()
    finally:
        os.close(handle)


def parse_groups(text: str) -> dict[str, str]:
    """`/proc/PID/cgroup`: path by controller; the unified hierarchy's is under ""."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def parse_flat(text: str) -> dict[str, int]:
    """Lines of `name number`, as in memory.stat and cpu.stat; other lines are skipped."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def parse_blkio(text: str) -> tuple[int, int]:
    """Bytes read and written over all devices, from v1's `8:0 Read 4096` lines."""
    totals = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1] in totals:
            totals[parts[1]] += int(parts[2])
    return totals["Read"], totals["Write"]


def parse_io_stat(text: str) -> tuple[int, int]:
    """Bytes read and written over all devices, from v2's `8:0 rbytes=4096 wbytes=0 …` lines."""
    totals = {"rbytes": 0, "wbytes": 0}
    for line in text.splitlines():
        for field in line.split()[1:]:
            name, _, value = field.partition("=")
            if name in totals:
                totals[name] += int(value)
    return totals["rbytes"], totals["wbytes"]


def parse_network(text: str) -> Network | None:
    """`/proc/PID/net/dev` summed up; None if there is loopback only."""
    rows = []
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            columns = [int(number) for number in numbers.split()]
            rows.append((*columns[:4], *columns[8:12]))
    return Network(*(sum(column) for column in zip(*rows, strict=True))) if rows else None


class Series:
    """The readings of one container in one cycle. The last one stays for the next cycle's first rate.

    While nobody takes them only the newest two minutes are kept, as in the Amazon ECS agent.
    """

    def __init__(self, cpu_count: int) -> None:
        self._cpu_count = cpu_count
        self._last: tuple[float, Reading] | None = None
        self._cpu = deque[float](maxlen=_MOST_READINGS)
        self._rx_rate = deque[float](maxlen=_MOST_READINGS)
        self._tx_rate = deque[float](maxlen=_MOST_READINGS)
        self._readings = deque[Reading](maxlen=_MOST_READINGS)

    def add(self, at: float, reading: Reading) -> None:
        """`at` in monotonic seconds. A counter that fell belongs to a new run of the container: no rate from it."""
        if self._last is not None and at > self._last[0] and reading.cpu_ns >= self._last[1].cpu_ns:
            seconds, before = at - self._last[0], self._last[1]
            self._cpu.append((reading.cpu_ns - before.cpu_ns) / (seconds * 1e9) / self._cpu_count * 100)
            if reading.network is not None and before.network is not None:
                self._rx_rate.append(max(0, reading.network.rx_bytes - before.network.rx_bytes) / seconds)
                self._tx_rate.append(max(0, reading.network.tx_bytes - before.network.tx_bytes) / seconds)
        self._last = (at, reading)
        self._readings.append(reading)

    def drain(self, name: str, *, container_arn: str | None, restart_count: int | None) -> tcs.ContainerMetric | None:
        """The cycle's metric, and an empty cycle; None before there are two readings, as there is no rate yet."""
        if not self._cpu:
            return None
        metric = tcs.ContainerMetric(
            container_name=name,
            container_arn=container_arn,
            cpu_stats_set=_stats(self._cpu),
            memory_stats_set=_stats(reading.memory_bytes / _MIB for reading in self._readings),
            network_stats_set=self._network(),
            storage_stats_set=tcs.StorageStatsSet(
                read_size_bytes=_counters(reading.read_bytes for reading in self._readings),
                write_size_bytes=_counters(reading.write_bytes for reading in self._readings),
            ),
            restart_stats_set=None if restart_count is None else tcs.RestartStatsSet(restart_count=restart_count),
        )
        for kept in (self._cpu, self._rx_rate, self._tx_rate, self._readings):
            kept.clear()
        return metric

    def _network(self) -> tcs.NetworkStatsSet | None:
        networks = [reading.network for reading in self._readings if reading.network is not None]
        if not networks:
            return None
        sets = {name: _counters(getattr(network, name) for network in networks) for name in _NETWORK_FIELDS}
        return tcs.NetworkStatsSet(
            **sets, rx_bytes_per_second=_stats(self._rx_rate), tx_bytes_per_second=_stats(self._tx_rate)
        )


def _stats(values: Iterable[float]) -> tcs.StatsSet:
    found = tuple(values) or (0.0,)
    return tcs.StatsSet(min=min(found), max=max(found), sum=sum(found), sample_count=len(found))


def _counters(values: Iterable[int]) -> tcs.ULongStatsSet:
    """What exceeds the protocol's signed 64 bits goes into the overflow members."""
    found = tuple(values)
    least, most, total = min(found), max(found), sum(found)
    return tcs.ULongStatsSet(
        min=min(least, _LARGEST),
        max=min(most, _LARGEST),
        sum=min(total, _LARGEST),
        sample_count=len(found),
        overflow_min=_beyond(least),
        overflow_max=_beyond(most),
        overflow_sum=_beyond(total),
    )


def _beyond(value: int) -> int | None:
    return value - _LARGEST if value > _LARGEST else None
