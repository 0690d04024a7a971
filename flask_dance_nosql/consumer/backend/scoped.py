"""The one place where a token's owner and a store come together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Unpack

from ...errors import UserRequired
from .base import BlueprintLike
from .cache.base import CachedStore
from .check import Wanted, checked
from .cipher.sealed import SealedStore
from .options import People, Ttl, checked_cipher, checked_seconds, checked_ttl, token_cache
from .owner import CURRENT, NOT_GIVEN, OwnerResolver, Scope, Who
from .scoped_slot import StoreBackend
from .store.base import TokenStore
from .store.document import TokenDocument
from .store.findings import Finding
from .store.shard import Shard
from .store.values import Token, id_text

if TYPE_CHECKING:
    from .cipher.envelope import TokenCipher


class UserScopedBackend(StoreBackend):
    """Keeps a token for each provider and user, and account, in any :class:`TokenStore`.

    Args:
        store: Where the documents are kept.
        user: The user whose token is meant: a user object with an ``id`` (or Flask-Login's
            ``get_id``), a function that returns one, or a proxy such as ``current_user``.
        user_id: The user's id, or a function or proxy for it; it wins over ``user``.
        user_required: Whether an operation without a user is an error; default: whether the scope
            is ``"user"``.
        anon_user: The class of your anonymous users, who count as no user. Flask-Login's is known.
        scope: Who shares a token: ``"user"`` (default when ``user`` or ``user_id`` is given),
            ``"app"`` (default otherwise: one for the whole application) or ``"browser"`` (each
            visitor has their own, found by a random id in the Flask session).
        ttl: How long a record is kept: ``None``, the default, for ever; a number, for so many
            seconds since it was last written; ``"token"``, until the access token ends, if there is
            no refresh token to get another with.
        cipher: Seals tokens before they leave for the store and the cache; ``None``, the default,
            for none. See :doc:`/encryption`.
        cache: Keeps documents at hand: a :class:`LocalCache`, an :class:`InvalidatedCache`, a
            ``Cache`` of Flask-Caching or any cache of cachelib; ``None``, the default, for none.
            See :doc:`/caching`.
        cache_timeout: How many seconds the cache keeps a token at most. With 0 it is not read, and
            is told of writes for the sake of other backends.
        cache_miss_timeout: How many seconds it keeps that there is none; 0 for not at all.

    Raises:
        ConfigurationError: If ``scope``, ``ttl`` or a timeout is none of these, ``scope``
            contradicts ``user`` or ``user_id``, or the store can't keep a record's end.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        scope: Scope | None = None,
        ttl: Ttl = None,
        cipher: TokenCipher | None = None,
        cache: Any = None,
        cache_timeout: float = 300.0,
        cache_miss_timeout: float = 30.0,
        **people: Unpack[People],
    ) -> None:
        cache_timeout = checked_seconds("cache_timeout", cache_timeout)
        cache_miss_timeout = checked_seconds("cache_miss_timeout", cache_miss_timeout)
        if cache is not None:
            store = CachedStore(store, token_cache(cache), cache_timeout, cache_miss_timeout)
        # What is cached is sealed.
        cipher = checked_cipher(cipher)
        sealed = store if cipher is None else SealedStore(store, cipher)
        if ttl is not None:
            store.require_expiry()
        owners = OwnerResolver(scope=scope, **people)
        super().__init__(sealed, owners, checked_ttl(ttl))

    def get(
        self,
        blueprint: BlueprintLike,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
    ) -> Token | None:
        """Return the owner's token, or ``None`` if there is none.

        Args:
            blueprint: The blueprint; its name is the provider.
            user: Whose token, in place of the user that the backend was given. Somebody who turns
                out to be nobody, as ``None`` and an anonymous user do, has none.
            user_id: The same by id; it wins over ``user``.
            account: The id of one of the user's accounts; ``None``, the default, is the token that
                is kept without one.

        Raises:
            UserRequired: If there is no user and one is required.
            ConfigurationError: If an account is named and the store keeps none.
            BackendUnavailable: If the store did not answer.
            TokenDecryptError: If the cipher can't open it.
            CorruptToken: If what is stored is not a token document.
        """
        is_current = user is user_id is NOT_GIVEN and account is None
        who = CURRENT if is_current else Who(user, user_id, account)
        return self.slot(blueprint, who).read().token

    def set(
        self,
        blueprint: BlueprintLike,
        token: Token,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
        provider_user_id: str | None = None,
    ) -> None:
        """Store the owner's token in place of any other, or raise.

        The arguments are those of :meth:`get`, the token, which is a dict that JSON can hold, and
        the account at the provider that it links to the user: nobody else can have it then, and
        :meth:`find_account` finds it. ``None``, the default, links none.

        Raises:
            AccountAlreadyLinked: If somebody else has the account.
            TypeError, ValueError: If JSON can't hold the token.
            UserRequired: If there is no user and one is required, or nobody is named.
            BackendUnavailable: If the store did not answer.
        """
        slot = self.slot(blueprint, Who(user, user_id, account))
        if provider_user_id is not None:
            slot.provider_user_id = id_text(provider_user_id, "provider_user_id")
            self.links = True
        slot.write(token)

    def delete(
        self,
        blueprint: BlueprintLike,
        user: Any = NOT_GIVEN,
        user_id: Any = NOT_GIVEN,
        account: str | None = None,
    ) -> None:
        """Remove the owner's token; it is no error if there is none.

        It takes and raises what :meth:`get` does, but for what is stored.
        """
        self.slot(blueprint, Who(user, user_id, account)).erase()

    def owner(self, blueprint: BlueprintLike) -> object:
        """Return whose token ``get`` would now give, as a key, or ``None`` for nobody.

        It raises what :meth:`get` does, but for what is stored.
        """
        key = self.slot(blueprint).key
        if key is None and self.user_required:
            raise UserRequired("get")
        return key

    def tokens_of(self, user_id: Any) -> list[TokenDocument]:
        """Return the documents of a user, one for each provider, and for each account there.

        Args:
            user_id: The user's id: a ``str``, ``int``, ``uuid.UUID`` or ``bson.ObjectId``.

        Raises:
            TypeError: If it is anything else.
            BackendUnavailable: If the store did not answer.
        """
        found = self.store.scan(user_id=id_text(user_id))
        return [document for document in found if not document.grant_ended]

    def check(
        self,
        *,
        sample: int | None = None,
        except_providers: Collection[str] = (),
        shard: Shard | None = None,
        told: Callable[[], object] | None = None,
    ) -> list[Finding]:
        """Look at the server, the cipher, the cache and all records, and return what is found.

        Nothing is raised, and nothing is changed: of a record that is written to find out whether
        that is possible nothing stays. All records are read once, which takes as long as a scan
        does. If the server does not answer, nothing else is looked at. See :doc:`/health`.

        Args:
            sample: Look at so many records only; ``None``, the default, at all.
            except_providers: Providers whose records another backend keeps in the same place, with
                a cipher of its own perhaps.
            shard: Look at this part of the records only; ``None``, the default, at all.
            told: Called after each record; ``None``, the default, for nothing.

        .. versionadded:: 1.0
        """
        return checked(self.store, Wanted(sample, except_providers, shard, told))

    def find_account(
        self, blueprint: BlueprintLike, provider_user_id: object
    ) -> TokenDocument | None:
        """Return the document that an account at the provider is linked to, or ``None``.

        Args:
            blueprint: The blueprint; its name is the provider.
            provider_user_id: The account's id at the provider.

        Raises:
            BackendUnavailable: If the store did not answer.
            TypeError, ValueError: If the id can't be one.
        """
        account = id_text(provider_user_id, "provider_user_id")
        key = self.store.linked(blueprint.name, account)
        document = None if key is None else self.store.load_fresh(key)
        is_linked = document is not None and document.provider_user_id == account
        return document if is_linked else None
