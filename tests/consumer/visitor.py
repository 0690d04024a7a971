"""A visitor's browser, which follows redirects, and keeps the cookies that browsers keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

MAX_REDIRECTS = 20
MAX_COOKIE = 4096
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass
class Trail:
    """Where a visit has led.

    Attributes:
        urls: The URLs that were asked for, in order.
        page: The answer that was no redirect, or the last one if there was no end.
    """

    urls: list[str]
    page: requests.Response

    @property
    def has_ended(self) -> bool:
        """Whether the browser has come to a page."""
        return self.page.status_code not in _REDIRECTS

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [urlsplit(url).path for url in self.urls]

    def redirects_after(self, path: str) -> int:
        """Return how many redirects followed the first visit of a path."""
        return len(self.paths) - 1 - self.paths.index(path)


class Visitor:
    """A browser.

    Args:
        has_cookies: Whether it keeps any cookie.
    """

    def __init__(self, *, has_cookies: bool = True) -> None:
        self._has_cookies = has_cookies
        self.cookies: dict[str, str] = {}

    def visit(self, url: str, *, headers: dict[str, str] | None = None) -> Trail:
        """Open a URL and follow redirects to a page, or to as many as a browser bears."""
        urls = [url]
        answer = self._ask("GET", url, headers=headers)
        while answer.status_code in _REDIRECTS and len(urls) <= MAX_REDIRECTS:
            urls.append(urljoin(urls[-1], answer.headers["Location"]))
            answer = self._ask("GET", urls[-1], headers=headers)
        return Trail(urls, answer)

    def post_from_elsewhere(self, url: str, form: dict[str, str]) -> Trail:
        """Post a form of another site, to which no Lax cookies are sent, and follow redirects."""
        answer = self._ask("POST", url, data=form, cookies={})
        if answer.status_code not in _REDIRECTS:
            return Trail([url], answer)
        trail = self.visit(urljoin(url, answer.headers["Location"]))
        return Trail([url, *trail.urls], trail.page)

    def _ask(self, method: str, url: str, **arguments: Any) -> requests.Response:
        arguments.setdefault("cookies", self.cookies)
        answer = requests.request(method, url, allow_redirects=False, timeout=30, **arguments)
        for header in answer.raw.headers.getlist("Set-Cookie") if self._has_cookies else ():
            pair = header.partition(";")[0]
            name, _, value = pair.partition("=")
            if not value:
                self.cookies.pop(name, None)
            elif len(header) <= MAX_COOKIE:
                self.cookies[name] = value
        return answer
