"""A person's way through the demo, in a real browser.

With UPDATE_SCREENSHOT=1 the README's picture, ``docs/_static/demo.png``, is taken anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.demo_process import ROOT, running_demo

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
    context = browser.new_context(viewport={"width": 1200, "height": 800}, device_scale_factor=2)
    context.set_default_timeout(15_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture(scope="module", params=["mongo", "redis"])
def app_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a running demo."""
    folder = tmp_path_factory.mktemp("demo")
    with running_demo(request.param, folder, TOKEN_SECONDS="12") as demo:
        yield demo.address("App")


def press(page: Page, name: str) -> None:
    """Press the button of this name."""
    page.get_by_role("button", name=name).click()


def follow(page: Page, name: str) -> None:
    """Follow the link of this name."""
    page.get_by_role("link", name=name, exact=True).click()


def test_connect_call_disconnect(page: Page, app_url: str) -> None:
    """A person signs in, connects, sees the stored record, calls the API and disconnects."""
    page.goto(app_url)
    press(page, "Ada")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")
    follow(page, "Connect")
    expect(page.get_by_role("heading")).to_have_text("Sign in")
    press(page, "Alice Adams")
    expect(page.get_by_role("heading")).to_have_text("Demo App wants to")
    expect(page.get_by_role("listitem").first).to_have_text("See your name")
    press(page, "Allow")
    expect(page.get_by_role("status")).to_have_text("Connected. The token is stored.")
    expect(page.locator("#record pre")).to_contain_text('"user_id": "ada"')
    expect(page.locator("#expiry")).to_contain_text("more")
    follow(page, "Call the API")
    expect(page.locator("#answer pre")).to_contain_text('"email": "alice@example.com"')
    update_picture(page)
    press(page, "Disconnect")
    expect(page.get_by_role("status")).to_contain_text("Disconnected")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")


def test_refresh_is_seen(page: Page, app_url: str) -> None:
    """A person who watches sees the token near its end, and then the refresh of it."""
    page.goto(app_url)
    press(page, "Grace")
    follow(page, "Connect")
    press(page, "Bob Brown")
    press(page, "Allow")
    expect(page.locator("#status")).to_have_text("active")
    follow(page, "Watch a refresh")
    refreshed = page.get_by_text("The provider gave a new token for the old one.")
    expect(refreshed.first).to_be_visible(timeout=15_000)
    expect(page.locator("#status")).to_have_text("active")
    follow(page, "Stop watching")
    press(page, "Disconnect")
    expect(page.locator("#history")).to_contain_text("The token was removed.")


def test_deny(page: Page, app_url: str) -> None:
    """A person who changes their mind comes back unconnected, with a word about why."""
    page.goto(app_url)
    press(page, "Grace")
    follow(page, "Connect")
    press(page, "Bob Brown")
    press(page, "Deny")
    expect(page.get_by_role("status")).to_contain_text("Not connected (access_denied)")
    expect(page.locator("#connection")).to_contain_text("Not connected")
    expect(page.locator("#record")).to_contain_text("Nothing is stored here.")


def test_fits_a_phone(page: Page, app_url: str) -> None:
    """No page is wider than a small phone, on the way and at its end."""
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(app_url)
    for step in ("Linus", "Connect", "Bob Brown", "Allow", "Call the API"):
        assert not too_wide(page), f"before {step!r}"
        page.get_by_role("button", name=step).or_(page.get_by_role("link", name=step)).click()
        page.wait_for_load_state()
    expect(page.locator("#answer")).to_be_visible()
    assert not too_wide(page)
    press(page, "Disconnect")
    expect(page.get_by_role("status")).to_contain_text("Disconnected")


def too_wide(page: Page) -> bool:
    """Return whether a visitor would have to scroll sideways."""
    root = "document.documentElement"
    return bool(page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))


def update_picture(page: Page) -> None:
    """Take the README's picture, if that is asked for and this is the page with MongoDB."""
    if os.environ.get("UPDATE_SCREENSHOT") and "MongoDB" in page.locator("h1").inner_text():
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)
