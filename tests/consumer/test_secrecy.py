"""No secret reaches a log."""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
from flask import session as flask_session
from oauthlib.oauth1 import SIGNATURE_HMAC, SIGNATURE_PLAINTEXT

from flask_dance_nosql.consumer import (
    oauth_error,
    token_deleted,
    token_refresh_failed,
    token_save_failed,
    token_saved,
)
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.pending import PendingLogin
from flask_dance_nosql.consumer.transport import quiet

from ..rotating import RotatingProvider
from .conftest import RealProvider, make_app, make_refreshing
from .odd_answers import ECHOES, JSON, ODD_ANSWERS, Odd
from .raw_server import answering, sending
from .site import make_site, of_user, soon
from .test_odd_answers import of_oauth1


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


CODE = "C0DE/+ 1'2\"3"
CLIENT_SECRET = "cl1ent s+cret/='\"ü"


class Witness(logging.Handler):
    """Sees all that somebody else may see: records, signals, errors with all they refer to."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record of whichever logger."""
        shown = f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text}"
        self.seen.append(f"log: {shown}")

    def receive(self, sender: Any, **arguments: Any) -> None:
        """Note a signal."""
        self.seen.append(f"signal: {arguments!r}")

    def catch(self, error: BaseException | None) -> None:
        """Note an error and all errors behind it, as a reporter does."""
        if error is None:
            return
        self.seen.append(f"error: {error!r} {error} {error.args!r} {vars(error)!r}")
        self.seen += traceback.format_exception(error)
        for behind in (error.__cause__, error.__context__):
            self.catch(behind)

    def finds(self, *secrets: str) -> list[str]:
        """Return what was seen that shows a secret, in whatever form."""
        forms = [form for secret in secrets for form in forms_of(secret)]
        return [text for text in self.seen if any(form.lower() in text.lower() for form in forms)]


def forms_of(secret: str) -> set[str]:
    """Return the forms in which a secret may be seen."""
    basic = base64.b64encode(f"id:{secret}".encode()).decode()
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        html.escape(secret),
        basic,
    } | quoted


@pytest.fixture
def witness() -> Iterator[Witness]:
    """Somebody who sees all loggers at DEBUG, and all signals that are about failures."""
    root, somebody = logging.getLogger(), Witness()
    loggers = [root, *(logging.getLogger(name) for name in root.manager.loggerDict)]
    levels = [(each, each.level) for each in loggers]
    signals = (oauth_error, token_refresh_failed, token_save_failed, token_saved, token_deleted)
    for each in loggers:
        each.setLevel(logging.DEBUG)
    root.addHandler(somebody)
    for signal in signals:
        signal.connect(somebody.receive)
    yield somebody
    root.removeHandler(somebody)
    for signal in signals:
        signal.disconnect(somebody.receive)
    for each, level in levels:
        each.setLevel(level)


def attempt(witness: Witness, work: Callable[[], Any]) -> Any:
    """Do something, and let the witness see the error that comes of it."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - which error it is is tested elsewhere
        witness.catch(error)
        return None


ANSWERS = [
    *((odd, "client_secret_basic") for odd in ECHOES),
    *((odd, "client_secret_post") for odd in [None, *ECHOES, *ODD_ANSWERS]),
]


@pytest.mark.parametrize(
    ("odd", "method"), ANSWERS, ids=[ascii(odd and odd.name) for odd, _ in ANSWERS]
)
def test_no_answer_makes_a_secret_seen(
    rotating: RotatingProvider, witness: Witness, odd: Odd | None, method: str
) -> None:
    """A2: dance, refresh, revocation: no secret in any log, signal, error, cause or repr."""
    site = make_site(
        rotating, of_user(), client_secret=CLIENT_SECRET, token_endpoint_auth_method=method
    )
    blueprint, browser = site.blueprint, site.browser()
    rotating.approve("new", CODE)
    state = browser.begin()
    verifier = browser.do(lambda: flask_session["acme_oauth_code_verifier"])
    rotating.odd = None if odd is None else odd.sent
    assert browser.finish(state, quote(CODE, safe="")).status_code == 302
    for end in (1.0, soon(30)):
        browser.connect(rotating.grant("ann", expires_at=end))
        attempt(witness, browser.call)
        rotating.grants["ann"].generation += 1
    browser.connect(rotating.grant("bob"))
    attempt(witness, lambda: browser.do(lambda: use_directly(blueprint, witness)))
    browser.connect(rotating.grant("bob"))
    attempt(witness, lambda: browser.do(blueprint.revoke))
    names = [f"{name}-{number}" for name in ("ann", "bob", "new") for number in (0, 1)]
    tokens = [f"{kind}-{name}" for kind in ("at", "rt") for name in names]
    secrets = [CODE, CLIENT_SECRET, verifier, state, *tokens]
    assert witness.seen
    assert witness.finds(*secrets) == []


def use_directly(blueprint: Any, witness: Witness) -> None:
    """Use what the session has of requests-oauthlib, and look at what there is."""
    session = blueprint.session
    endpoint = session.token_endpoint()
    endpoint.refresh(session.read().stored.token)
    shown = (session, endpoint, endpoint.session, session.read(), blueprint)
    witness.seen.append(f"repr: {shown!r}")
    url = f"{blueprint.token_url}?client_secret={quote(CLIENT_SECRET)}"
    given = {"client_secret": CLIENT_SECRET, "include_client_id": True}
    attempt(witness, lambda: session.fetch_token(url, code=CODE, method="GET", **given))
    attempt(witness, lambda: session.refresh_token(url, client_secret=CLIENT_SECRET))


@pytest.mark.parametrize("step", ["request", "access"])
@pytest.mark.parametrize("signature", [SIGNATURE_HMAC, SIGNATURE_PLAINTEXT])
@pytest.mark.parametrize("odd", ECHOES, ids=lambda odd: odd.name)
def test_no_answer_of_oauth1_makes_a_secret_seen(
    rotating: RotatingProvider, witness: Witness, odd: Odd, step: str, signature: str
) -> None:
    """A2: so it is with OAuth 1, where a signature may be both secrets."""
    blueprint = of_oauth1(rotating, MemoryBackend(), signature, CLIENT_SECRET)
    client = make_app(blueprint).test_client()
    rotating.odd = 200, JSON, b"oauth_token=tt&oauth_token_secret=temporary-secret"
    if step == "access":
        client.get("/login/acme")
    rotating.odd = odd.sent
    if step == "request":
        client.get("/login/acme")
    else:
        client.get("/login/acme/authorized?oauth_token=tt&oauth_verifier=the-verifier")
    assert witness.seen
    assert witness.finds(CLIENT_SECRET, "temporary-secret", "the-verifier") == []


def test_provider_that_is_not_reached_makes_no_secret_seen(
    rotating: RotatingProvider, witness: Witness, closed_port: int
) -> None:
    """A2: neither does a provider that does not answer, where secrets are in the URL."""
    params = {"method": "GET", "include_client_id": True}
    url = f"http://127.0.0.1:{closed_port}/token?key=the-key-of-it"
    site = make_site(
        rotating, of_user(), client_secret=CLIENT_SECRET, token_url_params=params, token_url=url
    )
    browser = site.browser()
    state = browser.begin()
    assert browser.finish(state, quote(CODE, safe="")).status_code == 302
    browser.connect(rotating.grant())
    attempt(witness, browser.call)
    site.blueprint.revocation_url = url
    attempt(witness, lambda: browser.do(site.blueprint.revoke))
    assert witness.finds(CODE, CLIENT_SECRET, "the-key-of-it", "rt-ann-0", "at-ann-0") == []


def test_unfinished_login_shows_neither_state_nor_verifier() -> None:
    """Whoever logs an unfinished login tells when it has begun."""
    assert repr(PendingLogin("STATE", "VERIFIER", 5.0)) == "<PendingLogin begun at 5.0>"


SLACK = {
    "access_token": "at-ann-0",
    "id_token": "header.claims-of-ann.signature",
    "authed_user": {"access_token": "xoxp-nested-1", "refresh_token": "xoxe-nested-2"},
}
BROKEN = b"HTTP/1.1 200 OK\r\nA: 1\r\nyou sent {asked}\r\n\r\n{}"


def test_stored_token_that_is_echoed(rotating: RotatingProvider, witness: Witness) -> None:
    """A refresh that is refused shows no part of the stored token, sent or not, however deep."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect({**rotating.grant(), **SLACK})
    text = "at-ann-0 header.claims-of-ann.signature xoxp-nested-1 xoxe-nested-2"
    rotating.odd = 400, JSON, json.dumps({"error": "bad", "message": text}).encode()
    attempt(witness, browser.call)
    assert "could not be refreshed: bad" in "".join(witness.seen)
    assert witness.finds(*text.split()) == []


@pytest.mark.parametrize("status", [200, 400])
def test_issued_token_that_is_nested(
    rotating: RotatingProvider, witness: Witness, status: int
) -> None:
    """Nor does any call show what an answer issues below its top level."""
    browser = make_site(rotating, of_user()).browser()
    answer = {**SLACK, "error": "bad", "error_description": "xoxp-nested-1 for you"}
    rotating.odd = status, JSON, json.dumps(answer).encode()
    browser.login()
    browser.connect(rotating.grant())
    attempt(witness, browser.call)
    assert "*** for you" in "".join(witness.seen)
    assert witness.finds("xoxp-nested-1", "xoxe-nested-2") == []


def test_code_in_the_answer_to_the_revocation_of_a_failed_login(
    rotating: RotatingProvider, witness: Witness
) -> None:
    """What a failed login was issued is revoked, and that answer shows no secret of the login."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    state = browser.begin()
    verifier = browser.do(lambda: flask_session["acme_oauth_code_verifier"])
    text = f"{CODE} {state} {verifier}"
    answer = {**SLACK, "error": text, "error_description": text}
    rotating.odd = 200, JSON, json.dumps(answer).encode()
    browser.finish(state, quote(CODE, safe=""))
    assert len(rotating.revoked) == 1
    assert "did not confirm" in "".join(witness.seen)
    assert witness.finds(CODE, state, verifier) == []


def test_headers_that_are_none(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP library's warning of a broken answer does not tell what is in it."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with answering(sending(BROKEN)) as url:
        token = {"access_token": "at-old", "refresh_token": "rt-old", "expires_at": 1.0}
        blueprint = make_refreshing(SimpleNamespace(url=url), MemoryBackend(token))
        with make_app(blueprint).test_request_context():
            attempt(witness, lambda: blueprint.session.get("api"))
    assert "Failed to parse headers" in "".join(witness.seen)
    assert witness.finds("rt-old", "client-secret") == []


@pytest.mark.parametrize("step", ["request", "access"])
def test_credentials_that_an_app_fetches_itself(
    rotating: RotatingProvider, witness: Witness, step: str
) -> None:
    """OAuth 1's calls of requests-oauthlib are as quiet as those of the dance."""
    blueprint = of_oauth1(rotating, MemoryBackend())
    rotating.odd = 200, JSON, b"oauth_token=the-token&oauth_token_secret=its-secret"
    with make_app(blueprint).test_request_context():
        if step == "request":
            blueprint.session.fetch_request_token(f"{rotating.url}/request")
        else:
            blueprint.session.fetch_access_token(f"{rotating.url}/access", "the-verifier")
    assert len(rotating.asked) == 1
    assert witness.finds("the-token", "its-secret", "the-verifier") == []
