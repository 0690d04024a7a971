"""What the sessions of OAuth 1 and OAuth 2 share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from urllib.parse import urljoin

from flask import current_app, redirect, url_for
from requests import PreparedRequest, Request

from ..errors import ConfigurationError
from .transport import TransportSession

if TYPE_CHECKING:
    from .base import BaseOAuthConsumerBlueprint

P = ParamSpec("P")
Token = dict[str, Any]


class _Unset:
    """Tells "no token was assigned" from an assigned ``None``."""


class ConsumerSession(TransportSession, ABC):
    """What the sessions of OAuth 1 and OAuth 2 share: the blueprint's token, and relative URLs."""

    blueprint: BaseOAuthConsumerBlueprint | None
    base_url: str | None
    _assigned: Token | type[_Unset] | None = _Unset
    _read: tuple[object, Token | None] | None = None

    def _bind(self, blueprint: BaseOAuthConsumerBlueprint | None, base_url: str | None) -> None:
        self.blueprint = blueprint
        self.base_url = base_url
        if blueprint is not None:
            self.transport = blueprint.transport

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
        owner = self.blueprint.token_owner()
        if self._read is None or self._read[0] != owner:
            self._read = (owner, self.blueprint.token)
        return self._read[1]

    @token.setter
    def token(self, value: Token | None) -> None:
        self._assigned = value

    @token.deleter
    def token(self) -> None:
        self._assigned = _Unset
        self._read = None

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
        """Decorate a view so that a visitor without a token is sent to the login view.

        It may be used at import time: whose token counts is asked anew at each request.
        """
        blueprint = self.blueprint
        if blueprint is None:
            raise ConfigurationError("A session made without a blueprint has no login view.")

        @wraps(view)
        def check(*args: P.args, **kwargs: P.kwargs) -> Any:
            if not blueprint.session.authorized:
                return redirect(url_for(blueprint.view_endpoint("login")))
            return current_app.ensure_sync(view)(*args, **kwargs)

        return check

    def resolve(self, url: str | bytes) -> str:
        """Return the full URL for one that may be relative to ``base_url``, as a browser would."""
        text = url.decode() if isinstance(url, bytes) else str(url)
        return urljoin(self.base_url, text) if self.base_url else text

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepare a request whose URL may be relative to ``base_url``."""
        request.url = self.resolve(request.url or "")
        return super().prepare_request(request)

    def _default_timeout(self, kwargs: dict[str, Any]) -> None:
        if self.blueprint is not None:
            kwargs.setdefault("timeout", self.blueprint.timeout)
