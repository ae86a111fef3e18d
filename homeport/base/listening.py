"""Listening sockets that outlive the process behind them.

A supervisor opens the socket and hands it down to each process it starts; while none runs, callers wait in the
kernel's queue instead of being refused. Handed down by systemd (`.socket` units: LISTEN_FDS, LISTEN_FDNAMES) or by
`homeport up` (HOMEPORT_LISTENERS: `NAME=NUMBER`, separated by commas). Source: sd_listen_fds(3).
"""

import os
import socket
from collections.abc import Mapping

VARIABLE = "HOMEPORT_LISTENERS"
LOG_INTAKE = "log-intake"
_FIRST_SYSTEMD_NUMBER = 3
_QUEUE_LENGTH = 1024


def listening_socket(address: str, port: int) -> socket.socket:
    """A TCP socket that listens; raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_QUEUE_LENGTH)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def inherited_socket(name: str, port: int, environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """A duplicate of the socket handed down under this name, if there is one and it listens on the port."""
    number = handed_down(environment).get(name)
    if number is None:
        return None
    try:
        listener = socket.socket(fileno=os.dup(number))
    except OSError:
        return None
    if listener.family != socket.AF_INET or listener.getsockname()[1] != port:
        listener.close()
        return None
    listener.setblocking(False)
    return listener


def handed_down(environment: Mapping[str, str]) -> dict[str, int]:
    """Names and file descriptor numbers, from either convention."""
    found: dict[str, int] = {}
    if environment.get("LISTEN_PID") == str(os.getpid()):
        names = environment.get("LISTEN_FDNAMES", "").split(":")
        found |= {name: _FIRST_SYSTEMD_NUMBER + index for index, name in enumerate(names) if name}
    for pair in environment.get(VARIABLE, "").split(","):
        name, _, number = pair.partition("=")
        if name and number.isdecimal():
            found[name] = int(number)
    return found
