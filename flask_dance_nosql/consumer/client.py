"""What views use of a blueprint: the token of a user, and the sessions that call with it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar, cast

from flask import Blueprint
from requests import Session
from requests.adapters import BaseAdapter, HTTPAdapter

from ..errors import ConfigurationError, CorruptToken, UserRequired
from ..process import PerProcess
from .backend.base import BaseBackend, PlainSlot, TokenSlot, issued_digest
from .backend.owner import CURRENT, NOT_GIVEN, Who
from .backend.scoped import UserScopedBackend
from .backend.session import SessionBackend
from .backend.store.document import TokenDocument
from .backend.store.values import Token
from .backend_setting import BackendSetting
from .consumer_session import ConsumerSession
from .context import config_of, current_state
from .limits import Timeout, limited
from .refresh.flights import Flights
from .settings import SESSION_ARGUMENTS, Configurable, Setting, configured, refuse_unknown
from .signals import token_deleted, token_saved
from .token import with_expires_at, with_expires_in
from .transport import DEFAULT_POOL_MAXSIZE, DEFAULT_TIMEOUT, require_tls

log = logging.getLogger(__name__)

SessionClass = Callable[..., ConsumerSession]
SlotMaker = Callable[[Any, Who], TokenSlot]

SESSION_PATH = "session."
"""How a key of ``from_config`` begins that names an attribute of sessions."""

_MARGIN = 10.0
_WITHOUT_TIMEOUT = 300.0


def makes_sessions(value: Any) -> bool:
    """a class of sessions, or a function that makes one"""  # noqa: D403, D415 - a message's part
    return not isinstance(value, type) or issubclass(value, Session)


class OAuthClient(Configurable, Blueprint, ABC):
    """A client of a provider (RFC 6749 section 1.1): tokens, and the sessions that use them."""

    default_session_class: ClassVar[SessionClass]

    # Of the session.
    base_url: Setting[str | None] = Setting(default=None, for_session=True)
    session_class: Setting[SessionClass | None] = Setting(default=None, rule=makes_sessions)
    timeout: Setting[Timeout] = Setting(default=DEFAULT_TIMEOUT)
    pool_maxsize: Setting[int] = Setting(default=DEFAULT_POOL_MAXSIZE)
    proxies: Setting[dict[str, str] | None] = Setting(default=None)
    adapter: Setting[Callable[[], BaseAdapter] | None] = Setting(default=None)
    headers: Setting[Mapping[str, Any] | None] = Setting(default=None)
    verify: Setting[bool | str | None] = Setting(default=None)

    backend: BackendSetting = BackendSetting(default=None)
    storage: BackendSetting = BackendSetting(default=None)

    preset: Any = None
    is_registered = False
    """Whether it is registered on an app. Settings are not assigned in requests from then on."""

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        self._backend: BaseBackend
        self._make_slot: SlotMaker
        self._flights: PerProcess[Flights]
        self._config: dict[str, Any] = {}
        self.transport = PerProcess(self._make_adapter)
        backend, storage = values.pop("backend"), values.pop("storage")
        if backend is not None and storage is not None:
            raise ConfigurationError("'storage' is another name of 'backend': give one of the two.")
        if values["session_class"] is None:
            values["session_class"] = self.default_session_class
        # Not one by one: this may happen within a request, where none is to be changed.
        vars(self).update(values)
        refuse_unknown(type(self), further, values["session_class"])
        self.kwargs = further
        if backend is None:
            backend = SessionBackend if storage is None else storage
        self.backend = backend

    @property
    def token(self) -> Token | None:
        """The current user's token in the backend, or ``None``.

        It is the caller's own: changing it changes nothing stored. ``expires_in``, in seconds, is
        counted anew at each reading. Assigning stores a token, with ``expires_at`` added (seconds
        since the epoch); ``del`` removes it, and is no error if there is none.

        A receiver of ``oauth_authorized`` that assigns the token that it was given stores it as the
        blueprint would: a refresh token that the provider sends once only is kept.
        """
        token = self.slot().read().token
        return None if token is None else with_expires_in(token)

    @token.setter
    def token(self, value: Token) -> None:
        state = current_state(self)
        if state is not None and state.arriving is not None and isinstance(value, dict):
            # However a receiver has changed it, it may be the token that a dance has given.
            issued = issued_digest(state.arriving)
            if issued_digest(value) == issued:
                slot = self._store_login(value)
                token_saved.send(self, user_id=slot.user_id)
                return
        slot = self._slot_for(value)
        slot.write(with_expires_at(value))
        self.forget_token()
        token_saved.send(self, user_id=slot.user_id)

    @token.deleter
    def token(self) -> None:
        slot = self.slot()
        if not slot.is_shared:
            # An old copy of a cookie must not lead to what was issued in its place.
            with suppress(CorruptToken):
                self.flights.forget(slot.read().token)
        slot.erase()
        self.forget_token()
        self.forget_visitor()
        token_deleted.send(self, user_id=slot.user_id)

    @property
    def config(self) -> MutableMapping[str, Any]:
        """What is set for the blueprint: within a context it holds there, else everywhere."""
        return config_of(self, self._config)

    def slot(
        self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN, account: Any = NOT_GIVEN
    ) -> TokenSlot:
        """Return one owner's token in the backend: the current user's, or another's.

        Whose it is is asked here and never again: all that is done with the slot is about one
        owner.

        Args:
            user: Whose, in place of the user that the backend was given. Somebody who turns out to
                be nobody, as ``None`` and an anonymous user do, has no token.
            user_id: The same by id; it wins over ``user``.
            account: The id of one of the user's accounts, or ``None`` for the token that is kept
                without one; by default the account in use.

        Raises:
            ConfigurationError: If a user or account is named and the backend keeps no token for
                each.
        """
        who = CURRENT if user is user_id is account is NOT_GIVEN else Who(user, user_id, account)
        return self._make_slot(self, who)

    def _slot_maker(self, backend: Any) -> SlotMaker:
        return backend.slot if isinstance(backend, BaseBackend) else partial(PlainSlot, backend)

    def _slot_for(self, token: Token, slot: TokenSlot | None = None) -> TokenSlot:  # noqa: ARG002 - for accounts
        return slot or self.slot()

    def forget_token(self) -> None:
        """Have the session read the token anew."""
        state = current_state(self)
        if state is not None:
            state.accounts.clear()
            if state.session is not None:
                del cast(ConsumerSession, state.session).token

    @abstractmethod
    def forget_visitor(self) -> None:
        """Forget what this browser has of its dances: the next visitor gets nothing of it."""

    @property
    def session(self) -> Any:
        """The session that calls the provider with the current user's token.

        Inside a request (or an app context) it is always the same one, which nobody else has.
        Outside of any, each access makes a new one.
        """
        state = current_state(self)
        if state is None:
            session = self._make_session()
            session.is_kept = False
            return session
        if state.session is None:
            state.session = self._make_session()
        return state.session

    @contextmanager
    def user_session(
        self, user: Any = NOT_GIVEN, user_id: Any = NOT_GIVEN, account: Any = NOT_GIVEN
    ) -> Iterator[Any]:
        """Give a session with a user's token, outside of any request of theirs.

        For background jobs, scheduled tasks and threads. It needs an app context where the backend
        does, and has the cache, the lock and the refresh that a request has. Use it as
        ``with blueprint.user_session(user_id=42) as session:``.

        Args:
            user: The user.
            user_id: The user's id; it wins over ``user``.
            account: As of :meth:`slot`.

        Raises:
            ConfigurationError: If the backend keeps no token for each user.
            UserRequired: If no user is named, or the user turns out to be nobody.
            TypeError: If the id is of a type that can't be one.
        """
        who = Who(user, user_id, account)
        key = self.slot(*who).key if who.is_named else None
        if key is None:
            raise UserRequired("get")
        session = self._make_session()
        # It stays with one account, whatever is connected meanwhile.
        session.who = who._replace(account=key.account)
        with session:
            yield session

    def tokens_of(self, user_id: Any) -> list[TokenDocument]:
        """Return a user's documents, one for each provider, and for each account there.

        Raises:
            ConfigurationError: If the backend keeps no token for each user.
            TypeError: If the id is of a type that can't be one.
        """
        if not isinstance(self._backend, UserScopedBackend):
            name = type(self._backend).__name__
            raise ConfigurationError(
                f"{name} keeps no token for each user, so that it can't list a user's."
            )
        return self._backend.tokens_of(user_id)

    def close(self) -> None:
        """Close the connections to the provider that are not in use. A later call makes new ones.

        They are closed by themselves when the process ends.
        """
        adapter = self.transport.pop()
        if adapter is not None:
            adapter.close()

    @property
    def flights(self) -> Flights:
        """What the threads of this process know of each other's refreshes."""
        return self._flights.get()

    @property
    def turn_seconds(self) -> float:
        """How many seconds to wait for somebody else's call to the token endpoint."""
        timeout = self.timeout
        parts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        return _MARGIN + sum(_WITHOUT_TIMEOUT if part is None else part for part in parts)

    def _make_adapter(self) -> BaseAdapter:
        make = self.adapter
        return limited(HTTPAdapter(pool_maxsize=self.pool_maxsize) if make is None else make())

    def _make_session(self) -> Any:
        arguments = self.session_arguments()
        make = arguments.pop("session_class")
        session = self.session_created(make(blueprint=self, **arguments))
        if session is None:
            raise ConfigurationError(
                f"Blueprint {self.name!r} got no session: session_class makes one, and "
                "session_created has to return it."
            )
        for path, key in self.from_config.items():
            value = configured(key)
            if path.startswith(SESSION_PATH) and value is not None:
                *parents, name = path.removeprefix(SESSION_PATH).split(".")
                target: Any = session
                for parent in parents:
                    target = getattr(target, parent)
                setattr(target, name, value)
        return session

    def settings(self, *names: str) -> dict[str, Any]:
        """Return the values of several settings, as their attributes would give them."""
        state = vars(self)
        values = {name: state.get(name) for name in names}
        for name, key in self.from_config.items():
            if name in values and (value := configured(key)) is not None:
                self.arguments[name].check(value, f"{name}, from the configuration {key!r},")
                values[name] = value
        return values

    def session_arguments(self) -> dict[str, Any]:
        """Return the class of a session, and the arguments that it is made with."""
        known = vars(self).get(SESSION_ARGUMENTS)
        if known is None or self.from_config:
            known = self.settings("session_class", *self.session_settings)
            if not self.from_config:
                # Until one of them is assigned anew.
                vars(self)[SESSION_ARGUMENTS] = known
        return {**known, **self.kwargs}

    def session_created(self, session: Any) -> Any:
        """Return the session to use in place of a new one; a hook for subclasses."""
        return session

    def endpoint_url(self, setting: str) -> str:
        """Return the full URL of one of the provider's endpoints, from the setting of that name."""
        url = getattr(self, setting)
        if not url:
            raise ConfigurationError(f"Blueprint {self.name!r} needs {setting} for the dance.")
        full: str = self.session.resolve(url)
        require_tls(full)
        return full

    def _store_login(self, token: Token, slot: TokenSlot | None = None) -> TokenSlot:
        slot = self._slot_for(token, slot)
        self._write_login(slot, with_expires_at(token))
        self.forget_token()
        if slot.key is not None and slot.key.user_id is None:
            log.warning(
                "A visitor's token of provider %r is now the whole application's: everybody "
                "uses it. To keep one for each user, give the backend user= or user_id=; to keep "
                "one for each visitor, give it scope='browser'.",
                self.name,
            )
        return slot

    def _write_login(self, slot: TokenSlot, token: Token) -> None:
        slot.write(token)

    def _give_up(self, token: Token, *, is_linked: bool | None = False) -> None:
        """Do what can be done with a new token that nobody has, and nobody will.

        Args:
            token: The token.
            is_linked: Whether its account is a user's, who must not lose the grant by it; ``None``
                if that is not known.
        """
