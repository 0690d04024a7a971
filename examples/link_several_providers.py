"""Sign in with GitHub or Google, and link the other: with Flask-Login and Flask-SQLAlchemy.

Run it with ``flask --app examples.link_several_providers run``. It reads its settings from the
environment: FLASK_SECRET_KEY, FLASK_SQLALCHEMY_DATABASE_URI, and the client id and secret of each
provider, as in FLASK_GITHUB_OAUTH_CLIENT_ID and FLASK_GITHUB_OAUTH_CLIENT_SECRET.
"""

from typing import Any

from flask import Flask, redirect, render_template_string
from flask_login import LoginManager, UserMixin, current_user
from flask_sqlalchemy import SQLAlchemy

from flask_dance_nosql.accounts import AccountProfile, SignIn, log_out
from flask_dance_nosql.consumer import account_linked
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyBackend,
    unique_per_user,
)
from flask_dance_nosql.contrib.github import make_github_blueprint
from flask_dance_nosql.contrib.google import make_google_blueprint

PAGE = """{% if current_user.is_authenticated %}<h1>Hello {{ current_user.name }}!</h1>
{% for each in providers %}<p>{{ each.preset.display }}: {% if each.token %}connected
{% else %}<a href="{{ url_for(each.name + '.login') }}">Connect</a>{% endif %}</p>{% endfor %}
<form method="post" action="{{ url_for('leave') }}"><button>Log out</button></form>
{% else %}{% for each in providers %}
<p><a href="{{ url_for(each.name + '.login') }}">Sign in with {{ each.preset.display }}</a></p>
{% endfor %}{% endif %}"""

db: Any = SQLAlchemy()


class User(UserMixin, db.Model):  # type: ignore[misc] # neither has types
    """A user."""

    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(300))


class Account(db.Model):  # type: ignore[misc] # likewise
    """An account that a user has, also when its token is gone."""

    key = db.Column(db.String(300), primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey(User.id))


class Token(OAuthTokenMixin, db.Model):  # type: ignore[misc] # likewise
    """A token of a user at a provider. An account belongs to one user."""

    __table_args__ = (*unique_per_user(), db.UniqueConstraint("provider", "provider_user_id"))
    user_id = db.Column(db.Integer, db.ForeignKey(User.id))


def load_user(user_id: str) -> Any:
    """Return a user, or ``None``."""
    return db.session.get(User, int(user_id))


def create_user(profile: AccountProfile) -> Any:
    """Return the user who has had an account before, or a new one."""
    account = db.session.get(Account, profile.key)
    if account is not None:
        return load_user(account.user_id)
    user = User(name=profile.name)
    db.session.add(user)
    db.session.flush()
    keep_account(None, user, profile)
    return user


def keep_account(blueprint: Any, user: Any, profile: AccountProfile) -> None:  # noqa: ARG001 - as signals are sent
    """Note whose an account is."""
    db.session.merge(Account(key=profile.key, user_id=user.id))
    db.session.commit()


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    db.init_app(app)
    LoginManager(app).user_loader(load_user)
    backend = SQLAlchemyBackend(Token, db.session, user=current_user)
    providers = [make_github_blueprint(backend=backend), make_google_blueprint(backend=backend)]
    for each in providers:
        app.register_blueprint(each, url_prefix="/login")
        SignIn(each, load_user=load_user, create_user=create_user)
        account_linked.connect(keep_account, each)
    with app.app_context():
        db.create_all()

    @app.get("/")
    def home() -> str:
        return render_template_string(PAGE, providers=providers)

    @app.post("/log-out")
    def leave() -> Any:
        log_out()
        return redirect("/")

    return app
