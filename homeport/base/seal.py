"""Encryption of secrets at rest, and the session credentials that need no storage.

One master key per data directory (32 bytes, mode 0600). AES-256-GCM, a random nonce per value, the purpose as
associated data, so that a value sealed for one purpose cannot be opened for another.
"""

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Sealer:
    """Seals and opens short byte strings with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead = AESGCM(key)

    def seal(self, purpose: str, plain: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + self._aead.encrypt(nonce, plain, purpose.encode())).decode()

    def open(self, purpose: str, sealed: str) -> bytes | None:
        """The plain bytes, or None if the text was not sealed with this key for this purpose."""
        try:
            raw = base64.urlsafe_b64decode(sealed.encode())
            return self._aead.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            return None

    def derive(self, purpose: str, text: str) -> str:
        """A 40-character secret that is a function of key, purpose and text (secret keys of session credentials)."""
        digest = hmac.new(self._key, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()[:40]


def load_or_create_key(path: Path) -> bytes:
    """The master key in `path`; made, with mode 0600, at first use."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = os.urandom(32)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        return key
