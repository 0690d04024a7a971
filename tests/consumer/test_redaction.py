"""Foreign text is shown without secrets, on one line, and bounded."""

from __future__ import annotations

import base64
import html.entities
import json
import time
import unicodedata
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request
from requests.auth import HTTPBasicAuth

from flask_dance_nosql.consumer.redaction import MAX_TEXT, Redactor

SECRET = "s3+c/r'e\"t &<ü\\x"
FORMS: dict[str, Any] = {
    "as it is": lambda s: s,
    "other case": lambda s: s.swapcase(),
    "repr": repr,
    "repr of a repr": lambda s: repr(repr(s)),
    "JSON": json.dumps,
    "JSON, readable": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"a": s})),
    "quote": quote,
    "quote all": lambda s: quote(s, safe=""),
    "quote in lower case": lambda s: quote(s, safe="").lower(),
    "quote_plus": quote_plus,
    "quote twice": lambda s: quote(quote(s)),
    "every character quoted": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "HTML": html.escape,
    "HTML without quotes": lambda s: html.escape(s, quote=False),
    "HTML by numbers": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "HTML by hexadecimal numbers": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "HTML by names": lambda s: "".join(
        f"&{html.entities.codepoint2name[ord(c)]};" if ord(c) in html.entities.codepoint2name else c
        for c in s
    ),
    "repr of its bytes": lambda s: repr(s.encode()),
    "accents apart": lambda s: unicodedata.normalize("NFD", s),
    "read as Latin-1": lambda s: s.encode().decode("latin-1"),
    "read as Windows-1252": lambda s: s.encode().decode("cp1252", "replace"),
    "quoted for base64": lambda s: base64.b64encode(f"id:{quote(s, safe='')}".encode()).decode(),
    "quote_plus for base64": lambda s: base64.b64encode(f"id:{quote_plus(s)}".encode()).decode(),
    "Python's escapes": lambda s: s.encode("unicode_escape").decode(),
    "ASCII by Python": ascii,
    "broken over lines": lambda s: "\r\n ".join(s[i : i + 3] for i in range(0, len(s), 3)),
    "broken and escaped": lambda s: json.dumps(
        "\n".join(s[i : i + 3] for i in range(0, len(s), 3))
    ),
    "with invisible characters": "\u200b".join,
    "after what begins an escape": lambda s: f"\\{s}",
    "after what begins a quote": lambda s: f"%{s}",
    "base64 in lines": lambda s: base64.encodebytes(f"id:{s}".encode() * 3).decode(),
}
IN_BASE64 = [(before, code) for before in ("", "c", "ci", "cid:", "id:") for code in ("std", "url")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "secret",
    [
        *(SECRET, "s3cret-of-it", "abc123code", "a-_.~b" * 50, "naïve 秘密 🔑 key"),
        *("pässwörd-ñçß-77", "парольсекрет", "k&lt7Hq9Wz&copy;z"),
        # With letters that would be escapes after a backslash.
        *(rf"Ab\{letter}9Kd2xyz" for letter in "nrtbfv0"),
        *(r"q8\u00e9Zkw\x41PP1", r"cc:\new\table\0007"),
    ],
)
def test_secret_is_hidden_in_each_form(form: str, secret: str) -> None:
    """In whatever way a secret is written, nothing of it is left."""
    text = Redactor(secret, "other secret").text(f"before {FORMS[form](secret)} after")
    assert text is not None
    assert text.startswith("before ")
    assert "***" in text
    for part in (secret, FORMS[form](secret)):
        assert part[:12].lower() not in text.lower()


@pytest.mark.parametrize("secret", ["!$%&/()=?#+*~", "a$%!b/()=c?#+*~", '"<a>\\{}\\"&'])
@pytest.mark.parametrize(
    "form", ["as it is", "quote all", "quote_plus", "HTML", "HTML without quotes", "JSON", "repr"]
)
def test_secret_of_signs_is_hidden(form: str, secret: str) -> None:
    """One with hardly a letter or digit in it is looked for as a whole."""
    assert "***" in (Redactor(secret).text(f"before {FORMS[form](secret)} after") or "")


@pytest.mark.parametrize(("before", "code"), IN_BASE64)
@pytest.mark.parametrize("after", ["", "&", "!!"])
@pytest.mark.parametrize("secret", [SECRET, "s3cret", "rt-ann-0"])
def test_secret_is_hidden_in_base64(before: str, code: str, after: str, secret: str) -> None:
    """A Basic header that is echoed shows no secret, whatever stands before and after it."""
    encode = base64.b64encode if code == "std" else base64.urlsafe_b64encode
    encoded = encode(f"{before}{secret}{after}".encode()).decode()
    for text in (encoded, encoded.rstrip("=")):
        shown = Redactor(secret).text(f"Basic {text}.") or ""
        assert "***" in shown
        assert text not in shown
        kept = shown.removeprefix("Basic ").partition("***")[0]
        assert len(kept) <= len(encode(before.encode()))


@given(st.text(min_size=4, max_size=40).filter(lambda s: s.isprintable() and s == s.strip()))
def test_any_printable_secret_is_hidden(secret: str) -> None:
    """Whatever a secret is made of, it is hidden as it is, quoted and in JSON."""
    redactor = Redactor(secret)
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)):
        assert secret not in (redactor.text(f"<{form}>") or "").replace("***", "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_anything_becomes_a_short_line(value: Any) -> None:
    """Any value becomes printable text of bounded length, or nothing."""
    text = Redactor("secret").text(value)
    assert text is None or (0 < len(text) <= MAX_TEXT and text.isprintable())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", None),
        ("  ", None),
        ("a\r\nWARNING b", "a WARNING b"),
        ("a\x1b[31m\x00b\u202ec\u200bd\ud800\u2028e", "a [31m bcd e"),
        (["bad", "worse"], "bad, worse"),
        ({"message": "no", "code": 100}, "no"),
        ({"a": 1, "b": [True]}, "a: 1, b: True"),
        (7, "7"),
        ([10**5_000], "a very long int"),
        (b"caf\xc3\xa9", "café"),
        ("x" * 50_000, "x" * 297 + "..."),
    ],
)
def test_what_is_told(value: Any, text: str | None) -> None:
    """Lists tell their items, objects their message, and control characters are gone."""
    assert Redactor().text(value) == text


def test_secret_is_hidden_before_the_text_is_cut() -> None:
    """No part of a secret is left where a text is cut, nor where something was taken out of it."""
    redactor = Redactor("s3cret-value", "short", "abc")
    assert redactor.text("x" * 292 + "s3cret-value") == "x" * 292 + "***"
    assert redactor.text("s3cret\u200b-value") == "***"
    assert redactor.text("s3cret-\x00value") == "***"
    assert redactor.text("abc") == "abc"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    """A secret that is the beginning of another leaves nothing of that one."""
    assert Redactor("at-1", "at-1-and-more").text("at-1-and-more at-1") == "*** ***"


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://docs.example/errors?code=1#a", True),
        ("http://docs.example", True),
        ("HTTPS://docs.example", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        ("/errors", False),
        ("https:///errors", False),
        ("https:\\\\evil.example", False),
        ("https://user:pass@docs.example", False),
        ("https://docs.example/\nX", False),
        ("https://docs.example/ü", False),
        ('https://docs.example/"><script>', False),
        ("https://docs.example/s3cret", False),
        ("https://docs.example/" + "a" * 300, False),
        ("https://[", False),
        (7, False),
        (None, False),
        (["https://docs.example"], False),
    ],
)
def test_addresses(url: Any, is_shown: bool) -> None:
    """Of addresses only those of web pages are shown, and none with a secret in it."""
    assert Redactor("s3cret").url(url) == (url if is_shown else None)


def test_it_shows_no_secret_itself() -> None:
    """Its repr tells how many secrets it knows."""
    assert repr(Redactor("s3cret", None, b"bytes", 7)) == "<Redactor of 2 secrets>"


SLACK = {"ok": True, "authed_user": {"id": "U123", "access_token": "xoxp-nested", "scope": "chat"}}


@pytest.mark.parametrize(
    ("known", "told", "shown"),
    [
        ({"client_secret": "s3cret", "token_type": "Bearer", "scope": "mail"}, None, "***"),
        ({"client_secret": "s3cret", "token_type": "Bearer"}, "Bearer s3cret", "Bearer ***"),
        (SLACK, "xoxp-nested of U123 may chat", "*** of U123 may chat"),
        ([{"keys": ["first-key", "other-key"]}], "first-key, other-key", "***, ***"),
        ({"code": "invalid_grant", "state": "bad_state"}, "invalid_grant", "invalid_grant"),
        (b"s3cret-of-bytes", "s3cret-of-bytes", "***"),
        (HTTPBasicAuth("user", "pass-word"), "user pass-word", "user ***"),
        (HTTPBasicAuth(b"user", "p\u00e4ss".encode()), "user p\u00e4ss", "user ***"),
    ],
)
def test_what_is_known_of_a_value(known: Any, told: str | None, shown: str) -> None:
    """Of fields the secrets are known by their names, and of an authentication its password."""
    assert Redactor(known).text(told or "s3cret") == shown


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "https://p.example/?code=c0de-of-it", data={"state": "the-state"}),
        Request("POST", "https://p.example", json={"code_verifier": "the-verifier"}),
        Request("POST", "https://p.example", auth=("id", "pass+word/1")),
        Request("POST", "https://p.example", headers={"X-Own": "own-header"}),
        Request(
            "POST", "https://p.example", headers={"Authorization": 'OAuth a_signature="s%2Figned"'}
        ),
    ],
)
def test_what_is_known_of_a_request(request_: Request) -> None:
    """All that it was sent with may come back: in its URL, its body, its headers."""
    redactor = Redactor(request_.prepare())
    shown = redactor.text("c0de-of-it the-state the-verifier pass+word/1 own-header s/igned") or ""
    assert shown.count("***") == (2 if request_.data else 1)


@pytest.mark.parametrize(
    "unit", ["%25", "%2525", "%252", "\\", "&#0", "&amp;", "a", "a b", "\u200b", "é"]
)
@pytest.mark.parametrize(
    "secret",
    [
        "%25%25%25%25%25%25",
        "\\\\\\\\\\x",
        "&&&&&",
        SECRET,
        "a" * 127 + "b",
        "a" * 250_000,
        "xY1" * 21_000,
    ],
    ids=lambda secret: secret[:10],
)
def test_hostile_text_takes_no_time(secret: str, unit: str) -> None:
    """A text of a megabyte that is made to be searched slowly is not, nor is a huge secret."""
    text = unit * (1_000_000 // len(unit))
    began = time.process_time()
    Redactor(secret, {"tokens": [f"{secret}{each}" for each in range(20)]}).text(text)
    assert time.process_time() - began < 1


def test_what_is_cut_off_shows_no_part_of_a_secret() -> None:
    """Only the beginning of a text is searched; at its end may be a part of a secret."""
    for length in (20, 266, 300, 2_000, 30_000):
        secret = "".join(chr(97 + each * each % 23) for each in range(length))
        shown = Redactor(secret).text(" ".join([secret] * (60_000 // length))) or ""
        assert not set(shown) - set("* .")


def test_secrets_that_begin_alike() -> None:
    """As those of JSON Web Tokens do: each is hidden to its end, and many of them take no time."""
    begin = base64.b64encode(b'{"alg":"RS256","typ":"JWT","kid":"123456"}').decode()
    secrets = [f"{begin}{first}{'-x' * 30}{last}" for first in "abcdefgh" for last in range(60)]
    redactor = Redactor({"tokens": secrets})
    assert redactor.text(f"{secrets[7]} {secrets[99]}, {begin[:-2]}zz") == "*** ***, ***zz"
    began = time.process_time()
    for _ in range(12):
        assert not set(redactor.text(begin * 350) or "") - set("*.")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("length", [64, 512, 1024])
def test_many_secrets_take_no_time(length: int) -> None:
    """An answer full of secrets is known by as many as can be searched for, the client's first."""
    secrets = [f"{each:05}" + "%41&a;" * (length // 6) for each in range(250_000 // length)]
    redactor = Redactor("of the client")
    began = time.process_time()
    for _ in range(4):
        known = redactor.knowing({"tokens": secrets})
        assert known.text(f"{secrets[0]} of the client {secrets[5]}") == "*** *** ***"
    assert time.process_time() - began < 4
