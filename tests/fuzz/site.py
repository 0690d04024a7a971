"""An application with two users, whose provider says whatever a test wants it to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask, Response, got_request_exception, request
from flask.testing import FlaskClient
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from .seen import DOCUMENTED, Answer, Seen

HOME, PROVIDER = "http://localhost", "https://provider.example"
CLIENT_ID, CLIENT_SECRET = "cid", "s3cr+t/of=client"
CODE, NEW_CODE = "code+17/of=alice", "another-code-of-alice"
OF_BOB = "of-bob"

Token = dict[str, Any]


def token_of(name: str, number: int = 0, **more: Any) -> Token:
    """Return a token that shows whose it is."""
    access, refresh = f"at+{number}/of-{name}", f"rt+{number}/of-{name}"
    if more.pop("is_oauth1", False):
        return {"oauth_token": access, "oauth_token_secret": refresh, **more}
    return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", **more}


def secrets_of(token: Token) -> set[str]:
    """Return what of a token is secret."""
    names = ("access_token", "refresh_token", "oauth_token_secret")
    return {token[name] for name in names if name in token}


class Body(bytes):
    """Bytes that are shown by their beginning."""

    def __repr__(self) -> str:
        start = bytes(self[:300])
        return repr(start) if len(self) <= 300 else f"{start!r} and more, {len(self)} bytes"


@dataclass
class Said:
    """What a provider answers, or the error that there is in its place."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    error: type[Exception] | None = None


class Canned(HTTPAdapter):
    """Answers each request as a function says that it is to be answered."""

    def __init__(self, answer: Callable[[Any], Said]) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        said = self._answer(request)
        if said.error is not None:
            raise said.error("no answer")
        raw = HTTPResponse(
            BytesIO(said.body),
            {"Content-Type": "application/json", **said.headers},
            said.status,
            preload_content=False,
        )
        return self.build_response(request, raw)


class Site:
    """The application, and a browser. It is made once and used for one input after the other.

    The user is whom the header ``X-User`` names. The pages are those of :meth:`_add_pages`.

    Args:
        is_oauth1: The version of OAuth.

    Attributes:
        seen: What is to be seen of the input.
        said: What the provider answers, by path; otherwise that it knows nothing.
        refuses_old: Whether the API refuses the first token of a user, whatever its end.
    """

    seen: Seen
    said: dict[str, Said]
    refuses_old: bool
    browser: FlaskClient

    def __init__(self, is_oauth1: bool) -> None:
        settings: dict[str, Any] = {
            "client_secret": CLIENT_SECRET,
            "base_url": f"{PROVIDER}/",
            "authorization_url": f"{PROVIDER}/authorize",
            "adapter": lambda: Canned(self._answer),
        }
        if is_oauth1:
            settings |= {"request_token_url": "request_token", "access_token_url": "access_token"}
            self.blueprint: Any = OAuth1ConsumerBlueprint(
                "acme", __name__, client_key=CLIENT_ID, **settings
            )
        else:
            settings |= {"token_url": "token", "revocation_url": f"{PROVIDER}/revoke"}
            self.blueprint = OAuth2ConsumerBlueprint(
                "acme", __name__, client_id=CLIENT_ID, auto_refresh=True, **settings
            )
        self.app = Flask("tests.fuzz")
        self.app.config.update(SECRET_KEY="for tests", PROPAGATE_EXCEPTIONS=False)
        self.app.register_blueprint(self.blueprint, url_prefix="/login")
        self._add_pages()
        got_request_exception.connect(self._hear, self.app)

    def use(self, seen: Seen, backend: Any, said: dict[str, Said]) -> None:
        """Begin anew, for another input."""
        self.seen, self.said, self.refuses_old = seen, said, False
        self.blueprint.backend = backend
        self.browser = self.app.test_client()
        seen.secrets |= {CLIENT_SECRET, CODE}

    def _hear(self, app: Any, exception: BaseException, **more: Any) -> None:
        self.seen.errors.append(exception)

    def _add_pages(self) -> None:
        blueprint, app = self.blueprint, self.app

        @app.get("/page")
        def page() -> Any:
            session = blueprint.session
            return self._documented(
                lambda: [
                    session.authorized,
                    blueprint.token,
                    session.get("api").text if session.authorized else None,
                ]
            )

        @app.get("/revoke")
        def revoke() -> Any:
            return self._documented(blueprint.revoke)

        @app.get("/logout")
        def logout() -> Any:
            return self._documented(lambda: blueprint.__delattr__("token"))

        @app.get("/")
        def home() -> str:
            return "home"

        guarded = blueprint.session.authorization_required(lambda: "seen")
        app.add_url_rule("/guarded", "guarded", guarded)

    def _documented(self, work: Callable[[], Any]) -> Any:
        try:
            result = work()
        except DOCUMENTED as error:
            self.seen.note(error)
            return Response("documented", 409)
        return Response(repr(result).encode("utf-8", "backslashreplace"))

    def _answer(self, asked: Any) -> Said:
        self.seen.sent.append(asked)
        path = urlsplit(asked.url).path
        if path == "/api":
            sent = f"{asked.url} {asked.headers}"
            status = 401 if self.refuses_old and "at+0" in sent else 200
            return Said(status, body=sent.encode("utf-8", "backslashreplace"))
        return self.said.get(path, Said(404))

    def open(self, path: str, *, user: str | None = "alice", **request: Any) -> Any:
        """Open a page, and see what is answered."""
        # As with a click on a page of the site, which is no loop.
        headers = {"Sec-Fetch-Site": "same-origin"} | ({} if user is None else {"X-User": user})
        method = request.pop("method", "GET")
        answer = self.browser.open(path, method=method, headers=headers, **request)
        self.seen.answers.append(Answer(path, answer.status_code, answer.location))
        if user != "bob":
            self.seen.given.append(answer.get_data(as_text=True))
        return answer

    def begin(self) -> str:
        """Begin a login, and return its state or its temporary credentials."""
        location = self.open("/login/acme").location or ""
        asked = parse_qs(urlsplit(location).query)
        with self.browser.session_transaction() as session:
            verifier = session.get("acme_oauth_code_verifier")
            # What somebody else has put there may be anything.
            if isinstance(verifier, str) and len(verifier) > 40:
                self.seen.secrets.add(verifier)
        return next((asked[name][0] for name in ("state", "oauth_token") if name in asked), "")

    def finish(self, state: str, code: str = CODE) -> Any:
        """Come back from the provider."""
        return self.open("/login/acme/authorized", query_string={"state": state, "code": code})

    def store(self, name: str, token: Token) -> None:
        """Store a user's token."""
        backend = self.blueprint.backend
        backend.set(self.blueprint, token, user_id=name)
        self.seen.secrets |= secrets_of(token)


def current_user() -> str | None:
    """Return whom the request is from."""
    return request.headers.get("X-User")


_site = cache(Site)


def site_for(
    seen: Seen, said: dict[str, Said] | None = None, backend: Any = None, *, is_oauth1: bool = False
) -> Site:
    """Return the application as of the beginning.

    Args:
        seen: What is to be seen of an input.
        said: What the provider answers, by path; by default that it knows nothing.
        backend: Where tokens are kept; by default in memory, for each user.
        is_oauth1: The version of OAuth.
    """
    site = _site(is_oauth1)
    if backend is None:
        backend = UserScopedBackend(MemoryStore(), user_id=current_user)
    site.use(seen, backend, said or {})
    return site
