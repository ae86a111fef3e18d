"""Which ports the agent of a data directory takes on this host, so that several Homeports can be up side by side.

Containers keep the addresses they were started with (where their log goes, where their metadata is), so what was
chosen once is chosen again: the choice stands in `ports.json`.
"""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

from homeport.base.config import AgentConfig
from homeport.base.local import read_state, write_state

#: Where the agent really listens when tasks ask for port 80 of the task endpoint.
_BEHIND_PORT_80 = 51679


def agent_port_options(data_dir: Path, given: Sequence[str]) -> list[str]:
    """Options for `homeport agent`, for those ports that `given` options leave open."""
    usual = AgentConfig(data_dir=data_dir, endpoint="")
    chosen = read_state(data_dir, "ports")
    for name, address, port in (
        ("log-intake-port", "127.0.0.1", usual.log_intake_port),
        ("introspection-port", "127.0.0.1", usual.introspection_port),
    ):
        chosen.setdefault(name, port if _is_free(address, port) else _free_port(address))
    if "task-endpoint-port" not in chosen:
        is_ours = _is_free(usual.task_endpoint_address, _BEHIND_PORT_80)
        chosen["task-endpoint-port"] = usual.task_endpoint_port if is_ours else _free_port("127.0.0.1")
    write_state(data_dir, "ports", chosen)
    return [
        f"--{name}={port}" for name, port in chosen.items() if not any(each.startswith(f"--{name}=") for each in given)
    ]


def _is_free(address: str, port: int) -> bool:
    """Whether nobody listens there; an address that this host does not have yet is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return True


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
