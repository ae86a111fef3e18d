"""A host in memory that can have any address and resolves any name, but for those it is told to refuse."""

from collections.abc import Iterable, Mapping


class FakeAddresses:
    """`drivers.network.Addresses`. `refused` maps addresses to why they cannot be had."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.refused: dict[str, str] = {}

    async def add(self, addresses: Iterable[str]) -> dict[str, str]:
        wanted = set(addresses)
        self.present |= wanted - self.refused.keys()
        return {address: self.refused[address] for address in wanted & self.refused.keys()}

    async def keep_only(self, addresses: Iterable[str]) -> None:
        self.present &= set(addresses)


class FakeHostNames:
    """`drivers.network.HostNames`."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    async def publish(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)
