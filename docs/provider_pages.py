"""The pages on providers, made of the presets themselves; see ``conf.py``."""

from __future__ import annotations

import pkgutil
import textwrap
from collections.abc import Iterator
from importlib import import_module
from inspect import Parameter
from pathlib import Path

from flask_dance_nosql import contrib
from flask_dance_nosql.preset import BasePreset, OAuth1Preset, Option, Preset

EXAMPLES: dict[str, dict[str, str]] = {
    "auth0": {"domain": "example.eu.auth0.com"},
    "authentik": {"hostname": "id.example.com", "slug": "my-app"},
    "cognito": {
        "domain": "my-app.auth.eu-west-1.amazoncognito.com",
        "region": "eu-west-1",
        "pool": "eu-west-1_AbCdEfGhI",
    },
    "jira": {"base_url": "https://jira.example.com/"},
    "keycloak": {"hostname": "id.example.com", "realm": "my-realm"},
    "okta": {"domain": "example.okta.com"},
    "shopify": {"shop": "my-shop"},
    "slack": {"user_scope": "users:read"},
    "zoho": {"scope": "aaaserver.profile.READ"},
}
"""What the example of a page gives a factory that needs more than the client's credentials."""

APPLE = [
    'client_id="com.example.web"',
    'team_id="your team id"',
    'key_id="the id of your key"',
    'private_key=Path("AuthKey.p8").read_text()',
]
"""What Apple wants in place of a client secret."""

CREDENTIALS = {
    "jira": ("consumer_key", "rsa_key"),
    "trello": ("client_key", "client_secret"),
    "twitter": ("api_key", "api_secret"),
}


def presets() -> dict[str, type[BasePreset]]:
    """Return the presets by the names of their modules."""
    found = {}
    for module in pkgutil.iter_modules(contrib.__path__):
        for value in vars(import_module(f"{contrib.__name__}.{module.name}")).values():
            is_preset = isinstance(value, type) and issubclass(value, BasePreset)
            if is_preset and value.__module__.endswith(f".{module.name}"):
                found[module.name] = value
    return dict(sorted(found.items(), key=lambda item: item[1].display.casefold()))


def title(text: str, mark: str = "=") -> str:
    """Return a title, underlined."""
    return f"{text}\n{mark * len(text)}\n"


def page_of(name: str, preset: type[BasePreset]) -> str:
    """Return the page on a provider."""
    first, _, rest = (import_module(preset.__module__).__doc__ or "").partition("\n\n")
    notes = "\n\n".join(part.strip() for part in (first.partition(". ")[2], rest) if part)
    warning = f".. warning:: {preset.deprecated}\n" if preset.deprecated else ""
    doubts = f"Not confirmed: {preset.doubts}\n" if preset.doubts else ""
    parts = [
        title(preset.display),
        warning,
        notes and f"{notes}\n",
        *(title("Register an application", "-"), register(name, preset)),
        *(title("The code", "-"), code(name, preset)),
        *(title("Arguments", "-"), arguments(preset)),
        *(title("What it does", "-"), features(preset)),
        doubts,
        f"These facts were looked at in {preset.checked}.\n",
    ]
    return "\n".join(part for part in parts if part)


def register(name: str, preset: type[BasePreset]) -> str:
    """Return how an application is registered."""
    console = preset(**EXAMPLES.get(name, {})).filled(preset.console)
    where = f" at {console}" if console else ""
    rule = f"\n{preset.callback_rule}\n" if preset.callback_rule else ""
    id_name, secret_name = CREDENTIALS.get(name, ("client_id", "client_secret"))
    keys = " and ".join(f"``{key}``" for key in preset.config.values())
    callback = (
        f"Register your application{where}, with this callback URL::\n\n"
        f"    https://your-app.example/login/{name}/authorized\n{rule}\n"
    )
    if name == "apple":
        return f"{callback}What you get there are the identifiers and the key of the code below.\n"
    return (
        f"{callback}What you get there is ``{id_name}`` and ``{secret_name}``. They may also come "
        f"from the app's configuration, as {keys}.\n"
    )


def code(name: str, preset: type[BasePreset]) -> str:
    """Return an application that uses the provider."""
    id_name, secret_name = CREDENTIALS.get(name, ("client_id", "client_secret"))
    given = [
        f"{argument}={value!r}".replace("'", '"')
        for argument, value in EXAMPLES.get(name, {}).items()
    ]
    given += [f'{id_name}="the id you got"', f'{secret_name}="the secret you got"']
    given = APPLE if name == "apple" else given
    profile = preset.profile
    if profile is None or profile.url in ("token", "id_token"):
        shown = ['return {"connected": True}']
        if issubclass(preset, Preset) and preset.signs_in:
            shown = [f'return {{"subject": {name}.id_claims["sub"]}}']
    else:
        url = preset(**EXAMPLES.get(name, {})).filled(profile.url)
        call = f'{name}.get("{url}")'
        if profile.query is not None:
            call = f'{name}.post("{url}", json={{"query": "{profile.query}"}})'
        elif profile.method == "POST":
            call = f'{name}.post("{url}")'
        shown = [f"answer = {call}", "answer.raise_for_status()", "return answer.json()"]
    lines = [
        *(["from pathlib import Path", ""] if name == "apple" else []),
        "from flask import Flask",
        f"from flask_dance_nosql.contrib.{name} import {name}, make_{name}_blueprint",
        "",
        "app = Flask(__name__)",
        'app.secret_key = "keep this one to yourself"',
        f"blueprint = make_{name}_blueprint(",
        *(f"    {each}," for each in given),
        ")",
        'app.register_blueprint(blueprint, url_prefix="/login")',
        "",
        "",
        '@app.route("/")',
        "def index():",
        f"    if not {name}.authorized:",
        f"        return '<a href=\"/login/{name}\">Connect {preset.display}</a>'",
        *(f"    {each}" for each in shown),
    ]
    return ".. code-block:: python\n\n" + textwrap.indent("\n".join(lines), "   ") + "\n"


def arguments(preset: type[BasePreset]) -> str:
    """Return what the factory takes."""
    rows = [
        f"``{option}``\n    {each.help}{default_of(each)}\n"
        for option, each in preset.options().items()
    ]
    page = ":class:`~flask_dance_nosql.preset.BasePreset`"
    return "\n".join([*rows, f"Further arguments are those of all providers: {page}.\n"])


def default_of(option: Option) -> str:
    """Return what is said of an option's default."""
    if option.default is Parameter.empty:
        return " It has to be given."
    return "" if option.default in (None, "") else f" Default: ``{option.default!r}``."


def features(preset: type[BasePreset]) -> str:
    """Return what can be done with the provider, as a list."""
    return "".join(f"- {line}\n" for line in _features(preset))


def _features(preset: type[BasePreset]) -> Iterator[str]:
    if issubclass(preset, OAuth1Preset):
        yield "It speaks OAuth 1: its tokens are not refreshed, and not revoked."
    elif issubclass(preset, Preset):
        scope = getattr(preset, "scope", None) or preset.arguments["scope"].default
        listed = [scope] if isinstance(scope, str) else scope or []
        asked = " ".join(f"``{each}``" for each in listed)
        yield f"Scopes by default: {asked}." if asked else "No scope is asked for by default."
        yield refreshing(preset)
        yield PKCE[getattr(preset, "use_pkce", None) is not False]
        yield (
            REVOCATION[preset.revocation.ends_grant]
            if preset.revocation
            else ("Tokens can't be revoked: ``revoke()`` is an error.")
        )
        if preset.issuer:
            yield OIDC[preset.signs_in]
    profile = preset.profile
    if profile is not None:
        where = WHERE.get(profile.url, f"of ``{profile.url}``")
        names = [
            f"{field} at ``{profile.within + '.' if profile.within else ''}{path}``"
            for field, path in zip(FIELDS, profile.paths.split(), strict=False)
            if path != "-"
        ]
        yield f"Who has logged in is told {where}: {', '.join(names)}."
    if profile is not None and profile.emails:
        yield f"Their e-mail addresses are at ``{profile.emails}``."
    if preset.apps_page and "{" not in preset.apps_page:
        yield f"Users see and remove your application at {preset.apps_page}."


FIELDS = (
    "the account's id",
    "the name",
    "the e-mail address",
    "the picture",
    "whether it is verified",
)
WHERE = {"token": "by the answer to the login", "id_token": "by the ID token"}
OIDC = {
    True: "The ID token of each login is validated, for which ``joserfc`` is needed: the extra\n"
    "  ``oidc``. ``oidc=False`` takes the access token alone.",
    False: "With ``oidc=True`` the ID token of each login is validated.",
}
PKCE = {
    True: "A PKCE challenge is sent; a provider that does not know PKCE passes it over.",
    False: "PKCE is off: the provider refuses it, or does not have it for all apps.",
}
REVOCATION = {
    True: "``revoke()`` ends the token at the provider, and what the user has granted.",
    False: "``revoke()`` ends the token at the provider; the user's consent stays.",
    None: "``revoke()`` ends the token at the provider; whether it ends the consent is not known.",
}


def refreshing(preset: type[BasePreset]) -> str:
    """Return when tokens are refreshed."""
    options = [f"``{name}``" for name, option in preset.options().items() if option.refreshes]
    if options:
        return f"Tokens are refreshed with {' or '.join(options)}."
    if isinstance(preset.refresh, str):
        return f"Tokens are refreshed with the scope ``{preset.refresh}``."
    if preset.refresh:
        return "Tokens are refreshed, where the provider issues a refresh token."
    return "Tokens are not refreshed: once one has ended, the user logs in again."


def index_page() -> str:
    """Return the table of all providers."""
    rows = []
    for name, preset in presets().items():
        is_oauth2 = issubclass(preset, Preset)
        marks = [
            "yes" if is_oauth2 and preset.refresh else "no",
            "yes" if is_oauth2 and vars(preset).get("use_pkce") is not False else "no",
            "yes" if is_oauth2 and preset.issuer else "no",
            "yes" if is_oauth2 and preset.revocation else "no",
        ]
        rows.append(
            "\n".join([f"   * - :doc:`{preset.display} <{name}>`", *(f"     - {m}" for m in marks)])
        )
    names = "\n".join(f"   {name}" for name in presets())
    return "\n".join(
        [
            title("Providers"),
            INTRODUCTION,
            ".. list-table::\n   :header-rows: 1\n",
            "   * - Provider\n     - Refresh\n     - PKCE\n     - ID token\n     - Revocation",
            *rows,
            f"\n.. toctree::\n   :hidden:\n\n{names}\n",
        ]
    )


INTRODUCTION = """\
Each of these is one line: ``make_github_blueprint(...)`` makes the blueprint, and ``github`` is the
session of the current user. Any other provider of OpenID Connect is
``make_oidc_blueprint(name, issuer=...)``, and any other one at all is a blueprint with its URLs, or
a preset of your own: :doc:`../writing-a-preset`.
"""


def write(folder: Path) -> None:
    """Write all pages, and leave alone those that have not changed."""
    folder.mkdir(exist_ok=True)
    pages = {name: page_of(name, preset) for name, preset in presets().items()}
    for name, text in {**pages, "index": index_page()}.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
