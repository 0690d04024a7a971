"""What the sessions of OAuth 1 and OAuth 2 share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, cast
from urllib.parse import urljoin

from flask import current_app, redirect, url_for
from oauthlib.oauth2 import TokenExpiredError
from requests import PreparedRequest, Request

from ..errors import ConfigurationError, TokenRevoked
from .token import with_expires_in
from .transport import TransportSession

if TYPE_CHECKING:
    from .base import BaseOAuthConsumerBlueprint

P = ParamSpec("P")
Token = dict[str, Any]


_Read = tuple[object, Token | None, object]
"""A token as it was read from the backend: whose it is, the token, and its lifetime in seconds."""


class _Unset:
    """Tells "no token was assigned" from an assigned ``None``."""


class ConsumerSession(TransportSession, ABC):
    """What the sessions of OAuth 1 and OAuth 2 share: the blueprint's token, and relative URLs.

    Most requests of an application only ask whether there is a token, and a session of
    requests-oauthlib takes much longer to make. So that part is made when something of it is used.
    """

    blueprint: BaseOAuthConsumerBlueprint | None
    base_url: str | None
    _assigned: Token | type[_Unset] | None = _Unset
    _read: _Read | None = None
    who: Mapping[str, Any] = {}
    """Whose token: ``user`` or ``user_id``, where it is not the backend's own."""

    def __init__(
        self,
        blueprint: BaseOAuthConsumerBlueprint | None = None,
        base_url: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.blueprint = blueprint
        self.base_url = base_url
        if blueprint is not None:
            self.transport = blueprint.transport
        self._deferred = (args, kwargs)
        if args or "token" in kwargs:
            self._construct()

    def _construct(self) -> None:
        """Make the part that is requests-oauthlib's. What was set on the session stays."""
        args, kwargs = self._deferred
        if not (args or kwargs) and self.blueprint is not None:
            kwargs = self.blueprint.session_arguments()
        set_before = dict(vars(self))
        super().__init__(*args, **kwargs)
        vars(self).update(set_before)
        del self._deferred

    def __getattr__(self, name: str) -> Any:
        # Called for what is not there: nothing of requests-oauthlib's part is, until it is made.
        if "_deferred" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._construct()
        return getattr(self, name)

    @property
    def token(self) -> Token | None:
        """The current user's token, read from the backend once, or ``None``.

        It is read again when the user changes within the request. A token assigned here is used by
        this session alone and is not stored; ``del`` goes back to the backend's.
        """
        if not isinstance(self._assigned, type):
            return self._assigned
        if self.blueprint is None:
            return None
        owner = self.blueprint.token_owner(**self.who)
        if self._read is None or self._read[0] != owner:
            self._keep(owner, self.blueprint.read_token(**self.who))
        return cast(_Read, self._read)[1]

    @token.setter
    def token(self, value: Token | None) -> None:
        self._assigned = value

    @token.deleter
    def token(self) -> None:
        self._assigned = _Unset
        self._read = None

    def use(self, token: Token | None) -> None:
        """Go on with a token that is in the backend by now, or with none, without reading it."""
        if self.blueprint is not None:
            self._keep(self.blueprint.token_owner(**self.who), token)

    def _keep(self, owner: object, token: Token | None) -> None:
        lifetime = None if token is None else token.get("expires_in")
        self._read = (owner, None if token is None else with_expires_in(token), lifetime)

    @property
    def has_assigned_token(self) -> bool:
        """Whether a token was assigned to this session, in place of the backend's."""
        return not isinstance(self._assigned, type)

    @abstractmethod
    def load_token(self) -> bool:
        """Sign calls with the current token from now on. Returns whether there is one."""

    @property
    @abstractmethod
    def authorized(self) -> bool:
        """Whether there is a token to call the provider with."""

    def authorization_required(self, view: Callable[P, Any]) -> Callable[P, Any]:
        """Decorate a view so that a visitor without a usable token is sent to the login view.

        So is one whose token turns out, within the view, to have ended for good. A backend or a
        provider that does not answer is no reason for a login: those errors are passed on.

        It may be used at import time: whose token counts is asked anew at each request.
        """
        blueprint = self.blueprint
        if blueprint is None:
            raise ConfigurationError("A session made without a blueprint has no login view.")

        @wraps(view)
        def check(*args: P.args, **kwargs: P.kwargs) -> Any:
            if blueprint.session.authorized:
                try:
                    return current_app.ensure_sync(view)(*args, **kwargs)
                except TokenRevoked as error:
                    if error.provider != blueprint.name:
                        raise
                except TokenExpiredError:
                    if blueprint.session.authorized:
                        raise
            return redirect(url_for(blueprint.view_endpoint("login")))

        return check

    def resolve(self, url: str | bytes) -> str:
        """Return the full URL for one that may be relative to ``base_url``, as a browser would."""
        text = url.decode() if isinstance(url, bytes) else str(url)
        return urljoin(self.base_url, text) if self.base_url else text

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepare a request whose URL may be relative to ``base_url``."""
        request.url = self.resolve(request.url or "")
        return super().prepare_request(request)

    def _set_defaults(self, kwargs: dict[str, Any]) -> None:
        if self.blueprint is None:
            return
        kwargs.setdefault("timeout", self.blueprint.timeout)
        # Those of a session would give way to the environment's.
        if kwargs.get("proxies") is None:
            kwargs["proxies"] = self.blueprint.proxies
