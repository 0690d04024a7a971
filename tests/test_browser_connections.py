"""The page of connections of the demo, in a real browser, with a mouse and with the keyboard alone.

With UPDATE_SCREENSHOT=1 the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, Page, expect

from flask_dance_nosql.accounts import AccountProfile, with_profile

from .accounts.test_connections import Site
from .demo_process import ROOT, DemoProcess, running_demo
from .test_browser import SCHEMES, app_url, browser, check, follow, page, press

__all__ = ["app_url", "browser", "page"]
PICTURES = ROOT / "docs" / "_static"


@pytest.fixture(scope="module", params=["mongo", "redis", "sqla"])
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DemoProcess]:
    """A running demo."""
    with running_demo(request.param, tmp_path_factory.mktemp("demo")) as process:
        yield process


def sign_in(page: Page, url: str, person: str) -> None:
    """Sign in, and go to the page."""
    page.goto(url)
    press(page, person)
    page.goto(f"{url}connections/")


def connect(page: Page, link: str, account: str | None = None) -> None:
    """Connect an account; without one, the provider knows it already."""
    follow(page, link)
    if account is not None:
        press(page, account)
    press(page, "Allow")
    expect(page.get_by_role("heading", level=1)).to_have_text("Connections")


def test_two_providers_two_accounts_two_users(browser: Browser, page: Page, app_url: str) -> None:
    """Connect, see, use another, disconnect: each user their own, each account alone."""
    sign_in(page, app_url, "Ada")
    check(page, "Not connected.")
    connect(page, "Connect Demo Provider", "Alice Adams")
    connect(page, "Connect another account Demo Provider", "Bob Brown")
    connect(page, "Connect Demo Notes")
    provider, notes = (
        page.get_by_role("region", name=each) for each in ("Demo Provider", "Demo Notes")
    )
    expect(provider.get_by_role("heading", level=3)).to_have_text(
        ["Bob Brown In use", "Alice Adams"]
    )
    expect(notes.get_by_role("heading", level=3)).to_have_text(["Bob Brown"])
    expect(provider).to_contain_text("See your e-mail address")
    update_pictures(page)
    check(page, "Alice Adams")

    press(page, "Use this one Demo Provider, Alice Adams")
    expect(page.get_by_role("status")).to_contain_text("Alice Adams In use from now on.")
    expect(provider.get_by_role("heading", level=3)).to_have_text(
        ["Bob Brown", "Alice Adams In use"]
    )
    check(page, "from now on")
    page.goto(app_url)
    expect(page.locator("#claims")).to_contain_text("alice@example.com")

    with closing(browser.new_context()) as other:
        grace = other.new_page()
        sign_in(grace, app_url, "Grace")
        expect(grace.get_by_text("Not connected.")).to_have_count(2)
        connect(grace, "Connect Demo Notes", "Alice Adams")

        page.goto(f"{app_url}connections/")
        press(page, "Disconnect Demo Provider, Alice Adams")
        expect(page.get_by_role("status")).to_contain_text("ended at the provider")
        expect(provider.get_by_role("heading", level=3)).to_have_text(["Bob Brown"])
        page.get_by_text("Disconnect everything", exact=True).click()
        check(page, "This ends every connection")
        press(page, "Disconnect everything now")
        expect(page.get_by_text("Not connected.")).to_have_count(2)
        grace.reload()
        expect(grace.get_by_role("region", name="Demo Notes")).to_contain_text("Alice Adams")


def test_with_the_keyboard_alone(page: Page, app_url: str) -> None:
    """Each link and button is reached by the tabulator, and can be seen then."""
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, app_url, "Linus")
    tab_to(page, "Connect Demo Provider")
    page.keyboard.press("Enter")
    tab_to(page, "Alice Adams")
    page.keyboard.press("Enter")
    tab_to(page, "Allow")
    page.keyboard.press("Enter")
    tab_to(page, "Connect another account Demo Provider")
    page.keyboard.press("Enter")
    tab_to(page, "Bob Brown")
    page.keyboard.press("Enter")
    tab_to(page, "Allow")
    page.keyboard.press("Enter")
    tab_to(page, "Use this one Demo Provider, Alice Adams")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_contain_text("In use from now on.")
    tab_to(page, "Disconnect Demo Provider, Alice Adams")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Disconnected")
    tab_to(page, "Disconnect everything")
    page.keyboard.press("Enter")
    tab_to(page, "Disconnect everything now")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Not connected.")).to_have_count(2)


def test_long_texts_and_those_from_right_to_left(page: Page) -> None:
    """Labels of other languages leave room for what they label, and the page goes their way."""
    site = Site()
    texts = {"This site may": "Berechtigungen dieser Website", "Connections": "الاتصالات"}
    site.app.jinja_env.globals["gettext"] = lambda text: texts.get(text, text)
    site.connect("acme", "A", **with_profile({}, AccountProfile("acme", "A", "Ann (אבג)")))
    site.open()
    stylesheet = (ROOT / "flask_dance_nosql/accounts/static/connections.css").read_text()
    page.set_viewport_size({"width": 390, "height": 844})
    page.set_content(site.html.replace("<body", f"<style>{stylesheet}</style><body"))
    label, value = (page.locator(each).last.bounding_box() for each in ("dt", "dd"))
    assert label
    assert value
    assert value["width"] > 0.5 * label["width"]
    assert value["x"] < label["x"]
    name = page.locator("bdi").evaluate("it => getComputedStyle(it).unicodeBidi")
    assert name == "isolate"


FOCUSED = """() => {
  const it = document.activeElement;
  if (it === document.body) return null;
  return [it.textContent.trim().replace(/\\s+/g, " "), getComputedStyle(it).outlineStyle];
}"""


def tab_to(page: Page, name: str) -> None:
    """Go on with the tabulator until the element with a text has the focus."""
    expect(page.locator("a, button, summary").filter(has_text=name).first).to_be_visible()
    # Its style sheet may come later.
    page.wait_for_load_state()
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is None:
            continue
        text, outline = found
        assert outline == "solid", text
        if name in text:
            return
    raise AssertionError(f"{name!r} is not reached by the keyboard.")


def update_pictures(page: Page) -> None:
    """Take the pictures of the documentation, if that is asked for."""
    if not os.environ.get("UPDATE_SCREENSHOT"):
        return
    page.set_viewport_size({"width": 760, "height": 700})
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.locator(".connections").screenshot(path=PICTURES / f"connections-{scheme}.png")
