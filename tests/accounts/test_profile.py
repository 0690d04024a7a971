"""What is read of an account, and what of that may be shown."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from flask import Flask

from flask_dance_nosql import errors
from flask_dance_nosql.accounts import AccountProfile, read_profile
from flask_dance_nosql.accounts.profile import profile_in, with_profile
from flask_dance_nosql.contrib.bitbucket import make_bitbucket_blueprint
from flask_dance_nosql.contrib.github import make_github_blueprint

TOKEN = {"access_token": "a", "token_type": "bearer"}
USER = {"id": 583231, "login": "octocat", "avatar_url": "https://avatars.test/1"}


@pytest.fixture
def app() -> Flask:
    """Return an application."""
    return Flask(__name__)


@pytest.fixture
def provider() -> Iterator[responses.RequestsMock]:
    """Answer in the provider's place."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def test_main_address_of_github_that_is_confirmed(
    app: Flask, provider: responses.RequestsMock
) -> None:
    """GitHub lists addresses apart from the profile."""
    blueprint = make_github_blueprint("id", "secret")
    provider.get("https://api.github.com/user", json=USER)
    provider.get(
        "https://api.github.com/user/emails",
        json=[
            {"email": "old@example.test", "primary": False, "verified": True},
            {"email": "new@example.test", "primary": True, "verified": True},
            {"email": "odd@example.test", "primary": True, "verified": False},
        ],
    )
    with app.test_request_context():
        profile = read_profile(blueprint, TOKEN)
    assert profile == AccountProfile(
        "github", "583231", "octocat", "new@example.test", True, "https://avatars.test/1"
    )
    assert profile.key == "github:583231"


def test_without_the_scope_for_addresses_there_is_none(
    app: Flask, provider: responses.RequestsMock
) -> None:
    """The list needs a scope of its own; the profile does not."""
    blueprint = make_github_blueprint("id", "secret")
    provider.get("https://api.github.com/user", json=USER)
    provider.get("https://api.github.com/user/emails", status=404, json={"message": "Not Found"})
    with app.test_request_context():
        profile = read_profile(blueprint, TOKEN)
    assert (profile.id, profile.email, profile.email_verified) == ("583231", None, False)


def test_address_of_bitbucket(app: Flask, provider: responses.RequestsMock) -> None:
    """Bitbucket calls the same fields otherwise."""
    blueprint = make_bitbucket_blueprint("id", "secret")
    provider.get("https://api.bitbucket.org/2.0/user", json={"uuid": "{1}", "display_name": "Ann"})
    entry = {"email": "ann@example.test", "is_primary": True, "is_confirmed": True}
    provider.get("https://api.bitbucket.org/2.0/user/emails", json={"values": [entry]})
    with app.test_request_context():
        profile = read_profile(blueprint, TOKEN)
    assert (profile.id, profile.email, profile.email_verified) == ("{1}", "ann@example.test", True)


@pytest.mark.parametrize(
    "answer", ["null", "[]", "{}", '{"id": null}', '{"id": {}}', '{"id": ""}', "nonsense", "[[1]]"]
)
def test_no_id_is_no_profile(app: Flask, provider: responses.RequestsMock, answer: str) -> None:
    """An account that is not told is an error of ours, whatever came in its place."""
    blueprint = make_github_blueprint("id", "secret")
    provider.get("https://api.github.com/user", body=answer)
    with app.test_request_context(), pytest.raises(errors.AccountUnknown):
        read_profile(blueprint, TOKEN)


def as_dict(**fields: Any) -> Any:
    """Return what a reader may return."""
    return fields


def as_profile(**fields: Any) -> Any:
    """Return the same as a profile, whose fields come as they are from an answer."""
    return AccountProfile("other", **fields)


MAKES = pytest.mark.parametrize("make", [as_dict, as_profile])


@MAKES
@pytest.mark.parametrize(
    ("account", "text"),
    [(583231, "583231"), ("a", "a"), *((odd, None) for odd in ("", None, True, 2.5, "a" * 256))],
)
def test_a_reader_of_ones_own_gives_an_id(
    app: Flask, make: Any, account: object, text: str | None
) -> None:
    """A number is one; the provider is the blueprint, whatever the reader says."""
    blueprint = make_github_blueprint("id", "secret")
    with app.test_request_context():
        if text is None:
            with pytest.raises(errors.AccountUnknown):
                read_profile(blueprint, TOKEN, lambda _: make(id=account))
        else:
            profile = read_profile(blueprint, TOKEN, lambda _: make(id=account))
            assert profile.key == f"github:{text}"


@MAKES
@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("name", "Ann\r\nX\x1b[2J", "Ann  X [2J"),
        ("name", "x" * 5000, "x" * 300),
        ("name", 17, None),
        ("name", "  ", None),
        ("email", "not an address", None),
        ("email", ["a@example.test"], None),
        ("picture", "javascript:alert(1)", None),
        ("picture", "http://pictures.test/1", None),
        ("picture", "https://user@pictures.test/1", None),
        ("picture", "https://[", None),
        ("picture", "https://pictures.test/1", "https://pictures.test/1"),
    ],
)
def test_what_is_shown_is_clean(
    app: Flask, make: Any, field: str, value: object, shown: str | None
) -> None:
    """Text of a provider has no control characters, and URLs lead where they say."""
    blueprint = make_github_blueprint("id", "secret")
    with app.test_request_context():
        profile = read_profile(blueprint, TOKEN, lambda session: make(id=1, **{field: value}))
    assert getattr(profile, field) == shown


@MAKES
@pytest.mark.parametrize(
    ("said", "is_verified"),
    [
        (True, True),
        ("true", True),
        ("True", True),
        ("2012-05-23T08:00:58Z", True),
        (False, False),
        ("false", False),
        ("unverified", False),
        (1, False),
        ("20120523", False),
        (None, False),
        ({}, False),
    ],
)
def test_when_an_address_counts_as_verified(
    app: Flask, make: Any, said: object, is_verified: bool
) -> None:
    """Nothing but a clear yes counts, and only with an address."""
    blueprint = make_github_blueprint("id", "secret")
    fields = make(id=1, email="ann@example.test", email_verified=said)
    with app.test_request_context():
        assert read_profile(blueprint, TOKEN, lambda _: fields).email_verified is is_verified
        none = make(id=1, email_verified=said)
        assert read_profile(blueprint, TOKEN, lambda _: none).email_verified is False


def test_profile_is_kept_with_the_token() -> None:
    """It can be read from a stored token, which may hold anything there."""
    profile = AccountProfile("github", "1", "Ann", "ann@example.test", True, "https://p.test/1")
    kept = json.loads(json.dumps(with_profile(TOKEN, profile)))
    assert profile_in("github", kept) == profile
    assert profile_in("github", TOKEN) is None
    values: tuple[object, ...] = (None, [], "x", {"id": None}, {"name": "Ann"})
    for odd in values:
        assert profile_in("github", {**TOKEN, "account_profile": odd}) is None
