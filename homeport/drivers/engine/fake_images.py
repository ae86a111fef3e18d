"""The images of the fake engine: what its host has, and a registry that has everything but what behaviours say."""

import hashlib
from collections.abc import Collection, Mapping

from homeport.base.errors import NotFound, Permanent
from homeport.drivers.engine import ImageState, PullDenied, RegistryAuth, RegistryUnreachable
from homeport.drivers.engine.fake_parts import Behaviour
from homeport.drivers.engine.reference import parse_reference


class FakeImages:
    """`behaviours` by image name, and shared with whoever changes them."""

    def __init__(self, behaviours: Mapping[str, Behaviour]) -> None:
        self._behaviours = behaviours
        self._images: dict[str, ImageState] = {}
        self._pushed: dict[str, int] = {}

    def behaviour(self, image: str) -> Behaviour:
        """How containers of the image behave; one that is named by its digest as the image of that repository."""
        names = (image, _full(image), image.partition("@")[0])
        return next((self._behaviours[name] for name in names if name in self._behaviours), Behaviour())

    def push(self, image: str) -> None:
        """The registry gets a new image under the same tag."""
        self._pushed[_full(image)] = self._pushed.get(_full(image), 0) + 1

    def registry_digest(self, image: str, auth: RegistryAuth | None) -> str:
        """The registry's digest of an image. Raises RegistryUnreachable, PullDenied, NotFound."""
        behaviour = self.behaviour(image)
        if behaviour.registry_error is not None:
            raise RegistryUnreachable(behaviour.registry_error)
        if behaviour.pull_denied and auth is None:
            raise PullDenied(f"pull access denied for {parse_reference(image).repository}: no basic auth credentials")
        if behaviour.pull_error is not None and "manifest unknown" in behaviour.pull_error:
            raise NotFound(behaviour.pull_error)
        version = self._pushed.get(_full(image), 0)
        return "sha256:" + hashlib.sha256(f"{_full(image)}/{version}".encode()).hexdigest()

    def keep(self, image: str, digest: str | None) -> ImageState:
        """The host has the image from now on."""
        repository = parse_reference(image).repository
        kept = ImageState(
            id="sha256:" + hashlib.sha256(f"id/{_full(image)}/{digest}".encode()).hexdigest(),
            names=(_full(image),),
            digests=(f"{repository}@{digest}",) if digest else (),
            size_bytes=2_000_000,
        )
        self._images[_full(image)] = kept
        return kept

    def all(self) -> tuple[ImageState, ...]:
        return tuple(self._images.values())

    def local(self, name: str) -> ImageState:
        """The host's image of a name or an id. Raises NotFound."""
        found = self._find(name)
        if found is not None:
            return self._images[found]
        if self.behaviour(name).local:
            return self.keep(name, None)
        raise NotFound(f"No such image: {name}")

    def forget(self, name: str, in_use: Collection[str]) -> None:
        """Remove an image; missing: done. Raises Permanent for one whose id is among `in_use`."""
        found = self._find(name)
        if found is None:
            return
        if self._images[found].id in in_use:
            raise Permanent(f"conflict: unable to remove repository reference {name!r}: in use")
        del self._images[found]

    def _find(self, name: str) -> str | None:
        return next((key for key, image in self._images.items() if name == image.id or _full(name) == key), None)


def _full(image: str) -> str:
    """The name with its tag or digest spelled out."""
    reference = parse_reference(image)
    return (
        f"{reference.repository}@{reference.digest}" if reference.digest else f"{reference.repository}:{reference.tag}"
    )
