"""What a browser brings back from the provider: the arguments of the callback."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from .parts import as_json, texts
from .seen import Seen, Surface
from .site import CODE, Said, secrets_of, site_for, token_of

STATE = "{state}"
NAMES = [
    *("state", "code", "error", "error_description", "error_uri", "iss", "session_state", "scope"),
    *("oauth_token", "oauth_verifier", "denied", "error_code", "error_message", "error_reason"),
    *("id_token", "access_token"),
]
PLACES = ["next", "redirect_uri", "error_uri", "return_to"]
ELSEWHERE = [
    *("https://evil.example/", "//evil.example/", "\\\\evil.example", "/\\evil.example"),
    *(
        "\t//evil.example",
        "https:evil.example",
        "http://localhost@evil.example/",
        "///evil.example",
    ),
    *("javascript:alert(1)", "http://localhost.evil.example/"),
]
Pairs = list[tuple[str, str]]


@dataclass
class Callback:
    """How a login is begun, and what comes back."""

    is_oauth1: bool
    begun: int
    pairs: Pairs
    raw: bytes
    by_post: bool


_GOOD1 = [("oauth_token", STATE), ("oauth_verifier", CODE)]
_GOOD = [("state", STATE), ("code", CODE)]
_REFUSED = [
    ("state", STATE),
    ("error", "access_denied"),
    ("error_description", "no"),
    ("code", CODE),
]


@st.composite
def callbacks(draw: st.DrawFn) -> Callback:
    """Make up a callback: a good one with something missing, and something added."""
    is_oauth1 = draw(st.booleans())
    values = texts | st.sampled_from([STATE, CODE, ""])
    usual = st.tuples(st.sampled_from(NAMES * 2) | texts, values)
    leading_away = st.tuples(st.sampled_from(PLACES), st.sampled_from(ELSEWHERE))
    added = draw(st.lists(usual | usual | leading_away, max_size=3))
    kept = []
    for name, value in _GOOD1 if is_oauth1 else draw(st.sampled_from([_GOOD, _GOOD, _REFUSED])):
        becomes = draw(st.sampled_from(["usual", "usual", "usual", "odd", "missing"]))
        if becomes != "missing":
            kept.append((name, value if becomes == "usual" else draw(texts)))
    return Callback(
        is_oauth1,
        draw(st.sampled_from([1, 1, 1, 0, 2, 7])),
        draw(st.permutations(kept + added)),
        draw(st.sampled_from([b"", b"", b"&state=%FF", b"&code=%", b"&&=&;", b"&error=\xff"])),
        draw(st.sampled_from([False, False, False, True])),
    )


def run(given: Callback, seen: Seen) -> None:
    """Begin logins, come back, and look at a page."""
    token = token_of("alice", 1, is_oauth1=given.is_oauth1)
    seen.secrets |= secrets_of(token)
    said = Said(body=as_json(token))
    if given.is_oauth1:
        text = "oauth_token={}&oauth_token_secret={}&oauth_callback_confirmed=true"
        said = Said(body=text.format(*map(_quoted, token.values())).encode())
    site = site_for(seen, {f"/{name}": said for name in ENDPOINTS}, is_oauth1=given.is_oauth1)
    site.store("bob", token_of("bob", is_oauth1=given.is_oauth1))
    state = ""
    for _ in range(given.begun):
        state = site.begin()
    pairs = [(name, value.replace(STATE, state)) for name, value in given.pairs]
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)
    query += given.raw.decode("latin1")
    if ("code", CODE) not in pairs:
        # A text may hold what nobody has ever given to us; then it is no secret here.
        seen.secrets.discard(CODE)
    if given.by_post:
        form = "application/x-www-form-urlencoded"
        request = {"method": "POST", "data": query.encode("latin1"), "content_type": form}
    else:
        request = {"query_string": query}
    site.open("/login/acme/authorized", **request)
    site.open("/page")
    site.open("/guarded")


ENDPOINTS = ("token", "request_token", "access_token")


def _quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


SURFACE = Surface(callbacks(), run)
