"""How the presets have a token revoked: what is asked of whom, and what counts as done."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import responses

from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.preset import Preset

from .test_presets import ROWS, app_with, make

TOKEN = {"access_token": "at-1234", "refresh_token": "rt-1234", "token_type": "Bearer"}
BOTH = ["rt-1234", "at-1234"]
BODY = {"client_id": "the-id", "client_secret": "the-secret"}


class Row(NamedTuple):
    """What the endpoint of a provider is sent for each token, in this order."""

    module: str
    url: str
    sent: list[str] = BOTH
    auth: str = "basic"
    body: dict[str, str] = {}
    method: str = "POST"
    field: str = "token"
    is_json: bool = False
    done: tuple[tuple[int, str], ...] = ()


def refresh_alone(module: str, url: str, **more: Any) -> Row:
    """Return a row of a provider that has refresh tokens revoked, and no others."""
    return Row(module, url, ["rt-1234"], **more)


def access_alone(module: str, url: str, **more: Any) -> Row:
    """Return a row of a provider that has access tokens revoked, and no others."""
    return Row(module, url, ["at-1234"], **more)


REVOCATIONS = [
    Row("apple", "https://appleid.apple.com/auth/revoke", auth="", body=BODY),
    refresh_alone("asana", "https://app.asana.com/-/oauth_revoke", auth="", body=BODY),
    refresh_alone("auth0", "https://acme.eu.auth0.com/oauth/revoke", auth="", body=BODY),
    Row("authentik", "https://id.example.com/application/o/revoke/"),
    refresh_alone("box", "https://api.box.com/oauth2/revoke", auth="", body=BODY),
    Row("calendly", "https://auth.calendly.com/oauth/revoke", auth="", body=BODY),
    refresh_alone("cognito", "https://acme.auth.eu-west-1.amazoncognito.com/oauth2/revoke"),
    access_alone("digitalocean", "https://cloud.digitalocean.com/v1/oauth/revoke", auth="bearer"),
    Row("discord", "https://discord.com/api/oauth2/token/revoke"),
    access_alone(
        "dropbox", "https://api.dropboxapi.com/2/auth/token/revoke", auth="bearer", field=""
    ),
    access_alone(
        "facebook",
        "https://graph.facebook.com/v24.0/me/permissions",
        auth="bearer",
        method="DELETE",
        field="",
    ),
    access_alone(
        "github",
        "https://api.github.com/applications/the-id/grant",
        method="DELETE",
        field="access_token",
        is_json=True,
        done=((404, "Not Found"),),
    ),
    Row("gitlab", "https://gitlab.com/oauth/revoke"),
    refresh_alone("google", "https://oauth2.googleapis.com/revoke", auth=""),
    Row("hubspot", "https://api.hubapi.com/oauth/2026-03/token/revoke", auth="", body=BODY),
    Row("keycloak", "https://id.example.com/realms/shop/protocol/openid-connect/revoke"),
    Row("linear", "https://api.linear.app/oauth/revoke", auth="", body=BODY),
    access_alone("mastodon", "https://mastodon.social/oauth/revoke", auth="", body=BODY),
    Row(
        "notion",
        "https://api.notion.com/v1/oauth/revoke",
        is_json=True,
        done=((400, "invalid_grant"),),
    ),
    Row("nylas", "https://api.us.nylas.com/v3/connect/revoke", auth="secret"),
    Row("okta", "https://acme.okta.com/oauth2/v1/revoke"),
    Row("orcid", "https://orcid.org/oauth/revoke", auth="", body=BODY),
    Row("osm", "https://www.openstreetmap.org/oauth2/revoke"),
    refresh_alone(
        "quickbooks", "https://developer.api.intuit.com/v2/oauth2/tokens/revoke", is_json=True
    ),
    Row("reddit", "https://www.reddit.com/api/v1/revoke_token"),
    Row("salesforce", "https://login.salesforce.com/services/oauth2/revoke"),
    access_alone("slack", "https://slack.com/api/auth.revoke", auth="bearer", field=""),
    access_alone(
        "strava", "https://www.strava.com/oauth/deauthorize", auth="", field="access_token"
    ),
    access_alone(
        "tiktok",
        "https://open.tiktokapis.com/v2/oauth/revoke/",
        auth="",
        body={"client_key": "the-id", "client_secret": "the-secret"},
    ),
    access_alone(
        "twitch",
        "https://id.twitch.tv/oauth2/revoke",
        auth="",
        body={"client_id": "the-id"},
        done=((400, "Invalid token"),),
    ),
    Row("x", "https://api.x.com/2/oauth2/revoke"),
    refresh_alone("xero", "https://identity.xero.com/connect/revocation"),
    refresh_alone("zoho", "https://accounts.zoho.com/oauth/v2/token/revoke", auth=""),
    access_alone("zoom", "https://zoom.us/oauth/revoke"),
]


def revoked(row: Row, status: int = 200, answer: Any = None, token: Any = TOKEN) -> Any:
    """Revoke a token. Returns what ``revoke()`` says, the requests, and the backend."""
    blueprint = make(row.module, "the-id", "the-secret", backend=MemoryBackend(token))
    with app_with(blueprint).test_request_context(), responses.RequestsMock() as provider:
        body = "" if status == 204 else json.dumps({} if answer is None else answer)
        provider.add(row.method, row.url, status=status, body=body)
        confirmed = blueprint.revoke()
        return confirmed, [call.request for call in provider.calls], blueprint.backend


every_row = pytest.mark.parametrize("row", REVOCATIONS, ids=lambda row: row.module)


@every_row
def test_request(row: Row) -> None:
    """The provider is asked in its own way, and the stored token is gone."""
    confirmed, requests, backend = revoked(row)
    assert confirmed is True
    assert backend.get(make(row.module)) is None
    for request, token in zip(requests, row.sent, strict=True):
        text = (request.body or b"").decode() if isinstance(request.body, bytes) else request.body
        fields = json.loads(text) if row.is_json else dict(parse_qsl(text or ""))
        hint = fields.pop("token_type_hint", None)
        assert hint in (None, {"rt-1234": "refresh_token", "at-1234": "access_token"}[token])
        assert fields == {**row.body, **({row.field: token} if row.field else {})}
        basic = base64.b64encode(b"the-id:the-secret").decode()
        expected = {
            "basic": f"Basic {basic}",
            "bearer": "Bearer at-1234",
            "secret": "Bearer the-secret",
            "": None,
        }[row.auth]
        assert request.headers.get("Authorization") == expected
        assert "1234" not in request.url


@every_row
def test_answer(row: Row) -> None:
    """What the provider says is good for nothing any more is revoked, and nothing else."""
    for status, text in (*row.done, (204, "")):
        assert revoked(row, status, {"message": text})[0] is True
    for status, text in row.done:
        answer = {"error": "invalid_client", "error_description": text}
        assert revoked(row, status, answer)[0] is False
        if row.module not in ("github", "notion"):
            assert revoked(row, status, {"message": "missing client id"})[0] is False
    for name in ("ok", "success", "revoked"):
        assert revoked(row, 200, {name: False})[0] is False
    assert revoked(row, 401)[0] is False
    assert revoked(row, 200, {"ok": False, "error": "invalid_auth"})[0] is False


@every_row
def test_token_that_is_not_there(row: Row) -> None:
    """Where the one kind that can be revoked is not there, nothing is said to be revoked."""
    other = {"rt-1234": "access_token", "at-1234": "refresh_token"}[row.sent[-1]]
    if len(row.sent) == 1 and row.module != "google":
        token = {other: "other-1234"}
        blueprint = make(row.module, "the-id", "the-secret", backend=MemoryBackend(token))
        with app_with(blueprint).test_request_context():
            assert blueprint.revoke() is False
        assert blueprint.backend.get(blueprint) is None


def test_google_without_a_refresh_token() -> None:
    """The access token is revoked then, which is refused once the refresh token has been."""
    row = access_alone("google", "https://oauth2.googleapis.com/revoke", auth="")
    confirmed, requests, _ = revoked(row, token={"access_token": "at-1234"})
    assert confirmed
    assert [dict(parse_qsl(request.body))["token"] for request in requests] == ["at-1234"]


@pytest.mark.parametrize("module", ["github", "google", "gitlab", "figma"])
def test_another_server_is_nobodys_to_know_of(module: str) -> None:
    """A token of another server is revoked and refreshed there, or nowhere."""
    ours = "https://git.internal.example/token"
    blueprint = make(module, "the-id", "the-secret", token_url=ours)
    assert blueprint.revocation_url is None
    assert blueprint.auto_refresh_url in (None, ours)
    own = make(module, token_url=ours, revocation_url="https://git.internal.example/revoke")
    assert own.revocation_url == "https://git.internal.example/revoke"
    assert own.revocation is None


def test_every_preset_that_can_revoke_has_a_row() -> None:
    """And none that can't."""
    presets = {row.module: make(row.module).preset for row in ROWS}
    can = {n for n, it in presets.items() if isinstance(it, Preset) and it.revocation is not None}
    assert can == {row.module for row in REVOCATIONS}


def test_which_providers_end_the_whole_grant() -> None:
    """With these, one token that is revoked takes the user's other tokens with it."""
    ends = {}
    for row in ROWS:
        revocation = getattr(make(row.module, **row.arguments), "revocation", None)
        if revocation is not None and revocation.ends_grant is not None:
            ends[row.module] = revocation.ends_grant
    assert {name for name, it in ends.items() if it} == {
        *("apple", "discord", "facebook", "github", "google", "mastodon"),
        *("quickbooks", "strava", "tiktok", "xero"),
    }
    assert {name for name, it in ends.items() if not it} == {"hubspot", "nylas", "zoom"}
