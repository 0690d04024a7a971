"""A provider that rotates refresh tokens, counts what it is asked, and can be held up or fail.

A refresh token works once. Whoever uses a spent one ends the grant.

Source: RFC 9700 section 4.14.2.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

HOST = "127.0.0.1"


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Grant:
    """What one user has allowed: the tokens of today, and how often they were refreshed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = 0
        self.has_ended = False
        self.withdrawn: set[str] = set()

    @property
    def access_token(self) -> str:
        """The access token that works."""
        return f"at-{self.name}-{self.generation}"

    @property
    def refresh_token(self) -> str:
        """The refresh token that works."""
        return f"rt-{self.name}-{self.generation}"


class RotatingProvider:
    """The provider, answering from its construction until it is stopped.

    Attributes:
        refreshes: How many refresh tokens were exchanged.
        spent: How many were used again.
        connections: How many connections were accepted.
        asked: The requests, in order.
        lifetime: How many seconds an access token is said to live.
        gate: Closed, the token endpoint answers nobody who comes to it until it is opened.
        at_the_gate: Is set when somebody asks the token endpoint.
        failing: The HTTP status and body with which the token endpoint answers, if any.
        odd: The HTTP status, content type and bytes with which every endpoint but the API answers
            whatever it is asked, if any. In it, ``{asked}`` is replaced by the request's body,
            ``{plain}`` by the body without escapes, and ``{header}`` by how the client says who
            it is.
        revoked: The forms that came to the revocation endpoint, in order. A refresh token that
            works ends its grant there, an access token only itself, and a spent one nothing.
        keeps_old: Whether access tokens of before a refresh still work.
        before_answer: Is called when a new token has been issued for a refresh token, and before
            the answer is sent.
        when_asked: Is called when a refresh token has come, before it is looked at.
        when_called: Is called with each request to the API, before it is answered.
        authorizes: What the authorization endpoint, which asks no visitor anything, sends them back
            with besides the state.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self.grants: dict[str, Grant] = {}
        self.refreshes = self.spent = self.connections = 0
        self.asked: list[Asked] = []
        self.lifetime: int | None = 3600
        self.extra: dict[str, Any] = {}
        self._is_over = False
        self.gate = threading.Event()
        self.gate.set()
        self.at_the_gate = threading.Event()
        self.failing: tuple[int, Any] | None = None
        self.odd: tuple[int, str, bytes] | None = None
        self.revoked: list[dict[str, str]] = []
        self.before_answer: Callable[[], object] = lambda: None
        self.when_asked: Callable[[], object] = lambda: None
        self.when_called: Callable[[Asked], object] = lambda asked: None
        self.keeps_old = False
        self.authorizes = {"code": "CODE123"}
        self._codes: dict[str, dict[str, Any]] = {}
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = _Server((HOST, 0), handler)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{HOST}:{self._server.server_port}"

    def grant(self, name: str = "ann", expires_at: float = 1.0) -> dict[str, Any]:
        """Make a grant and return its first token, which has ended long ago unless told else."""
        with self._mutex:
            self.grants[name] = grant = Grant(name)
        return {
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "expires_at": expires_at,
        }

    def approve(
        self, name: str = "new", code: str = "CODE123", *, refresh_token: bool = True, **more: Any
    ) -> dict[str, Any]:
        """Make a grant whose first token is issued for a code, and return the answer.

        Args:
            name: The grant's name.
            code: The authorization code.
            refresh_token: Whether the answer has the refresh token.
            **more: Further fields of the answer.
        """
        token = self.grant(name)
        del token["expires_at"]
        if not refresh_token:
            del token["refresh_token"]
        self._codes[code] = {**token, **more}
        return self._codes[code]

    def withdraw(self, name: str = "ann") -> None:
        """Let the access token of today work no more, though its refresh token does."""
        with self._mutex:
            grant = self.grants[name]
            grant.withdrawn.add(grant.access_token)

    def live(self, name: str = "ann") -> bool:
        """Whether the refresh token of a grant works: a new token could be had for it."""
        with self._mutex:
            return not self.grants[name].has_ended

    def count_connection(self) -> None:
        """Count a connection."""
        with self._mutex:
            self.connections += 1

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Return the HTTP status and the body of the answer to a request."""
        self.asked.append(asked)
        path, fields = urlsplit(asked.path).path, parse_qs(asked.body.decode("latin1"))
        form = {name: values[0] for name, values in fields.items()}
        if path == "/authorize":
            return 302, self.authorize(asked.path)
        if self.odd is not None and path in ("/token", "/revoke", "/request", "/access"):
            self.revoked += [form] if path == "/revoke" else []
            return self.odd[0], self._echo(self.odd[2], asked)
        if path == "/token":
            return self.exchange(form)
        if path == "/revoke":
            self.revoked.append(form)
            return self.failing or self.revoke(form.get("token", ""))
        self.when_called(asked)
        if path != "/closed" and self.works(asked.headers.get("Authorization")):
            return 200, {"cookie": asked.headers.get("Cookie")}
        return 401, {"error": "invalid_token"}

    def authorize(self, url: str) -> str:
        """Return where a visitor is sent back to from the authorization endpoint."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        answer = urlencode({**self.authorizes, "state": query["state"]})
        return f"{query['redirect_uri']}?{answer}"

    def _echo(self, text: bytes, asked: Asked) -> bytes:
        plain = json.dumps(unquote_plus(asked.body.decode("latin1")))[1:-1].encode()
        header = asked.headers.get("Authorization", "").replace('"', "'").encode("latin1")
        text = text.replace(b"{asked}", asked.body).replace(b"{plain}", plain)
        return text.replace(b"{header}", header)

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """Answer a token request."""
        if form.get("grant_type") == "authorization_code":
            answer = self._codes.get(form.get("code", ""))
            return (400, {"error": "invalid_grant"}) if answer is None else (200, answer)
        self.when_asked()
        gate = self.gate
        self.at_the_gate.set()
        gate.wait(120)
        if self._is_over:
            return 503, "too late"
        if self.failing is not None:
            return self.failing
        token = form.get("refresh_token", "")
        with self._mutex:
            grant = self.grants.get(token.split("-")[1]) if token.startswith("rt-") else None
            if grant is None or grant.has_ended:
                return 400, {"error": "invalid_grant"}
            if token != grant.refresh_token:
                self.spent += 1
                grant.has_ended = True
                return 400, {"error": "invalid_grant"}
            self.refreshes += 1
            grant.generation += 1
            answer = {
                "access_token": grant.access_token,
                "refresh_token": grant.refresh_token,
                "token_type": "Bearer",
                **({} if self.lifetime is None else {"expires_in": self.lifetime}),
                **self.extra,
            }
        self.before_answer()
        return 200, answer

    def revoke(self, token: str) -> tuple[int, Any]:
        """End the grant of a refresh token, or an access token; of others nothing is known."""
        with self._mutex:
            for grant in self.grants.values():
                if token == grant.refresh_token:
                    grant.has_ended = True
                elif token == grant.access_token:
                    grant.withdrawn.add(token)
        return 200, {}

    def works(self, authorization: str | None) -> bool:
        """Whether an access token is one that works."""
        token = (authorization or "").removeprefix("Bearer ")
        with self._mutex:
            for grant in self.grants.values():
                issued = grant.generation + 1
                known = [f"at-{grant.name}-{number}" for number in range(issued)]
                working = known if self.keeps_old else known[-1:]
                if token in working and token not in grant.withdrawn and not grant.has_ended:
                    return True
        return False

    def calls(self, path: str) -> list[Asked]:
        """Return the requests to a path."""
        return [each for each in self.asked if urlsplit(each.path).path == path]

    def headers(self, status: int) -> dict[str, str]:
        """Return further headers of an answer with a status."""
        return {}

    def _serve(self) -> None:
        while not self._is_over:
            self._server.handle_request()

    def stop(self) -> None:
        """Stop answering."""
        self._is_over = True
        self.gate.set()
        # It waits for the next connection, and looks then whether it is over.
        with socket.create_connection((HOST, self._server.server_port)):
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Write nothing: a client may leave an answer that is too large for it."""

    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        # Connections that are kept alive would hold their threads.
        for each in list(self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    provider: RotatingProvider
    protocol_version = "HTTP/1.1"
    # Headers and body go out by two writes, and the second must not wait for the first.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.provider.count_connection()
        super().setup()

    def log_message(self, *args: Any) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self) -> None:
        body = self._body()
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        status, answer = self.provider.answer(asked)
        text = answer if isinstance(answer, bytes | str) else json.dumps(answer)
        text = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        odd = self.provider.odd
        self.send_header("Content-Type", "application/json" if odd is None else odd[1])
        self.send_header("Content-Length", str(len(text)))
        for name, value in self.provider.headers(status).items():
            self.send_header(name, value)
        if status == 302:
            self.send_header("Location", answer)
        if self.path == "/cookie":
            name = asked.headers.get("Authorization", "").removeprefix("Bearer ")
            self.send_header("Set-Cookie", f"visitor={name}; Path=/")
        self.end_headers()
        self.wfile.write(text)
