"""Odd answers of named providers, through their presets.

Each answer is as the provider's documentation or its users have recorded it.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from responses.matchers import header_matcher

from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.errors import TokenRefreshError, TokenRevoked

from .test_presets import app_with, make

DEAD: list[tuple[str, int, dict[str, Any]]] = [
    (
        "atlassian",
        403,
        {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."},
    ),
    (
        "auth0",
        403,
        {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."},
    ),
    ("github", 200, {"error": "bad_refresh_token", "error_uri": "https://docs.github.com"}),
    (
        "google",
        400,
        {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
    ),
    (
        "hubspot",
        400,
        {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"},
    ),
    ("slack", 200, {"ok": False, "error": "invalid_refresh_token"}),
    (
        "strava",
        400,
        {
            "message": "Bad Request",
            "errors": [{"resource": "RefreshToken", "field": "refresh_token", "code": "invalid"}],
        },
    ),
    ("twitch", 400, {"status": 400, "message": "Invalid refresh token"}),
    (
        "x",
        400,
        {
            "error": "invalid_request",
            "error_description": "Value passed for the token was invalid.",
        },
    ),
    ("zoho", 200, {"error": "invalid_code"}),
]
"""Answers to a refresh which mean that the user has to log in again."""

ALIVE: list[tuple[str, int, dict[str, Any]]] = [
    ("github", 200, {"error": "incorrect_client_credentials"}),
    ("google", 401, {"error": "invalid_client", "error_description": "Unauthorized"}),
    ("slack", 200, {"ok": False, "error": "ratelimited"}),
    ("slack", 200, {"ok": False, "error": "bad_client_secret"}),
    (
        "strava",
        400,
        {"message": "Bad Request", "errors": [{"resource": "Application", "code": "invalid"}]},
    ),
    ("twitch", 403, {"status": 403, "message": "invalid client secret"}),
    (
        "zoho",
        200,
        {"error": "Access Denied", "error_description": "You have made too many requests"},
    ),
    ("zoho", 200, {"error": "invalid_client"}),
    ("hubspot", 500, {"status": "error"}),
    ("x", 503, {"title": "Service Unavailable"}),
    (
        "x",
        400,
        {
            "error": "invalid_request",
            "error_description": "Missing required parameter [client_id].",
        },
    ),
]
"""Answers to a refresh which say nothing of the grant."""

OPTIONS: dict[str, dict[str, Any]] = {
    "auth0": {"scope": ["openid", "offline_access"]},
    "atlassian": {"scope": ["offline_access"]},
    "dropbox": {"offline": True},
    "google": {"offline": True},
    "x": {"scope": ["users.read", "offline.access"]},
    "zoho": {"offline": True},
}


def refreshed(module: str, status: int, answer: dict[str, Any]) -> Any:
    """Have an expired token refreshed, and return the blueprint whose provider has answered so."""
    old = {"access_token": "old", "refresh_token": "rt-1", "expires_at": 1.0}
    given = OPTIONS.get(module, {})
    blueprint = make(module, "the-id", "the-secret", backend=MemoryBackend(old), **given)
    with app_with(blueprint).test_request_context(), responses.RequestsMock() as provider:
        provider.post(blueprint.session.auto_refresh_url, json=answer, status=status)
        if status == 200 and "access_token" in answer:
            provider.get(blueprint.session.resolve("anything"), json={})
        blueprint.session.get("anything")
        return blueprint


@pytest.mark.parametrize(("module", "status", "answer"), DEAD, ids=str)
def test_dead_grant(module: str, status: int, answer: dict[str, Any]) -> None:
    """The token is dropped, and the user has to log in again."""
    with pytest.raises(TokenRevoked):
        refreshed(module, status, answer)


@pytest.mark.parametrize(("module", "status", "answer"), ALIVE, ids=str)
def test_grant_that_lives_on(module: str, status: int, answer: dict[str, Any]) -> None:
    """The fault is the application's or passes: nobody is logged out."""
    with pytest.raises(TokenRefreshError) as caught:
        refreshed(module, status, answer)
    assert not isinstance(caught.value, TokenRevoked)


class Exchange(NamedTuple):
    """An answer to the exchange of a code, and what the token has of it."""

    module: str
    answer: dict[str, Any]
    expected: dict[str, Any]
    query: dict[str, str] = {}
    given: dict[str, Any] = {}


EXCHANGES = [
    Exchange(
        "github",
        {"access_token": "a", "scope": "repo,gist", "token_type": "bearer"},
        {"access_token": "a"},
    ),
    Exchange(
        "slack",
        {
            "ok": True,
            "app_id": "A1",
            "authed_user": {
                "id": "U1",
                "scope": "search:read",
                "access_token": "xoxp-1",
                "token_type": "user",
            },
            "team": {"id": "T1"},
        },
        {"access_token": "xoxp-1", "team": {"id": "T1"}},
    ),
    Exchange(
        "slack",
        {
            "ok": True,
            "access_token": "xoxb-1",
            "token_type": "bot",
            "scope": "chat:write,users:read",
            "authed_user": {"id": "U1", "access_token": "xoxp-1", "refresh_token": "xoxe-1"},
        },
        {
            "access_token": "xoxb-1",
            "authed_user": {"id": "U1", "access_token": "xoxp-1", "refresh_token": "xoxe-1"},
        },
    ),
    Exchange("linkedin", {"access_token": "a", "expires_in": 5184000}, {"access_token": "a"}),
    Exchange(
        "azure",
        {
            "access_token": "a",
            "token_type": "Bearer",
            "expires_in": "3599",
            "ext_expires_in": "3599",
        },
        {"ext_expires_in": "3599"},
    ),
    Exchange("stripe_app", {"access_token": "a", "refresh_token": "r"}, {"expires_in": 3600}),
    Exchange("stripe_app", {"access_token": "a", "expires_in": None}, {"expires_in": 3600}),
    Exchange(
        "slack",
        {"ok": True, "access_token": None, "authed_user": {"id": "U1", "access_token": "a"}},
        {"access_token": "a"},
    ),
    Exchange(
        "twitch",
        {"access_token": "a", "scope": ["user:read:email"], "expires_in": 14000},
        {"access_token": "a"},
    ),
    Exchange(
        "quickbooks",
        {
            "access_token": "a",
            "refresh_token": "r",
            "expires_in": 3600,
            "x_refresh_token_expires_in": 8726400,
        },
        {"realmId": "9130350000000000000", "x_refresh_token_expires_in": 8726400},
        {"realmId": "9130350000000000000"},
    ),
    Exchange(
        "salesforce",
        {
            "access_token": "a",
            "instance_url": "https://acme.my.salesforce.com",
            "issued_at": "1699999999999",
            "signature": "c2ln",
        },
        {"instance_url": "https://acme.my.salesforce.com"},
    ),
    Exchange(
        "notion",
        {
            "access_token": "a",
            "refresh_token": None,
            "workspace_id": "w",
            "owner": {"type": "user"},
        },
        {"workspace_id": "w", "owner": {"type": "user"}},
    ),
    Exchange(
        "facebook",
        {"access_token": "a", "token_type": "bearer", "expires_in": 5183944},
        {"access_token": "a"},
    ),
    Exchange(
        "tiktok",
        {
            "access_token": "a",
            "refresh_token": "r",
            "expires_in": 7200,
            "open_id": "o",
            "scope": "user.info.basic",
        },
        {"open_id": "o"},
    ),
]


@pytest.mark.parametrize("row", EXCHANGES, ids=lambda row: row.module)
def test_exchange(row: Exchange) -> None:
    """What the provider has issued is stored, and works."""
    blueprint = make(row.module, "the-id", "the-secret", backend=MemoryBackend(), **row.given)
    client = app_with(blueprint).test_client()
    location = client.get(f"/login/{row.module}").location
    [state] = parse_qs(urlsplit(location).query)["state"]
    with responses.RequestsMock() as provider:
        provider.post(blueprint.token_url, json=row.answer)
        query = {"code": "c", "state": state, **row.query}
        assert client.get(f"/login/{row.module}/authorized", query_string=query).location == "/"
    token = blueprint.backend.get(blueprint)
    assert {name: token.get(name) for name in row.expected} == row.expected


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        (
            "zoho",
            {"access_token": "new", "expires_in": 3600, "api_domain": "https://www.zohoapis.com"},
        ),
        (
            "google",
            {"access_token": "new", "expires_in": 3599, "scope": "openid", "token_type": "Bearer"},
        ),
        ("dropbox", {"access_token": "new", "expires_in": 14400, "token_type": "bearer"}),
    ],
)
def test_refresh_token_that_is_not_sent_again(module: str, answer: dict[str, Any]) -> None:
    """It is kept."""
    blueprint = refreshed(module, 200, answer)
    token = blueprint.backend.get(blueprint)
    assert (token["access_token"], token["refresh_token"]) == ("new", "rt-1")


@pytest.mark.parametrize(
    ("named", "count"),
    [
        ("https://acme.my.salesforce.com", 3),
        ("https://acme.my.salesforce.com/", 3),
        ("https://other.my.salesforce.com", 1),
        ("https://[", 1),
        (None, 1),
        (5, 1),
    ],
)
def test_refusal_by_a_host_that_the_token_names(named: Any, count: int) -> None:
    """Salesforce's tokens do not say when they end, and its API is at the token's own host."""
    old = {"access_token": "old", "refresh_token": "rt-1", "instance_url": named}
    blueprint = make(
        "salesforce", "the-id", "the-secret", scope="refresh_token", backend=MemoryBackend(old)
    )
    url = "https://acme.my.salesforce.com/services/data"
    with (
        app_with(blueprint).test_request_context(),
        responses.RequestsMock(assert_all_requests_are_fired=False) as provider,
    ):
        provider.get(url, status=401, match=[header_matcher({"Authorization": "Bearer old"})])
        provider.get(url, json={}, match=[header_matcher({"Authorization": "Bearer new"})])
        provider.post(blueprint.token_url, json={"access_token": "new"})
        assert blueprint.session.get(url).status_code == (200 if count == 3 else 401)
        assert len(provider.calls) == count


def test_refusal_of_a_token_in_a_header_of_its_own() -> None:
    """Shopify's token is not in the header Authorization, and is refreshed all the same."""
    old = {"access_token": "old", "refresh_token": "rt-1"}
    blueprint = make("shopify", "the-id", "the-secret", backend=MemoryBackend(old))
    name, url = "X-Shopify-Access-Token", blueprint.session.resolve("shop.json")
    with app_with(blueprint).test_request_context(), responses.RequestsMock() as provider:
        provider.get(url, status=401, match=[header_matcher({name: "old"})])
        provider.get(url, json={}, match=[header_matcher({name: "new"})])
        provider.post(blueprint.token_url, json={"access_token": "new", "refresh_token": "rt-2"})
        assert blueprint.session.get("shop.json").status_code == 200
