"""Where a dance comes back to, and where it ends."""

from __future__ import annotations

from flask import Blueprint, current_app, url_for
from werkzeug.routing import BuildError
from werkzeug.urls import iri_to_uri

from ..errors import ConfigurationError
from .client import OAuthClient
from .settings import Setting
from .urls import is_full_url, own_path


class DanceURLs(OAuthClient):
    """The URLs of a dance on this site."""

    redirect_url: Setting[str | None] = Setting(default=None)
    redirect_to: Setting[str | None] = Setting(default=None)
    redirect_uri: Setting[str | None] = Setting(default=None, rule=is_full_url)

    def view_endpoint(self, view: str) -> str:
        """Return the full endpoint of a view of this blueprint on the current app.

        Args:
            view: ``"login"`` or ``"authorized"``.

        Raises:
            ConfigurationError: If the blueprint is not registered on the app.
        """
        names: dict[Blueprint, str] = current_app.extensions.get("flask_dance_nosql", {})
        if self not in names:
            raise ConfigurationError(
                f"Blueprint {self.name!r} is not registered on the app {current_app.name!r}: call "
                "app.register_blueprint() with it."
            )
        return f"{names[self]}.{view}"

    def callback_url(self) -> str:
        """Return the full URL of the callback view, as it is sent to the provider."""
        if self.redirect_uri:
            return self.redirect_uri
        return iri_to_uri(url_for(self.view_endpoint("authorized"), _external=True))

    def _next_url(self) -> str:
        if self.redirect_url:
            return self.redirect_url
        if not self.redirect_to:
            return own_path("/")
        try:
            url = url_for(self.redirect_to)
        except BuildError as error:
            raise ConfigurationError(f"redirect_to names no page of the app: {error}") from None
        if url == url_for(self.view_endpoint("login")):
            raise ConfigurationError("redirect_to leads to the login view again.")
        return url
