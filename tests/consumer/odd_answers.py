"""Odd answers of token and revocation endpoints, one line each, and what is right for them."""

from __future__ import annotations

import codecs
import json
from typing import Any, NamedTuple

JSON, FORM, HTML = "application/json", "application/x-www-form-urlencoded", "text/html"
GOOD = {"access_token": "at-new-0", "refresh_token": "rt-new-0", "token_type": "Bearer"}
DEEP = "[" * 100_000
DEEP_FIELD = "[" * 100_000 + "]" * 100_000


class Odd(NamedTuple):
    """An answer, and what is right: fields of the token (``None``: not there), or an error code."""

    name: str
    right: dict[str, Any] | str
    body: Any
    status: int = 200
    kind: str = JSON

    @property
    def sent(self) -> tuple[int, str, bytes]:
        """The status, the content type and the bytes."""
        body = self.body
        if not isinstance(body, bytes):
            body = (body if isinstance(body, str) else json.dumps(body)).encode()
        return self.status, self.kind, body

    @property
    def is_token(self) -> bool:
        """Whether it gives a token."""
        return isinstance(self.right, dict)


def plus(name: str, value: Any, right: Any = None, key: str | None = None) -> Odd:
    """Return a good answer with one odd field, and what becomes of the field."""
    field = key or name.split(maxsplit=1)[0]
    return Odd(name, {**GOOD, field: right}, {**GOOD, field: value})


def raw(name: str, more: str, **right: Any) -> Odd:
    """Return a good answer with more, as JSON text."""
    return Odd(name, {**GOOD, **right}, json.dumps(GOOD)[:-1] + f", {more}}}")


def lacks(access_token: Any) -> Odd:
    """Return an answer whose access token is none."""
    name = f"access_token is {access_token!r}"
    return Odd(name, "missing_token", {**GOOD, "access_token": access_token})


def described(description: Any) -> Odd:
    """Return an error with an odd description."""
    answer = {"error": "bad", "error_description": description}
    return Odd(f"description is {description!r}", "bad", answer, 400)


def issues(name: str, body: Any, secret: str | None = "s", kind: str = FORM) -> Odd:
    """Return an answer of OAuth 1 that gives credentials."""
    return Odd(name, {"oauth_token": "ot", "oauth_token_secret": secret}, body, 200, kind)


def denies(name: str, body: Any, status: int = 200) -> Odd:
    """Return an answer of OAuth 1 that gives none."""
    return Odd(name, "missing_token", body, status, FORM)


TOKENS = [
    # What says that there is no error.
    *(plus(f"error is {each!r}", each, key="error") for each in (None, "", False, 0, {}, [], " ")),
    *(
        plus(f"error is {each!r}", each, key="error")
        for each in (0.0, "0", "null", "None", "false")
    ),
    *(
        plus(f"error is {each!r}", each, key="error")
        for each in (
            "ok",
            "Success",
            {"code": 0, "message": "ok"},
            {"code": "0", "message": "Done"},
        )
    ),
    plus("error_description is null", None),
    # The end.
    plus("expires_in as text", "3600", 3600),
    plus("expires_in as text with a fraction", "3600.0", 3600),
    plus("expires_in with a fraction", 3600.5, 3600),
    *(plus(f"expires_in is {each!r}", each) for each in ("abc", "", "never", [], {}, True, None)),
    *(plus(f"expires_in is {each!r}", each) for each in (0, -1, "-1", "0", [3600], {"s": 1})),
    raw("expires_in is NaN", '"expires_in": NaN', expires_in=None),
    raw("expires_in is infinite", '"expires_in": Infinity', expires_in=None),
    raw("expires_in is huge", '"expires_in": 1' + "0" * 400, expires_in=None),
    raw("expires_in has too many digits", '"expires_in": 1' + "0" * 9_000, expires_in=None),
    raw("expires_in is 1e999", '"expires_in": 1e999', expires_in=None),
    plus("expires_at as text", "4102444800", 4102444800.0),
    plus("expires_at with a fraction", 4102444800.5, 4102444800.5),
    *(plus(f"expires_at is {each!r}", each) for each in ("abc", "", [], {}, False, 0, -1)),
    raw("expires_at is huge", '"expires_at": 1' + "0" * 400, expires_at=None),
    # Other optional fields.
    *(
        plus(f"refresh_token is {each!r}", each)
        for each in (None, "", 5.5, True, [], {"a": 1}, "r\nt", "é")
    ),
    plus("refresh_token is a number", 5, "5"),
    plus("refresh_token has a line break after it", "rt\n", "rt"),
    *(plus(f"scope is {each!r}", each) for each in (5, True, {}, [1], ["a", None], "")),
    plus("scope is a list", ["a", "b"], ["a", "b"]),
    *(plus(f"token_type is {each!r}", each) for each in (None, "", 5, [], {"a": 1})),
    plus("token_type is unknown", "bot", "bot"),
    *(plus(f"id_token is {each!r}", each) for each in (None, "", 5, [], {"a": 1})),
    raw("lone surrogate", '"note": "\\ud800"', note=None),
    raw("lone surrogate in a name", '"\\ud800": 1'),
    raw("lone surrogate in an object", '"note": {"a": ["\\ud800"]}', note=None),
    raw("lone surrogate in the scope", '"scope": "\\ud800"', scope=None),
    raw("NaN", '"note": [NaN]', note=None),
    raw("nested too deep", f'"note": {DEEP_FIELD}', note=None),
    raw("nested too deep to be stored", '"note": ' + "[" * 200 + "]" * 200, note=None),
    raw("nested, with brackets in texts", f'"a": "]\\"}}", "note": {DEEP_FIELD}, "b": "["', b="["),
    plus("further field", {"a": [1, None]}, {"a": [1, None]}, key="note"),
    # The form of the answer.
    Odd("byte order mark", GOOD, codecs.BOM_UTF8 + json.dumps(GOOD).encode()),
    Odd("UTF-16", GOOD, json.dumps(GOOD).encode("utf-16")),
    Odd("white space around", GOOD, b"\r\n " + json.dumps(GOOD).encode() + b"\n\n"),
    Odd("wrong charset", GOOD, GOOD, kind="application/json; charset=utf-16"),
    Odd("unknown charset", GOOD, GOOD, kind="application/json; charset=klingon"),
    Odd("charset that raises", GOOD, GOOD, kind="application/json; charset=idna"),
    Odd("charset that is none", GOOD, GOOD, kind='application/json; charset="\\0"'),
    Odd("not UTF-8", GOOD, json.dumps(GOOD).encode()[:-1] + b', "name": "Z\xfcrich"}'),
    Odd("JSON as HTML", GOOD, GOOD, kind=HTML),
    Odd(
        "form",
        {**GOOD, "expires_in": 60},
        "access_token=at-new-0&refresh_token=rt-new-0&token_type=Bearer&expires_in=60",
        kind=FORM,
    ),
    Odd(
        "form with empty fields",
        {**GOOD, "error": None, "expires_in": None},
        "access_token=at-new-0&refresh_token=rt-new-0&token_type=Bearer&expires_in=&error=",
    ),
    Odd(
        "form with many fields",
        GOOD,
        b"access_token=at-new-0&refresh_token=rt-new-0&token_type=Bearer" + b"&a=1" * 5_000,
        kind=FORM,
    ),
    Odd(
        "form as HTML",
        {**GOOD, "user[id]": "1"},
        "user[id]=1&access_token=at-new-0&refresh_token=rt-new-0&token_type=Bearer",
        kind=HTML,
    ),
    Odd("status 201", GOOD, GOOD, 201),
]
"""Answers that give a token."""

REFUSALS = [
    Odd("nothing", "missing_token", b""),
    Odd("no content", "missing_token", b"", 204),
    Odd("null", "missing_token", b"null"),
    Odd("list", "missing_token", [GOOD]),
    Odd("text", "missing_token", b'"text"'),
    Odd("text with = in it", "missing_token", b"Go to http://x.example/?a=b&error=c", kind=HTML),
    Odd("text with = in it, 403", "missing_token", b"Blocked, error=c", 403, "text/plain"),
    Odd("number", "missing_token", b"7"),
    Odd("huge number", "missing_token", b"1" * 9_000),
    Odd("NaN", "missing_token", b"NaN"),
    Odd("empty object", "missing_token", {}),
    Odd("half an object", "missing_token", b'{"access_token": "at-new-0"'),
    Odd("HTML", "missing_token", b"<html><a href='?access_token=x'>502</a></html>", 502, HTML),
    Odd("binary", "missing_token", bytes(range(256))),
    Odd("too large", "temporarily_unavailable", b" " * 2_000_000 + json.dumps(GOOD).encode()),
    Odd("deep", "missing_token", DEEP),
    Odd("deep objects", "missing_token", '{"a":' * 40_000),
    Odd("deep and complete", "missing_token", DEEP_FIELD),
    Odd("deep with quotes", "missing_token", DEEP + '"\\"' * 50_000),
    *map(lacks, (None, "", " ", 5, True, [], {"$ne": 1})),
    *map(lacks, ("a\nb", "a\r\nX: y", "a\0", "é", "\u202e")),
    raw("access_token is a lone surrogate", '"access_token": "\\ud800"')._replace(
        right="missing_token"
    ),
    Odd(
        "error is without success",
        "missing_token",
        {**GOOD, "error": {"code": False, "message": "no"}},
    ),
    Odd("error has no code", "missing_token", {**GOOD, "error": {"code": "", "message": "no"}}),
    Odd("error is a list", "bad, worse", {"error": ["bad", "worse"]}, 400),
    Odd("error is a number", "7", {"error": 7}, 400),
    Odd("error is true", "True", {"error": True}, 400),
    Odd("error is an object", "100", {"error": {"message": "no", "type": "T", "code": 100}}, 400),
    Odd("error is an object without a code", "T", {"error": {"message": "no", "type": "T"}}, 400),
    Odd("error is an empty object within", "missing_token", {"error": {"nested": {}}}, 400),
    Odd("error is deep", "missing_token", f'{{"error": {DEEP_FIELD}}}', 400),
    Odd("error beside a token", "some_error", {**GOOD, "error": "some_error"}),
    Odd("errors", "bad", {"errors": [{"errorType": "bad", "message": "no"}]}, 400),
    Odd("errors is an object", "bad", {"errors": {"code": "bad"}}, 400),
    Odd("errors is a text", "bad", {"errors": "bad"}, 400),
    Odd("message", "missing_token", {"status": 400, "message": "No"}, 400),
    Odd("error_code", "42", {"error_code": 42, "error_message": "No"}, 400),
    Odd("slack", "bad_thing", {"ok": False, "error": "bad_thing"}),
    *map(described, (["bad"], {"a": 1}, 7, True, "\ud800", [[[[[[1]]]]]])),
    Odd("description is deep", "bad", f'{{"error": "bad", "detail": {DEEP_FIELD}}}', 400),
    Odd("form with an error", "bad", b"error=bad&error_description=No", 400, FORM),
    Odd("too many fields", "missing_token", b"&".join([b"a=1"] * 5_000), 200, FORM),
]
"""Answers that give none."""

ODD_ANSWERS = [*TOKENS, *REFUSALS]

ECHO = "{asked} {plain} {header}"
ECHOES = [
    Odd(f"{name} echoes", "", body, status)
    for status in (200, 400, 401, 500)
    for name, body in {
        "error": {"error": ECHO},
        "description": {"error": "bad", "error_description": ECHO},
        "page": {"error": "bad", "error_uri": "https://docs.example/?{asked}"},
        "object": {"error": {"message": ECHO, "code": ECHO, "type": ECHO}},
        "list": {"error": [ECHO, {"message": ECHO}]},
        "nested": {"error": "bad", "error_description": {ECHO: [ECHO]}},
        "errors": {"errors": [{"message": ECHO, "code": ECHO}], "message": ECHO},
        "message": {"status": 400, "message": ECHO},
        "code": {"error_code": ECHO, "error_message": ECHO},
        "odd access token": {"access_token": "a\n" + ECHO, "error_description": ECHO},
        "error beside a token": {**GOOD, "error": f"{ECHO} at-new-0 rt-new-0"},
        "odd field": {**GOOD, "{plain} at-new-0": float("nan"), "scope": 5},
        "odd scope": {**GOOD, "scope": "{asked}"},
        "HTML": f"<html>{ECHO}</html>",
        "form": "error={asked}",
        "text": ECHO,
        "credentials": "oauth_problem={asked}{header}",
    }.items()
]
"""Answers that show what the provider was asked, in whatever field."""

TEXT = b"oauth_token=ot&oauth_token_secret=s"
CREDENTIALS = [
    issues("empty secret", b"oauth_token=ot&oauth_token_secret=", ""),
    issues("line end", TEXT + b"\r\n"),
    issues("byte order mark", codecs.BOM_UTF8 + TEXT),
    issues("wrong charset", TEXT, kind="text/plain; charset=idna"),
    issues("HTML", TEXT, kind=HTML),
    issues("JSON", {"oauth_token": "ot", "oauth_token_secret": "s", "n": [1]}),
    denies("no secret", "oauth_token=ot"),
    denies("no token", "oauth_token_secret=s"),
    denies("empty token", "oauth_token=&oauth_token_secret=s"),
    denies("null secret", {"oauth_token": "ot", "oauth_token_secret": None}),
    denies("number", {"oauth_token": 5, "oauth_token_secret": "s"}),
    denies("newline", "oauth_token=o%0At&oauth_token_secret=s"),
    denies("newline in the secret", "oauth_token=ot&oauth_token_secret=s%0A"),
    denies("good with status 500", TEXT, 500),
    denies("problem", "oauth_problem=token_rejected", 401),
]
"""Answers of OAuth 1's endpoints."""
