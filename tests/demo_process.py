"""The demo as a process of its own, and a visitor who uses it without a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import requests

from examples.demo.launch import SERVERS

ROOT = Path(__file__).parent.parent
START_SECONDS = 60
STOP_SECONDS = 30
# An application keeps its database clients until it ends, which Python reports as unclosed.
WARNINGS = ["-W", "error", "-W", "ignore::ResourceWarning"]


class DemoProcess:
    """``python -m examples.demo``, started in a session of its own, as a terminal does.

    Args:
        backend: The value of ``BACKEND``.
        folder: An empty folder; the demo's temporary files go into its folder ``tmp``.
        **environment: Further environment variables.

    Raises:
        ServerMissing: If the backend's server is not installed.
    """

    def __init__(self, backend: str, folder: Path, **environment: str) -> None:
        if backend in SERVERS:
            SERVERS[backend].program()
        self.backend = backend
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._log = folder / "output.txt"
        unset = {"PORT": "", "PROVIDER_PORT": "", "OAUTHLIB_INSECURE_TRANSPORT": ""}
        chosen = {"BACKEND": backend, "TMPDIR": str(self.temporary)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *WARNINGS, "-m", "examples.demo"],
                cwd=ROOT,
                env={**os.environ, **unset, **chosen, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """All that it has written so far."""
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        """Wait until it has said where to look."""
        deadline = time.monotonic() + START_SECONDS
        while "Ctrl-C" not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"not ready in time: {self.output}"
            time.sleep(0.02)

    def address(self, name: str) -> str:
        """Return what it printed as ``App``, ``Provider`` or ``Store``."""
        found = re.search(rf"^ *{name} +(.+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def stop(self, number: int) -> int:
        """Send a signal to it alone, and return its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        return self.process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextmanager
def running_demo(backend: str, folder: Path, **environment: str) -> Iterator[DemoProcess]:
    """Run the demo, ready for use, while the block runs."""
    demo = DemoProcess(backend, folder, **environment)
    try:
        demo.wait_until_ready()
        yield demo
    finally:
        demo.end()


@dataclass
class Form:
    """A form of a page, with the texts on its buttons."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class ShownPage(HTMLParser):
    """Finds forms, links and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._open: tuple[str, dict[str, str]] | None = None
        self._start = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert values["method"] == "post"
            self.forms.append(Form(values["action"]))
        elif tag == "input":
            self.forms[-1].fields[values["name"]] = values["value"]
        elif tag in {"a", "button"}:
            self._open, self._start = (tag, values), len(self.text)

    def handle_endtag(self, tag: str) -> None:
        if self._open is None or tag != self._open[0]:
            return
        values, label = self._open[1], " ".join(self.text[self._start :].split())
        if tag == "a":
            self.links[label] = values["href"]
        else:
            chosen = {values["name"]: values["value"]} if "name" in values else {}
            self.forms[-1].buttons.append((label, chosen))
        self._open = None

    def handle_data(self, data: str) -> None:
        self.text += data


class Visitor:
    """A person with cookies, who presses buttons and follows links by what is written on them.

    Args:
        url: The page to begin at.
    """

    def __init__(self, url: str) -> None:
        self._http = requests.Session()
        self.home = url
        self.open(url)

    @property
    def text(self) -> str:
        """What the current page says."""
        return self._page.text

    @property
    def cookies(self) -> requests.cookies.RequestsCookieJar:
        """The cookies of all ports, as browsers keep them."""
        return self._http.cookies

    def open(self, url: str) -> None:
        """Go to a page."""
        self._see(self._http.get(url, timeout=30))

    def follow(self, label: str) -> None:
        """Follow the link with this text."""
        self.open(urljoin(self.url, self._page.links[label]))

    def press(self, label: str) -> None:
        """Press the button that has this text in it."""
        form, chosen = next(
            (form, chosen)
            for form in self._page.forms
            for text, chosen in form.buttons
            if label in text
        )
        self.send(form.action, form.fields | chosen)

    def send(self, path: str, fields: dict[str, str]) -> None:
        """Post a form."""
        self._see(self._http.post(urljoin(self.url, path), data=fields, timeout=30))

    def offers(self, label: str) -> bool:
        """Return whether the page has a link or a button with this text."""
        buttons = [text for form in self._page.forms for text, _ in form.buttons]
        return label in [*self._page.links, *buttons]

    def connect(self, person: str, account: str, answer: str = "Allow") -> None:
        """Sign in as a person, and dance as an account of the provider."""
        self.press(person)
        self.follow("Connect")
        self.press(account)
        self.press(answer)

    def _see(self, response: requests.Response) -> None:
        self.url = response.url
        self.status = response.status_code
        self.html = response.text
        self._page = ShownPage(response.text)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
