"""What users write, for the type checkers: both read this file, and nobody runs it.

A comment that expects an error is itself an error where there is none.
"""

from __future__ import annotations

from typing import assert_type

from flask import Flask

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.contrib.dropbox import make_dropbox_blueprint
from flask_dance_nosql.contrib.github import github, make_github_blueprint
from flask_dance_nosql.contrib.google import make_google_blueprint
from flask_dance_nosql.contrib.jira import make_jira_blueprint
from flask_dance_nosql.contrib.keycloak import make_keycloak_blueprint
from flask_dance_nosql.contrib.strava import make_strava_blueprint
from flask_dance_nosql.contrib.twitter import make_twitter_blueprint

app = Flask(__name__)

blueprint = make_github_blueprint("id", "secret", scope=["user"], backend=MemoryBackend())
assert_type(blueprint, OAuth2ConsumerBlueprint)
app.register_blueprint(blueprint, url_prefix="/login")
github.get("user").json()

make_github_blueprint(client_id="id", client_secret=lambda: "secret", storage=MemoryBackend)
make_google_blueprint(offline=True, hosted_domain="example.com", reprompt_consent=True)
make_keycloak_blueprint("id", hostname="id.example.com", realm="shop")
make_strava_blueprint(scope=None)
make_dropbox_blueprint(app_key="key", app_secret="secret", require_role="work")
assert_type(make_twitter_blueprint("key", "secret"), OAuth1ConsumerBlueprint)
make_jira_blueprint("https://jira.example.com", "key", "rsa", redirect_url="/")

make_github_blueprint(ofline=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
make_google_blueprint(offline="yes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
make_google_blueprint("id", "secret", ["scope"])  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue]
make_keycloak_blueprint(hostname="id.example.com")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
make_dropbox_blueprint(require_role="boss")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
make_jira_blueprint()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
