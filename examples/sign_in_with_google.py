"""Sign in with Google: an application whose users are in MongoDB.

Run it with ``flask --app examples.sign_in_with_google run``. It reads its settings from the
environment: FLASK_SECRET_KEY, FLASK_MONGODB_URL (which names the database),
FLASK_GOOGLE_OAUTH_CLIENT_ID and FLASK_GOOGLE_OAUTH_CLIENT_SECRET.
"""

from typing import Any

from bson import ObjectId
from flask import Flask, redirect, render_template_string
from pymongo import MongoClient

from flask_dance_nosql.accounts import AccountProfile, SignIn, current_user_id
from flask_dance_nosql.consumer.backend import MongoBackend
from flask_dance_nosql.contrib.google import make_google_blueprint

PAGE = """{% if user %}Hello {{ user.name }}!
<form method="post" action="{{ url_for('log_out') }}"><button>Log out</button></form>
{% else %}<a href="{{ url_for('google.login') }}">Sign in with Google</a>{% endif %}"""


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    database = MongoClient[dict[str, Any]](app.config["MONGODB_URL"]).get_default_database()
    users = database.users
    users.create_index("account", unique=True)

    def load_user(user_id: str) -> Any:
        user = users.find_one(ObjectId(user_id))
        return user and user["_id"]

    def create_user(profile: AccountProfile) -> Any:
        fields = {"name": profile.name, "email": profile.email}
        users.update_one({"account": profile.key}, {"$setOnInsert": fields}, upsert=True)
        user = users.find_one({"account": profile.key})
        return user and user["_id"]

    backend = MongoBackend(database.tokens, user_id=current_user_id)
    google = make_google_blueprint(oidc=True, backend=backend)
    app.register_blueprint(google, url_prefix="/login")
    sign_in = SignIn(google, load_user=load_user, create_user=create_user)

    @app.get("/")
    def home() -> str:
        user_id = current_user_id()
        user = users.find_one(ObjectId(user_id)) if user_id else None
        return render_template_string(PAGE, user=user)

    @app.post("/log-out")
    def log_out() -> Any:
        sign_in.log_out()
        return redirect("/")

    return app
