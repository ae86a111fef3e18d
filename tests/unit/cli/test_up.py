"""`homeport up` and its kin where something is in the way; a real one comes up in tests/system."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from homeport.base.clock import SystemClock
from homeport.base.local import RootKey, read_state, root_key_path, running_pid, write_state
from homeport.cli.app import main
from homeport.cli.local import command
from homeport.cli.supervisor import Keeper, lock_directory
from homeport.cli.up import last_words

INIT = 1  # runs for ever, and is not ours


def homeport(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data-dir", str(data_dir)])


def test_process_when_its_id_is_somebody_elses_by_now_does_not_run(tmp_path: Path) -> None:
    write_state(tmp_path, "supervisor", {"pid": INIT})
    assert running_pid(tmp_path, "supervisor") is None
    assert homeport(tmp_path, "down").exit_code == 0
    assert "supervisor  not running" in homeport(tmp_path, "status").stdout


def test_up_when_the_port_is_taken_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = homeport(tmp_path, "up", "--port", str(other.getsockname()[1]))
    assert done.exit_code == 1
    assert "choose another with --port" in done.stderr


@pytest.mark.parametrize(("host", "told"), [("192.0.2.1", "no address of this host"), ("no.such.invalid", "--host")])
def test_up_when_the_address_is_not_this_hosts_does_not_blame_the_port(tmp_path: Path, host: str, told: str) -> None:
    done = homeport(tmp_path, "up", "--host", host)
    assert done.exit_code == 1
    assert told in done.stderr
    assert "not free" not in done.stderr


def test_up_when_the_directory_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = homeport(tmp_path / "file" / "data", "up")
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert "choose another with --data-dir" in done.stderr


def test_up_when_the_directory_holds_another_region_says_which(tmp_path: Path) -> None:
    key = RootKey(access_key_id="AKIA", sealed_secret="", account_id="1", region="eu-west-1")
    root_key_path(tmp_path).write_bytes(msgspec.json.encode(key))
    done = homeport(tmp_path, "up", "--region", "us-east-1")
    assert done.exit_code == 1
    assert "holds region eu-west-1" in done.stderr


def test_explain_when_the_request_is_no_json_says_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{family}")
    done = homeport(tmp_path, "explain", "task", "web", "--cli-input-json", str(tmp_path / "request.json"))
    assert done.exit_code == 1
    assert "wants a JSON object with members of RunTask" in done.stderr


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ('{"event": "engine_unavailable", "error": "no permission"}\n', "no permission"),
        ('{"event": "registered"}\n', ""),
        ("Usage: …\n\nError: No such option '--nope'.\n", "No such option '--nope'."),
        ("", ""),
    ],
)
def test_last_words_are_the_error_that_ends_a_log(tmp_path: Path, log: str, expected: str) -> None:
    (tmp_path / "agent.log").write_text(log)
    assert last_words(tmp_path / "agent.log") == expected
    assert last_words(tmp_path / "none.log") == ""


def test_command_when_another_directory_is_meant_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["homeport"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOMEPORT_DATA_DIR", str(tmp_path))
    assert command("up", tmp_path) == "homeport up"
    assert command("up", tmp_path / "other") == f"homeport up --data-dir {tmp_path / 'other'}"
    monkeypatch.setattr(sys, "argv", [".venv/bin/homeport"])
    assert command("env", tmp_path) == ".venv/bin/homeport env"


@pytest.mark.parametrize("code", [2, 5])
def test_child_that_says_another_start_is_of_no_use_is_given_up(tmp_path: Path, code: int) -> None:
    keeper = Keeper(tmp_path, SystemClock(), show_logs=True)
    asyncio.run(keeper.keep("balancer", [sys.executable, "-c", f"raise SystemExit({code})"]))
    assert read_state(tmp_path, "supervisor")["givenUp"] == ["balancer"]
    assert read_state(tmp_path, "supervisor")["pid"] == os.getpid()


def test_supervisor_is_one_for_a_directory(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)
    with pytest.raises(click.ClickException, match="another supervisor"):
        lock_directory(tmp_path)
    lock.close()
    lock_directory(tmp_path).close()
