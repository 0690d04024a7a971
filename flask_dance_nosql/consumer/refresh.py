"""Keeps an expired access token from being sent: exchanges its refresh token for a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oauthlib.oauth2 import OAuth2Error
from requests import RequestException
from requests.auth import HTTPBasicAuth

from ..errors import TokenRefreshError
from .expiry import expired

if TYPE_CHECKING:
    from .requests import OAuth2Session


def refresh_expired(session: OAuth2Session) -> None:
    """Refresh and store the session's token if it has expired and there is a way to.

    One that was assigned to the session is not stored: it need not be the current user's.
    Only the refresh request goes to the token endpoint: nothing of the call that made it necessary.

    Source: RFC 6749 section 6.

    Raises:
        TokenRefreshError: If the provider refuses or can't be reached. The stored token stays.
    """
    blueprint, token = session.blueprint, session.token
    if blueprint is None or not token or not session.auto_refresh_url or not expired(token):
        return
    if not token.get("refresh_token"):
        return
    assigned = session.has_assigned_token
    secret = blueprint.client_secret
    auth = HTTPBasicAuth(session.client_id, secret) if session.client_id and secret else None
    try:
        fresh = session.refresh_token(
            session.auto_refresh_url,
            refresh_token=token["refresh_token"],
            auth=auth,
            timeout=blueprint.timeout,
        )
    except (OAuth2Error, RequestException, ValueError) as error:
        _put_back(session, token, assigned)
        reason = getattr(error, "error", None) or type(error).__name__
        raise TokenRefreshError(blueprint.name, reason) from error
    if not assigned:
        blueprint.token = fresh


def _put_back(session: OAuth2Session, token: dict[str, Any], assigned: bool) -> None:
    # requests-oauthlib has taken the token from the session for its request.
    if assigned:
        session.token = token
    else:
        del session.token
