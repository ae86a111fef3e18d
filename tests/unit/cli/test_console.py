"""Output that goes to a pipe or a file is complete: scripts read it, and no window bounds it."""

import io

from rich.console import Console
from rich.table import Table

from homeport.cli import console
from homeport.cli.console import new_console

ARN = f"arn:aws:ecs:us-east-1:123456789012:container-instance/default/{'a' * 32}"


def printed(into) -> str:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("instance", ARN)
    into.print(table)
    return into.file.getvalue()


def test_new_console_when_its_output_goes_to_no_terminal_then_nothing_is_cut(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert printed(new_console()) == f"instance  {ARN}\n"
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert printed(new_console(stderr=True)) == f"instance  {ARN}\n"


def test_new_console_when_its_output_goes_to_a_terminal_then_as_wide_as_that(monkeypatch):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=40)
    monkeypatch.setattr(console, "Console", lambda **_: terminal)
    assert new_console().width == 40
