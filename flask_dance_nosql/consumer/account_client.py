"""Several accounts of a user at one provider, and accounts that belong to one user only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from flask import has_request_context
from flask import session as flask_session

from ..errors import (
    AccountUnknown,
    BackendError,
    ConfigurationError,
    CorruptToken,
)
from .account import Account
from .backend.base import NOTHING, MemoryBackend, TokenSlot
from .backend.owner import NOT_GIVEN, Who
from .backend.scoped import UserScopedBackend
from .backend.scoped_slot import StoreSlot
from .backend.store.document import TokenDocument, TokenKey
from .backend.store.values import Token, account_text, id_text
from .client import OAuthClient, SlotMaker
from .context import current_state
from .settings import argument
from .token import account_id_of

log = logging.getLogger(__name__)

AccountId = Callable[[Any], object] | None
"""A function of a session with a new token that returns the id of the token's account."""

_IN_USE = "{}_oauth_account"


class SignsIn(Protocol):
    """What a blueprint asks to store the token of a login if visitors sign in with it."""

    def store_login(
        self, token: Token, begun_by: str | None
    ) -> tuple[TokenSlot, Callable[[], object]]:
        """Sign the visitor in, and store the token as theirs.

        Args:
            token: The token.
            begun_by: The id of the user who has begun the login and is signed in still.

        Returns:
            Where the token is, and a function that sends further signals when it is stored.

        Raises:
            DanceFailure, ValueError: If the visitor is to get a page in place of it.
        """


class AccountClient(OAuthClient):
    """A client whose users may have several accounts each, or accounts of their own alone."""

    several_accounts: bool = argument(default=False)
    exclusive_accounts: bool = argument(default=False)
    account_id: AccountId = argument(default=None)
    another_account: Mapping[str, str] | None = argument(default=None)

    sign_in: SignsIn | None = None
    """What signs visitors in with their accounts, if something does."""

    def accounts(self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN) -> list[TokenDocument]:
        """Return the documents of a user's accounts, the one that was connected last first.

        Args:
            user: Whose, in place of the current user's.
            user_id: The same by id; it wins over ``user``.

        Raises:
            ConfigurationError: If the backend keeps no token for each user.
            BackendUnavailable: If the store did not answer.
        """
        return _store_slot(self.slot(user, user_id, None)).accounts()

    def account_ids(self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN) -> list[str | None]:
        """Return the ids of a user's accounts, in their order as texts.

        Other than by :meth:`accounts`, those are listed, too, whose records can't be read. ``None``
        stands for a token that is kept without an account. It takes and raises what
        :meth:`accounts` does.
        """
        return _store_slot(self.slot(user, user_id, None)).account_ids()

    def account(self, account: object, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN) -> Account:
        """Return one account: its session, its token, and what can be done with it.

        Args:
            account: The account's id, or ``None`` for the token that is kept without one. It need
                not be there; then it has no token.
            user: Whose, in place of the current user's.
            user_id: The same by id; it wins over ``user``.

        Raises:
            TypeError, ValueError: If the id can't be one.
        """
        known = None if account is None else id_text(account, "account")
        return Account(self, Who(user, user_id, known))

    def use_account(self, account: object) -> bool:
        """Let this visitor use one of the current user's accounts, until they choose another one.

        It is kept in the Flask session.

        Returns:
            Whether the user has this account. If not, nothing is changed.

        Raises:
            ConfigurationError: If the blueprint does not keep several accounts.
        """
        if not self.several_accounts:
            raise ConfigurationError("use_account() needs a blueprint with several_accounts=True.")
        slot = self.account(account).slot()
        with suppress(CorruptToken):
            # A record that can't be read is an account, too.
            if slot.key is None or slot.read().token is None:
                return False
        self._use(slot)
        return True

    def revoke(
        self,
        user: Any = NOT_GIVEN,  # noqa: ARG002 - for versions of OAuth that can do it
        user_id: Any = NOT_GIVEN,  # noqa: ARG002
        account: Any = NOT_GIVEN,  # noqa: ARG002
    ) -> bool:
        """End a grant at the provider, and remove the token here, where OAuth knows how.

        Raises:
            ConfigurationError: With OAuth 1, which knows no revocation.
        """
        raise ConfigurationError(
            f"Blueprint {self.name!r} can't revoke a token: OAuth 1 does not say how. Remove it "
            "with `del blueprint.token`."
        )

    def forget_visitor(self) -> None:
        """Forget which account this browser has chosen."""
        if has_request_context() and _IN_USE.format(self.name) in flask_session:
            del flask_session[_IN_USE.format(self.name)]

    def _use(self, slot: TokenSlot) -> None:
        if slot.key is not None and has_request_context():
            owner = TokenKey(slot.key.provider, slot.key.user_id)
            flask_session[_IN_USE.format(self.name)] = [owner.digest[:16], slot.key.account]
        self.forget_token()

    def _slot_maker(self, backend: Any) -> SlotMaker:
        make = super()._slot_maker(backend)
        is_plain = not self.several_accounts and not self.exclusive_accounts
        if is_plain or isinstance(backend, MemoryBackend):
            # With that one, in tests, everybody has the same token.
            return make

        if self.exclusive_accounts and isinstance(backend, UserScopedBackend):
            backend.links = True

        def make_slot(blueprint: Any, who: Who) -> TokenSlot:
            slot = _store_slot(make(blueprint, who))
            slot.require_user()
            if self.several_accounts:
                slot.require_accounts()
                if who.account is NOT_GIVEN and slot.key is not None:
                    return self._in_use(slot, slot.key)
            return slot

        return make_slot

    def _in_use(self, slot: StoreSlot, owner: TokenKey) -> StoreSlot:
        """Return the slot of the account in use: the chosen one, or the one connected last.

        Within a context it is found out once.
        """
        state = current_state(self)
        known = {} if state is None else state.accounts
        if owner in known:
            return slot.of_account(known[owner])
        found = self._chosen(slot, owner)
        if found is None:
            newest = next(iter(slot.accounts()), None)
            found = slot.of_account(None if newest is None else newest.account)
            found.begin_with(newest)
        known[owner] = None if found.key is None else found.key.account
        return found

    def _chosen(self, slot: StoreSlot, owner: TokenKey) -> StoreSlot | None:
        """Return the slot of the account that the visitor has chosen, if the user still has it."""
        kept = flask_session.get(_IN_USE.format(self.name)) if has_request_context() else None
        try:
            digest, account = kept or ("", None)
            chosen = slot.of_account(account)
        except (TypeError, ValueError):
            return None
        if digest != owner.digest[:16]:
            return None
        try:
            stored = chosen.read()
        except CorruptToken:
            return chosen
        if stored.token is None:
            return None
        chosen.begin_with(stored.document)
        return chosen

    def _slot_for(self, token: Token, slot: TokenSlot | None = None) -> TokenSlot:
        found = super()._slot_for(token, slot)
        is_plain = not self.several_accounts and not self.exclusive_accounts
        if is_plain or found.key is None or not isinstance(found, StoreSlot):
            return found
        account = found.provider_user_id
        if account is None:
            try:
                account = self._account_id(token)
            except AccountUnknown:
                self._give_up(token, is_linked=None)
                raise
        if self.several_accounts:
            found = found.of_account(account)
            self._adopt(found, account)
        if self.exclusive_accounts:
            found.provider_user_id = account
        return found

    def _link(self, slot: TokenSlot, token: Token) -> None:
        """Have the next write to a slot link the account, if accounts belong to one user each."""
        if self.exclusive_accounts and isinstance(slot, StoreSlot) and slot.key is not None:
            slot.provider_user_id = slot.key.account or self._account_id(token)

    def _store_login(self, token: Token, slot: TokenSlot | None = None) -> TokenSlot:
        slot = super()._store_login(token, slot)
        if self.several_accounts:
            self._use(slot)
        return slot

    def _account_id(self, token: Token) -> str:
        """Return the id of a token's account, or raise :class:`AccountUnknown`."""
        try:
            found: Any = None
            if self.account_id is None:
                found = account_id_of(token)
                if found is None and self.preset is not None:
                    session = self._session_with(token)
                    found = self.preset.profile_of(session, is_whole=False).get("id")
            else:
                found = self.account_id(self._session_with(token))
            return account_text(found)
        except Exception as error:  # noqa: BLE001 - a function, an answer or a call may do anything
            # Its text may show the token.
            raise AccountUnknown(self.name, type(error).__name__) from None

    def _session_with(self, token: Token) -> Any:
        session = self._make_session()
        session.use(token)
        return session

    def _adopt(self, slot: StoreSlot, account: str) -> None:
        """Give a token that was kept without an account to the account, if it is of that one."""
        bare = slot.of_account(None)
        try:
            stored = bare.read(fresh=True)
            if stored.token is None or self._account_id(stored.token) != account:
                return
            if slot.read(fresh=True).token is None:
                if stored.document is not None and stored.document.provider_user_id is not None:
                    # The account can't be in two records.
                    bare.erase(stored)
                slot.write(stored.token, NOTHING)
            bare.erase(stored)
        except (AccountUnknown, BackendError) as error:
            log.warning("A token without an account stays as it is. %s", type(error).__name__)


def _store_slot(slot: TokenSlot) -> StoreSlot:
    if isinstance(slot, StoreSlot):
        return slot
    raise ConfigurationError(
        f"{type(slot).__name__} keeps one token, and no accounts. Use MongoBackend, RedisBackend, "
        "SQLAlchemyBackend or another UserScopedBackend."
    )
