"""Where this host is reached from the control plane's: what its tasks' published ports are to load balancers."""

import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"


def reachable_address(endpoint: str) -> str:
    """The IPv4 address from which this host talks to `endpoint` (a URL); loopback where that is on this host.

    The kernel's routes answer, nothing is sent. Loopback also for a host that has no route there yet.
    """
    host = urlsplit(endpoint).hostname or LOOPBACK
    if _is_loopback(host):
        return LOOPBACK
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
    return LOOPBACK


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
