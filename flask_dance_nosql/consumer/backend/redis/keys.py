"""The names of Redis keys. All of one user's share a hash tag, and thus a slot of a cluster."""

from __future__ import annotations

import re
from urllib.parse import unquote

from ..store.document import TokenKey


class RedisKeys:
    """Makes the names of Redis keys, and reads them. All begin with the prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def token(self, key: TokenKey) -> str:
        """Return the name of a token."""
        return f"{self.prefix}:{{{key.owner_text}}}:token:{key.provider_text}"

    def index(self, key: TokenKey) -> str:
        """Return the name of the index of all tokens of a key's user."""
        return f"{self.prefix}:{{{key.owner_text}}}:tokens"

    def lock(self, key: TokenKey) -> str:
        """Return the name of a key's lock."""
        return f"{self.prefix}:{{{key.owner_text}}}:lock:{key.provider_text}"

    def pattern(self, provider: str | None) -> str:
        """Return the pattern of the names of all tokens, or of those of a provider."""
        prefix = re.sub(r"([*?\[\]\\])", r"\\\1", self.prefix)
        wanted = "*" if provider is None else TokenKey(provider).provider_text
        return f"{prefix}:{{*}}:token:{wanted}"

    def key(self, name: str) -> TokenKey:
        """Return whose token a name is of."""
        owner, _, provider = name.removeprefix(f"{self.prefix}:{{").partition("}:token:")
        user_id = unquote(owner[2:]) if owner.startswith("u:") else None
        return TokenKey(unquote(provider), user_id)
