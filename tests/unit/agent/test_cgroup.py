"""Task-level limits as file contents, and groups made in a directory that stands for the hierarchy."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from homeport.agent.cgroup import (
    CgroupFailed,
    Cgroups,
    SystemdCgroups,
    systemd_properties,
    v1_settings,
    v2_settings,
    weight,
)
from homeport.base.errors import Transient
from homeport.drivers.engine import EngineInfo

INFO = EngineInfo(
    version="20.10.24",
    api_version="1.41",
    cpu_count=2,
    memory_mib=4096,
    architecture="x86_64",
    cgroup_version="1",
    cgroup_driver="cgroupfs",
)


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("cpu", "memory", "shares", "expected"),
    [
        (0.25, 512, 0, {"cpu.cfs_quota_us": "25000", "memory.limit_in_bytes": "536870912"}),
        (None, None, 300, {"cpu.shares": "300"}),
        (None, None, 0, {"cpu.shares": "2"}),
    ],
)
def test_v1_settings_when_limits_are_given_then_files(
    cpu: float | None, memory: int | None, shares: int, expected: dict[str, str]
) -> None:
    files = v1_settings(cpu, memory, shares)
    assert expected.items() <= (files["cpu"] | files["memory"]).items()
    assert bool(files["memory"]) == bool(memory)


def test_v2_settings_when_limits_are_given_then_files() -> None:
    assert v2_settings(1.5, 64, 0) == {"cpu.max": "150000 100000", "memory.max": "67108864"}
    assert v2_settings(None, None, 1024) == {"cpu.weight": "39"}


def test_systemd_properties_when_limits_are_given_then_in_percent_and_bytes() -> None:
    assert systemd_properties(0.25, 32, 0) == ("CPUQuota=25%", "MemoryMax=33554432")
    assert systemd_properties(None, None, 2) == ("CPUWeight=1",)


def test_weight_when_shares_are_extreme_then_within_the_kernels_bounds() -> None:
    assert [weight(shares) for shares in (0, 2, 262144, 10**9)] == [1, 1, 10000, 10000]


def test_create_when_v1_then_group_in_each_controller_and_removed_everywhere(v1: Path) -> None:
    groups = Cgroups.detect(INFO, wanted=True, root=v1)
    assert groups.enabled
    assert asyncio.run(groups.create("t1", 0.5, 128, ())) == "/ecs/t1"
    assert (v1 / "cpu/ecs/t1/cpu.cfs_quota_us").read_text() == "50000"
    assert (v1 / "memory/ecs/t1/memory.limit_in_bytes").read_text() == str(128 * 1024 * 1024)
    with pytest.raises(Transient, match="still in use"):
        asyncio.run(groups.remove("t1"))
    for file in v1.glob("*/ecs/t1/*"):
        file.unlink()
    (v1 / "pids/ecs/t1").mkdir(parents=True)
    asyncio.run(groups.remove("t1"))
    asyncio.run(groups.remove("t1"))
    assert list(v1.glob("*/ecs/t1")) == []


def test_create_when_the_kernel_refuses_then_the_reason_is_a_cgroup_error(v1: Path) -> None:
    groups = Cgroups.detect(INFO, wanted=True, root=v1)
    (v1 / "cpu/ecs/t1").write_text("in the way")
    with pytest.raises(CgroupFailed) as caught:
        asyncio.run(groups.create("t1", 0.5, 128, ()))
    assert caught.value.reason.startswith("CgroupError: Unable to create cgroup at /ecs/t1: ")


def test_create_when_v2_then_one_group(tmp_path: Path) -> None:
    info = replace(INFO, cgroup_version="2")
    assert not Cgroups.detect(info, wanted=True, root=tmp_path).enabled
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    groups = Cgroups.detect(info, wanted=True, root=tmp_path)
    assert asyncio.run(groups.create("t1", None, 128, (100, 200))) == "/ecstasks-t1.slice"
    assert (tmp_path / "ecstasks-t1.slice/memory.max").read_text() == str(128 * 1024 * 1024)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory"


@pytest.mark.parametrize(
    ("version", "driver", "is_wanted"), [("1", "cgroupfs", False), ("1", "systemd", True), ("2", "none", True)]
)
def test_detect_when_impossible_or_unwanted_then_disabled_and_harmless(
    version: str, driver: str, is_wanted: bool, v1: Path
) -> None:
    groups = Cgroups.detect(replace(INFO, cgroup_version=version, cgroup_driver=driver), wanted=is_wanted, root=v1)
    assert not groups.enabled
    assert asyncio.run(groups.create("t1", 1.0, 1, ())) == ""
    asyncio.run(groups.remove("t1"))


def test_detect_when_a_controller_is_missing_then_disabled(tmp_path: Path) -> None:
    assert not Cgroups.detect(INFO, wanted=True, root=tmp_path).enabled


def test_detect_when_systemd_owns_v2_then_units(tmp_path: Path) -> None:
    info = replace(INFO, cgroup_version="2", cgroup_driver="systemd")
    assert isinstance(Cgroups.detect(info, wanted=True, root=tmp_path), SystemdCgroups)
