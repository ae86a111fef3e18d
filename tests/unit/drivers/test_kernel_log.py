"""A kill for memory, read from the kernel's log; the real log is read in tests/contract/test_engine_docker.py."""

from pathlib import Path

import pytest

from homeport.drivers.engine.kernel_log import killed_for_memory

CONTAINER = "db610d349df2"
STARTED = 12_000.0


def a_record(seconds: float, text: str) -> str:
    return f"4,1200,{int((STARTED + seconds) * 1e6)},-;{text}\n"


def a_kill(container: str) -> str:
    return (
        f"oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/ecs/one,task_memcg=/ecs/one/{container},task=dd,pid=7,uid=0"
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (a_record(5, a_kill(CONTAINER)), True),
        (a_record(5, a_kill(f"docker-{CONTAINER}.scope")), True),  # as the systemd driver names groups
        (a_record(5, a_kill("another")), False),
        (a_record(-60, a_kill(CONTAINER)), False),  # the container has been started again since
        (a_record(5, f"docker0: port of /{CONTAINER} entered disabled state"), False),
        ("", False),
    ],
)
def test_kill_for_memory_when_logged_since_the_start_then_told(tmp_path: Path, record: str, expected: bool) -> None:
    log = tmp_path / "kmsg"
    log.write_text(record)
    assert killed_for_memory(CONTAINER, STARTED, log) is expected


def test_kill_for_memory_when_the_log_is_not_there_then_false(tmp_path: Path) -> None:
    assert not killed_for_memory(CONTAINER, STARTED, tmp_path / "none")
