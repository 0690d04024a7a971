"""The names of Redis keys. All of one user's share a hash tag, and thus a slot of a cluster."""

from __future__ import annotations

import re
from urllib.parse import unquote

from ..store.document import TokenKey
from ..store.entries import KINDS


class RedisKeys:
    """Makes the names of Redis keys, and reads them. All begin with the prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._escaped = re.sub(r"([*?\[\]\\])", r"\\\1", prefix)

    def token(self, key: TokenKey) -> str:
        """Return the name of a token."""
        return f"{self.prefix}:{{{key.owner_text}}}:token:{key.token_text}"

    def index(self, key: TokenKey) -> str:
        """Return the name of the index of all tokens of a key's user."""
        return f"{self.prefix}:{{{key.owner_text}}}:tokens"

    def lock(self, key: TokenKey) -> str:
        """Return the name of a key's lock."""
        return f"{self.prefix}:{{{key.owner_text}}}:lock:{key.token_text}"

    def pattern(self, provider: str | None, user_id: str | None = None) -> str:
        """Return the pattern of the names of all tokens, or of a provider's or a user's.

        Those of a provider are found together with those of others whose names begin alike.
        """
        key = TokenKey("any" if provider is None else provider, user_id)
        owner = "*" if user_id is None else key.owner_text
        return f"{self._escaped}:{{{owner}}}:token:{'' if provider is None else key.provider_text}*"

    def pattern_of(self, user_id: str) -> str:
        """Return the pattern of all names of a user."""
        return f"{self._escaped}:{{{TokenKey('any', user_id).owner_text}}}:*"

    def patterns_of_entries(self) -> list[str]:
        """Return the patterns of the names of entries."""
        return [f"{self._escaped}:{{u:{kind}*}}:token:{kind}*" for kind in KINDS]

    def key(self, name: bytes) -> TokenKey:
        """Return whose token a name is of, or raise ``ValueError`` if it is of no key's."""
        text = name.decode()
        owner, _, token = text.removeprefix(f"{self.prefix}:{{").partition("}:token:")
        user_id = unquote(owner[2:]) if owner.startswith("u:") else None
        key = self.of_user(user_id, token)
        # A name that is written in another way leads to a key whose token lies elsewhere.
        if self.token(key) != text:
            raise ValueError("not the name of a token")
        return key

    def of_user(self, user_id: str | None, token: str) -> TokenKey:
        """Return a key of a user by its ``token_text``, or raise ``ValueError`` if it is none."""
        provider, has_account, account = token.partition(":")
        return TokenKey(unquote(provider), user_id, unquote(account) if has_account else None)
