"""Where the commands print: coloured and as wide as the window on a terminal, plain and uncut anywhere else."""

from rich.console import Console

_UNCUT = 10_000
"""Columns of an output that no window bounds: Rich takes it for 80 wide, and cuts ARNs to fit."""


def new_console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error, as that is now."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _UNCUT
    return console
