"""What users write, for the type checkers: both read this file, and nobody runs it.

A comment that expects an error is itself an error where there is none.
"""

from __future__ import annotations

from typing import assert_type

from flask import Flask
from requests import Response

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.oidc import OIDCConsumerBlueprint
from flask_dance_nosql.consumer.requests import OAuth2Session
from flask_dance_nosql.contrib.dropbox import make_dropbox_blueprint
from flask_dance_nosql.contrib.github import github, make_github_blueprint
from flask_dance_nosql.contrib.google import make_google_blueprint
from flask_dance_nosql.contrib.jira import make_jira_blueprint
from flask_dance_nosql.contrib.keycloak import keycloak, make_keycloak_blueprint
from flask_dance_nosql.contrib.oidc import make_oidc_blueprint
from flask_dance_nosql.contrib.strava import make_strava_blueprint
from flask_dance_nosql.contrib.twitter import make_twitter_blueprint, twitter

app = Flask(__name__)

blueprint = make_github_blueprint("id", "secret", scope=["user"], backend=MemoryBackend())
assert_type(blueprint, OAuth2ConsumerBlueprint)
app.register_blueprint(blueprint, url_prefix="/login")
assert_type(github.get("user"), Response)
if github and github.authorized:
    assert_type(github._get_current_object(), OAuth2Session)
assert_type(twitter.get("account/settings.json"), Response)


@app.get("/repositories")
@github.authorization_required
def repositories() -> str:
    """Keep its own type."""
    return github.get("user/repos").text


make_github_blueprint(client_id="id", client_secret=lambda: "secret", storage=MemoryBackend)
make_google_blueprint(offline=True, hosted_domain="example.com", reprompt_consent=True)
make_keycloak_blueprint("id", hostname="id.example.com", realm="shop")
make_strava_blueprint(scope=None)
make_dropbox_blueprint(app_key="key", app_secret="secret", require_role="work")
assert_type(make_twitter_blueprint("key", "secret"), OAuth1ConsumerBlueprint)
make_jira_blueprint("https://jira.example.com", "key", "rsa", redirect_url="/")

acme = make_oidc_blueprint("acme", "https://id.example", "id", lambda: "secret", scope=["openid"])
assert_type(acme, OIDCConsumerBlueprint)
make_oidc_blueprint(
    "acme",
    issuer="https://id.example",
    client_id="id",
    id_token_algorithms=["HS256"],
    use_nonce=False,
    backend=MemoryBackend(),
    url_prefix="/login",
    token_endpoint_auth_method="client_secret_post",
    timeout=(3, 10),
)
google = make_google_blueprint("id", oidc=True, issuer="https://x", id_token_algorithms=["RS256"])
google.logout_url("https://example.com/bye")
shop = make_keycloak_blueprint("id", hostname="id.example.com", realm="shop")
assert_type(shop, OIDCConsumerBlueprint)
plain = make_keycloak_blueprint("id", hostname="id.example.com", realm="shop", oidc=False)
assert_type(plain, OAuth2ConsumerBlueprint)
print(keycloak.id_claims, keycloak.userinfo()["email"])

make_oidc_blueprint("acme", "https://x", scop=["openid"])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
make_oidc_blueprint("acme", "https://x", scope=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
make_oidc_blueprint("acme", client_id="id")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
make_google_blueprint().logout_url()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
github.gett("user")  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
make_github_blueprint(ofline=True)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
make_google_blueprint(offline="yes")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
make_google_blueprint("id", "secret", ["scope"])  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
make_keycloak_blueprint(hostname="id.example.com")  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
make_dropbox_blueprint(require_role="boss")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
make_jira_blueprint()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
