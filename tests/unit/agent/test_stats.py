"""The kernel's files, read; and a cycle of readings, summed up."""

from pathlib import Path

import pytest

from homeport.agent.stats import (
    HostReader,
    Network,
    Reading,
    Series,
    parse_blkio,
    parse_flat,
    parse_groups,
    parse_io_stat,
    parse_network,
)

NET_DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  111       1    0    0    0     0          0         0      111       1    0    0    0     0       0          0
  eth0: 1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0
  eth1:    5       1    0    0    0     0          0         0        7       1    0    0    0     0       0          0
"""


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("0::/system.slice/docker-ab.scope\n", {"": "/system.slice/docker-ab.scope"}),
        (
            "4:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n0::/\n",
            {"memory": "/docker/ab", "cpu": "/docker/ab", "cpuacct": "/docker/ab", "": "/"},
        ),
    ],
)
def test_parse_groups_when_v1_or_v2_then_path_by_controller(text: str, paths: dict[str, str]) -> None:
    assert parse_groups(text) == paths


def test_parse_flat_when_lines_are_pairs_then_numbers() -> None:
    assert parse_flat("cache 20\ntotal_cache 21\nlimit max\nsome avg10=0.00 avg60=1\n") == {
        "cache": 20,
        "total_cache": 21,
    }


def test_parse_blkio_when_several_devices_then_summed() -> None:
    text = "8:0 Read 4096\n8:0 Write 1\n8:0 Sync 7\n8:16 Read 4\nTotal 4101\n"
    assert parse_blkio(text) == (4100, 1)
    assert parse_blkio("Total 0\n") == (0, 0)


def test_parse_io_stat_when_several_devices_then_summed() -> None:
    assert parse_io_stat("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n") == (11, 22)
    assert parse_io_stat("") == (0, 0)


def test_parse_network_when_interfaces_then_summed_without_loopback() -> None:
    assert parse_network(NET_DEV) == Network(1005, 11, 1, 2, 2007, 21, 3, 4)
    assert parse_network("\n".join(NET_DEV.splitlines()[:3])) is None


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_reader_when_v1_then_a_reading(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/7/cgroup": "4:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n1:blkio:/docker/ab\n",
            "proc/7/net/dev": NET_DEV,
            "cg/cpuacct/docker/ab/cpuacct.usage": "5000\n",
            "cg/memory/docker/ab/memory.usage_in_bytes": "100\n",
            "cg/memory/docker/ab/memory.stat": "cache 1\ntotal_cache 40\n",
            "cg/blkio/docker/ab/blkio.throttle.io_service_bytes": "8:0 Read 1\n8:0 Write 2\n",
        },
    )
    reader = HostReader(tmp_path / "proc", tmp_path / "cg")
    assert reader(7, has_network=False) == Reading(5000, 60, 1, 2, None)
    reading = reader(7, has_network=True)
    assert reading is not None
    assert reading.network is not None
    assert reading.network.rx_bytes == 1005
    assert reader(8, has_network=True) is None


def test_reader_when_v2_then_a_reading(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/7/cgroup": "0::/docker/ab\n",
            "cg/cgroup.controllers": "cpu memory io\n",
            "cg/docker/ab/cpu.stat": "usage_usec 5\nuser_usec 3\n",
            "cg/docker/ab/memory.current": "100\n",
            "cg/docker/ab/memory.stat": "anon 60\nfile 40\n",
        },
    )
    reader = HostReader(tmp_path / "proc", tmp_path / "cg")
    assert reader(7, has_network=False) == Reading(5000, 60, 0, 0, None)
    write(tmp_path, {"cg/docker/ab/io.stat": "8:0 rbytes=10 wbytes=20\n"})
    assert reader(7, has_network=False) == Reading(5000, 60, 10, 20, None)


def reading(cpu_seconds: float, *, rx: int = 0, memory_mib: int = 1) -> Reading:
    network = Network(rx_bytes=rx)
    return Reading(int(cpu_seconds * 1e9), memory_mib * 1024 * 1024, 10, 20, network)


def test_series_when_half_a_core_of_two_is_used_then_25_percent_of_the_host() -> None:
    series = Series(cpu_count=2)
    for second in range(5):
        series.add(100.0 + second, reading(second * 0.5, rx=second * 1000, memory_mib=1 + second))
    metric = series.drain("app", container_arn="arn:c", restart_count=None)
    assert metric is not None
    assert metric.cpu_stats_set is not None
    assert metric.memory_stats_set is not None
    assert metric.network_stats_set is not None
    assert (metric.cpu_stats_set.min, metric.cpu_stats_set.max, metric.cpu_stats_set.sample_count) == (25, 25, 4)
    assert (metric.memory_stats_set.min, metric.memory_stats_set.max, metric.memory_stats_set.sum) == (1, 5, 15)
    assert metric.network_stats_set.rx_bytes is not None
    assert metric.network_stats_set.rx_bytes.sum == 10_000
    assert metric.network_stats_set.rx_bytes_per_second is not None
    assert metric.network_stats_set.rx_bytes_per_second.max == 1000
    assert metric.restart_stats_set is None
    assert series.drain("app", container_arn=None, restart_count=None) is None


def test_series_when_a_cycle_ends_then_the_next_rate_spans_it() -> None:
    series = Series(cpu_count=1)
    series.add(0, reading(0))
    series.add(1, reading(1))
    series.drain("app", container_arn=None, restart_count=None)
    series.add(2, reading(1.5))
    metric = series.drain("app", container_arn=None, restart_count=3)
    assert metric is not None
    assert metric.cpu_stats_set is not None
    assert metric.cpu_stats_set.max == pytest.approx(50)
    assert metric.restart_stats_set is not None
    assert metric.restart_stats_set.restart_count == 3


def test_series_when_the_container_restarted_then_no_negative_rate() -> None:
    series = Series(cpu_count=1)
    for second, used in enumerate((5.0, 6.0, 0.1, 0.6)):
        series.add(second, reading(used))
    metric = series.drain("app", container_arn=None, restart_count=None)
    assert metric is not None
    assert metric.cpu_stats_set is not None
    assert (metric.cpu_stats_set.min, metric.cpu_stats_set.sample_count) == (pytest.approx(50), 2)


def test_series_when_nobody_takes_it_for_long_keeps_the_newest_two_minutes() -> None:
    series = Series(cpu_count=1)
    for second in range(1000):
        series.add(second, reading(second, memory_mib=second))
    metric = series.drain("app", container_arn=None, restart_count=None)
    assert metric is not None
    assert metric.memory_stats_set is not None
    assert metric.cpu_stats_set is not None
    assert (metric.memory_stats_set.sample_count, metric.memory_stats_set.min) == (120, 880)
    assert metric.cpu_stats_set.sample_count == 120


def test_series_when_counters_exceed_63_bits_then_the_rest_overflows() -> None:
    series = Series(cpu_count=1)
    series.add(0, reading(0, rx=2**63 - 1))
    series.add(1, reading(1, rx=2**63 + 4))
    metric = series.drain("app", container_arn=None, restart_count=None)
    assert metric is not None
    assert metric.network_stats_set is not None
    received = metric.network_stats_set.rx_bytes
    assert received is not None
    assert (received.max, received.overflow_max, received.overflow_min) == (2**63 - 1, 5, None)
    assert received.overflow_sum == 2**63 + 4


def test_host_reader_when_this_process_is_read_then_plausible_or_nothing() -> None:
    import os

    found = HostReader()(os.getpid(), has_network=True)
    assert found is None or found.cpu_ns > 0
