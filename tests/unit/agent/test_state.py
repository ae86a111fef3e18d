"""What an agent remembers after its process has ended."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from homeport.agent.accept import new_record
from homeport.agent.record import ContainerStatus
from homeport.agent.state import AgentState, Identity, MemoryState, SqliteState
from homeport.drivers.engine import PortBinding
from homeport.shapes import acs
from tests.unit.agent.scripted import a_container, a_task

HEALTH = acs.DockerConfig(config='{"Healthcheck":{"Test":["CMD","true"]}}')


def a_record(number: int):
    task = new_record(
        a_task(number, a_container(docker_config=HEALTH, restart_policy=acs.RestartPolicy(enabled=True))),
        float(number),
        endpoint_seed="s",
        task_limits=True,
    )
    port = PortBinding(host_ip="0.0.0.0", host_port=1, container_port=2, protocol="udp")
    container = replace(task.containers[0], known=ContainerStatus.RUNNING, ports=(port,), docker_id="d")
    return replace(task, containers=(container,), known=ContainerStatus.RUNNING)


def exercised(state: AgentState) -> None:
    state.save_identity(Identity(cluster="default", endpoint_seed="seed", container_instance_arn="arn"))
    for number in (2, 1, 3):
        state.save(a_record(number))
    state.save(replace(a_record(3), desired=ContainerStatus.STOPPED))
    state.forget(a_record(2).arn)


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    async def body() -> None:
        state = SqliteState(tmp_path / "agent.db")
        exercised(state)
        state.close()
        again = SqliteState(tmp_path / "agent.db")
        memory = MemoryState()
        exercised(memory)
        identity, tasks = again.load()
        assert identity == Identity(cluster="default", endpoint_seed="seed", container_instance_arn="arn")
        assert tasks == (a_record(1), replace(a_record(3), desired=ContainerStatus.STOPPED))
        assert sorted(memory.load()[1], key=lambda task: task.arn) == list(tasks)
        again.close()

    asyncio.run(body())


def test_record_of_another_version_is_passed_over(tmp_path: Path) -> None:
    async def body() -> None:
        state = SqliteState(tmp_path / "agent.db")
        exercised(state)
        state.close()
        with sqlite3.connect(tmp_path / "agent.db") as file:
            file.execute("UPDATE records SET body = ? WHERE key = ?", (b'{"spec":1}', a_record(1).arn))
        file.close()
        again = SqliteState(tmp_path / "agent.db")
        _, tasks = again.load()
        assert [task.arn for task in tasks] == [a_record(3).arn]
        again.close()

    asyncio.run(body())


def test_writes_reach_the_file_without_being_asked(tmp_path: Path) -> None:
    async def body() -> None:
        state = SqliteState(tmp_path / "agent.db")
        exercised(state)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for suffix in ("", "-wal"):
            (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"agent.db{suffix}").read_bytes())
        assert len(sqlite3.connect(tmp_path / "copy.db").execute("SELECT * FROM records").fetchall()) == 3
        state.close()

    asyncio.run(body())


def test_second_agent_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        state = SqliteState(tmp_path / "agent.db", lock_seconds=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SqliteState(tmp_path / "agent.db", lock_seconds=0)
        state.close()

    asyncio.run(body())
