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

    def pattern(self, provider: str | None, user_id: str | None = None) -> str:
        """Return the pattern of the names of all tokens, or of a provider's or a user's."""
        prefix = re.sub(r"([*?\[\]\\])", r"\\\1", self.prefix)
        key = TokenKey("any" if provider is None else provider, user_id)
        owner = "*" if user_id is None else key.owner_text
        return f"{prefix}:{{{owner}}}:token:{'*' if provider is None else key.provider_text}"

    def key(self, name: bytes) -> TokenKey:
        """Return whose token a name is of, or raise ``ValueError`` if it is of no key's."""
        text = name.decode()
        owner, _, provider = text.removeprefix(f"{self.prefix}:{{").partition("}:token:")
        key = TokenKey(unquote(provider), unquote(owner[2:]) if owner.startswith("u:") else None)
        # A name that is written in another way leads to a key whose token lies elsewhere.
        if self.token(key) != text:
            raise ValueError("not the name of a token")
        return key
