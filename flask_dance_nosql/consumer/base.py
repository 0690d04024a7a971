"""What the blueprints of OAuth 1 and OAuth 2 share."""

from __future__ import annotations

import os
from inspect import signature
from typing import Any

from flask import Blueprint
from flask.blueprints import BlueprintSetupState

from ..errors import ConfigurationError
from .client import SESSION_PATH
from .dance import DanceViews
from .settings import Argument, Setting, argument

_OF_FLASK = signature(Blueprint).parameters.keys()


class BaseOAuthConsumerBlueprint(DanceViews):
    """A :class:`flask.Blueprint` with a login view, a callback view and a token backend.

    Nothing of a request, a user or an app is kept on it: one blueprint serves many threads and may
    be registered on several apps.

    Args:
        name: The blueprint's name, which is also the provider under which tokens are stored.
        import_name: The name of the package it is made in, usually ``__name__``.
        static_folder, static_url_path, template_folder: As of :class:`flask.Blueprint`.
        url_prefix, subdomain, url_defaults, root_path: As there.
        login_url: Route of the login view, formatted with the blueprint as ``bp``. Default
            ``/{bp.name}``.
        authorized_url: Route of the callback view, formatted likewise. Default
            ``/{bp.name}/authorized``.
        base_url: What relative URLs given to the session are resolved against.
        redirect_url: Where the visitor goes after the dance.
        redirect_to: An endpoint to go to instead; without either, the root of the app. The page
            that a visitor had asked for comes first.
        redirect_uri: The full URL of the callback view as the provider knows it; default: as Flask
            makes it from the request. For apps behind a proxy that tells them neither their host
            nor their scheme.
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
        several_accounts: Whether a user may have several accounts at the provider, each with a
            token of its own. The backend needs ``user`` or ``user_id``. See
            :doc:`/several-accounts`.
        exclusive_accounts: Whether an account at the provider is one user's alone, so that a login
            that would link another user's is refused.
        account_id: What names the account of a new token, if one of these is on: a function that is
            given a session with that token, and returns the account's id. Default: what an ID token
            says, or the answer with the token, or else the profile that a preset knows of.
        another_account: Parameters of the authorization URL with which the provider asks for an
            account although it knows the visitor, such as ``{"prompt": "select_account"}``. They
            are sent if the query of the login view has ``another`` in it. Default: as the preset
            says.
        verify: Whether certificates are checked, or the path of the authorities', for every call to
            the provider, token calls included; default: as requests does by its environment.
        headers: Headers of every call to the provider, beside those of requests: texts, or
            functions of the session that return one.
        **kwargs: Further arguments that the session class names.

    Raises:
        ConfigurationError: If the backend is none, both its names are used, or neither the
            blueprint nor its session class has an argument of that name.
    """

    # Of a Flask blueprint.
    name: str = argument(kw_only=False)
    import_name: str = argument(kw_only=False)
    static_folder: str | os.PathLike[str] | None = argument(default=None)  # type: ignore[assignment] # wider
    static_url_path: str | None = argument(default=None)
    template_folder: str | os.PathLike[str] | None = argument(default=None)
    url_prefix: str | None = argument(default=None)
    subdomain: str | None = argument(default=None)
    url_defaults: dict[str, Any] | None = argument(default=None)  # type: ignore[assignment] # Flask's
    root_path: str = argument(default=None)

    # Of the two routes.
    login_url: str | None = argument(default=None)
    authorized_url: str | None = argument(default=None)
    rule_kwargs: dict[str, Any] | None = argument(default=None)

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        plain = {name for name, each in self.arguments.items() if type(each) is Argument}
        Blueprint.__init__(self, **{name: values.pop(name) for name in plain & _OF_FLASK})
        login_url, authorized_url = values.pop("login_url"), values.pop("authorized_url")
        rule_kwargs = values.pop("rule_kwargs") or {}
        super()._set_up(values, further)
        login_rule = self._route("login_url", login_url or "/{bp.name}")
        authorized_rule = self._route("authorized_url", authorized_url or "/{bp.name}/authorized")
        self.add_url_rule(login_rule, "login", self.login, **rule_kwargs)
        methods = {"methods": ["GET", "POST"], **rule_kwargs}
        self.add_url_rule(authorized_rule, "authorized", self.authorized, **methods)
        self.after_request(self._after_view)
        self.record(self._registered)

    def _route(self, argument: str, text: str) -> str:
        """Return a route, with the blueprint's attributes in their places."""
        try:
            route = text.format(bp=self)
        except (AttributeError, LookupError, ValueError) as error:
            raise ConfigurationError(f"{argument} {text!r} can't be formatted: {error}") from None
        if not route.startswith("/"):
            raise ConfigurationError(
                f"{argument} is a route of the app, which begins with a slash, not {route!r}. The "
                "full URL of the callback that the provider knows is redirect_uri."
            )
        return route

    def _registered(self, state: BlueprintSetupState) -> None:
        kind = type(self)
        for path in self.from_config:
            is_setting = isinstance(getattr(kind, path, None), Setting)
            if not is_setting and not path.startswith(SESSION_PATH):
                raise ConfigurationError(
                    f"from_config names {path!r}, which is neither a setting of {kind.__name__} "
                    "nor a path that begins with 'session.'. In a subclass, declare it: "
                    f"{path} = Setting()."
                )
        known = state.app.extensions.setdefault("flask_dance_nosql", {})
        if any(other.name == self.name and other is not self for other in known):
            raise ConfigurationError(
                f"The app has another OAuth blueprint of the name {self.name!r}. The name is the "
                "provider's, under which logins and tokens are kept: give each its own."
            )
        known.setdefault(self, f"{state.name_prefix}.{state.name}".lstrip("."))
        self.is_registered = True
