"""The keys of a cipher."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ....errors import ConfigurationError
from ....process import PerProcess
from ..store.driver import require
from .envelopes import FORMAT, HEADER_SIZE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
else:
    _NEEDED = {"feature": "TokenCipher", "package": "cryptography", "extra": "encryption"}
    AESGCM = require("cryptography.hazmat.primitives.ciphers.aead", **_NEEDED).AESGCM

KeySource = str | bytes | Callable[[], str | bytes]
"""A key, or a function that returns one."""

KeySources = tuple[KeySource, ...]
"""The key that seals, followed by those that only open."""

KEY_SIZE = 32
_ID_LABEL = b"Flask-Dance-NoSQL token key id\0"
_WANTED = (
    "A key is 32 random bytes as URL-safe base64 text. To make one, run: flask tokens generate-key"
)


class Keyring:
    """One key that seals, and all keys that open.

    A key is found by the header of the envelopes that it seals: the format of the envelope, and the
    key's id, which is a hash that does not reveal the key. Functions among the sources are called
    at once; a source that is no key raises :exc:`ConfigurationError`.
    """

    __slots__ = ("header", "openers", "sealer")

    def __init__(self, sources: KeySources) -> None:
        keys = [_key_bytes(source() if callable(source) else source) for source in sources]
        if None in keys:
            place = keys.index(None)
            name = f"Fallback key {place}" if place else "The key"
            raise ConfigurationError(f"{name} of TokenCipher can't be used. {_WANTED}")
        size = HEADER_SIZE - len(FORMAT)
        ids = {hashlib.sha256(_ID_LABEL + key).digest()[:size]: key for key in keys if key}
        self.openers = {FORMAT + each: AESGCM(key) for each, key in ids.items()}
        # A tenant may have no keys, and then nothing is sealed.
        sealing: tuple[bytes, Any] = next(iter(self.openers.items()), (b"", None))
        self.header, self.sealer = sealing

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, as hexadecimal text, that of the key that seals first."""
        return tuple(header[len(FORMAT) :].hex() for header in self.openers)


class Keyrings:
    """The keyrings made so far, so that a function is called once for each configuration."""

    def __init__(self) -> None:
        self._made: dict[KeySources, Keyring] = {}
        # Reentrant, since a function that returns a key may need a token itself.
        self._making = PerProcess(threading.RLock)

    def get(self, sources: KeySources) -> Keyring:
        """Return the keyring of these sources."""
        try:
            made = self._made.get(sources)
        except TypeError as error:
            message = f"A key of TokenCipher is of a type that can't be one. {_WANTED}"
            raise ConfigurationError(message) from error
        if made is not None:
            return made
        with self._making.get():
            if sources not in self._made:
                self._made[sources] = Keyring(sources)
            return self._made[sources]


def key_sources(key: KeySource, fallbacks: Any) -> KeySources:
    """Return a key and its fallbacks, which have to be a list or tuple, as one tuple."""
    if not isinstance(fallbacks, (list, tuple)):
        kind = type(fallbacks).__name__
        raise ConfigurationError(f"Fallback keys are given as a list, not as a {kind}.")
    return (key, *fallbacks)


def _key_bytes(text: object) -> bytes | None:
    if isinstance(text, str):
        text = text.encode(errors="replace")
    if not isinstance(text, bytes):
        return None
    text = text.strip()
    try:
        key = base64.urlsafe_b64decode(text)
    except ValueError:
        return None
    # The decoder skips characters outside of its alphabet, so a passphrase might pass.
    return key if len(key) == KEY_SIZE and base64.urlsafe_b64encode(key) == text else None
