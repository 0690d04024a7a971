"""What a browser sends as its session: cut off, tampered with, or of another application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from flask_dance_nosql.consumer.backend import SessionBackend, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from .parts import as_json, changes, odd, texts, with_changes
from .records import FIELDS, NOTHING
from .seen import Seen, Surface
from .site import CODE, Said, current_user, secrets_of, site_for, token_of
from .stores import CIPHER

OLD, NEW = token_of("alice", expires_at=4e9), token_of("alice", 1)
STATE, VERIFIER = "state-of-alice", "verifier-of-alice"
BACKENDS: dict[str, Any] = {
    "session": SessionBackend,
    "sealed": lambda: SessionBackend(cipher=CIPHER),
    "browser": lambda: UserScopedBackend(MemoryStore(), scope="browser"),
    "user": lambda: UserScopedBackend(MemoryStore(), user_id=current_user),
}
USUAL: dict[str, Any] = {
    "acme_oauth_state": STATE,
    "acme_oauth_code_verifier": VERIFIER,
    "acme_oauth_state_pending": [["older", "verifier"]],
    "acme_oauth_request_token": STATE,
    "acme_oauth_request_token_secret": VERIFIER,
    "acme_oauth_request_token_pending": [["older", "secret"]],
    "acme_oauth_state_rest": [1.0, "/page", None],
    "acme_oauth_ended": [1.0, "access_denied", 1],
    "acme_oauth_next": [1.0, "/page", 1],
    "acme_oauth_token": OLD,
    "flask_dance_browser_id:acme": "some-id",
}
"""All that is kept in the session, as it is meant to be."""

_TAGGED = [b"bytes", ("a", "b"), datetime(2031, 1, 1, tzinfo=UTC), UUID(int=1), ("a",), [[]]]
_PENDING = [
    [STATE],
    [STATE, None],
    [[STATE]],
    [["a", "b", "c"]],
    ["ab"],
    [[1, 2]],
    [None],
    {"a": 1},
]
_tokens = changes(*FIELDS).map(lambda changed: with_changes(OLD, changed))
contents = st.dictionaries(
    st.sampled_from(list(USUAL)), odd | st.sampled_from(_TAGGED + _PENDING) | _tokens, max_size=3
).map(lambda odd_ones: {**USUAL, **odd_ones})


@dataclass
class Cookie:
    """Whose session, what is in it, how the cookie is damaged, and what comes back."""

    kind: str
    is_oauth1: bool
    contents: dict[str, Any] | None
    cut: int | None
    tail: str
    state: str
    then: str


COOKIES = st.builds(
    Cookie,
    st.sampled_from(list(BACKENDS)),
    st.booleans(),
    contents,
    st.none() | st.none() | st.integers(0, 300),
    st.just("") | st.just("") | texts,
    st.just(STATE) | st.sampled_from(["older", "a", "1", "None", ""]) | texts,
    st.sampled_from(["/logout", "/page", "/guarded", "login"]),
)


def run(given: Cookie, seen: Seen) -> None:
    """Come with a cookie: to a page, back from the provider, and to whatever comes then."""
    token = token_of("alice", 1, is_oauth1=given.is_oauth1)
    body = as_json(token)
    if given.is_oauth1:
        body = b"oauth_token=at-1&oauth_token_secret=secret-1&oauth_callback_confirmed=true"
    seen.secrets |= secrets_of(token) | secrets_of(OLD) | {VERIFIER}
    said = {f"/{name}": Said(body=body) for name in ("token", "request_token", "access_token")}
    site = site_for(seen, said, BACKENDS[given.kind](), is_oauth1=given.is_oauth1)
    serializer = site.app.session_interface.get_signing_serializer(site.app)
    cookie = serializer.dumps(given.contents)
    cookie = cookie[: given.cut] + given.tail.encode("ascii", "ignore").decode()
    printable = "".join(each for each in cookie if each.isprintable())
    # Browsers send no more.
    site.browser.set_cookie("session", printable[:4000])
    site.open("/page")
    answer = {"state": given.state, "code": CODE}
    if given.is_oauth1:
        answer = {"oauth_token": given.state, "oauth_verifier": CODE}
    query = {name: value.encode("utf-8", "replace") for name, value in answer.items()}
    site.open("/login/acme/authorized", query_string=query)
    if given.then != "login":
        page = site.open(given.then)
    else:
        site.finish(site.begin()) if not given.is_oauth1 else site.begin()
        page = site.open("/page")
        if not given.is_oauth1 and NEW["access_token"] not in page.text:
            seen.wrong.append(f"after a login the page has {page.text[:300]!r}")
    if given.then == "/logout":
        page = site.open("/page")
        if NOTHING not in page.text:
            seen.wrong.append(f"after a logout the page has {page.text[:300]!r}")


SURFACE = Surface(COOKIES, run)
