"""An answer of a token endpoint ends, whatever the server does; API calls fail as requests do."""

from __future__ import annotations

import io
import logging
import re
import socket
import threading
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from oauthlib.oauth1 import SIGNATURE_HMAC, SIGNATURE_PLAINTEXT, SIGNATURE_TYPE_QUERY
from oauthlib.oauth2 import WebApplicationClient
from urllib3 import HTTPResponse
from urllib3 import Timeout as UrllibTimeout

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, limits
from flask_dance_nosql.consumer.backend import MemoryBackend
from flask_dance_nosql.consumer.limits import (
    MAX_ANSWER,
    MAX_SECONDS,
    AnswerTooLarge,
    AnswerTooSlow,
    read_bounded,
)
from flask_dance_nosql.errors import TokenRefreshError

from ..rotating import RotatingProvider
from .conftest import make_app, make_refreshing
from .raw_server import answering, sending

DEAD = {"access_token": "at-old", "refresh_token": "rt-old", "expires_at": 1.0}
NOWHERE = (
    b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


class Clock:
    """A clock on which time passes each time that somebody looks at it."""

    def __init__(self, seconds: float) -> None:
        self.looked_at = threading.Semaphore(0)
        self._times = count(0.0, seconds)

    def monotonic(self) -> float:
        """Return the time."""
        self.looked_at.release()
        return next(self._times)


def answer_of(parts: Iterator[bytes], **headers: str) -> requests.Response:
    """Return an answer whose body arrives in parts."""

    class Body(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return next(parts, b"")

    answer = requests.Response()
    answer.status_code = 200
    answer.raw = HTTPResponse(Body(), headers=headers, preload_content=False)
    return answer


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0])
def test_answer_in_many_parts(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Within the time, it does not matter in how many parts an answer arrives."""
    monkeypatch.setattr(limits, "time", Clock(seconds))
    answer = read_bounded(answer_of(iter([b"a", b"bc"] * 10)))
    assert answer.text == "abc" * 10
    assert answer.content == answer.text.encode()


def test_answer_of_an_adapter_of_the_application() -> None:
    """What is no answer of urllib3 is read as requests reads it."""
    answer = requests.Response()
    answer.raw = io.BytesIO(b"abc")
    assert read_bounded(answer).text == "abc"
    assert read_bounded(answer).text == "abc"


def test_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then holds a call for 30 seconds in all."""
    clock = Clock(1.0)
    monkeypatch.setattr(limits, "time", clock)
    given = count()
    with pytest.raises(AnswerTooSlow):
        read_bounded(answer_of(b" " for _ in given))
    assert next(given) == MAX_SECONDS


def test_answer_that_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read further than any token can be."""
    with pytest.raises(AnswerTooLarge):
        read_bounded(answer_of(b" " * 4096 for _ in count()))
    assert len(read_bounded(answer_of(iter([b" " * MAX_ANSWER]))).content) == MAX_ANSWER


def test_refresh_at_a_server_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails, and holds neither the worker nor the lease of the token."""
    clock, is_over = Clock(10.0), threading.Event()
    monkeypatch.setattr(limits, "time", clock)

    def drip(connection: socket.socket, asked: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
        while clock.looked_at.acquire(timeout=20) and not is_over.is_set():
            connection.sendall(b" ")

    with answering(drip) as url:
        blueprint = make_refreshing(SimpleNamespace(url=url), MemoryBackend(DEAD))
        with (
            make_app(blueprint).test_request_context(),
            pytest.raises(TokenRefreshError, match="AnswerTooSlow"),
        ):
            blueprint.session.get("api")
        is_over.set()
        clock.looked_at.release()


GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
GZIP_WITH_NAME = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
ENDLESS = {
    "headers": (b"X-A: ", b"a"),
    "many headers": (b"", b"X-A: a\r\n"),
    "body": (b"\r\n", b" "),
    "line of a chunk": (b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "size of a chunk": (b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailer": (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "empty blocks": (b"Content-Encoding: gzip\r\n\r\n" + GZIP, b"\0\0\0\xff\xff"),
    "name in gzip": (b"Content-Encoding: gzip\r\n\r\n" + GZIP_WITH_NAME, b"n"),
    "100 Continue": (None, b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("is_own", [False, True], ids=["", "adapter of the application"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_answer_that_never_ends(monkeypatch: pytest.MonkeyPatch, kind: str, is_own: bool) -> None:
    """Wherever a server lets an answer trickle, the call ends with the time of the whole call."""
    clock, is_over = Clock(3.0), threading.Event()
    monkeypatch.setattr(limits, "time", clock)
    head, piece = ENDLESS[kind]

    def drip(connection: socket.socket, asked: bytes) -> None:
        if head is not None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        while clock.looked_at.acquire(timeout=5) and not is_over.is_set():
            connection.sendall(piece)

    with answering(drip) as url:
        blueprint = make_refreshing(
            SimpleNamespace(url=url),
            MemoryBackend(DEAD),
            adapter=requests.adapters.HTTPAdapter if is_own else None,
        )
        with (
            make_app(blueprint).test_request_context(),
            pytest.raises(TokenRefreshError, match="AnswerTooSlow"),
        ):
            blueprint.session.get("api")
        is_over.set()
        clock.looked_at.release()


def test_revocation_at_a_server_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both calls of a revocation share one time: the second one is not begun when it is over."""
    clock, asked = Clock(3.0), []

    def drip(connection: socket.socket, request: bytes) -> None:
        asked.append(request)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while clock.looked_at.acquire(timeout=5):
            connection.sendall(b" ")

    token = {"access_token": "at", "refresh_token": "rt"}
    monkeypatch.setattr(limits, "time", clock)
    with answering(drip, drip) as url:
        blueprint = make_refreshing(
            SimpleNamespace(url=url), MemoryBackend(token), revocation_url=f"{url}/revoke"
        )
        with make_app(blueprint).test_request_context():
            assert not blueprint.revoke()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("timeout", "whole", "parts"),
    [
        (None, 30.0, (30.0, 30.0)),
        ((5.0, 30.0), 30.0, (5.0, 30.0)),
        (3, 30.0, 3),
        ((5, 90), 90.0, (5, 90)),
        ((5.0, None), 30.0, (5.0, 30.0)),
    ],
)
def test_time_limit(
    monkeypatch: pytest.MonkeyPatch, timeout: Any, whole: float, parts: Any
) -> None:
    """A whole call has 30 seconds, or its timeout if that is longer; an inner call what is left."""
    clock = SimpleNamespace(monotonic=lambda: now[-1])
    now = [1000.0]
    monkeypatch.setattr(limits, "time", clock)
    with limits.time_limit(timeout) as first:
        assert first == parts
        now.append(1000.0 + whole - 2.0)
        with limits.time_limit(timeout) as second:
            assert second == (2.0, 2.0)
        now.append(1000.0 + whole)
        with pytest.raises(AnswerTooSlow), limits.time_limit(timeout):
            pass


def test_timeout_of_urllib3() -> None:
    """It is for each wait, as requests takes it, and the whole call ends with the usual time."""
    timeout: Any = UrllibTimeout(connect=1.0, read=2.0)
    with limits.time_limit(timeout) as left:
        assert left is timeout


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 abc\r\n\r\n",
        b"",
        NOWHERE,
    ],
)
def test_answer_that_is_none(answer: bytes) -> None:
    """What is no HTTP is a failed refresh."""
    with answering(sending(answer)) as url:
        blueprint = make_refreshing(SimpleNamespace(url=url), MemoryBackend(DEAD))
        with make_app(blueprint).test_request_context(), pytest.raises(TokenRefreshError):
            blueprint.session.get("api")


def test_answer_in_chunks_and_packed() -> None:
    """Chunks and compression are read as requests reads them."""
    import gzip

    body = gzip.compress(b'{"access_token": "at-new", "refresh_token": "rt-new"}')
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
    with answering(sending(head + chunks + b"0\r\n\r\n")) as url:
        blueprint = make_refreshing(SimpleNamespace(url=url), MemoryBackend(DEAD))
        with make_app(blueprint).test_request_context():
            blueprint.session.keep_fresh()
            assert blueprint.token["refresh_token"] == "rt-new"


def test_redirect_of_an_api_that_leads_nowhere() -> None:
    """A Location that is no text is not followed: the answer is given as it came."""
    with answering(sending(NOWHERE)) as url:
        blueprint = make_refreshing(SimpleNamespace(url=url), MemoryBackend({"access_token": "at"}))
        with make_app(blueprint).test_request_context():
            assert blueprint.session.get("api").status_code == 302


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{token}/x",
        "http://{token}\u2100/",
        "http://[{token}]/",
        "http://{long}.invalid/",
        "http://.{token}/",
        "http://*{token}/",
        "http://{token}.invalid/",
        "http://127.0.0.1:1/{token}",
        "{token}://h/",
        "/{token}/x?{token}",
    ],
)
@pytest.mark.parametrize("status", [302, 307])
def test_redirect_of_an_api_to_what_has_the_token_in_it(
    caplog: pytest.LogCaptureFixture, location: str, status: int
) -> None:
    """Neither the error nor a record of urllib3 shows it, whatever is wrong with the address."""
    token = "the-access-token"
    caplog.set_level(logging.DEBUG)
    target = location.format(token=token, long=token * 5).encode()
    head = b"HTTP/1.1 %d Found\r\nContent-Length: 0\r\nConnection: close\r\n" % status
    answer = sending(head + b"Location: " + target + b"\r\n\r\n")
    with answering(*[answer] * 31) as url:
        blueprint = make_refreshing(
            SimpleNamespace(url=url), MemoryBackend({"access_token": token})
        )
        with (
            make_app(blueprint).test_request_context(),
            pytest.raises(requests.RequestException) as caught,
        ):
            blueprint.session.get("api")
    assert token not in f"{caught.value!r} {caught.value.args}".lower()
    assert caught.value.__context__ is None
    assert "urllib3" in " ".join(record.name for record in caplog.records)
    assert token not in caplog.text.lower()
    assert token not in repr([record.args for record in caplog.records]).lower()


@pytest.mark.parametrize("placement", ["query", "auth_header"])
def test_url_of_an_api_that_is_none(rotating: RotatingProvider, placement: str) -> None:
    """It is the error that requests has for it, without the token."""
    client = WebApplicationClient("id", default_token_placement=placement)
    token = {"access_token": "at-of-mine"}
    blueprint = make_refreshing(rotating, MemoryBackend(token), client=client)
    with (
        make_app(blueprint).test_request_context(),
        pytest.raises(requests.exceptions.InvalidURL) as caught,
    ):
        blueprint.session.get("http://127.0.0.1:99999/api")
    assert "99999/api" in str(caught.value)
    assert "at-of-mine" not in f"{caught.value!r} {caught.value.__context__!r}"


def test_bad_status_that_a_hook_raises(rotating: RotatingProvider) -> None:
    """An error of an API keeps its kind and its response where the token is in the URL."""
    client = WebApplicationClient("id", default_token_placement="query")
    blueprint = make_refreshing(rotating, MemoryBackend({"access_token": "at"}), client=client)
    with make_app(blueprint).test_request_context():
        session = blueprint.session
        session.hooks["response"].append(lambda answer, **kwargs: answer.raise_for_status())
        with pytest.raises(requests.HTTPError) as caught:
            session.get("api")
    assert caught.value.response.status_code == 401
    assert "401 Client Error" in str(caught.value)
    caught.value.response.close()


def of_oauth1(url: str, token: dict[str, Any], **options: Any) -> OAuth1ConsumerBlueprint:
    """Make an OAuth 1 blueprint with a token."""
    return OAuth1ConsumerBlueprint(
        "one",
        __name__,
        "key",
        "client-secret",
        base_url=f"{url}/",
        backend=MemoryBackend(token),
        **options,
    )


@pytest.mark.parametrize("signature", [SIGNATURE_HMAC, SIGNATURE_PLAINTEXT])
def test_signature_in_the_url_of_an_api_that_is_not_reached(
    closed_port: int, signature: str
) -> None:
    """With OAuth 1, too, the error shows neither token nor signature."""
    token = {"oauth_token": "the-token", "oauth_token_secret": "its-secret"}
    blueprint = of_oauth1(
        f"http://127.0.0.1:{closed_port}",
        token,
        signature_type=SIGNATURE_TYPE_QUERY,
        signature_method=signature,
    )
    with (
        make_app(blueprint).test_request_context(),
        pytest.raises(requests.ConnectionError) as caught,
    ):
        blueprint.session.get("api")
    text = str(caught.value)
    assert "oauth_token=***" in text
    # What is escaped at its ends, as each thirtieth signature begins, may stay.
    assert re.search(r"oauth_signature=(%\w\w)*\*\*\*(%\w\w)*[ &]", text)
    assert "its-secret" not in text
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["oauth_token", "oauth_token_secret"])
@pytest.mark.parametrize("value", ["\ud800", "a\nb", 5])
def test_stored_credential_that_can_not_sign(
    rotating: RotatingProvider, name: str, value: Any
) -> None:
    """A stored token of OAuth 1 that nobody can sign with is none."""
    token = {"oauth_token": "t", "oauth_token_secret": "s", name: value}
    blueprint = of_oauth1(rotating.url, token)
    with make_app(blueprint).test_request_context():
        assert not blueprint.session.authorized
        assert blueprint.session.get("api").status_code == 401
