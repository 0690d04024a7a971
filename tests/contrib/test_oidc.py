"""``make_oidc_blueprint``, and presets with ``oidc=True``."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey

from flask_dance_nosql.consumer import PrivateKeyJWT
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.contrib.azure import make_azure_blueprint
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.contrib.google import google, make_google_blueprint
from flask_dance_nosql.contrib.linkedin_oidc import make_linkedin_oidc_blueprint
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.contrib.okta import make_okta_blueprint
from flask_dance_nosql.contrib.quickbooks import make_quickbooks_blueprint
from flask_dance_nosql.contrib.stripe_app import make_stripe_app_blueprint
from flask_dance_nosql.errors import ConfigurationError

from ..consumer.oidc.conftest import openid  # noqa: F401 - a fixture
from ..consumer.oidc.provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider
from ..consumer.site import Site
from .test_presets import make

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def test_client_comes_from_the_configuration() -> None:
    """Under the name of the blueprint, as with presets."""
    blueprint = make_oidc_blueprint("my-idp", issuer="https://idp.example")
    site = Site(blueprint, MY_IDP_OAUTH_CLIENT_ID="one", MY_IDP_OAUTH_CLIENT_SECRET="two")
    with site.app.app_context():
        assert (blueprint.client_id, blueprint.client_secret) == ("one", "two")
    assert blueprint.scope == ["openid", "profile", "email"]


def test_the_package_of_the_blueprint_may_be_given() -> None:
    """It is one of the arguments of each blueprint."""
    given = make_oidc_blueprint("acme", "https://id.example.com", import_name=__name__)
    assert given.import_name == __name__


def test_unknown_arguments_are_errors() -> None:
    """As with every blueprint."""
    with pytest.raises(ConfigurationError, match="jwks_url"):
        make_oidc_blueprint("acme", issuer="https://idp.example", jwks_uri="x")


def test_a_preset_validates_with_oidc(openid: OpenIDProvider) -> None:  # noqa: F811 - the fixture
    """Google's, whose endpoints are given: discovery is for the keys only."""
    further: dict[str, Any] = {"issuer": openid.url}
    blueprint = make_google_blueprint(
        CLIENT_ID,
        CLIENT_SECRET,
        oidc=True,
        **further,
        authorization_url=f"{openid.url}/authorize",
        token_url=f"{openid.url}/token",
        backend=MemoryBackend(),
    )
    assert isinstance(blueprint, OIDCConsumerBlueprint)
    proxy: Any = google
    browser = Site(blueprint).browser()
    location = browser.get("/login/google").location
    assert "openid" in parse_qs(urlsplit(location).query)["scope"][0].split()
    back = urlsplit(openid.authorize(location))
    assert openid.asked == []
    assert browser.get(f"{back.path}?{back.query}").location == "/"
    assert browser.do(lambda: proxy.id_claims["sub"]) == "ann"


@pytest.mark.parametrize(
    ("tenant", "named", "is_taken"),
    [
        ("common", TENANT, True),
        ("contoso.onmicrosoft.com", TENANT, True),
        (TENANT, TENANT, True),
        (TENANT, "9188040d-6c67-4c5b-b112-36a304b66dad", False),
        ("common", "evil", False),
        ("common", f"{TENANT}/v2.0/x", False),
    ],
)
def test_microsoft_names_the_tenant_of_the_user(
    openid: OpenIDProvider,  # noqa: F811 - the fixture
    tenant: str,
    named: str,
    is_taken: bool,
) -> None:
    """In the response, also without validation, where the preset may know a word only."""
    blueprint = make_azure_blueprint(
        CLIENT_ID,
        CLIENT_SECRET,
        tenant=tenant,
        authorization_url=f"{openid.url}/authorize",
        token_url=f"{openid.url}/token",
        backend=MemoryBackend(),
    )
    issuer = f"https://login.microsoftonline.com/{named}/v2.0"
    openid.authorizes = {**openid.authorizes, "iss": issuer}
    browser = Site(blueprint).browser()
    back = urlsplit(openid.authorize(browser.get("/login/azure").location))
    browser.get(f"{back.path}?{back.query}")
    assert (browser.stored is not None) is is_taken


def test_google_s_issuer_has_two_names() -> None:
    """Its tokens have had it without https."""
    from flask_dance_nosql.consumer.oidc.discovery import read_metadata

    issuer = "https://accounts.google.com"
    metadata = read_metadata("google", {"issuer": issuer}, issuer)
    assert metadata.is_issuer("accounts.google.com")
    assert metadata.is_issuer(issuer)
    assert not metadata.is_issuer("http://accounts.google.com")
    assert not read_metadata("a", {"issuer": "https://a"}, "https://a").is_issuer("a")


SIGN_IN = [
    "apple",
    "auth0",
    "authentik",
    "cognito",
    "keycloak",
    "linkedin_oidc",
    "okta",
    "slack_oidc",
]


@pytest.mark.parametrize("module", SIGN_IN)
def test_a_preset_for_signing_in_validates_by_default(module: str) -> None:
    """It has no other sense. The caller may say something else, or have a server of its own."""
    for given, validates in (
        ({}, True),
        ({"oidc": False}, False),
        ({"token_url": "https://own.example/token"}, False),
        ({"token_url": "https://own.example/token", "oidc": True}, True),
    ):
        blueprint = make(module, **given)
        assert isinstance(blueprint, OIDCConsumerBlueprint) is validates, given
    assert not isinstance(make_google_blueprint(), OIDCConsumerBlueprint)


def test_okta_by_urls_is_what_it_was() -> None:
    """As in Flask-Dance, where it has no issuer."""
    url = "https://okta.example/x"
    cases: list[dict[str, Any]] = [{}, {"token_url": url}]
    for given in [*cases, {"authorization_url": url, "token_url": url}]:
        assert not isinstance(make_okta_blueprint("id", "secret", **given), OIDCConsumerBlueprint)


def test_a_preset_without_an_issuer_says_so() -> None:
    """GitHub has no OpenID Connect for users."""
    with pytest.raises(ConfigurationError, match="issuer"):
        make_github_blueprint(oidc=True)


def test_a_preset_takes_what_openid_takes() -> None:
    """With ``oidc=True`` only."""
    options: dict[str, Any] = {"id_token_algorithms": ["HS256"]}
    blueprint: Any = make_google_blueprint(oidc=True, **options)
    assert blueprint.id_token_algorithms == ["HS256"]
    with pytest.raises(ConfigurationError, match="id_token_algorithms"):
        make_google_blueprint(**options)


@pytest.mark.parametrize(
    ("server", "issuer"),
    [(None, "https://dev-1.okta.com"), ("default", "https://dev-1.okta.com/oauth2/default")],
)
def test_okta_s_issuers_have_no_slash_at_the_end(server: str | None, issuer: str) -> None:
    """They are compared exactly."""
    for oidc in (False, True):
        blueprint = make_okta_blueprint(domain="dev-1.okta.com", server=server, oidc=oidc)
        assert blueprint.issuer == issuer


def test_a_preset_says_what_is_different_with_openid() -> None:
    """LinkedIn knows no nonce, and Intuit has its document somewhere else."""
    blueprint: Any = make_linkedin_oidc_blueprint("id", oidc=True)
    assert blueprint.use_nonce is False
    blueprint = make_quickbooks_blueprint("id", oidc=True)
    assert urlsplit(blueprint.discovery_url).netloc == "developer.api.intuit.com"
    assert make_linkedin_oidc_blueprint("id").issuer == "https://www.linkedin.com/oauth"


BLOCKED = """
import sys
sys.modules["joserfc"] = None
import flask_dance_nosql.consumer.oidc
from flask_dance_nosql.contrib.google import make_google_blueprint
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.contrib.slack_oidc import make_slack_oidc_blueprint
from flask_dance_nosql.consumer import PrivateKeyJWT
from flask_dance_nosql.errors import MissingDependency
make_google_blueprint()
for work in (
    lambda: make_oidc_blueprint("acme", issuer="https://idp.example"),
    lambda: make_google_blueprint(oidc=True),
    lambda: make_slack_oidc_blueprint(),
    lambda: PrivateKeyJWT("pem"),
):
    try:
        work()
    except MissingDependency as error:
        print(error.extra, error.package)
"""
UNUSED = """
import sys
import flask_dance_nosql.contrib.oidc
from flask_dance_nosql.contrib.google import make_google_blueprint
make_google_blueprint()
print("joserfc" in sys.modules)
"""


def run(program: str) -> Any:
    """Run a program in a process of its own, and return what it has written."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return done.stdout.decode().split()


def test_joserfc_is_needed_for_openid_only() -> None:
    """Without it, what needs it names the extra; with it, what does not need it imports none."""
    assert run(BLOCKED) == ["oidc", "joserfc"] * 4
    assert run(UNUSED) == ["False"]


@pytest.mark.parametrize("options", [{}, {"token_endpoint_auth_method": "none"}])
def test_stripe_says_what_it_needs(options: dict[str, Any]) -> None:
    """A signed statement, for one, is nothing that Stripe knows."""
    if not options:
        pem = ECKey.generate_key("P-256").as_pem(private=True)
        options = {"token_endpoint_auth_method": PrivateKeyJWT(pem, "ES256")}
    token = {"access_token": "at", "refresh_token": "rt", "expires_at": 1.0}
    blueprint = make_stripe_app_blueprint("id", backend=MemoryBackend(token), **options)
    site = Site(blueprint)
    with site.app.test_request_context(), pytest.raises(ConfigurationError, match="client_secret"):
        blueprint.session.keep_fresh()
