"""Signing in with an account at a provider: whose it is, or whose it becomes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import current_app
from werkzeug.exceptions import HTTPException

from ..consumer.backend.base import TokenSlot
from ..consumer.backend.scoped import UserScopedBackend
from ..consumer.backend.scoped_slot import StoreSlot
from ..consumer.backend.store.document import TokenKey
from ..consumer.backend.store.values import Token, id_text
from ..consumer.failure import MISMATCHING_USER, SIGN_IN_FAILED, SIGN_IN_REFUSED, DanceFailure
from ..consumer.signals import account_linked, user_created, user_signed_in
from ..errors import (
    AccountAlreadyLinked,
    AccountUnknown,
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
)
from . import login
from .profile import AccountProfile, ProfileReader, profile_in, read_profile, with_profile

log = logging.getLogger(__name__)

# As that of the entries of accounts: no token has such a provider.
_PREFIX = ".signin."
# The steps that return an id.
_IDS = ("current_user_id", "id_of")
# A process that dies while it signs somebody in holds the account up for so long.
LEASE_SECONDS, WAIT_SECONDS = 10.0, 30.0


@dataclass(frozen=True)
class _Arrival:
    """Who has come with an account, and what is new about it."""

    user: Any
    user_id: str
    is_created: bool = False
    is_linked: bool = False
    signs_in: bool = True


class SignIn:
    """Signs visitors in with their accounts at a provider, and links accounts to users.

    Each login of the blueprint then ends with one of these:

    - The account is a user's: they are signed in.
    - Somebody is signed in, and the account is nobody's: it is linked to them.
    - The account is nobody's, and so is the browser: a user is made, linked and signed in.
    - Somebody is signed in, and the account is somebody else's: the visitor gets a page, and
      nothing is changed.

    Then the token is stored as that user's, and the visitor goes to the page that was asked for. An
    account belongs to one user, who may have several if the blueprint has ``several_accounts``.

    Each function may be a method of a subclass instead. What it raises is logged, and the visitor
    gets a page; an exception of Werkzeug, as of ``abort()``, is the answer.

    Args:
        blueprint: The blueprint, whose backend has a token for each user.
        load_user: Returns the user with an id, which is a text, or ``None`` if there is none any
            more. A user is an object with an ``id`` (or Flask-Login's ``get_id``), or the id
            itself.
        create_user: Returns a new user for an :class:`AccountProfile`, or ``None`` to refuse. It is
            called for each account that has no token here. If it has made a user for the account
            before, it should return that one: find it by the profile's ``key``.
        profile: A function of a session with the new token that returns the account's profile, or a
            dict with its ``id`` and other attributes; by default what the ID token or the preset
            says.
        find_user_by_email: Returns the user with an e-mail address, or ``None``. It is called for
            an account that is nobody's if the provider says that the address is verified. Without
            it, which is the default, no account is linked for its address.
        log_in: Signs a user in. If it returns ``False``, they may not. The default is
            ``login_user`` if the app has Flask-Login, else the id is kept in the Flask session.
        current_user_id: Returns the id of who is signed in, or ``None``; by default
            :func:`current_user_id`.
        renew_session: Gives the session of whoever has signed in a new id. By default Flask-Session
            does, if the app has it; a session that is kept in the cookie needs none.

    Raises:
        ConfigurationError: If the backend has no token for each user, the blueprint has an
            ``account_id`` or a ``SignIn`` already, or a step is missing or no function.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        blueprint: Any,
        *,
        load_user: Callable[[str], Any] | None = None,
        create_user: Callable[[AccountProfile], Any] | None = None,
        profile: ProfileReader | None = None,
        find_user_by_email: Callable[[str], Any] | None = None,
        log_in: Callable[[Any], Any] | None = None,
        current_user_id: Callable[[], Any] | None = None,
        renew_session: Callable[[], Any] | None = None,
    ) -> None:
        steps = {
            "load_user": load_user,
            "create_user": create_user,
            "find_user_by_email": find_user_by_email,
            "log_in": log_in,
            "current_user_id": current_user_id,
            "renew_session": renew_session,
        }
        for name, step in {**steps, "profile": profile}.items():
            if step is not None and not callable(step):
                raise ConfigurationError(f"{name}, of SignIn, has to be a function.")
        vars(self).update({name: step for name, step in steps.items() if step is not None})
        for name in ("load_user", "create_user"):
            if name not in vars(self) and getattr(type(self), name) is getattr(SignIn, name):
                raise ConfigurationError(f"SignIn needs {name}: a function, or a method of yours.")
        backend = blueprint.backend
        if not isinstance(backend, UserScopedBackend) or backend.scope != "user":
            raise ConfigurationError(
                f"SignIn needs a token for each user, and {type(backend).__name__} has none here. "
                "Give the blueprint a MongoBackend, RedisBackend, SQLAlchemyBackend or another "
                "UserScopedBackend with user= or user_id=, before the SignIn is made."
            )
        if blueprint.sign_in is not None or blueprint.account_id is not None:
            raise ConfigurationError(
                f"Blueprint {blueprint.name!r} has a SignIn already, or an account_id. The profile "
                "says which account it is: give it to SignIn."
            )
        self.blueprint = blueprint
        self._reader = profile
        blueprint.sign_in = self
        blueprint.account_id = self._account_id
        blueprint.exclusive_accounts = True
        # What it makes of its backend depends on that.
        blueprint.backend = backend

    def load_user(self, user_id: str) -> Any:
        """Return the user with an id, or ``None``."""
        raise NotImplementedError

    def create_user(self, profile: AccountProfile) -> Any:
        """Return a new user for an account, or the one made for it before, or ``None``."""
        raise NotImplementedError

    def find_user_by_email(self, email: str) -> Any:  # noqa: ARG002 - for subclasses
        """Return the user with an address that the provider has verified, or ``None``."""
        return None

    def log_in(self, user: Any) -> Any:
        """Sign a user in, and return ``False`` if they may not."""
        return login.log_in(user)

    def log_out(self) -> None:
        """Sign the current user out, as :func:`log_out` does."""
        login.end_session()
        self.renew_session()

    def current_user_id(self) -> Any:
        """Return the id of who is signed in, or ``None``."""
        return login.current_user_id()

    def renew_session(self) -> Any:
        """Give the session another id."""
        login.renew_session()

    def id_of(self, user: Any) -> Any:
        """Return a user's id, as ``load_user`` takes it and the backend's ``user_id`` gives it."""
        return login.id_of(user)

    def read_profile(self, token: Token) -> AccountProfile:
        """Return the profile of the account that a token is of.

        Raises:
            AccountUnknown: If the provider did not tell which account it is.
        """
        return read_profile(self.blueprint, token, self._reader)

    def store_login(
        self, token: Token, begun_by: str | None = None
    ) -> tuple[TokenSlot, Callable[[], None]]:
        """Sign the visitor in, or link the account to them, and store the token as theirs.

        For the blueprint, which calls it at the end of each dance.

        Args:
            token: The token.
            begun_by: The id of the user who has begun the login and is signed in still: an account
                is linked to nobody else.

        Returns:
            Where the token is, and what sends the signals of it.

        Raises:
            DanceFailure: If the visitor gets a page in place of it.
            AccountAlreadyLinked: If the account is somebody else's.
            AccountUnknown: If it is not known which account it is.
            BackendUnavailable: If the store did not answer.
        """
        blueprint, owner = self.blueprint, None
        with ExitStack() as stack:
            try:
                profile = self.read_profile(token)
                stack.enter_context(self._turn(profile.id))
                stack.enter_context(login.unchanged_on_error())
                owner = self._owner(profile.id)
                arrival = self._arrival(profile, owner, begun_by)
                slot = self._slot(arrival, profile, owner)
            except Exception as error:
                is_unknown = isinstance(error, AccountUnknown)
                blueprint._give_up(token, is_linked=None if is_unknown else owner is not None)
                raise
            slot = blueprint._store_login(with_profile(token, profile), slot)
        return slot, partial(self._tell, profile, arrival)

    def _arrival(
        self, profile: AccountProfile, owner: TokenKey | None, begun_by: str | None
    ) -> _Arrival:
        """Say who has come with an account that is an owner's or nobody's, and sign them in."""
        present = self._ask("current_user_id")
        user = None if present is None else self._ask("load_user", present)
        is_here = user is not None
        if owner is not None and not (is_here and self._id(user) == owner.user_id):
            # A row may have lost its user, whose id is then NULL.
            others = owner.user_id and self._ask("load_user", owner.user_id)
            if others is not None and is_here:
                raise AccountAlreadyLinked(profile.provider, profile.id)
            user = user if is_here else others
        is_new = user is None
        if is_new and profile.email is not None and profile.email_verified:
            user = self._ask("find_user_by_email", profile.email)
        is_created = user is None
        if is_created:
            user = self._ask("create_user", profile)
        if user is None:
            raise DanceFailure(SIGN_IN_REFUSED, "create_user has returned no user.")
        user_id = self._id(user)
        is_linked = owner is None or owner.user_id != user_id
        if is_here and is_linked and begun_by != user_id and self._backend is not None:
            # Whoever has begun it may have left it to this visitor together with the session.
            raise DanceFailure(MISMATCHING_USER, "The login was begun before the user signed in.")
        arrival = _Arrival(user, user_id, is_created, is_linked, not (is_here and is_linked))
        if arrival.signs_in:
            login.forget_others(user_id, present)
            if self._ask("log_in", user) is False:
                raise DanceFailure(SIGN_IN_REFUSED, "log_in has refused the user.")
            self._ask("renew_session")
        return arrival

    def _slot(
        self, arrival: _Arrival, profile: AccountProfile, owner: TokenKey | None
    ) -> TokenSlot | None:
        """Return where the token goes, and remove a record of its account that is elsewhere."""
        blueprint, backend = self.blueprint, self._backend
        if backend is None:
            return None
        if owner is not None:
            # Several may have been allowed before.
            is_odd = owner.account is not None and not blueprint.several_accounts
            if is_odd or owner.user_id != arrival.user_id:
                StoreSlot(backend, owner).erase()
        slot: StoreSlot = blueprint.slot(user_id=arrival.user_id, account=None)
        slot.provider_user_id = profile.id
        return slot

    def _tell(self, profile: AccountProfile, arrival: _Arrival) -> None:
        told = {
            user_created: arrival.is_created,
            account_linked: arrival.is_linked,
            user_signed_in: arrival.signs_in,
        }
        for signal, is_so in told.items():
            if is_so:
                signal.send(self.blueprint, user=arrival.user, profile=profile)

    def _owner(self, account: str) -> TokenKey | None:
        """Return whose record has an account, one that can't be read included."""
        backend = self._backend
        if backend is None:
            return None
        key = backend.store.linked(self.blueprint.name, account)
        try:
            document = None if key is None else backend.store.load_fresh(key)
        except CorruptToken:
            return key
        is_linked = document is not None and document.provider_user_id == account
        return key if is_linked else None

    @property
    def _backend(self) -> UserScopedBackend | None:
        """The backend, or ``None`` if all have one token, as in tests of the application."""
        backend = self.blueprint.backend
        return backend if isinstance(backend, UserScopedBackend) else None

    @contextmanager
    def _turn(self, account: str) -> Iterator[None]:
        """Let logins with one account take turns, among threads and processes."""
        backend, is_ours = self._backend, True
        with ExitStack() as stack:
            if backend is not None:
                # Should it be left behind, it must not tell of somebody who is forgotten.
                digest, name = TokenKey("any", account).digest, self.blueprint.name
                key = TokenKey(f"{_PREFIX}{name}", f"{_PREFIX}{digest}")
                lease = StoreSlot(backend, key).lease(LEASE_SECONDS, WAIT_SECONDS)
                try:
                    is_ours = stack.enter_context(lease)
                except BackendUnavailable:
                    raise
                except BackendError as error:
                    log.warning("Somebody signs in without a lock. %s", error)
            if not is_ours:
                reason = "Others sign in with this account at the moment, and take too long."
                raise DanceFailure(SIGN_IN_FAILED, reason)
            yield

    def _account_id(self, session: Any) -> str:
        token = session.token
        return (profile_in(self.blueprint.name, token) or self.read_profile(token)).id

    def _id(self, user: Any) -> str:
        user_id = self._ask("id_of", user)
        if user_id is None:
            raise DanceFailure(SIGN_IN_FAILED, "A user has no id.")
        return str(user_id)

    def _ask(self, step: str, *arguments: Any) -> Any:
        """Call a function of the application; what it raises becomes a page."""
        try:
            found = getattr(self, step)(*arguments)
            return id_text(found) if step in _IDS and found is not None else found
        except HTTPException:
            raise
        except Exception as error:
            # Its text, and with it a traceback, may tell of people, and is for the developer only.
            log.error(  # noqa: TRY400 - likewise
                "%s, of SignIn with %r, raised %s.",
                *(step, self.blueprint.name, type(error).__name__),
                exc_info=current_app.debug,
            )
            reason = f"{step} raised {type(error).__name__}."
            raise DanceFailure(SIGN_IN_FAILED, reason) from None
