"""Where this host is reached from the control plane's: what its tasks' published ports are to load balancers.

On one host that is the address of Docker's bridge, not loopback. The kernel itself leads what goes there to the
container, so a container that died refuses connections, and a request that was refused can safely be given to another
one. Loopback is served by a proxy that accepts for the dead and hangs up: for some 100 ms every request sent to it was
lost, more than those in flight.
"""

import fcntl
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
DOCKER_BRIDGE = "docker0"
_GET_INTERFACE_ADDRESS = 0x8915  # SIOCGIFADDR, netdevice(7)


def reachable_address(endpoint: str, bridge: str = DOCKER_BRIDGE) -> str:
    """The IPv4 address from which this host talks to `endpoint` (a URL); where that is on this host, its `bridge`'s.

    The kernel's routes answer, nothing is sent. Loopback for a host that has no route there yet, or no such bridge.
    """
    host = urlsplit(endpoint).hostname or LOOPBACK
    if _is_loopback(host):
        return interface_address(bridge) or LOOPBACK
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))
        return str(probe.getsockname()[0])
    return LOOPBACK


def interface_address(name: str) -> str | None:
    """The first IPv4 address of this host's interface; None where there is no such interface, or it has none."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, _GET_INTERFACE_ADDRESS, struct.pack("256s", name.encode()[:15]))
        return socket.inet_ntoa(
            answer[20:24]
        )  # struct ifreq: 16 bytes of name, then sockaddr_in: family, port, address
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
