"""Identifiers, from an injected source of chance so that a seed replays a whole region."""

import hashlib
import random
import uuid


class Ids:
    """Makes every identifier that a caller may see. `Ids(random.Random(seed))` is deterministic."""

    def __init__(self, source: random.Random) -> None:
        self._random = source

    def hex32(self) -> str:
        """32 hexadecimal digits: a task or container instance id."""
        return f"{self._random.getrandbits(128):032x}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def digits(self, count: int) -> str:
        """A decimal number of exactly `count` digits (deployment ids have 19, accounts 12)."""
        return str(self._random.randrange(10 ** (count - 1), 10**count))

    def letters(self, count: int) -> str:
        """Upper-case letters and digits, as in access key ids."""
        return "".join(self._random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=count))

    def rng(self) -> random.Random:
        """A new independent source seeded from this one."""
        return random.Random(self._random.getrandbits(64))


def system_ids() -> Ids:
    """Identifiers nobody can guess (operating system's entropy)."""
    return Ids(random.SystemRandom())


def derived_uuid(*parts: str) -> str:
    """A UUID that is a function of its parts: container ids need not be stored, nor drawn, one by one."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def derived_random(seed: int, *parts: str | int) -> random.Random:
    """Chance that depends only on the seed and the parts: the same step at the same version chooses the same."""
    text = ":".join(str(part) for part in (seed, *parts))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))
