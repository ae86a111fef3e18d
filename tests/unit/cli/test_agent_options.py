"""`homeport agent` where it cannot start: a sentence, and no traceback."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from homeport.agent.__main__ import Duration
from homeport.agent.__main__ import main as agent

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


def run(command: click.Command, data_dir: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["--data-dir", str(data_dir), *options], env=KEYS)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--endpoint", "10.0.0.5:4566"), "is no URL, such as http://"),
        (("--stop-timeout", "soon"), "is no time, such as 30s"),
        (("--stop-timeout", "-1"), "is no time, such as 30s"),
        (("--endpoint", "http://127.0.0.1:1", "--docker-host", "ssh://host"), "use unix:///path or tcp://host:port"),
    ],
)
def test_agent_when_an_option_makes_no_sense_says_what_would(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    done = run(agent, tmp_path, *options)
    assert isinstance(done.exception, SystemExit)
    assert told in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("0.5", 0.5), ("30s", 30), ("1m30s", 90), ("3h", 10_800), ("1500ms", 1.5)]
)
def test_duration_is_read_as_amazons_agent_reads_it(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds
