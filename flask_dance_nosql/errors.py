"""Every error this package raises on purpose, under one root.

No message here contains a token, a key, a verifier or a password, so each may be logged and shown
to an operator. Errors of a database driver are kept as ``__cause__``.
"""

from __future__ import annotations

from typing import Any


class FlaskDanceNoSQLError(Exception):
    """The root of all errors of this package."""


class ConfigurationError(FlaskDanceNoSQLError):
    """The application is set up in a way that cannot work; the message says what to change."""


class MissingDependency(ConfigurationError, ImportError):
    """An optional package is needed and is not installed.

    Args:
        feature: What needs it, for example ``"MongoBackend"``.
        package: The package's name on PyPI.
        extra: The extra of Flask-Dance-NoSQL that installs it.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}. "
            f"Install it with: pip install 'Flask-Dance-NoSQL[{extra}]'"
        )
        self.feature = feature
        self.package = package
        self.extra = extra


class UserRequired(FlaskDanceNoSQLError, ValueError):
    """A token that belongs to a user was asked for, and there is no user.

    Args:
        operation: What was tried: ``"get"``, ``"set"`` or ``"delete"``.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(f"Cannot {operation} OAuth token without an associated user")
        self.operation = operation


class BackendError(FlaskDanceNoSQLError):
    """A backend could not do what it was asked.

    Args:
        operation: The operation that failed, for example ``"load"``.
        backend: The name of the class that failed, for example ``"MongoStore"``.
        reason: What happened and what to do next, in one sentence without secrets.
    """

    def __init__(self, operation: str, backend: str, reason: str = "it failed") -> None:
        super().__init__(f"{backend}.{operation}: {reason}")
        self.operation = operation
        self.backend = backend


class BackendUnavailable(BackendError):
    """The server or disk behind a backend did not answer.

    It says nothing about whether there is a token: nobody is logged out because of it, and trying
    again later is right.
    """


class TokenTooLarge(BackendError, ValueError):
    """A token does not fit where it should be kept. What was there before is there still.

    Args:
        operation: The operation that failed.
        backend: The name of the class that failed.
        provider: The provider of the token.
        excess: How many bytes there are too many.
    """

    def __init__(self, operation: str, backend: str, provider: str, excess: int) -> None:
        reason = (
            f"with the token of provider {provider!r} the session cookie would be {excess} bytes "
            "too large, and browsers would drop it. Keep tokens on the server: MongoBackend, "
            "RedisBackend and SQLAlchemyBackend take scope='browser'."
        )
        super().__init__(operation, backend, reason)
        self.provider = provider
        self.excess = excess


class CorruptToken(BackendError):
    """What is stored under a key is not a token document.

    Reading leaves it as it is. A new login replaces it, and a logout or a revocation removes it.

    Args:
        operation: The operation that met it.
        backend: The name of the class that met it.
        provider: The provider of the token that was asked for.
        user_id: The user it was asked for, or ``None``.
        reason: What is wrong with it, without its contents.

    Attributes:
        key: The key that the record lies under, by which it can be removed, or ``None``.
        provider_user_id: The account at the provider that the record is linked to, if at least that
            can be read, or ``None``.
    """

    key: Any = None
    provider_user_id: str | None = None

    def __init__(
        self, operation: str, backend: str, provider: str, user_id: str | None, reason: str
    ) -> None:
        record = f"the token record of provider {provider!r}, user {user_id!r}"
        super().__init__(operation, backend, f"{record} is corrupt: {reason}")
        self.provider = provider
        self.user_id = user_id


class TokenDecryptError(CorruptToken):
    """An encrypted token can't be opened. It is left as it is.

    It was sealed with a key that is not here, or for another provider or user, or it is damaged; or
    it is not encrypted, where it has to be. The message does not say more than whose record it is.
    """


class VersionConflict(BackendError):
    """Somebody else has written the token since it was read. What they wrote stands.

    Args:
        operation: ``"save"`` or ``"delete"``.
        backend: The name of the class that refused.
        provider: The provider of the token.
        user_id: The user whose token it is, or ``None``.
    """

    def __init__(self, operation: str, backend: str, provider: str, user_id: str | None) -> None:
        token = f"the token of provider {provider!r}, user {user_id!r}"
        reason = f"{token} has changed since it was read. Read it again."
        super().__init__(operation, backend, reason)
        self.provider = provider
        self.user_id = user_id


class AccountAlreadyLinked(FlaskDanceNoSQLError, ValueError):
    """An account at a provider is linked to somebody else already. Nothing was stored.

    Args:
        provider: The provider.
        provider_user_id: The id of the account there.

    .. versionadded:: 1.0
    """

    def __init__(self, provider: str, provider_user_id: str) -> None:
        super().__init__(
            f"An account of provider {provider!r} is linked to another user already. They have to "
            "disconnect it first."
        )
        self.provider = provider
        self.provider_user_id = provider_user_id


class ErasureIncomplete(FlaskDanceNoSQLError):
    """Not everything of a user could be removed, since a store did not do it. Call it again.

    Args:
        erasure: What was found and done, as :func:`~flask_dance_nosql.accounts.forget_user` returns
            it.
        reasons: What the stores have said.

    .. versionadded:: 1.0
    """

    def __init__(self, erasure: object, reasons: list[str]) -> None:
        super().__init__(f"Not everything of a user is removed. {' '.join(reasons)}")
        self.erasure = erasure
        self.reasons = reasons


class AccountUnknown(FlaskDanceNoSQLError, ValueError):
    """It can't be told which account at the provider a new token is of. It was not stored.

    Args:
        provider: The provider.
        reason: What went wrong: the name of an error.

    .. versionadded:: 1.0
    """

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(
            f"The account of a new token of provider {provider!r} is not known ({reason}). Give "
            "the blueprint an account_id, or the SignIn a profile: a function of a session with "
            "that token."
        )
        self.provider = provider


class TokenRefreshError(FlaskDanceNoSQLError):
    """An expired token could not be refreshed; the stored token is untouched.

    Args:
        provider: The blueprint's name.
        reason: The provider's error code, or what kept us from asking. It is text that may be
            shown: short, without control characters and without secrets.
        needs_login: Whether the provider has refused in a way that asking again does not change,
            so that the user has to log in again. ``session.authorization_required`` sends them
            there.
    """

    def __init__(self, provider: str, reason: str, needs_login: bool = False) -> None:
        super().__init__(f"The token of provider {provider!r} could not be refreshed: {reason}")
        self.provider = provider
        self.reason = reason
        self.needs_login = needs_login


class TokenRevoked(TokenRefreshError):
    """The provider has ended the grant: its refresh token is good for nothing any more.

    The stored token has been removed. It is raised, too, if somebody else has removed the token, by
    a logout for instance, before its refresh was over. The user has to log in again;
    ``session.authorization_required`` sends them there.
    """

    def __init__(self, provider: str, reason: str, needs_login: bool = True) -> None:
        super().__init__(provider, reason, needs_login)


class ProviderError(FlaskDanceNoSQLError):
    """What an OpenID provider publishes, or tells of a user, could not be had or can't be used.

    Args:
        provider: The blueprint's name.
        reason: What is wrong, as text that may be shown.
        is_temporary: Whether the provider just did not answer, so that trying again may help.
    """

    def __init__(self, provider: str, reason: str, is_temporary: bool = False) -> None:
        super().__init__(f"Provider {provider!r}: {reason}")
        self.provider = provider
        self.reason = reason
        self.is_temporary = is_temporary
