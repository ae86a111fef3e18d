"""What load balancers need of this host's network: addresses to listen on, names to be found by."""

from collections.abc import Iterable, Mapping
from typing import Protocol


class Addresses(Protocol):
    """Addresses of load balancers on this host. Addresses that the host has anyway are left alone."""

    async def add(self, addresses: Iterable[str]) -> dict[str, str]:
        """Make sure that the host has them; for each that it cannot have, why."""
        ...

    async def keep_only(self, addresses: Iterable[str]) -> None:
        """Take away what was added earlier and is not among these."""
        ...


class HostNames(Protocol):
    """Names that this host resolves."""

    async def publish(self, names: Mapping[str, str]) -> None:
        """Exactly these names (to IPv4 addresses) are ours from now on. A host that cannot be told is no error."""
        ...
