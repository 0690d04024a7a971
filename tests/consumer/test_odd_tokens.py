"""A stored token may hold anything: nobody gets a 500 of it, and none is active that has ended."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from oauthlib.oauth2 import TokenExpiredError, WebApplicationClient

from flask_dance_nosql import clock
from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.token import missing_scopes, same_account, with_expires_at
from flask_dance_nosql.errors import ConfigurationError

from ..rotating import RotatingProvider
from .conftest import make_app
from .odd_answers import JSON
from .site import BACKENDS, ThreeMethods, make_site, of_user, sign_of, soon
from .test_token import id_token

ENDS: list[tuple[Any, str]] = [
    (1577836800, "expired"),
    ("1577836800", "expired"),
    ("1577836800.5", "expired"),
    (" 1577836800 ", "expired"),
    (1577836800000, "expired"),
    ("1577836800000", "expired"),
    (1577836800 * 10**6, "expired"),
    (1577836800 * 10**9, "expired"),
    ("1577836800000000", "expired"),
    ("2020-01-01T00:00:00Z", "expired"),
    (" 2020-01-01T01:00:00.123456789+01:00 ", "expired"),
    ("2020-01-01T00:00:00+0000", "expired"),
    ("2020-01-01 00:00:00", "expired"),
    ("2020-01-01", "expired"),
    ("0001-01-01T23:00:00+23:00", "expired"),
    (0, "expired"),
    (-5, "expired"),
    (-(10**400), "expired"),
    ("4102444800", "active"),
    (4102444800 * 10**3, "active"),
    (4102444800 * 10**6, "active"),
    (4102444800 * 10**9, "active"),
    ("2100-01-01T00:00:00Z", "active"),
    ("9999-12-31T23:59:59-23:00", "active"),
    (10**400, "active"),
    (10**4_000, "active"),
    (1e300, "active"),
    ("1e999", "active"),
    ("abc", "active"),
    ("", "active"),
    (None, "active"),
    (True, "active"),
    ([], "active"),
    ({}, "active"),
    ([1577836800], "active"),
]


UNTOLD: list[Any] = ["abc", "", None, True, [], {}, [1577836800]]
"""What tells no end."""


@pytest.mark.parametrize(("end", "status"), ENDS, ids=[repr(end)[:20] for end, _ in ENDS])
@pytest.mark.parametrize("lifetime", [None, 3600, "3600", "abc", 10**400, -1, [], True])
def test_end(rotating: RotatingProvider, end: Any, status: str, lifetime: Any) -> None:
    """A11: an end that tells a moment counts; where none does, one without a life has ended."""
    site = make_site(rotating, MemoryBackend())
    token = {"access_token": "at-ann-0", "expires_at": end, "expires_in": lifetime}
    rotating.grant()
    site.browser().connect(token)

    def look() -> tuple[str, bool, Any]:
        session = site.blueprint.session
        return session.token_status, session.authorized, site.blueprint.token

    if lifetime == -1 and end in UNTOLD:
        status = "expired"
    seen, is_authorized, _ = site.browser().do(look)
    assert (seen, is_authorized) == (status, status == "active")
    if status == "active":
        assert site.browser().call() == 200


@pytest.mark.parametrize("kind", ["session", "memory", "user", "cached"])
@pytest.mark.parametrize("end", ["1577836800", 1577836800000, "2020-01-01T00:00:00Z"])
def test_token_that_has_ended_is_refreshed(
    rotating: RotatingProvider, tmp_path: Any, end: Any, kind: str
) -> None:
    """A11: whichever backend has it."""
    browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
    browser.connect({**rotating.grant(), "expires_at": end})
    assert browser.call() == 200
    assert rotating.refreshes == 1


DATES = [datetime.fromisoformat("2020-01-01"), datetime(2020, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("end", DATES)
def test_end_that_is_a_datetime(rotating: RotatingProvider, end: datetime) -> None:
    """A backend of one's own may give what no JSON has; without a zone it is in UTC."""
    backend = ThreeMethods()
    site = make_site(rotating, backend)
    for moment, seen in ((end, "expired"), (end.replace(year=2100), "active")):
        backend.set(site.blueprint, {**rotating.grant(), "expires_at": moment})
        assert site.browser().do(lambda: site.blueprint.session.token_status) == seen
        assert site.browser().call() == 200
    assert rotating.refreshes == 1


@pytest.mark.parametrize("lifetime", [0, -5, "0", "-5", -0.5])
def test_token_without_a_life_is_refreshed(rotating: RotatingProvider, lifetime: Any) -> None:
    """One that was issued with no time to live, and is stored without its end, has ended."""
    browser = make_site(rotating, MemoryBackend()).browser()
    token = rotating.grant()
    del token["expires_at"]
    browser.connect({**token, "expires_in": lifetime})
    assert browser.do(lambda: browser.site.blueprint.session.token_status) == "expired"
    assert browser.call() == 200
    assert rotating.refreshes == 1


@pytest.mark.parametrize(
    "end", [1577836800, "1577836800000", 1577836800 * 10**6, "2020-01-01T00:00:00Z"]
)
def test_end_in_an_answer(rotating: RotatingProvider, end: Any) -> None:
    """An end that a provider states, as Square does in ISO 8601, is stored in seconds."""
    browser = make_site(rotating, of_user()).browser()
    answer = {"access_token": "at", "refresh_token": "rt", "expires_at": end}
    rotating.odd = 200, JSON, json.dumps(answer).encode()
    browser.login()
    assert browser.stored["expires_at"] == 1577836800


@pytest.mark.parametrize(("end", "status"), ENDS, ids=[repr(end)[:20] for end, _ in ENDS])
def test_record_of_a_token_ends_with_it(end: Any, status: str) -> None:
    """``ttl="token"`` reads the end as a session does: a record leaves when its token does."""
    record_end = of_user(ttl="token").end_of_record({"expires_at": end}, clock.now())
    if status == "expired" and end != -(10**400):
        assert record_end is not None
        assert record_end < clock.now()
    else:
        assert record_end is None or record_end > clock.now()


TYPES = ["bot", "user", "mac", "MAC", 5, [], "", {}, None, True, "Basic", "\n"]


@pytest.mark.parametrize("kind", TYPES, ids=repr)
@pytest.mark.parametrize("more", [{}, {"mac_key": 5}, {"mac_key": "k", "mac_algorithm": "md5"}])
def test_type(rotating: RotatingProvider, kind: Any, more: dict[str, Any]) -> None:
    """A11: a token of a type that nobody can sign with goes out as Bearer."""
    browser = make_site(rotating, of_user()).browser()
    browser.connect({**rotating.grant(expires_at=soon()), "token_type": kind, **more})
    assert browser.call() == 200
    assert sign_of(rotating) == "Bearer at-ann-0"


class OwnTypes(WebApplicationClient):
    """A client that knows a type of its own, as Zoho's, and signs by MAC in its own way."""

    @property
    def token_types(self) -> Any:
        return {**super().token_types, "Zoho-oauthtoken": self._add_zoho_token}

    def _add_zoho_token(self, url: str, method: str, body: Any, headers: Any, place: Any) -> Any:
        return url, {**(headers or {}), "Authorization": f"Zoho {self.access_token}"}, body

    def _add_mac_token(self, url: str, *args: Any, **kwargs: Any) -> Any:
        return url, {"Authorization": "MAC of my own"}, None


@pytest.mark.parametrize(
    ("kind", "own", "sign"),
    [
        ("Zoho-oauthtoken", "Bearer", "Zoho at-ann-0"),
        ("zoho-oauthtoken", "Bearer", "Zoho at-ann-0"),
        ("mac", "Bearer", "MAC of my own"),
        ("bearer", "Zoho-oauthtoken", "Bearer at-ann-0"),
        ("unknown", "Zoho-oauthtoken", "Zoho at-ann-0"),
        (5, "Zoho-oauthtoken", "Zoho at-ann-0"),
        ("unknown", "unknown", "Bearer at-ann-0"),
    ],
)
def test_types_of_a_client(rotating: RotatingProvider, kind: Any, own: str, sign: str) -> None:
    """A11: a type that the client knows is used, and else the one that it says is its own."""
    client = OwnTypes("id", token_type=own)
    browser = make_site(rotating, of_user(), client=client, refresh_on_401=False).browser()
    browser.connect({**rotating.grant(expires_at=soon()), "token_type": kind})
    browser.call()
    assert sign_of(rotating) == sign


@pytest.mark.parametrize("access_token", ["a\nb", "a\r\nX: y", "", " ", "é", 5, [], {}, None])
def test_access_token(rotating: RotatingProvider, access_token: Any) -> None:
    """A12: one that can't be sent counts as none, and its owner is sent to the login."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    browser.connect({"access_token": access_token, "token_type": "Bearer"})
    assert browser.do(lambda: site.blueprint.session.authorized) is False
    assert browser.do(lambda: site.blueprint.session.token_status) == "none"
    assert browser.get("/view").location == "/login/acme"
    with pytest.raises(TokenExpiredError):
        browser.call()
    assert rotating.asked == []


@pytest.mark.parametrize("kind", ["session", "memory", "user", "cached"])
@pytest.mark.parametrize("access_token", ["a\nb", "", "é", 5, None])
@pytest.mark.parametrize("end", [1, None, 4102444800])
def test_access_token_that_can_be_replaced(
    rotating: RotatingProvider, tmp_path: Any, access_token: Any, end: Any, kind: str
) -> None:
    """A token without an access token that can be sent is refreshed, whatever its end."""
    browser = make_site(rotating, BACKENDS[kind](tmp_path)).browser()
    browser.connect({**rotating.grant(), "access_token": access_token, "expires_at": end})
    assert browser.get("/view").text == "seen"
    assert browser.call() == 200
    assert rotating.refreshes == 1


@pytest.mark.parametrize("refresh_token", ["a\nb", "", " ", "é", 5, [], {"a": 1}, True])
def test_refresh_token(rotating: RotatingProvider, refresh_token: Any) -> None:
    """A11: one that is none is never sent, and the end of its token leads to the login."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    browser.connect({**rotating.grant(), "refresh_token": refresh_token})
    assert browser.do(lambda: site.blueprint.session.authorized) is False
    assert browser.get("/view").location == "/login/acme"
    assert rotating.asked == []


@pytest.mark.parametrize("odd", [5, [], ["a"], {"a": 1}, True, "a\nb", "é", ""])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation(rotating: RotatingProvider, kind: str, odd: Any) -> None:
    """A11: what is no text can't be revoked, which the caller is told; the record goes."""
    site = make_site(rotating, of_user())
    browser = site.browser()
    browser.connect({**rotating.grant(), kind: odd})
    assert browser.do(site.blueprint.revoke) is (isinstance(odd, str) or not odd)
    assert browser.stored is None
    sent = [form["token"] for form in rotating.revoked]
    assert len(sent) == 1 + (isinstance(odd, str) and odd != "")


@pytest.mark.parametrize("field", ["access_token", "refresh_token", "oauth_token", "id_token"])
@pytest.mark.parametrize(
    "odd",
    [10**5000, -(10**5000), [10**5000], {"a": 10**5000}],
    ids=["great", "small", "list", "dict"],
)
def test_number_that_has_no_text(rotating: RotatingProvider, field: str, odd: Any) -> None:
    """Python writes no number of more than 4,300 digits: it is as good as any other odd value."""
    site = make_site(rotating, ThreeMethods())
    browser = site.browser()
    browser.connect({**rotating.grant(), field: odd})
    is_lost = field == "refresh_token"
    assert browser.get("/view").status_code == (302 if is_lost else 200)
    with pytest.raises(TokenExpiredError) if is_lost else nullcontext():
        browser.call()
    assert rotating.refreshes == (0 if is_lost else 1)
    browser.connect({**rotating.grant(), field: odd})
    browser.do(site.blueprint.revoke)
    assert browser.stored is None


@pytest.mark.parametrize("field", ["scope", "granted_scope"])
@pytest.mark.parametrize("odd", ["\ud800", "a \x00", ["b", "\udfff"], "\u202e"])
def test_scope_that_cannot_be_sent(rotating: RotatingProvider, field: str, odd: Any) -> None:
    """What was granted is asked for again as far as it is text, and what a view asks for is."""
    site = make_site(rotating, ThreeMethods())
    browser = site.browser()
    browser.connect({"access_token": "at", field: odd})
    location = browser.do(lambda: site.blueprint.begin(scope="more").location)
    kept = [each for each in ("a", "b") if any(each in one for one in odd)]
    assert parse_qs(urlsplit(location).query)["scope"] == [" ".join([*kept, "more"])]
    with pytest.raises(ConfigurationError, match="printable"):
        browser.do(lambda: site.blueprint.begin(scope=odd))


@pytest.mark.parametrize(
    ("token", "is_authorized"),
    [
        ({"oauth_token": "ot", "oauth_token_secret": "s"}, True),
        ({"oauth_token": "ot", "oauth_token_secret": ""}, True),
        ({"oauth_token": "ot", "oauth_token_secret": None}, False),
        ({"oauth_token": "ot", "oauth_token_secret": 5}, False),
        ({"oauth_token": "ot"}, False),
        ({"oauth_token": "", "oauth_token_secret": "s"}, False),
        ({"oauth_token": 5, "oauth_token_secret": "s"}, False),
        ({"oauth_token": [], "oauth_token_secret": "s"}, False),
    ],
)
def test_token_of_oauth1(token: dict[str, Any], is_authorized: bool) -> None:
    """A10: a secret may be empty, and has to be there; a token that is none leads to the login."""
    blueprint = OAuth1ConsumerBlueprint("acme", __name__, "key", "cs", backend=MemoryBackend(token))
    with make_app(blueprint).test_request_context():
        assert blueprint.session.authorized is is_authorized


@pytest.mark.parametrize("lifetime", ["abc", "", [], {}, 10**400, True, None, "1e999"])
def test_lifetime_that_is_none_adds_no_end(lifetime: Any) -> None:
    """A11: whatever an application assigns."""
    assert "expires_at" not in with_expires_at({"access_token": "at", "expires_in": lifetime})


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "claims", [DEEP, f'{{"sub": {DEEP}', '{"sub": ' + "[" * 500 + "]" * 500 + "}"]
)
def test_deep_id_token_names_nobody(claims: str) -> None:
    """A13: an ID token whose claims are nested too deep names no account."""
    deep = f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.sig"
    token, other = {"id_token": deep}, {"id_token": id_token("a")}
    assert same_account(token, token, default=True)
    assert not same_account(token, other, default=False)
    assert not same_account({"user_id": [1]}, {"user_id": [1]}, default=False)


GOOGLE = "https://www.googleapis.com/auth/"


@pytest.mark.parametrize(
    ("asked", "token", "missing"),
    [
        (["a", "b"], {"scope": "a b"}, set()),
        (["a", "b"], {"scope": "b,a"}, set()),
        ("a,b", {"scope": ["a", "b"]}, set()),
        ("a b", {"scope": "a b c"}, set()),
        ("a b", {"scope": "a"}, {"b"}),
        (
            "email profile",
            {"scope": f"{GOOGLE}userinfo.email {GOOGLE}userinfo.profile openid"},
            set(),
        ),
        (f"openid {GOOGLE}userinfo.email", {"scope": "openid email"}, set()),
        (f"{GOOGLE}drive {GOOGLE}userinfo.email", {"scope": "email"}, {f"{GOOGLE}drive"}),
        (f"{GOOGLE}drive.file", {"scope": f"{GOOGLE}drive"}, {f"{GOOGLE}drive.file"}),
        (
            "https://a.example/x/read",
            {"scope": "https://a.example/y/read"},
            {"https://a.example/x/read"},
        ),
        ("User.Read", {"scope": "https://graph.microsoft.com/User.Read"}, set()),
        (
            "user.read openid offline_access",
            {"scope": "User.Read", "id_token": "t", "refresh_token": "r"},
            set(),
        ),
        ("openid", {"scope": "email"}, {"openid"}),
        (None, {"scope": "a"}, set()),
    ],
)
def test_missing_scopes(asked: Any, token: dict[str, Any], missing: set[str]) -> None:
    """A15: what is only another name, or an addition, is not missing."""
    assert missing_scopes(asked, token) == missing
