"""The same application in workers of Celery: what the views do, without any request."""

from __future__ import annotations

from typing import Any

from celery import Celery

from .app import PLACES, app, blueprints, fresh_token, say_who_has_come, told

celery = Celery("jobs", broker=f"{PLACES['redis']}/1", backend=f"{PLACES['redis']}/1")


@celery.task(name="call")
def call(provider: str, user: str) -> dict[str, Any]:
    """Call the API in the name of a user, and tell its status."""
    say_who_has_come(user)
    with app.app_context(), blueprints[provider].user_session(user_id=user) as session:
        return told(session.get("api").status_code)


@celery.task(name="read")
def read(provider: str, user: str) -> dict[str, Any]:
    """Tell a user's access token."""
    with app.app_context():
        token = blueprints[provider].slot(user_id=user).read().token
        return told((token or {}).get("access_token"))


@celery.task(name="write")
def write(provider: str, user: str) -> dict[str, Any]:
    """Store a new token for a user, and tell its access token."""
    token = fresh_token()
    with app.app_context():
        blueprints[provider].slot(user_id=user).write(token)
    return told(token["access_token"])
