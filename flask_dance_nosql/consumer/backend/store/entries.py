"""Documents that point to the owners of tokens, kept beside those of the tokens themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from .... import clock
from .document import TokenDocument, TokenKey

# Flask takes no blueprint with a dot in its name, so that no token has such a provider.
LINKED, MARKED = ".linked.", ".marked."
"""The kinds of entries: of an account that is one owner's, and of a name that several may have."""

KINDS = (LINKED, MARKED)

PROBE = ".probe."
"""The provider of the record by which a check finds out whether it can write."""


def is_of_entries(provider: str) -> bool:
    """Whether documents of a provider are entries, or a check's."""
    return provider.startswith((*KINDS, PROBE))


def tokens_in(documents: Iterable[Any]) -> Iterator[Any]:
    """Yield the records that are of tokens, and not the entries."""
    return (each for each in documents if not is_of_entries(each.provider))


def linked_key(provider: str, account: str) -> TokenKey:
    """Return the key of the entry of an account."""
    return TokenKey(LINKED + provider, LINKED + account)


def marked_key(provider: str, name: str, owner: TokenKey | None = None) -> TokenKey:
    """Return the key of the entry of a name and an owner, or the one that all of a name share."""
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return TokenKey(MARKED + provider, MARKED + digest, None if owner is None else owner.digest)


def entry_of(key: TokenKey, owner: TokenKey) -> TokenDocument:
    """Return an entry under a key that points to an owner."""
    now = clock.now()
    return TokenDocument(
        provider=key.provider,
        user_id=key.user_id,
        account=key.account,
        token={"user_id": owner.user_id, "account": owner.account},
        created_at=now,
        updated_at=now,
    )


def owner_of(entry: TokenDocument) -> TokenKey | None:
    """Return the key that an entry points to, or ``None`` if it points to none."""
    token: dict[str, Any] = entry.token
    for kind in KINDS:
        if entry.provider.startswith(kind):
            try:
                provider = entry.provider.removeprefix(kind)
                return TokenKey(provider, token["user_id"], token["account"])
            except (KeyError, TypeError, ValueError):
                return None
    return None
