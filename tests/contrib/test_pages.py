"""The pages on providers: their code runs, from the link to the answer of the API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from .openid import signed
from .test_presets import OAUTH1
from .test_special import private_key

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import provider_pages  # noqa: E402 - it lies beside the documentation

PRESETS = provider_pages.presets()
OPENID = ("auth0", "authentik", "cognito", "keycloak", "okta")


def code_of(name: str) -> str:
    """Return the code of a page."""
    lines = provider_pages.page_of(name, PRESETS[name]).split(".. code-block:: python\n\n")[1]
    block = lines.partition("\nArguments\n")[0]
    return "\n".join(line.removeprefix("   ") for line in block.splitlines())


def app_of(name: str) -> Any:
    """Run the code of a page."""
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(compile(code_of(name), f"{name}.rst", "exec"), namespace)
    return namespace["app"], namespace["blueprint"]


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - OAUTH1.keys() - {"shopify"}))
def test_code_of_a_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor connects, and the API is called with the token: by what the page says alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "AuthKey.p8").write_text(private_key("p256"))
    app, blueprint = app_of(name)
    client = app.test_client()
    link = f"/login/{name}"
    assert link in client.get("/").text
    location = client.get(link).location
    assert location.startswith(blueprint.authorization_url)
    [state] = parse_qs(urlsplit(location).query)["state"]
    profile = PRESETS[name].profile
    with responses.RequestsMock(assert_all_requests_are_fired=False) as provider:
        more = signed(provider, blueprint, location)
        known = {each.url for each in provider.registered()} | {blueprint.token_url}
        answer = {"access_token": "t-1234", "token_type": "Bearer", **more}
        provider.post(blueprint.token_url, json=answer)
        provider.get(
            url := blueprint.session.resolve(
                blueprint.preset.filled(profile.url) if profile else "x"
            ),
            json={"a": 1},
        )
        provider.post(url, json={"a": 1})
        answer = client.get(f"{link}/authorized", query_string={"code": "c", "state": state})
        assert (answer.status_code, answer.location) == (302, "/")
        shown = client.get("/")
        assert shown.status_code == 200
        connected = {"subject": "ann"} if more else {"connected": True}
        assert shown.json in ({"a": 1}, connected)
        sent = [call.request for call in provider.calls if call.request.url not in known]
    for request in sent:
        assert "t-1234" not in request.url
        assert any("t-1234" in str(value) for value in request.headers.values())


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_what_a_page_says(name: str) -> None:
    """A page says where to register, which callback URL, and what becomes of tokens."""
    page = provider_pages.page_of(name, PRESETS[name])
    assert f"https://your-app.example/login/{name}/authorized" in page
    assert "What it does" in page
    assert all(f"``{option}``" in page for option in PRESETS[name].options())
    keys = PRESETS[name].config.values()
    assert all(f"``{key}``" in page for key in keys) or name == "apple"
    if name in OPENID:
        assert "Scopes by default: ``openid`` ``profile`` ``email``." in page


def test_index_lists_every_provider() -> None:
    """The table has a row for each, and each is in the sidebar."""
    page = provider_pages.index_page()
    for name, preset in PRESETS.items():
        assert f":doc:`{preset.display} <{name}>`" in page
        assert f"\n   {name}\n" in f"{page}\n"
