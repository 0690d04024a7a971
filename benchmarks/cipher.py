"""``seal`` and ``open`` of a token of 2 KB, against AES-GCM alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flask_dance_nosql.consumer.backend import TokenCipher, TokenKey

from .rounds import Row, compare

KEY = TokenKey("provider", "42")
TOKEN = {"access_token": "a" * 1500, "refresh_token": "r" * 493, "token_type": "Bearer"}


def cipher_rows() -> Iterator[Row]:
    """Measure ``TokenCipher`` against one call of AES-GCM with all its parts at hand."""
    cipher, bare, nonce = TokenCipher(TokenCipher.generate_key()), AESGCM(os.urandom(32)), bytes(12)
    text = msgspec.json.encode(TOKEN)
    sealed, ciphertext = cipher.seal(KEY, TOKEN), bare.encrypt(nonce, text, b"provider 42")
    yield compare(
        "TokenCipher.seal",
        lambda: cipher.seal(KEY, TOKEN),
        "AESGCM.encrypt",
        lambda: bare.encrypt(nonce, text, b"provider 42"),
    )
    yield compare(
        "TokenCipher.open",
        lambda: cipher.open(KEY, sealed),
        "AESGCM.decrypt",
        lambda: bare.decrypt(nonce, ciphertext, b"provider 42"),
    )
