"""Where the token of a call is, and where it does not go."""

from __future__ import annotations

from urllib.parse import unquote_plus, urlsplit

from requests import PreparedRequest, Response

from .backend.store.values import Token
from .redaction import Redactor
from .transport import TransportSession, as_text


class BearerSession(TransportSession):
    """A session of which a copy makes one call, with the token that was assigned to the copy."""

    _assigned: Token | None = None

    def is_signed_in_body(self, request: PreparedRequest) -> bool:
        """Whether a request has the token in its body, as some providers want it."""
        return self._of_token().finds(as_text(request.body))

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Leave the token out of a call that is redirected to another host, or to plain http."""
        super().rebuild_auth(prepared_request, response)
        headers = prepared_request.headers
        if self.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            token = self._of_token()
            for name in [n for n, value in headers.items() if token.finds(as_text(value))]:
                del headers[name]

    def _of_token(self) -> Redactor:
        return Redactor((self._assigned or {}).get("access_token"))


def is_refused(response: Response, token: Token, base_url: str | None) -> bool:
    """Whether an answer with status 401 is of the provider's API, to a call with this token."""
    sent = response.request
    if not token.get("access_token"):
        return False
    host = urlsplit(sent.url or "").netloc
    # Some providers have an API for each customer, of which the token tells.
    named = {str(each).partition("://")[2].partition("/")[0] for each in token.values()}
    if base_url and host not in (urlsplit(base_url).netloc, *named):
        return False
    texts = [as_text(part) for part in (*sent.headers.values(), sent.url, sent.body)]
    # In a URL and in a form it is escaped.
    return any(str(token["access_token"]) in f"{each} {unquote_plus(each)}" for each in texts)
