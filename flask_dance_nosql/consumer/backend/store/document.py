"""The document model: whose token it is, and what is stored for it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec

from .... import clock
from .values import Token, id_text, require_text

_SKEW_SECONDS = 30.0
_ROUNDED_SECONDS = 1.0


class TokenKey(msgspec.Struct, frozen=True):
    """Whose token: a provider, a user or nobody, and one of several accounts, if there are several.

    Args:
        provider: The blueprint's name.
        user_id: ``None``, or a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``, which becomes
            its text: the user ``42`` of a model and the ``"42"`` of a session are the same.
        account: The id of one account at the provider, of the same types; ``None``, the default,
            where a user has one token for each provider.

    Raises:
        TypeError: If an id is anything else; a dict, above all, could be a query.
        ValueError: If a part is empty, is not valid Unicode or contains NUL characters.
    """

    provider: str
    user_id: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        provider, user_id = self.provider, self.user_id
        # Most ids are plain ASCII text, and are done with here.
        if user_id is not None and not (
            type(user_id) is str and user_id and user_id.isascii() and "\0" not in user_id
        ):
            msgspec.structs.force_setattr(self, "user_id", id_text(user_id))
        if self.account is not None:
            msgspec.structs.force_setattr(self, "account", id_text(self.account, "account"))
        if type(provider) is not str:
            if not isinstance(provider, str):
                raise TypeError(f"A provider is a str, not {type(provider).__name__}")
            # As for a user: a member of a text enumeration would have another text.
            provider = str.__str__(provider)
            msgspec.structs.force_setattr(self, "provider", provider)
        if not (provider and provider.isascii() and "\0" not in provider):
            require_text(provider, "provider")

    @property
    def provider_text(self) -> str:
        """The provider, percent-encoded, which is safe in any key and never ambiguous."""
        provider = self.provider
        # quote() is slow for the many texts that it leaves as they are.
        return provider if provider.isascii() and provider.isalnum() else quote(provider, safe="")

    @property
    def owner_text(self) -> str:
        """The user, percent-encoded behind ``u:``, or ``app`` if there is none."""
        user = self.user_id
        if user is None:
            return "app"
        return f"u:{user}" if user.isascii() and user.isalnum() else f"u:{quote(user, safe='')}"

    @property
    def token_text(self) -> str:
        """The provider as it is, or with an account as ``provider:account``."""
        if self.account is None:
            return self.provider_text
        return f"{self.provider_text}:{quote(self.account, safe='')}"

    @property
    def text(self) -> str:
        """All parts; no other key has the same text.

        It is ``provider:u:user`` or ``provider:app``, and ends in ``:a:account`` if there is one.
        """
        provider, user, account = self.provider, self.user_id, self.account
        if account is not None:
            return f"{self.provider_text}:{self.owner_text}:a:{quote(account, safe='')}"
        if user is not None and (both := provider + user).isascii() and both.isalnum():
            return f"{provider}:u:{user}"
        return f"{self.provider_text}:{self.owner_text}"

    @classmethod
    def of_text(cls, text: str) -> TokenKey:
        """Return the key that has a :attr:`text`, or raise ``ValueError`` if none has it."""
        provider, *parts = text.split(":")
        user_id = unquote(parts[1]) if parts[:1] == ["u"] and len(parts) > 1 else None
        account = unquote(parts[-1]) if parts[-2:-1] == ["a"] and len(parts) > 2 else None
        key = cls(unquote(provider), user_id, account)
        if key.text != text:
            raise ValueError("not the text of a key")
        return key

    @property
    def digest(self) -> str:
        """The SHA-256 of :attr:`text`: 64 small letters and digits, a legal name anywhere."""
        return sha256(self.text.encode()).hexdigest()


class RefreshFailure(msgspec.Struct, frozen=True, kw_only=True):
    """How refreshes of a token have failed since the last that succeeded.

    Args:
        count: How many have failed. Those of requests before ``next_try`` are not counted.
        since: When the first of them failed, as aware UTC time; of a grant that has ended, when
            that was found out.
        next_try: When :doc:`keep-fresh </keeping-alive>` tries again, as aware UTC time.
        reason: Why the last one failed: text that may be shown.
        needs_login: Whether the provider has refused in a way that asking again does not change, so
            that the user has to log in again.

    .. versionadded:: 1.0
    """

    count: int
    since: datetime
    next_try: datetime
    reason: str
    needs_login: bool = False


class TokenDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A token and its metadata: the counterpart of SQLAlchemy's ``OAuthConsumerMixin``.

    Args:
        version: A number that grows with each write; 0 before the first. It starts at the current
            time, so that a document never has the version of a deleted one with its key.
        created_at: When it was first stored, as aware UTC time.
        updated_at: When it was last written, as aware UTC time.
        expires_at: When the record may be dropped, as aware UTC time, or ``None`` for never. The
            access token may end earlier.
        provider: The blueprint's name.
        user_id: The user's id as text, or ``None``.
        provider_user_id: The account at the provider, or ``None`` if it is not known.
        token: The token.
        format: The version of this layout.
        account: The account of its key, or ``None``. Stores keep no such field then.
        refresh_failure: How refreshes of it fail, or ``None`` if the last one did not. Stores keep
            no such field then.
    """

    version: int = 0
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    provider: str
    user_id: str | None
    provider_user_id: str | None = None
    token: Token
    format: Literal[1] = 1
    account: str | None = None
    refresh_failure: RefreshFailure | None = None

    @property
    def key(self) -> TokenKey:
        """Whose token it is."""
        if self.account is None:
            return TokenKey(self.provider, self.user_id)
        return TokenKey(self.provider, self.user_id, self.account)

    def is_of(self, key: TokenKey) -> bool:
        """Whether it is the token of a key."""
        return (
            self.provider == key.provider
            and self.user_id == key.user_id
            and self.account == key.account
        )

    @property
    def expired(self) -> bool:
        """Whether the record may be dropped. An expired record counts as none."""
        return self.expires_at is not None and self.expires_at <= clock.now()

    def is_newer(self, other: TokenDocument) -> bool:
        """Whether it was written after another document of its key, in another store.

        By the dates or, if they are so close that the clocks of two servers may have made them, by
        the versions, which both stores count, and then by the dates.
        """
        seconds = (self.updated_at - other.updated_at).total_seconds()
        if abs(seconds) > _SKEW_SECONDS or self.version == other.version:
            return seconds > 0
        return self.version > other.version

    def is_like(self, other: TokenDocument, fields: Collection[str]) -> bool:
        """Whether another document has the same token and, of these fields, the same values.

        Versions and the time of the first write count for nothing. Dates may differ by as much as
        databases round them.
        """
        return self.token == other.token and all(
            _is_close(getattr(self, name), getattr(other, name))
            for name in fields
            if name not in ("version", "created_at")
        )

    @property
    def grant_ended(self) -> bool:
        """Whether it tells that the provider has ended the grant, in place of a token.

        To the application, its owner is one without a token.
        """
        failure = self.refresh_failure
        return failure is not None and failure.needs_login and not self.token

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ("provider", "user_id", "account", "version", "updated_at")
        found = [(name, getattr(self, name)) for name in shown]
        return [(name, value) for name, value in found if (name, value) != ("account", None)]

    def __repr__(self) -> str:
        account = "" if self.account is None else f"account={self.account!r} "
        return (
            f"<{type(self).__name__} provider={self.provider!r} user_id={self.user_id!r} "
            f"{account}version={self.version} updated_at={self.updated_at.isoformat()}>"
        )


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, RefreshFailure) and isinstance(other, RefreshFailure):
        names = RefreshFailure.__struct_fields__
        return all(_is_close(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs((one - other).total_seconds()) < _ROUNDED_SECONDS
    return bool(one == other)
