"""What the blueprints of OAuth 1 and OAuth 2 share."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from flask import Blueprint, current_app, url_for
from flask.blueprints import BlueprintSetupState
from requests.adapters import BaseAdapter, HTTPAdapter

from ..errors import ConfigurationError, UserRequired
from ..process import PerProcess
from .backend.base import BaseBackend
from .backend.session import SessionBackend
from .backend.slot import TokenSlot, slot_of
from .backend.store.document import TokenDocument, TokenKey
from .context import ContextConfig, current_state
from .flights import Flights
from .session import ConsumerSession
from .settings import Setting, configured
from .signals import token_deleted, token_saved
from .token import with_expires_at, with_expires_in
from .transport import DEFAULT_POOL_MAXSIZE, DEFAULT_TIMEOUT, Timeout, Transport, require_tls
from .views import DanceViews

log = logging.getLogger(__name__)

Token = dict[str, Any]
SessionClass = Callable[..., ConsumerSession]
Backend = BaseBackend | Callable[[], BaseBackend]

_SESSION_PATH = "session."


class BaseOAuthConsumerBlueprint(DanceViews, Blueprint):
    """A :class:`flask.Blueprint` with a login view, a callback view and a token backend.

    Nothing of a request, a user or an app is kept on it: one blueprint serves many threads and may
    be registered on several apps.

    Args:
        name: The blueprint's name, which is also the provider under which tokens are stored.
        import_name: The name of the package it is made in, usually ``__name__``.
        static_folder, static_url_path, template_folder: As of
            :class:`flask.Blueprint`.
        url_prefix, subdomain, url_defaults, root_path: As of :class:`flask.Blueprint`.
        login_url: Route of the login view, formatted with the blueprint as ``bp``. Default
            ``/{bp.name}``.
        authorized_url: Route of the callback view, formatted likewise. Default
            ``/{bp.name}/authorized``.
        base_url: What relative URLs given to the session are resolved against.
        redirect_url: Where the visitor goes after the dance.
        redirect_to: An endpoint to go to instead; without either, ``/``.
        session_class: The class of session to use; default :attr:`default_session_class`.
        backend: Where tokens are kept: an instance, or a class or function that makes one. Default
            :class:`~flask_dance_nosql.consumer.backend.SessionBackend`.
        storage: Another name of ``backend``.
        rule_kwargs: Further arguments for both routes, for example ``{"host": ...}``.
        timeout: Seconds, or a pair (connect, read), for calls to the provider. Default (5, 30).
        pool_maxsize: How many connections to the provider's host are kept open for the next call.
            Default 10. Threads beyond that many get a connection for their call alone.
        proxies: Which proxy to use, by scheme or host, as in requests; default: what the
            environment says.
        adapter: Makes the :class:`requests.adapters.BaseAdapter` that calls go through, in place of
            one with ``pool_maxsize``; called once in each process. For retries, client
            certificates, or a proxy that needs more than a URL.
        **kwargs: Further arguments of the session class.

    Raises:
        ConfigurationError: If the backend is none, or both its names are used.
    """

    default_session_class: ClassVar[SessionClass]

    base_url = Setting[str | None]()
    client_secret = Setting[str | None]()
    kwargs = Setting[dict[str, Any]]()
    proxies = Setting[dict[str, str] | None]()
    redirect_to = Setting[str | None]()
    redirect_url = Setting[str | None]()
    session_class = Setting[SessionClass]()
    timeout = Setting[Timeout]()

    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        url_prefix: str | None = None,
        subdomain: str | None = None,
        url_defaults: dict[str, Any] | None = None,
        root_path: str | None = None,
        login_url: str | None = None,
        authorized_url: str | None = None,
        base_url: str | None = None,
        redirect_url: str | None = None,
        redirect_to: str | None = None,
        session_class: SessionClass | None = None,
        backend: Backend | None = None,
        storage: Backend | None = None,
        rule_kwargs: dict[str, Any] | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        pool_maxsize: int = DEFAULT_POOL_MAXSIZE,
        proxies: dict[str, str] | None = None,
        adapter: Callable[[], BaseAdapter] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            name,
            import_name,
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            url_prefix=url_prefix,
            subdomain=subdomain,
            url_defaults=url_defaults,
            root_path=root_path,
        )
        if backend is not None and storage is not None:
            raise ConfigurationError("'storage' is another name of 'backend': give one of the two.")
        self.from_config: dict[str, str] = {}
        self.config: MutableMapping[str, Any] = ContextConfig(self)
        self.transport = Transport(self._make_adapter)
        self._flights = PerProcess(Flights)
        self.adapter = adapter
        self.pool_maxsize = pool_maxsize
        self.proxies = proxies
        self.base_url = base_url
        self.kwargs = kwargs
        self.redirect_to = redirect_to
        self.redirect_url = redirect_url
        self.session_class = session_class or self.default_session_class
        self.timeout = timeout
        chosen = storage if backend is None else backend
        self.backend = SessionBackend() if chosen is None else chosen
        self._add_views(login_url, authorized_url, rule_kwargs or {})

    def _add_views(
        self, login_url: str | None, authorized_url: str | None, rule_kwargs: dict[str, Any]
    ) -> None:
        login_rule = (login_url or "/{bp.name}").format(bp=self)
        authorized_rule = (authorized_url or "/{bp.name}/authorized").format(bp=self)
        self.add_url_rule(login_rule, "login", self.login, **rule_kwargs)
        self.add_url_rule(authorized_rule, "authorized", self.authorized, **rule_kwargs)
        self.record(self._registered)

    def _registered(self, state: BlueprintSetupState) -> None:
        for path in self.from_config:
            self._check_path(path)
        name = f"{state.name_prefix}.{state.name}".lstrip(".")
        state.app.extensions.setdefault("flask_dance_nosql", {}).setdefault(self, name)

    def _check_path(self, path: str) -> None:
        if path.startswith(_SESSION_PATH) or isinstance(getattr(type(self), path, None), Setting):
            return
        raise ConfigurationError(
            f"from_config names {path!r}, which is neither a setting of {type(self).__name__} nor "
            f"a path that begins with 'session.'. In a subclass, declare it: {path} = Setting()."
        )

    def view_endpoint(self, view: str) -> str:
        """Return the full endpoint of a view of this blueprint on the current app.

        Args:
            view: ``"login"`` or ``"authorized"``.
        """
        names: dict[Blueprint, str] = current_app.extensions.get("flask_dance_nosql", {})
        return f"{names.get(self, self.name)}.{view}"

    @property
    def backend(self) -> BaseBackend:
        """Where this blueprint keeps its tokens.

        An object with ``get``, ``set`` and ``delete`` as of :class:`BaseBackend`; assigning a class
        or function makes one by calling it. The session then reads the token anew.
        """
        return self._backend

    @backend.setter
    def backend(self, value: Backend) -> None:
        if isinstance(value, type) or (callable(value) and not _is_backend(value)):
            value = value()
        if not _is_backend(value):
            raise ConfigurationError(
                f"A backend needs the methods get, set and delete; {type(value).__name__} has not."
            )
        self._backend = cast(BaseBackend, value)
        self.forget_token()

    @property
    def storage(self) -> BaseBackend:
        """Another name of :attr:`backend`."""
        return self.backend

    @storage.setter
    def storage(self, value: Backend) -> None:
        self.backend = value

    @property
    def token(self) -> Token | None:
        """The current user's token in the backend, or ``None``.

        It is the caller's own: changing it changes nothing stored. ``expires_in``, in seconds, is
        counted anew at each reading. Assigning stores a token, with ``expires_at`` added (seconds
        since the epoch); ``del`` removes it, and is no error if there is none.
        """
        token = self.read_token()
        return None if token is None else with_expires_in(token)

    @token.setter
    def token(self, value: Token) -> None:
        self.backend.set(self, with_expires_at(value))
        self.forget_token()
        token_saved.send(self, user_id=self.slot().user_id)

    @token.deleter
    def token(self) -> None:
        self.backend.delete(self)
        self.forget_token()
        token_deleted.send(self, user_id=self.slot().user_id)

    def read_token(self, **who: Any) -> Token | None:
        """Return the token as the backend has it: the current user's, or another's.

        Args:
            **who: ``user`` or ``user_id``, for backends that keep a token for each.
        """
        return self.backend.get(self, **who)

    def slot(self, user: Any = None, user_id: Any = None) -> TokenSlot:
        """Return the place of a token in the backend: the current user's, or another's.

        Args:
            user: Whose, in place of the user that the backend was given.
            user_id: The same by id; it wins over ``user``.

        Raises:
            ConfigurationError: If a user is named and the backend keeps no token for each.
            UserRequired: If there is no user and one is required.
        """
        return slot_of(self.backend, self, user, user_id)

    def forget_token(self) -> None:
        """Have the session read the token anew."""
        state = current_state(self)
        if state is not None and state.session is not None:
            del cast(ConsumerSession, state.session).token

    def token_owner(self, **who: Any) -> object:
        """Return whose token the backend would now give; it changes when the user does.

        Args:
            **who: As for :meth:`read_token`.
        """
        owner = getattr(self.backend, "owner", None)
        return None if owner is None else owner(self, **who)

    @property
    def session(self) -> Any:
        """The session that calls the provider with the current user's token.

        Inside a request (or an app context) it is always the same one, which nobody else has.
        Outside of any, each access makes a new one.
        """
        state = current_state(self)
        if state is None:
            return self._configured_session()
        if state.session is None:
            state.session = self._configured_session()
        return state.session

    @contextmanager
    def user_session(self, user: Any = None, user_id: Any = None) -> Iterator[Any]:
        """Give a session with a user's token, outside of any request of theirs.

        For background jobs, scheduled tasks and threads. It needs an app context where the backend
        does, and has the cache, the lock and the refresh that a request has. Use it as
        ``with blueprint.user_session(user_id=42) as session:``.

        Args:
            user: The user.
            user_id: The user's id; it wins over ``user``.

        Raises:
            ConfigurationError: If the backend keeps no token for each user.
            UserRequired: If no user is named.
            TypeError: If the id is of a type that can't be one.
        """
        if user is None and user_id is None:
            raise UserRequired("get")
        who = {"user": user, "user_id": user_id}
        self.slot(**who)
        session = self._configured_session()
        session.who = who
        with session:
            yield session

    def tokens_of(self, user_id: Any) -> list[TokenDocument]:
        """Return the documents that the backend has for a user, one for each provider.

        Args:
            user_id: The user's id.

        Raises:
            ConfigurationError: If the backend keeps no token for each user.
            TypeError: If the id is of a type that can't be one.
        """
        tokens_of = getattr(self.backend, "tokens_of", None)
        if tokens_of is None:
            raise ConfigurationError(
                f"{type(self.backend).__name__} keeps no token for each user, so that it can't "
                "list a user's."
            )
        return cast(list[TokenDocument], tokens_of(user_id))

    def close(self) -> None:
        """Close the connections to the provider that are not in use. A later call makes new ones.

        They are closed by themselves when the process ends.
        """
        self.transport.close()

    @property
    def flights(self) -> Flights:
        """What the threads of this process know of each other's refreshes."""
        return self._flights.get()

    def _make_adapter(self) -> BaseAdapter:
        if self.adapter is not None:
            return self.adapter()
        return HTTPAdapter(pool_maxsize=self.pool_maxsize)

    def _configured_session(self) -> ConsumerSession:
        session: ConsumerSession = self.session_created(self._make_session())
        for path, key in self.from_config.items():
            value = configured(key)
            if path.startswith(_SESSION_PATH) and value is not None:
                *parents, name = path.removeprefix(_SESSION_PATH).split(".")
                target: Any = session
                for parent in parents:
                    target = getattr(target, parent)
                setattr(target, name, value)
        return session

    def _make_session(self) -> ConsumerSession:
        make = self.session_class
        if make is self.default_session_class and not self.from_config:
            # It asks for its other arguments when it needs them.
            return make(self, self.base_url)
        return make(blueprint=self, base_url=self.base_url, **self.session_arguments())

    @abstractmethod
    def session_arguments(self) -> dict[str, Any]:
        """Return the arguments with which a session is made, but for ``blueprint``."""

    def session_created(self, session: Any) -> Any:
        """Change a new session before it is used; a hook for subclasses.

        Args:
            session: The session that was made.

        Returns:
            The session to use.
        """
        return session

    def endpoint_url(self, setting: str) -> str:
        """Return the full URL of one of the provider's endpoints, from the setting of that name."""
        url = getattr(self, setting)
        if not url:
            raise ConfigurationError(f"Blueprint {self.name!r} needs {setting} for the dance.")
        full: str = self.session.resolve(url)
        require_tls(full)
        return full

    def _next_url(self) -> str:
        if self.redirect_url:
            return self.redirect_url
        return url_for(self.redirect_to) if self.redirect_to else "/"

    def _store(self, token: Token) -> None:
        self.token = token
        owner = self.token_owner()
        if isinstance(owner, TokenKey) and owner.user_id is None:
            log.warning(
                "A visitor's token of provider %r is now the whole application's: everybody "
                "uses it. To keep one for each user, give the backend user= or user_id=; to keep "
                "one for each visitor, give it scope='browser'.",
                self.name,
            )


def _is_backend(value: Any) -> bool:
    return all(callable(getattr(value, method, None)) for method in ("get", "set", "delete"))
