"""What a provider answers at its token and revocation endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests
from hypothesis import strategies as st

from .parts import as_json, changes, raw_bytes, with_changes
from .seen import Seen, Surface
from .site import CODE, Body, Said, secrets_of, site_for, token_of

NEW = token_of("alice", 1)
NEW1 = token_of("alice", 1, is_oauth1=True)
OLD = {"exchange": None, "refresh": 1.0, "forced": 4e9, "revoke": 4e9}
"""When the token ends that is there before, by what is done."""


@dataclass
class Exchange:
    """What is done, and what is answered; the second answer is for a call that follows it."""

    what: str
    said: Said


_GOOD = {**NEW, "expires_in": 3600, "scope": "a b"}
_REFUSED = {"error": "invalid_request", "error_description": "no", "error_uri": "https://a.example"}
_ENDED = {"error": "invalid_grant"}
_FURTHER = ("id_token", "sub", "user_id", "expires_at", "message", "status", "errors")
_GOOD1 = {**NEW1, "oauth_callback_confirmed": "true"}


@st.composite
def _bodies(draw: st.DrawFn, is_oauth1: bool) -> bytes:
    """Make up a body: a good one with changes, in some notation, or anything."""
    notations = ["form", "form", "json", "raw"] if is_oauth1 else ["json"] * 5 + NOTATIONS
    notation = draw(st.sampled_from(notations))
    if notation == "raw":
        return draw(raw_bytes)
    kinds = [_GOOD1, _GOOD1, _REFUSED] if is_oauth1 else [_GOOD, _GOOD, _REFUSED, _ENDED]
    base: dict[str, Any] = draw(st.sampled_from(kinds))
    value = with_changes(base, draw(changes(*kinds[0], *_REFUSED, *_FURTHER)))
    if notation == "form":
        pairs = {_text(name): _text(each) for name, each in value.items()}
        return Body(urlencode(pairs).encode())
    body = Body(as_json(value))
    if notation == "cut":
        return body[: draw(st.integers(0, 40))]
    return body.decode().encode("utf-16") if notation == "utf-16" else body


NOTATIONS = ["form", "raw", "cut", "utf-16"]


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _said(is_oauth1: bool) -> st.SearchStrategy[Said]:
    return st.builds(
        Said,
        st.sampled_from([200] * 6 + [400, 400, 401, 403, 404, 201, 204, 302, 307, 429, 500, 503]),
        st.dictionaries(st.sampled_from(sorted(HEADERS)), st.none(), max_size=2).map(
            lambda names: {name: HEADERS[name] for name in names}
        ),
        _bodies(is_oauth1),
        st.sampled_from([None] * 12 + ERRORS),
    )


HEADERS = {
    "Content-Type": "text/html; charset=nonsense",
    "Content-Encoding": "gzip",
    "Location": "http://evil.example/token",
    "Retry-After": "-1",
    "Set-Cookie": "a=b; Path=/",
}
ERRORS: list[type[Exception]] = [
    requests.ConnectionError,
    requests.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
]

EXCHANGES = st.sampled_from(list(OLD)).flatmap(
    lambda what: st.builds(Exchange, st.just(what), _said(False))
) | st.builds(Exchange, st.sampled_from(["temporary", "credentials"]), _said(True))


def run(given: Exchange, seen: Seen) -> None:
    """Have the provider asked, and look at a page, twice."""
    seen.secrets |= secrets_of(NEW) | secrets_of(NEW1)
    is_oauth1 = given.what in ("temporary", "credentials")
    good = Said(body=urlencode({**NEW1, "oauth_callback_confirmed": "true"}).encode())
    said = {"/token": given.said, "/revoke": given.said, "/request_token": good}
    said["/access_token"] = given.said
    if given.what == "temporary":
        said["/request_token"] = given.said
    site = site_for(seen, said, is_oauth1=is_oauth1)
    if given.what != "exchange":
        # There it is no text of ours, or one that was spent long ago and is not kept.
        seen.secrets.discard(CODE)
    site.store("bob", token_of("bob", is_oauth1=is_oauth1))
    ends = OLD.get(given.what)
    if ends is not None:
        site.store("alice", token_of("alice", expires_at=ends))
    if given.what in ("exchange", "temporary", "credentials"):
        state = site.begin()
        if is_oauth1:
            site.open(
                "/login/acme/authorized",
                query_string={"oauth_token": state, "oauth_verifier": "verifier"},
            )
        else:
            site.finish(state)
    elif given.what == "revoke":
        site.open("/revoke")
    elif given.what == "forced":
        site.refuses_old = True
    site.open("/page")
    site.open("/guarded")
    site.open("/page")


SURFACE = Surface(EXCHANGES, run)
