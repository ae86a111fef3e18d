"""Which images this agent fetched, and when it last used them: what pull behaviour `once` and clean-up go by."""

from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct


class KnownImage(Struct, frozen=True, kw_only=True):
    """An image by the name that tasks use. Instants in epoch seconds."""

    name: str
    image_id: str
    pulled_at: float
    used_at: float


class ImageBook(Protocol):
    """Keeps the list across restarts of the agent."""

    def load(self) -> tuple[KnownImage, ...]: ...
    def save(self, images: tuple[KnownImage, ...]) -> None: ...


class MemoryImageBook:
    """Forgets with the process; for simulation it may be handed to the agent's next life."""

    def __init__(self) -> None:
        self._images: tuple[KnownImage, ...] = ()

    def load(self) -> tuple[KnownImage, ...]:
        return self._images

    def save(self, images: tuple[KnownImage, ...]) -> None:
        self._images = images


class FileImageBook:
    """A JSON file, replaced as a whole. A lost or torn file costs a pull, nothing more, so it is not synced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[KnownImage, ...]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[KnownImage, ...])
        except (FileNotFoundError, msgspec.DecodeError):
            return ()

    def save(self, images: tuple[KnownImage, ...]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(images))
        fresh.replace(self._path)
