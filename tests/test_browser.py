"""A person's way through the demo, in a real browser, and whether everybody can go it.

With UPDATE_SCREENSHOT=1 the README's picture, ``docs/_static/demo.png``, is taken anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.demo_process import ROOT, DemoProcess, running_demo

PICTURE = ROOT / "docs" / "_static" / "demo.png"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Where an error is what a test wants to see.
NOWHERE = "nowhere"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window. It is missing on some machines, but never in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing = "there is no chromium on PATH"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new visitor's page, in which no script may fail and nothing be blocked or missing."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    page = context.new_page()
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if NOWHERE not in message.location["url"]:
            complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module", params=["mongo", "redis"])
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DemoProcess]:
    """A running demo."""
    with running_demo(request.param, tmp_path_factory.mktemp("demo")) as process:
        yield process


@pytest.fixture
def app_url(demo: DemoProcess) -> str:
    """The address of the app."""
    return demo.address("App")


def press(page: Page, name: str) -> None:
    """Press the button of this name."""
    page.get_by_role("button", name=name).click()


def follow(page: Page, name: str) -> None:
    """Follow the link of this name."""
    page.get_by_role("link", name=name, exact=True).click()


def test_connect_call_disconnect(page: Page, app_url: str) -> None:
    """A person signs in, connects, sees the stored record, calls the API and disconnects."""
    page.goto(app_url)
    press(page, "Grace")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")
    follow(page, "Connect")
    expect(page.get_by_role("heading")).to_have_text("Sign in")
    press(page, "Alice Adams")
    expect(page.get_by_role("heading")).to_have_text("Demo App wants to")
    expect(page.get_by_role("listitem").first).to_have_text("Recognise you")
    press(page, "Allow")
    expect(page.get_by_role("status")).to_have_text("Connected. The token is stored.")
    expect(page.locator("#record pre")).to_contain_text('"user_id": "grace"')
    expect(page.locator("#claims")).to_contain_text("alice@example.com")
    expect(page.locator("#expiry")).to_contain_text("more")
    follow(page, "Call the API")
    expect(page.locator("#answer pre")).to_contain_text('"email": "alice@example.com"')
    press(page, "Disconnect")
    expect(page.get_by_role("status")).to_contain_text("Disconnected")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")


def test_refresh_is_seen(page: Page, app_url: str) -> None:
    """A person ends the token by one click, and sees the refresh of it by another."""
    page.goto(app_url)
    press(page, "Ada")
    follow(page, "Connect")
    press(page, "Alice Adams")
    press(page, "Allow")
    expect(page.locator("#status")).to_have_text("active")
    press(page, "End this token now")
    expect(page.locator("#status")).to_have_text("expired")
    expect(page.locator("#expiry")).to_have_text("no longer")
    follow(page, "Watch a refresh")
    refreshed = page.get_by_text("The provider gave a new token for the old one.")
    expect(refreshed).to_be_visible()
    expect(page.locator("#status")).to_have_text("active")
    update_picture(page)
    press(page, "Disconnect")
    expect(page.locator("#history")).to_contain_text("The token was removed.")


def test_deny(page: Page, app_url: str) -> None:
    """A person who changes their mind comes back unconnected, and can change it again."""
    page.goto(app_url)
    press(page, "Linus")
    follow(page, "Connect")
    press(page, "Bob Brown")
    press(page, "Deny")
    expect(page.get_by_role("status")).to_contain_text("You said no at the provider.")
    expect(page.locator("#connection")).to_contain_text("Not connected")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")
    follow(page, "Try again")
    expect(page.get_by_role("heading")).to_have_text("Demo App wants to")


@pytest.mark.parametrize("demo", ["mongo"], indirect=True)
def test_everybody_can_use_every_page(page: Page, demo: DemoProcess) -> None:
    """Each page is for phones and desktops, light and dark, keyboards and screen readers."""
    app, provider = demo.address("App"), demo.address("Provider").rstrip("/")
    page.goto(app)
    check(page, "Who are you?")
    press(page, "Ada")
    check(page, "Nothing is stored here.")
    follow(page, "Connect")
    check(page, "to go on to")
    press(page, "Alice Adams")
    check(page, "wants to")
    press(page, "Deny")
    check(page, "You said no")
    follow(page, "Try again")
    press(page, "Deny")
    page.goto(f"{app}login/demo?{NOWHERE}")
    check(page, "the last time, too")
    follow(page, "Try again")
    press(page, "Allow")
    check(page, "Connected.")
    press(page, "End this token now")
    check(page, "no longer")
    follow(page, "Watch a refresh")
    check(page, "GET /userinfo")
    follow(page, "Rotate the keys")
    press(page, "Rotate the keys")
    check(page, "The keys were rotated.")
    follow(page, "Go to the app")
    press(page, "Log out at the provider, too")
    check(page, "Log out here, too?")
    press(page, "Log out")
    check(page, "logged out at the provider, too")
    for url, text in (
        (f"{app}{NOWHERE}", "There is no such page"),
        (f"{provider}/{NOWHERE}", "There is no such page"),
        (f"{provider}/authorize?client_id={NOWHERE}", "That did not work"),
    ):
        page.goto(url)
        check(page, text)


WRONG = """async () => {
  // In the dark, only colours are others.
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const rules = isDark ? {runOnly: ["color-contrast"]} : {};
  const found = await axe.run({resultTypes: ["violations"], ...rules});
  const wrong = found.violations.filter(rule => ["serious", "critical"].includes(rule.impact))
    .map(rule => [rule.id, ...rule.nodes.map(node => node.html)].join(" "));
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) wrong.push("It is wider than the screen.");
  for (const inner of document.querySelectorAll(".card *")) {
    const edge = inner.closest(".card").getBoundingClientRect().right;
    if (inner.getBoundingClientRect().right > edge) wrong.push("It is cut: " + inner.outerHTML);
  }
  return wrong;
}"""
FOCUS = "getComputedStyle(document.activeElement).outlineStyle"


def check(page: Page, text: str) -> None:
    """Check that this is the page with a text, and that nobody is kept from using it.

    That is: axe-core finds nothing serious, nothing has to be scrolled sideways or is cut, and the
    element that has the focus can be seen.
    """
    expect(page.locator("main")).to_contain_text(text)
    page.evaluate(AXE_SCRIPT)
    for width, height in ((390, 844), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(WRONG) == [], f"{text!r} at {width} px, {scheme}"
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement !== document.body"):
        assert page.evaluate(FOCUS) == "solid", text


def update_picture(page: Page) -> None:
    """Take the README's picture, if that is asked for."""
    if os.environ.get("UPDATE_SCREENSHOT"):
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)
