"""Encryption of tokens at rest."""

from __future__ import annotations

import base64
import os
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, current_app, has_app_context

from ....errors import ConfigurationError, TokenDecryptError
from ..store.document import TokenKey
from ..store.driver import require
from ..store.values import Token
from .envelopes import FIELD, HEADER_SIZE, envelope_in, is_sealed, key_id_of
from .keyring import KEY_SIZE, Keyring, Keyrings, KeySource, KeySources, key_sources

if TYPE_CHECKING:
    from cryptography.exceptions import InvalidTag
else:
    _NEEDED = {"feature": "TokenCipher", "package": "cryptography", "extra": "encryption"}
    InvalidTag = require("cryptography.exceptions", **_NEEDED).InvalidTag

KEY_SETTING = "FLASK_DANCE_TOKEN_KEY"
FALLBACKS_SETTING = "FLASK_DANCE_TOKEN_KEY_FALLBACKS"
_EXTENSION = "flask_dance_nosql_keyrings"
_NONCE_SIZE = 12
# The format of what is sealed with a token of one account, whose envelope is like any other.
_WITH_ACCOUNT = b"\x02"
_NONCE_END = HEADER_SIZE + _NONCE_SIZE

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class TokenCipher:
    """Seals tokens, so that who reads the database can't use them.

    A token is sealed as a whole by AES-256-GCM. It opens for the provider, user and account that it
    was sealed for, and for nobody else: a copy in another's record is an error. What a store gets
    is a token with the one field ``sealed``, whose text is an envelope in URL-safe base64: a byte
    for the format, 8 bytes that tell which key it is, a random nonce of 12 bytes, the ciphertext of
    the token's JSON, and its tag of 16 bytes.

    The keys come from the app's configuration unless they are given: ``FLASK_DANCE_TOKEN_KEY``,
    and a list ``FLASK_DANCE_TOKEN_KEY_FALLBACKS``. Never from ``SECRET_KEY``. Each is what
    :meth:`generate_key` returns, or a function that returns such a text, for example from a key
    management service. A function is called when a key is first needed, once in each process and
    for each app, and again only if it failed.

    To change the key, put the new one in place and the old one among the fallbacks. Tokens sealed
    with the old one are sealed with the new one when they are next written.

    Change it before it has sealed 2**32 tokens, which is as far as random nonces go.

    Source: NIST SP 800-38D, sections 8.2.2 and 8.3.

    Args:
        key: The key that seals, or a function that returns it. ``None``, the default, reads it and
            its fallbacks from the current app's configuration.
        fallbacks: Keys that open what was sealed with them, or functions that return them.
        allow_plaintext: Whether :meth:`open` gives back tokens that are not sealed as they are; for
            the time until all are. While it is on, who can write to the database can put tokens of
            their own in place.

    Raises:
        ConfigurationError: If a key can't be used, or there are only fallbacks.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        key: KeySource | None = None,
        fallbacks: Sequence[KeySource] = (),
        *,
        allow_plaintext: bool = False,
    ) -> None:
        self.allow_plaintext = allow_plaintext
        self._given: KeySources | None = None
        self._keyring: Keyring | None = None
        self._keyrings = Keyrings()
        if key is not None:
            sources = key_sources(key, fallbacks)
            if any(map(callable, sources)):
                self._given = sources
            else:
                self._keyring = Keyring(sources)
        elif fallbacks:
            raise ConfigurationError("TokenCipher got fallback keys and no key to seal with.")

    @staticmethod
    def generate_key() -> str:
        """Return a new random key, as text for the configuration.

        ``flask tokens generate-key`` prints one.
        """
        return base64.urlsafe_b64encode(os.urandom(KEY_SIZE)).decode()

    def seal(self, key: TokenKey, token: Token) -> Token:
        """Return a token's sealed form, another one each time.

        Args:
            key: Whose token.
            token: The token, of nothing but what JSON has, as a
                :class:`~flask_dance_nosql.consumer.backend.UserScopedBackend` stores it.

        Raises:
            ConfigurationError: If there is no key, or one that can't be used.
        """
        keyring = self.keyring_to_seal(key)
        text = _encode(token)
        # Whole groups of three bytes: no two texts in base64 then stand for the same envelope.
        text += b" " * ((2 - len(text)) % 3)
        nonce = os.urandom(_NONCE_SIZE)
        sealed = keyring.sealer.encrypt(nonce, text, _associated_data(keyring.header, key))
        # msgspec takes half the time of binascii. Both replacements skip quickly over what stays.
        envelope: str = msgspec.to_builtins(keyring.header + nonce + sealed)
        return {FIELD: envelope.replace("+", "-").replace("/", "_")}

    def open(self, key: TokenKey, token: Token) -> Token:
        """Return the token that was sealed.

        A token whose only field is ``sealed`` counts as sealed, always: no provider issues one
        without an ``access_token`` (:rfc:`6749`, section 5.1) or ``oauth_token`` (:rfc:`5849`,
        section 2.3). One with a field ``sealed`` among others is a plain one.

        Args:
            key: Whose token.
            token: What is stored for it.

        Raises:
            TokenDecryptError: If it was sealed for somebody else or with a key that is not here, is
                damaged, or is not sealed and ``allow_plaintext`` is off.
            ConfigurationError: If there is no key, or one that can't be used.
        """
        if not isinstance(token, dict):
            raise _decrypt_error(key, "it is no token.")
        if not is_sealed(token):
            if self.allow_plaintext:
                return token
            raise _decrypt_error(key, "it is not encrypted. Until all are: allow_plaintext=True.")
        keyring = self.keyring_for(key)
        try:
            envelope = envelope_in(token)
            header, nonce = envelope[:HEADER_SIZE], envelope[HEADER_SIZE:_NONCE_END]
            opener = keyring.openers.get(header)
            if opener is None:
                opener = self.renewed(key, keyring).openers.get(header)
            if opener is not None:
                data = _associated_data(header, key)
                return _decode(opener.decrypt(nonce, envelope[_NONCE_END:], data))
        except (InvalidTag, msgspec.MsgspecError, ValueError, RecursionError):
            pass
        raise _decrypt_error(key, "it can't be decrypted with the keys at hand.")

    @staticmethod
    def key_id_of(token: Token) -> str | None:
        """Return the id of the key that a stored token is sealed with, and open nothing.

        Args:
            token: A token as it is in the database.

        Returns:
            The id as hexadecimal text, which does not reveal the key; empty if it can't be told,
            since the envelope is damaged. ``None`` if the token is not sealed.

        .. versionadded:: 1.0
        """
        return key_id_of(token)

    def key_ids(self, key: TokenKey | None = None) -> tuple[str, ...]:
        """Return the ids of the keys at hand: of the key that seals, then of its fallbacks.

        Args:
            key: Whose token they are for; ``None``, the default, for those that are everybody's.

        Raises:
            ConfigurationError: If there is no key, or one that can't be used.

        .. versionadded:: 1.0
        """
        return self.keyring_for(key).ids

    def tenant_of(self, key: TokenKey) -> Hashable:  # noqa: ARG002 - for subclasses
        """Return whose keys the token of a key has; here those of all."""
        return None

    def keyring_to_seal(self, key: TokenKey) -> Keyring:
        """Return the keys for a new token of a key; there is one to seal with."""
        return self.keyring_for(key)

    def renewed(self, key: TokenKey, keyring: Keyring) -> Keyring:  # noqa: ARG002 - for subclasses
        """Return the keys for the token of a key when those that are known do not open it."""
        return keyring

    def keyring_for(self, key: TokenKey | None) -> Keyring:
        """Return the keys for the token of a key."""
        if self._keyring is not None:
            return self._keyring
        app: Flask | None = None
        if has_app_context():
            app = current_app._get_current_object()  # type: ignore[attr-defined] # it is a proxy
        sources = self._given
        if sources is None:
            if app is None:
                raise ConfigurationError(
                    f"TokenCipher reads {KEY_SETTING} from the current app's configuration, and "
                    "there is no current app. Use app.app_context(), or give the cipher a key."
                )
            key, fallbacks = app.config.get(KEY_SETTING), app.config.get(FALLBACKS_SETTING)
            if key is None:
                raise ConfigurationError(
                    f"The app's configuration has no {KEY_SETTING}. Make a key with: "
                    "flask tokens generate-key"
                )
            sources = key_sources(key, () if fallbacks is None else fallbacks)
        if app is None:
            return self._keyrings.get(sources)
        # What a function returns may depend on the app, and so may the configuration.
        keyrings: Keyrings = app.extensions.get(_EXTENSION) or app.extensions.setdefault(
            _EXTENSION, Keyrings()
        )
        return keyrings.get(sources)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} allow_plaintext={self.allow_plaintext}>"


def _associated_data(header: bytes, key: TokenKey) -> bytes:
    """What is sealed with a token and not stored with it: a format, and the parts of the key."""
    provider = key.provider.encode()
    owner = b"" if key.user_id is None else b"u" + key.user_id.encode()
    if key.account is None:
        return header[:1] + len(provider).to_bytes(4) + provider + owner
    parts = b"".join(len(part).to_bytes(4) + part for part in (provider, owner))
    return _WITH_ACCOUNT + parts + key.account.encode()


def _decrypt_error(key: TokenKey, reason: str) -> TokenDecryptError:
    return TokenDecryptError("open", "TokenCipher", key.provider, key.user_id, reason)
