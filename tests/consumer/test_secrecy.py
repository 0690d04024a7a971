"""No secret reaches a log."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl, urlsplit

import pytest

from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.transport import quiet

from .conftest import RealProvider, make_app


def test_a_whole_life_of_a_token_leaves_no_secret_in_any_log(
    provider: RealProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Dance, API call and refresh at level DEBUG: no token, code, secret or verifier."""
    backend = MemoryBackend()
    blueprint = provider.blueprint(backend=backend, auto_refresh_url=f"{provider.url}/token")
    app = make_app(blueprint)
    provider.allow("http://localhost/login/demo/authorized")
    client = app.test_client()
    secrets = {"demo-secret"}
    with caplog.at_level(logging.DEBUG):
        location = client.get("/login/demo").location
        with client.session_transaction() as flask_session:
            secrets.add(flask_session["demo_oauth_code_verifier"])
        import requests

        callback = requests.get(location, allow_redirects=False, timeout=5).headers["Location"]
        params = dict(parse_qsl(urlsplit(callback).query))
        caplog.clear()  # the browser's own request is not ours to silence
        assert client.get(callback).location == "/"
        secrets |= {params["code"], params["state"]}
        secrets |= {str(backend.token[name]) for name in ("access_token", "refresh_token")}
        backend.token["expires_at"] = 1
        with app.test_request_context():
            assert blueprint.session.get("userinfo").json()["sub"] == "alice"
        secrets |= {str(backend.token[name]) for name in ("access_token", "refresh_token")}
    assert len(secrets) == 8
    everything = "\n".join(
        f"{record.getMessage()} {record.args} {record.exc_text}"
        for record in caplog.records
        if not record.name.startswith("authlib")  # the provider's own, which runs in this process
    )
    assert not [secret for secret in secrets if secret in everything]


def test_others_keep_their_debug_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Only while one of our calls runs are requests-oauthlib's debug records dropped."""
    logger = logging.getLogger("requests_oauthlib.oauth2_session")
    with caplog.at_level(logging.DEBUG):
        logger.debug("before")
        with quiet():
            logger.debug("hidden")
            logger.warning("loud")
        logger.debug("after")
    assert [record.getMessage() for record in caplog.records] == ["before", "loud", "after"]
