"""The tree of errors: what each is a kind of, what it says and what it carries."""

from __future__ import annotations

import pytest

from flask_dance_nosql import errors
from flask_dance_nosql.errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    CorruptToken,
    FlaskDanceNoSQLError,
    MissingDependency,
    TokenDecryptError,
    TokenRefreshError,
    UserRequired,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigurationError, FlaskDanceNoSQLError),
        (MissingDependency, ConfigurationError),
        (MissingDependency, ImportError),
        (UserRequired, FlaskDanceNoSQLError),
        (UserRequired, ValueError),
        (BackendError, FlaskDanceNoSQLError),
        (BackendUnavailable, BackendError),
        (CorruptToken, BackendError),
        (TokenDecryptError, CorruptToken),
        (TokenRefreshError, FlaskDanceNoSQLError),
    ],
)
def test_each_error_is_of_its_kind(error: type, kind: type) -> None:
    """Callers can catch an error by the kind that its documentation names."""
    assert issubclass(error, kind)


def test_all_errors_have_one_root() -> None:
    """Whatever the package raises on purpose is caught by one class."""
    own = [
        each for each in vars(errors).values() if getattr(each, "__module__", "") == errors.__name__
    ]
    found = [each for each in own if isinstance(each, type)]
    assert len(found) >= 8
    assert all(issubclass(error, FlaskDanceNoSQLError) for error in found)


@pytest.mark.parametrize("operation", ["get", "set", "delete"])
def test_user_required_says_what_it_always_said(operation: str) -> None:
    """The message is the one that applications already know."""
    error = UserRequired(operation)
    assert str(error) == f"Cannot {operation} OAuth token without an associated user"
    assert error.operation == operation


def test_unavailable_and_corrupt_are_told_apart() -> None:
    """A store that does not answer is neither a corrupt record nor a missing user."""
    unavailable = BackendUnavailable("load", "MongoStore", "no answer")
    assert not isinstance(unavailable, CorruptToken | ValueError | LookupError)
    assert str(unavailable) == "MongoStore.load: no answer"
    assert (unavailable.operation, unavailable.backend) == ("load", "MongoStore")


def test_corrupt_token_names_whose() -> None:
    """An operator can find the record by what the error says."""
    error = CorruptToken("load", "RedisStore", "demo", "42", "it is not a token document")
    assert (error.provider, error.user_id) == ("demo", "42")
    for part in ("RedisStore.load", "'demo'", "'42'", "not a token document"):
        assert part in str(error)


def test_missing_dependency_says_what_to_install() -> None:
    """The message names the feature and the package, and is a command to copy."""
    error = MissingDependency("MongoBackend", "pymongo", "mongodb")
    assert (error.feature, error.package, error.extra) == ("MongoBackend", "pymongo", "mongodb")
    for part in ("MongoBackend", "'pymongo'", "pip install 'Flask-Dance-NoSQL[mongodb]'"):
        assert part in str(error)
