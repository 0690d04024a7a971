"""What some providers do in their own way."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey

from flask_dance_nosql.consumer import OAuth2Session, oauth_authorized, oauth_error
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.contrib.jira import make_jira_blueprint
from flask_dance_nosql.errors import ConfigurationError

from .openid import signed
from .test_presets import app_with, make


def connected(module: str, token: dict[str, Any] | None = None, **given: Any) -> Any:
    """Make a preset's blueprint whose visitor has a token."""
    token = {"access_token": "t-1234", "token_type": "Bearer", **(token or {})}
    blueprint = make(module, "the-id", "the-secret", backend=MemoryBackend(token), **given)
    return app_with(blueprint), blueprint


def request_of(blueprint: Any, app: Any, method: str, url: str, **kwargs: Any) -> Any:
    """Return the request that a call of the session sends."""
    with responses.RequestsMock() as provider, app.test_request_context():
        provider.add(method, url, json={})
        blueprint.session.request(method, url, **kwargs)
        return provider.calls[0].request


@pytest.mark.parametrize(
    ("module", "given", "name", "value"),
    [
        ("heroku", {}, "Accept", "application/vnd.heroku+json; version=3"),
        ("heroku", {"api_version": "4"}, "Accept", "application/vnd.heroku+json; version=4"),
        ("twitch", {}, "client-id", "the-id"),
        ("notion", {}, "Notion-Version", "2022-06-28"),
        ("reddit", {"user_agent": "mine/1.0"}, "User-Agent", "mine/1.0"),
        ("strava", {"user_agent": "mine/1.0"}, "User-Agent", "mine/1.0"),
        ("reddit", {"user_agent": "web:{app}:{0}"}, "User-Agent", "web:{app}:{0}"),
        ("reddit", {}, "User-Agent", "Flask-Dance-NoSQL"),
        ("zoho", {}, "Authorization", "Zoho-oauthtoken t-1234"),
        ("shopify", {}, "X-Shopify-Access-Token", "t-1234"),
        ("github", {}, "Authorization", "Bearer t-1234"),
    ],
)
def test_header_of_every_call(module: str, given: Any, name: str, value: str) -> None:
    """The API gets the header that it wants, also from a session class of the application."""

    class Own(OAuth2Session):
        """A session of the application's own."""

    for session_class in (None, Own):
        app, blueprint = connected(module, session_class=session_class, **given)
        request = request_of(blueprint, app, "GET", "https://api.example.com/x")
        assert request.headers[name] == value
        assert ("Bearer" in request.headers.get("Authorization", "")) is (
            module not in ("zoho", "shopify")
        )


def test_twitch_header_from_configuration() -> None:
    """The client that the header names is the current app's."""
    token = {"access_token": "t-1234", "token_type": "Bearer"}
    blueprint = make("twitch", backend=MemoryBackend(token))
    app = app_with(blueprint, TWITCH_OAUTH_CLIENT_ID="configured")
    request = request_of(blueprint, app, "GET", "https://api.example.com/x")
    assert request.headers["client-id"] == "configured"


@pytest.mark.parametrize("verify", [True, False])
def test_gitlab_certificates(verify: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for token request and API call, whatever the environment says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/an/authority.pem")
    app, blueprint = connected("gitlab", verify_tls_certificates=verify)
    with app.test_request_context(), responses.RequestsMock() as provider:
        provider.get("https://gitlab.com/api/v4/user", json={})
        provider.post("https://gitlab.com/oauth/token", json={"access_token": "new"})
        blueprint.session.get("user")
        blueprint.session.fetch_token(
            blueprint.token_url, code="c", client_secret="s", **blueprint.token_url_params
        )
        seen = [call.request.req_kwargs["verify"] for call in provider.calls]
    assert seen == (["/an/authority.pem"] * 2 if verify else [False, False])


def test_gitlab_with_authorities_of_ones_own() -> None:
    """The argument that each blueprint has counts."""
    assert make("gitlab", verify="/an/authority.pem").verify == "/an/authority.pem"


@pytest.mark.parametrize("given", [{"session_class": OAuth2Session}, {"verify": "/a.pem"}], ids=str)
def test_gitlab_without_certificates_takes_no_other_say(given: dict[str, Any]) -> None:
    """Which of the two is meant can't be known."""
    with pytest.raises(ValueError, match="session_class"):
        make("gitlab", verify_tls_certificates=False, **given)


@pytest.mark.parametrize(
    ("module", "own", "name"),
    [
        ("dropbox", "app_key", "client_id"),
        ("dropbox", "app_secret", "client_secret"),
        ("jira", "consumer_key", "client_key"),
        ("meetup", "key", "client_id"),
        ("twitter", "api_key", "client_key"),
        ("twitter", "api_secret", "client_secret"),
    ],
)
def test_both_names_of_a_credential(module: str, own: str, name: str) -> None:
    """Either may be given, and not both: one would be passed over."""
    assert getattr(make(module, **{own: "a"}), name) == "a"
    assert getattr(make(module, **{name: "a"}), name) == "a"
    with pytest.raises(ConfigurationError, match="another name"):
        make(module, **{own: "a", name: "b"})


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"a": "1"}},
        {"json": {"a": "1"}},
        {"params": {"token": "other"}},
        {"data": "a=1"},
        {},
    ],
)
def test_slack_call_is_left_as_it_is(given: dict[str, Any]) -> None:
    """The token is in the header alone, and nothing of the call is changed or lost."""
    app, blueprint = connected("slack")
    before = json.dumps(given)
    request = request_of(blueprint, app, "POST", "https://slack.com/api/chat.postMessage", **given)
    assert "t-1234" not in f"{request.url} {request.body}"
    assert request.headers["Authorization"] == "Bearer t-1234"
    assert json.dumps(given) == before
    if "json" in given:
        assert json.loads(request.body) == {"a": "1"}


def shopify_query(secret: str, **query: str) -> dict[str, str]:
    """Return a callback's query, signed as Shopify signs it."""
    message = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    return {
        **query,
        "hmac": hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest(),
    }


@pytest.mark.parametrize(
    "change", ["none", "arrived", "hmac", "missing", "code", "secret", "non-ascii", "shop"]
)
def test_shopify_callback(change: str) -> None:
    """A callback that Shopify has not signed ends no dance."""
    blueprint = make("shopify", "the-id", "the-secret", backend=MemoryBackend())
    app = app_with(blueprint)
    errors: list[Any] = []

    def note(sender: Any, error: Any = None, **_: Any) -> None:
        errors.append(error)

    oauth_error.connect(note, blueprint)
    client = app.test_client()
    location = client.get("/login/shopify").location
    [state] = parse_qs(urlsplit(location).query)["state"]
    secret = "another" if change == "secret" else "the-secret"
    shop = "evil.myshopify.com" if change == "shop" else "acme.myshopify.com"
    query = shopify_query(secret, code="c", state=state, shop=shop, timestamp="1")
    if change == "missing":
        del query["hmac"]
    elif change == "arrived":
        # What the page for strict cookies adds.
        query["arrived"] = "1"
    elif change not in ("secret", "none", "shop"):
        query |= {"hmac": {"hmac": "0" * 64}, "code": {"code": "d"}, "non-ascii": {"hmac": "é"}}[
            change
        ]
    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        provider.post(
            blueprint.token_url, json={"access_token": "t-1234", "scope": "read_products"}
        )
        client.get("/login/shopify/authorized", query_string=query)
        is_good = change in ("none", "arrived")
        assert len(provider.calls) == is_good
        if is_good:
            assert dict(parse_qsl(provider.calls[0].request.body))["expiring"] == "1"
    assert (blueprint.backend.get(blueprint) is not None) is is_good
    assert errors == ([] if is_good else ["invalid_hmac"])


def test_shopify_without_a_secret() -> None:
    """Nothing is signed by no secret: the application is set up wrongly."""
    blueprint = make("shopify", "the-id", None, backend=MemoryBackend())
    app = app_with(blueprint, TESTING=True)
    client = app.test_client()
    location = client.get("/login/shopify").location
    [state] = parse_qs(urlsplit(location).query)["state"]
    query = shopify_query("", code="c", state=state, shop="acme.myshopify.com")
    with pytest.raises(ConfigurationError, match="client_secret"):
        client.get("/login/shopify/authorized", query_string=query)
    assert blueprint.backend.get(blueprint) is None


def test_shopify_while_the_secret_can_not_be_had() -> None:
    """The dance fails, as it does where the secret is needed for the exchange."""

    def failing() -> str:
        raise OSError("the vault of s3cret is closed")

    blueprint = make("shopify", "the-id", failing, backend=MemoryBackend())
    told: list[Any] = []

    def note(sender: Any, error: Any = None, error_description: Any = None, **_: Any) -> None:
        told.append((error, error_description))

    oauth_error.connect(note, blueprint)
    client = app_with(blueprint, TESTING=True).test_client()
    location = client.get("/login/shopify").location
    [state] = parse_qs(urlsplit(location).query)["state"]
    query = shopify_query("x", code="c", state=state, shop="acme.myshopify.com")
    answer = client.get("/login/shopify/authorized", query_string=query)
    assert answer.status_code == 302
    [(error, description)] = told
    assert error == "temporarily_unavailable"
    assert "OSError" in description
    assert "s3cret" not in description


def private_key(kind: str) -> str:
    """Return a private key in PEM."""
    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    if key is None:
        key = ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(*pem, serialization.NoEncryption()).decode())


def test_trello_authorization_url() -> None:
    """What is asked for is in the authorization URL, and calls are signed by HMAC-SHA1."""
    blueprint = make("trello", client_key="the-key", client_secret="the-secret", app_name="My app")
    app = app_with(blueprint)
    with responses.RequestsMock() as provider:
        body = "oauth_token=a&oauth_token_secret=b&oauth_callback_confirmed=true"
        provider.post("https://trello.com/1/OAuthGetRequestToken", body=body)
        location = app.test_client().get("/login/trello").location
        assert (
            'oauth_signature_method="HMAC-SHA1"'
            in provider.calls[0].request.headers["Authorization"].decode()
        )
    query = dict(parse_qsl(urlsplit(location).query))
    assert query == {
        "name": "My app",
        "scope": "read,write",
        "expiration": "never",
        "oauth_token": "a",
    }


@pytest.mark.parametrize("how", ["text", "file"])
def test_jira_key(how: str, tmp_path: Path) -> None:
    """The key is given as text, or as the path of a file; calls are signed by it, and are JSON."""
    key = private_key("rsa")
    path = tmp_path / "key.pem"
    path.write_text(key)
    given = key if how == "text" else str(path)
    blueprint = make("jira", consumer_key="the-key", rsa_key=given)
    app = app_with(blueprint)
    url = "https://jira.example.com/plugins/servlet/oauth/request-token"
    with responses.RequestsMock() as provider:
        body = "oauth_token=a&oauth_token_secret=b"
        provider.post(url, body=body)
        location = app.test_client().get("/login/jira").location
        headers = provider.calls[0].request.headers
    assert 'oauth_signature_method="RSA-SHA1"' in headers["Authorization"].decode()
    assert headers["Content-Type"] in ("application/json", b"application/json")
    assert location.startswith("https://jira.example.com/plugins/servlet/oauth/authorize?")


def test_jira_key_that_is_no_path(tmp_path: Path) -> None:
    """A key without its first line is too long for a path, and no error shows it."""
    long = "MIIEpAIBAAKCAQEA" * 100
    assert make("jira", consumer_key="k", rsa_key=long).rsa_key == long
    path = tmp_path / "key.pem"
    path.write_bytes(b"# f\xfcr Jira\n" + private_key("rsa").encode())
    assert "-----BEGIN" in make("jira", consumer_key="k", rsa_key=str(path)).rsa_key


def test_jira_key_that_is_none() -> None:
    """A key without line ends is no path, and is in no error."""
    key = private_key("rsa").replace("\n", "\\n")
    assert make("jira", consumer_key="the-key", rsa_key=key).rsa_key == key
    assert make("jira", consumer_key="k", rsa_key="/no/such/file").rsa_key == "/no/such/file"


def test_trello_with_an_authorization_url_of_ones_own() -> None:
    """Its query stays."""
    blueprint = make("trello", client_key="k", authorization_url="https://t.example/a?b=c")
    expected = "https://t.example/a?b=c&scope=read%2Cwrite&expiration=never"
    assert blueprint.authorization_url == expected


def test_jira_below_a_path() -> None:
    """The endpoints are found as a browser would find them."""
    for base, expected in (
        ("https://h.example/jira/", "https://h.example/jira/plugins/servlet/oauth/authorize"),
        ("https://h.example/jira", "https://h.example/plugins/servlet/oauth/authorize"),
    ):
        blueprint = make("jira", base_url=base)
        assert blueprint.session.resolve(blueprint.authorization_url) == expected
    with pytest.raises(TypeError, match="base_url"):
        make_jira_blueprint()  # type: ignore[call-arg] # that is what is tested


def apple_site(**given: Any) -> Any:
    """Make an app with Sign in with Apple, and the public key of its client secrets."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    arguments = {"client_id": "com.example.web", "team_id": "TEAM", "key_id": "KEY", **given}
    blueprint = make("apple", private_key=pem, backend=MemoryBackend(), **arguments)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return app_with(blueprint), blueprint, ECKey.import_key(public)


def test_apple_login() -> None:
    """Apple posts its response, wants a signed secret, and tells the name once, to the receiver."""
    app, blueprint, key = apple_site()
    received: list[Any] = []

    def receive(sender: Any, token: Any = None, **_: Any) -> None:
        received.append(token)

    oauth_authorized.connect(receive, blueprint)
    client = app.test_client()
    location = client.get("/login/apple").location
    query = dict(parse_qsl(urlsplit(location).query))
    assert query["response_mode"] == "form_post"
    user = {"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "ada@example.com"}
    form = {"code": "the-code", "state": query["state"], "user": json.dumps(user)}
    posted = client.post("/login/apple/authorized", data=form)
    assert posted.status_code == 303
    assert "Ada" not in posted.location
    with responses.RequestsMock() as provider:
        answer = {"access_token": "a", "refresh_token": "r"}
        answer |= signed(provider, blueprint, location)
        provider.post(blueprint.token_url, json=answer)
        assert client.get(posted.location).location == "/"
        [call] = [each for each in provider.calls if each.request.method == "POST"]
        sent = dict(parse_qsl(call.request.body))
    secret = jwt.decode(sent["client_secret"], key, ["ES256"])
    assert secret.header == {"alg": "ES256", "kid": "KEY", "typ": "JWT"}
    claims = secret.claims
    assert (claims["iss"], claims["sub"]) == ("TEAM", "com.example.web")
    assert claims["aud"] == "https://appleid.apple.com"
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    assert json.loads(received[0]["user"]) == user
    assert json.loads(blueprint.backend.get(blueprint)["user"]) == user


def test_apple_refresh_and_revocation_have_a_secret_of_their_own() -> None:
    """No client secret is used twice, and each is good when it is sent."""
    app, blueprint, key = apple_site()
    token = {"access_token": "old", "refresh_token": "rt-1", "expires_at": 1.0}
    blueprint.backend.set(blueprint, token)
    with app.test_request_context(), responses.RequestsMock() as provider:
        provider.post(blueprint.token_url, json={"access_token": "new", "expires_in": 3600})
        provider.post("https://appleid.apple.com/auth/revoke")
        provider.get("https://api.example.com/x")
        blueprint.session.get("https://api.example.com/x")
        assert blueprint.revoke()
        bodies = [dict(parse_qsl(call.request.body or "")) for call in provider.calls]
    secrets = [body["client_secret"] for body in bodies if "client_secret" in body]
    assert len(secrets) == 3
    assert all(jwt.decode(secret, key, ["ES256"]).claims["iss"] == "TEAM" for secret in secrets)


def test_apple_secret_is_of_the_client_of_the_app() -> None:
    """Where the configuration names the client, the statement is the one of that client."""
    for given in (None, "by-argument"):
        app, blueprint, key = apple_site(client_id=given)
        app.config["APPLE_OAUTH_CLIENT_ID"] = "configured"
        with app.app_context():
            assert (
                jwt.decode(blueprint.client_secret(), key, ["ES256"]).claims["sub"] == "configured"
            )


@pytest.mark.parametrize(
    "given",
    [{"team_id": None}, {"key_id": None}, {"private_key": "no key"}, {"client_secret": "s"}],
)
def test_apple_without_all_of_its_parts(given: dict[str, Any]) -> None:
    """It is an error where the blueprint is made, which does not show the key."""
    arguments = {
        "client_id": "c",
        "team_id": "t",
        "key_id": "k",
        "private_key": private_key("p256"),
    }
    with pytest.raises(ConfigurationError) as caught:
        make("apple", **{**arguments, **given})
    assert "PRIVATE KEY" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        make("apple", **{**arguments, "private_key": private_key("p384")})
    with pytest.raises(ConfigurationError):
        make("apple", **{**arguments, "private_key": private_key("rsa")})
