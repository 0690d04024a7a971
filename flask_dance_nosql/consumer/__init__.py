"""Blueprints, sessions and signals for consuming OAuth providers."""

from .client_assertion import PrivateKeyJWT
from .oauth1 import OAuth1ConsumerBlueprint
from .oauth1_session import OAuth1Session
from .oauth2 import OAuth2ConsumerBlueprint
from .oauth2_session import OAuth2Session
from .settings import Setting
from .signals import (
    account_linked,
    backchannel_logout,
    oauth_authorized,
    oauth_before_login,
    oauth_error,
    token_deleted,
    token_recovered,
    token_refresh_failed,
    token_refreshed,
    token_save_failed,
    token_saved,
    user_created,
    user_signed_in,
)

__all__ = [
    "OAuth1ConsumerBlueprint",
    "OAuth1Session",
    "OAuth2ConsumerBlueprint",
    "OAuth2Session",
    "PrivateKeyJWT",
    "Setting",
    "account_linked",
    "backchannel_logout",
    "oauth_authorized",
    "oauth_before_login",
    "oauth_error",
    "token_deleted",
    "token_recovered",
    "token_refresh_failed",
    "token_refreshed",
    "token_save_failed",
    "token_saved",
    "user_created",
    "user_signed_in",
]
