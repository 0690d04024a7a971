"""The provider that the demo and other tests dance with: it has to be strict."""

from __future__ import annotations

import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet
from werkzeug.test import TestResponse

from examples.demo.display import signing_key
from examples.demo.provider import CLIENT_ID, CLIENT_SECRET, create_provider, provider_state
from examples.demo.state import CODE_SECONDS, Counters, ProviderState

REDIRECT_URI = "http://127.0.0.1:1/login/demo/authorized"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
AUTH = (CLIENT_ID, CLIENT_SECRET)


def make(**options: Any) -> tuple[Flask, ProviderState]:
    """Make a provider whose client has one redirect URI."""
    app = create_provider(**options)
    state = provider_state(app)
    state.add_redirect_uri(CLIENT_ID, REDIRECT_URI)
    return app, state


@pytest.fixture
def quick() -> tuple[Flask, ProviderState]:
    """A provider that asks nobody."""
    return make(auto_consent="alice")


def authorize(client: FlaskClient, **changes: str | None) -> TestResponse:
    """Send an authorization request; a change of ``None`` leaves a parameter out."""
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "profile email",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes
    query = {name: value for name, value in query.items() if value is not None}
    return client.get("/authorize", query_string=query)


def answer(response: TestResponse) -> dict[str, str]:
    """Return the parameters with which the browser is sent back to the client."""
    assert response.status_code == 302
    assert response.location.startswith(f"{REDIRECT_URI}?")
    return dict(parse_qsl(urlsplit(response.location).query))


def exchange(client: FlaskClient, code: str, **changes: str | None) -> TestResponse:
    """Exchange a code for a token."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    } | changes
    form = {name: value for name, value in form.items() if value is not None}
    return client.post("/token", data=form, auth=None if "client_id" in form else AUTH)


def refresh(client: FlaskClient, refresh_token: str) -> TestResponse:
    """Exchange a refresh token for a new token."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return client.post("/token", data=form, auth=AUTH)


def dance(client: FlaskClient, **changes: str | None) -> dict[str, Any]:
    """Go through a dance and return the token."""
    response = exchange(client, answer(authorize(client, **changes))["code"])
    assert response.status_code == 200, response.text
    return response.get_json()


def userinfo(client: FlaskClient, access_token: str) -> TestResponse:
    """Call the API."""
    return client.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def test_token_opens_the_userinfo_endpoint(quick: tuple[Flask, ProviderState]) -> None:
    """The token of a dance names its life and scope, and tells who the user is."""
    client = quick[0].test_client()
    token = dance(client)
    assert (token["expires_in"], token["scope"], token["token_type"]) == (
        60,
        "profile email",
        "Bearer",
    )
    assert userinfo(client, token["access_token"]).get_json() == {
        "sub": "alice",
        "name": "Alice Adams",
        "email": "alice@example.com",
    }
    expected = Counters(codes_issued=1, tokens_issued=1, userinfo_calls=1)
    assert quick[1].counters == expected


def test_login_hint_chooses_any_user(quick: tuple[Flask, ProviderState]) -> None:
    """With automatic consent the request may name the user, known or not."""
    client = quick[0].test_client()
    for name in ("bob", "user-7"):
        token = dance(client, login_hint=name)
        assert userinfo(client, token["access_token"]).get_json()["sub"] == name


def test_response_carries_state_and_issuer(quick: tuple[Flask, ProviderState]) -> None:
    """Success and error alike come with the state sent and with the issuer."""
    client = quick[0].test_client()
    granted, refused = answer(authorize(client)), answer(authorize(client, scope="admin"))
    assert granted.keys() == {"code", "state", "iss"}
    assert refused["error"] == "invalid_scope"
    for parameters in (granted, refused):
        assert (parameters["state"], parameters["iss"]) == ("s", "http://localhost")


def test_issuer_may_be_given() -> None:
    """A provider with an issuer of its own names that one."""
    app, _ = make(auto_consent="alice", issuer="https://issuer.example")
    assert answer(authorize(app.test_client()))["iss"] == "https://issuer.example"


@pytest.mark.parametrize("changes", [{"redirect_uri": f"{REDIRECT_URI}/x"}, {"client_id": "other"}])
def test_unknown_client_or_redirect_uri_never_redirects(
    quick: tuple[Flask, ProviderState], changes: dict[str, str]
) -> None:
    """A code is not sent to where no client has registered."""
    response = authorize(quick[0].test_client(), **changes)
    assert response.status_code == 400
    assert "That did not work" in response.text


def test_scope_is_narrowed_to_what_exists(quick: tuple[Flask, ProviderState]) -> None:
    """Unknown scopes are left out of the grant, and the token says what was granted."""
    client = quick[0].test_client()
    token = dance(client, scope="profile admin")
    assert token["scope"] == "profile"
    assert "email" not in userinfo(client, token["access_token"]).get_json()


@pytest.mark.parametrize("verifier", ["w" * 43, None])
def test_code_needs_its_verifier(quick: tuple[Flask, ProviderState], verifier: str | None) -> None:
    """A code that was asked for with a challenge is worthless without the verifier."""
    client = quick[0].test_client()
    response = exchange(client, answer(authorize(client))["code"], code_verifier=verifier)
    assert response.status_code == 400
    assert quick[1].counters.tokens_issued == 0


def test_dance_without_pkce(quick: tuple[Flask, ProviderState]) -> None:
    """A client that knows no PKCE is served, but may not send a verifier out of the blue."""
    client = quick[0].test_client()
    plain = {"code_challenge": None, "code_challenge_method": None}
    code = answer(authorize(client, **plain))["code"]
    assert exchange(client, code, code_verifier=None).status_code == 200
    code = answer(authorize(client, **plain))["code"]
    assert exchange(client, code).status_code == 400


def test_code_works_once(quick: tuple[Flask, ProviderState]) -> None:
    """A second use of a code is an invalid grant."""
    client = quick[0].test_client()
    code = answer(authorize(client))["code"]
    assert exchange(client, code).status_code == 200
    again = exchange(client, code)
    assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")


def test_code_expires(quick: tuple[Flask, ProviderState], monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that was not exchanged in time is an invalid grant."""
    client = quick[0].test_client()
    monkeypatch.setattr("examples.demo.grants.CODE_SECONDS", -CODE_SECONDS)
    response = exchange(client, answer(authorize(client))["code"])
    assert response.get_json()["error"] == "invalid_grant"


@pytest.mark.parametrize("secret", [CLIENT_SECRET, "wrong", None])
def test_client_may_authenticate_in_the_body(
    quick: tuple[Flask, ProviderState], secret: str | None
) -> None:
    """The secret is taken from the form as well, and must be right."""
    client = quick[0].test_client()
    code = answer(authorize(client))["code"]
    response = exchange(client, code, client_id=CLIENT_ID, client_secret=secret)
    assert response.status_code == (200 if secret == CLIENT_SECRET else 401)


def test_public_client_needs_no_secret() -> None:
    """A client without a secret names itself only, and proves itself by PKCE."""
    app, _ = make(auto_consent="alice", client_secret=None)
    client = app.test_client()
    code = answer(authorize(client))["code"]
    assert exchange(client, code, client_id=CLIENT_ID).status_code == 200


def test_refresh_rotates(quick: tuple[Flask, ProviderState]) -> None:
    """A refresh gives two new tokens; the spent refresh token is refused and counted."""
    client, state = quick[0].test_client(), quick[1]
    old = dance(client)
    new = refresh(client, old["refresh_token"]).get_json()
    assert {old["access_token"], old["refresh_token"]}.isdisjoint(new.values())
    spent = refresh(client, old["refresh_token"])
    assert (spent.status_code, spent.get_json()["error"]) == (400, "invalid_grant")
    assert refresh(client, new["refresh_token"]).status_code == 200
    counters = state.counters
    assert (counters.tokens_issued, counters.refreshes, counters.spent_tokens_reused) == (3, 2, 1)


def test_of_simultaneous_refreshes_one_wins(quick: tuple[Flask, ProviderState]) -> None:
    """However many threads refresh with one token at once, one is served."""
    app, state = quick
    token = dance(app.test_client())["refresh_token"]
    start = threading.Barrier(8)

    def attempt(_: int) -> int:
        start.wait(10)
        return refresh(app.test_client(), token).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(attempt, range(8)))
    assert statuses == [200] + [400] * 7
    assert (state.counters.refreshes, state.counters.spent_tokens_reused) == (1, 7)


def expire(client: FlaskClient, state: ProviderState, token: dict[str, Any]) -> None:
    """Let access tokens end."""
    state.expire_access_tokens()


def revoke_access(client: FlaskClient, state: ProviderState, token: dict[str, Any]) -> None:
    """Revoke by the access token."""
    response = client.post("/revoke", data={"token": token["access_token"]}, auth=AUTH)
    assert response.status_code == 200


def revoke_refresh(client: FlaskClient, state: ProviderState, token: dict[str, Any]) -> None:
    """Revoke by the refresh token."""
    response = client.post("/revoke", data={"token": token["refresh_token"]}, auth=AUTH)
    assert response.status_code == 200


def expire_one(client: FlaskClient, state: ProviderState, token: dict[str, Any]) -> None:
    """Let the access token end itself."""
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert client.post("/expire", headers=headers).status_code == 204
    assert client.post("/expire", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("end", "refreshable"),
    [(expire, True), (expire_one, True), (revoke_access, False), (revoke_refresh, False)],
)
def test_ended_tokens_open_nothing(
    quick: tuple[Flask, ProviderState],
    end: Callable[[FlaskClient, ProviderState, dict[str, Any]], None],
    refreshable: bool,
) -> None:
    """An expired token is refused until it is refreshed, a revoked one for good."""
    client, state = quick[0].test_client(), quick[1]
    token = dance(client)
    end(client, state, token)
    response = userinfo(client, token["access_token"])
    assert (response.status_code, response.get_json()["error"]) == (401, "invalid_token")
    assert (refresh(client, token["refresh_token"]).status_code == 200) is refreshable
    assert state.counters.userinfo_calls == 0


def test_pages_ask_for_account_and_consent() -> None:
    """Without automatic consent a person signs in, reads what is asked for, and allows it."""
    app, _ = make()
    client = app.test_client()
    page = authorize(client)
    assert "Alice Adams" in page.text
    action = "?" + page.request.query_string.decode()
    client.post(f"/sign-in{action}", data={"form_token": form_token(page), "account": "bob"})
    page = authorize(client)
    assert "See your e-mail address" in page.text
    fields = {"form_token": form_token(page), "decision": "allow"}
    code = answer(client.post(f"/authorize{action}", data=fields))["code"]
    assert (
        userinfo(client, exchange(client, code).get_json()["access_token"]).get_json()["sub"]
        == "bob"
    )


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/authorize", "/rotate", "/logout"])
def test_forms_need_their_form_token(path: str) -> None:
    """A form that another site sends decides nothing."""
    app, state = make()
    client = app.test_client()
    authorize(client)
    response = client.post(path, data={"account": "bob", "decision": "allow"})
    assert response.status_code == 400
    assert state.counters == Counters()


OPENID = {"scope": "openid profile email", "nonce": "n"}


def claims(client: FlaskClient, id_token: str) -> dict[str, Any]:
    """Return an ID token's claims, checked by the keys that are published."""
    keys = KeySet.import_key_set(client.get("/jwks").get_json())
    return jwt.decode(id_token, keys, ["ES256"]).claims


def test_discovery_names_what_is_there(quick: tuple[Flask, ProviderState]) -> None:
    """Each endpoint of the document exists, and is this provider's."""
    client = quick[0].test_client()
    document = client.get("/.well-known/openid-configuration").get_json()
    assert document["issuer"] == "http://localhost"
    for name, url in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert url.startswith("http://localhost/")
            assert client.get(urlsplit(url).path).status_code != 404


def test_id_token_is_signed_and_complete(quick: tuple[Flask, ProviderState]) -> None:
    """Who asks for "openid" is told who has logged in; the refreshed one has no nonce."""
    client = quick[0].test_client()
    token = dance(client, **OPENID)
    for each, nonce in ((token, {"nonce": "n"}), (refresh(client, token["refresh_token"]), {})):
        issued = each if isinstance(each, dict) else each.get_json()
        digest = sha256(issued["access_token"].encode()).digest()[:16]
        found = claims(client, issued["id_token"])
        assert found.pop("exp") > found.pop("iat")
        assert found == {
            "iss": "http://localhost",
            "aud": CLIENT_ID,
            "at_hash": urlsafe_b64encode(digest).decode().rstrip("="),
            "sub": "alice",
            "name": "Alice Adams",
            "email": "alice@example.com",
            **nonce,
        }


def test_who_is_no_openid_client_gets_no_id_token(quick: tuple[Flask, ProviderState]) -> None:
    """Nor does one that asks for nothing in particular."""
    client = quick[0].test_client()
    for scope in ("profile", None):
        assert "id_token" not in dance(client, scope=scope)


def test_rotation_changes_what_signs(quick: tuple[Flask, ProviderState]) -> None:
    """The next key is published before it signs, and the one before it for a while."""
    app = quick[0]
    client = app.test_client()
    old = dance(client, **OPENID)["id_token"]
    published = client.get("/jwks").get_json()["keys"]
    assert all(key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in published)
    client.post("/rotate", data={"form_token": form_token(client.get("/"))})
    new = dance(client, **OPENID)["id_token"]
    assert signing_key(new) != signing_key(old)
    assert signing_key(new) in [key["kid"] for key in published]
    assert claims(client, old)["sub"] == claims(client, new)["sub"] == "alice"


def test_scope_that_is_too_narrow_is_told_as_json(quick: tuple[Flask, ProviderState]) -> None:
    """The client, and no person, reads why a call is refused."""
    client = quick[0].test_client()
    response = userinfo(client, dance(client, scope="email")["access_token"])
    assert (response.status_code, response.get_json()["error"]) == (403, "insufficient_scope")


LOGGED_OUT = "http://127.0.0.1:1/logged-out"


def logged_in(**options: Any) -> tuple[FlaskClient, str]:
    """Return a client in which alice is logged in at a provider, and her ID token."""
    app, state = make(auto_consent="alice", **options)
    state.add_logout_uri(CLIENT_ID, LOGGED_OUT)
    client = app.test_client()
    with client.session_transaction() as session:
        session["account"] = "alice"
    return client, dance(client, **OPENID)["id_token"]


def is_logged_in(client: FlaskClient) -> bool:
    """Return whether anybody is logged in at the provider."""
    with client.session_transaction() as session:
        return "account" in session


def test_logout_with_an_id_token_asks_nobody() -> None:
    """The hint says that it is the client's own user, who is sent back with the state."""
    client, id_token = logged_in()
    form = {"id_token_hint": id_token, "post_logout_redirect_uri": LOGGED_OUT, "state": "a b"}
    response = client.post("/logout", data=form)
    assert response.location == f"{LOGGED_OUT}?state=a+b"
    assert not is_logged_in(client)


@pytest.mark.parametrize("hint", [None, "x.y.z", "bob's", "another provider's"])
def test_logout_without_a_hint_asks(hint: str | None) -> None:
    """So it is with a hint that is not of the user who is logged in here."""
    client, _ = logged_in()
    if hint == "bob's":
        hint = dance(client, **OPENID, login_hint="bob")["id_token"]
    elif hint == "another provider's":
        hint = logged_in()[1]
    fields = {"client_id": CLIENT_ID, "post_logout_redirect_uri": LOGGED_OUT}
    page = client.get(
        "/logout", query_string={**fields, **({"id_token_hint": hint} if hint else {})}
    )
    assert "Log out here, too?" in page.text
    assert is_logged_in(client)
    answer = {**fields, "form_token": form_token(page)}
    assert client.post("/logout", data={**answer, "decision": "stay"}).location == "/"
    assert is_logged_in(client)
    assert client.post("/logout", data={**answer, "decision": "leave"}).location == LOGGED_OUT
    assert not is_logged_in(client)


def test_logout_never_leads_to_a_stranger() -> None:
    """An address that the client has not registered is refused, and the user stays logged in."""
    client, id_token = logged_in()
    for address in ("https://evil.example/", f"{LOGGED_OUT}/x"):
        form = {"id_token_hint": id_token, "post_logout_redirect_uri": address}
        assert client.post("/logout", data=form).status_code == 400
        assert client.post("/logout", data={**form, "client_id": "other"}).status_code == 400
    assert is_logged_in(client)


def test_state_shows_no_secret() -> None:
    """What the provider's records look like in a failed assertion is safe to read."""
    app, state = make(auto_consent="alice")
    token = dance(app.test_client())
    shown = repr([state.clients, state.find_token("access_token", token["access_token"])])
    assert "alice" in shown
    for secret in (CLIENT_SECRET, token["access_token"], token["refresh_token"]):
        assert secret not in shown


def form_token(page: TestResponse) -> str:
    """Return the form token on a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found
    return found[1]
