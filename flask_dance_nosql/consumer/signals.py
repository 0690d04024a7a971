"""The signals of the dance. The sender is always the blueprint."""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

oauth_before_login = _signals.signal(
    "oauth-before-login",
    doc="""Sent before the visitor is redirected to the provider.

    Args:
        url (str): The provider's authorization URL, with all its parameters.
    """,
)

oauth_authorized = _signals.signal(
    "oauth-authorized",
    doc="""Sent when the provider has issued a token, before the token is stored.

    A receiver that returns ``False`` says "I stored it myself": the blueprint then does not. A
    receiver that returns a response has it sent to the browser, and the token is not stored either.

    Args:
        token (dict): The token as the provider sent it.
    """,
)

oauth_error = _signals.signal(
    "oauth-error",
    doc="""Sent when a dance failed. A receiver that returns a response has it sent to the browser.

    Args:
        error (str): An error code of RFC 6749 section 4.1.2.1 or 5.2 if the provider sent one, else
            one of ours: ``missing_state``, ``mismatching_state``, ``mismatching_user``,
            ``missing_code``, ``missing_code_verifier``, ``mismatching_issuer``, ``missing_token``,
            ``temporarily_unavailable``, ``token_not_stored``, ``session_too_large``,
            ``invalid_id_token``, ``unusable_metadata``, ``account_already_linked``,
            ``account_unknown``, ``sign_in_failed``, ``sign_in_refused``.
        error_description (str | None): A sentence for developers, if there is one.
        error_uri (str | None): An http or https page about the error, if the provider named one.

    What comes from the provider is text of at most 300 characters, without control characters and
    without secrets.
    """,
)

backchannel_logout = _signals.signal(
    "backchannel-logout",
    doc="""Sent when an OpenID provider has said that somebody has logged out there, after tokens of
    that login were removed here. A receiver ends the application's own session.

    Args:
        sub (str | None): The subject, if the provider names it.
        sid (str | None): The session at the provider, if it names one: the claim of the ID token.
        user_ids (list[str | None]): Whose tokens were removed; ``None`` for one of a browser.
    """,
)

token_saved = _signals.signal(
    "token-saved",
    doc="""Sent when a token has been stored: after a login, a refresh, or an assignment.

    Args:
        user_id (str | None): Whose token it is; ``None`` if the backend keeps none for each user.
    """,
)

token_deleted = _signals.signal(
    "token-deleted",
    doc="""Sent with ``user_id`` when a stored token has been removed: by the application, by a
    revocation, or because the provider has ended its grant.
    """,
)

token_refreshed = _signals.signal(
    "token-refreshed",
    doc="""Sent with ``user_id`` when the provider has given a new token for an old one, after it
    was stored if it could be.
    """,
)

token_refresh_failed = _signals.signal(
    "token-refresh-failed",
    doc="""Sent with ``user_id`` when the provider has given no new token.

    Args:
        error (str): The provider's error code, or what else is known of why, as clean text.
    """,
)

token_recovered = _signals.signal(
    "token-recovered",
    doc="""Sent with ``user_id`` when there is a new token in place of one of which it was stored
    that it could not be refreshed, or that its grant had ended: after a refresh by anybody, or a
    login, when the new token is stored.

    Args:
        failure (RefreshFailure): What was stored: how often, since when, and why.

    .. versionadded:: 1.0
    """,
)

token_save_failed = _signals.signal(
    "token-save-failed",
    doc="""Sent with ``user_id`` when a refreshed token could not be stored. It is kept in this
    process's memory, and ``token_saved`` is sent when the backend has taken it after all.

    Args:
        error (str): The name of the error.
    """,
)

user_signed_in = _signals.signal(
    "user-signed-in",
    doc="""Sent when :class:`~flask_dance_nosql.accounts.SignIn` has signed a user in, and the token
    is stored. The session is the user's by then.

    Args:
        user: The user, as ``load_user`` or ``create_user`` has returned them.
        profile (AccountProfile): The account.
    """,
)

user_created = _signals.signal(
    "user-created",
    doc="""Sent with ``user`` and ``profile`` when ``create_user`` has returned a user, before
    ``account_linked`` and ``user_signed_in``.
    """,
)

account_linked = _signals.signal(
    "account-linked",
    doc="""Sent with ``user`` and ``profile`` when an account is a user's that was not before: of
    somebody who was signed in, was found by e-mail, or is new.
    """,
)
