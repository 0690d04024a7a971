"""README and documentation: every block of code runs, and every link leads somewhere.

The Python blocks of a page run from top to bottom in one namespace, as a reader would type them.
The servers that they name are the real ones of the tests; the providers give canned answers.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pymongo
import pytest
import redis
import responses
from docutils import nodes
from docutils.core import publish_doctree, publish_parts
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import close_all_sessions

from examples.demo.embedded import MongoServer, RedisServer
from flask_dance_nosql.consumer import OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import MongoBackend, TokenCipher

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.rst"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.rst",
    ROOT / "CHANGELOG.rst",
    *sorted(DOCS.glob("*.rst")),
    *sorted((DOCS / "api").glob("*.rst")),
]

RUN, SHELL, DATA, QUERY, PLAIN = "python", "console", "json", "promql", ""
"""Python runs. Of shell commands, make's targets and pip's extras must exist. JSON is compared with
what is stored. Queries name metrics that there are. A plain block, which only ``::`` makes, shows
one URL."""

MONGODB = "mongodb://localhost:27017"
REDIS = "redis://localhost:6379"

Namespace = dict[str, Any]
Runner = Callable[..., Namespace]


class Block(NamedTuple):
    """A block of code: where it is, in which language, and its text."""

    page: Path
    line: int
    language: str
    text: str


@cache
def document_of(page: Path) -> nodes.document:
    """Parse a page. What only Sphinx knows is left aside."""
    settings = {"report_level": 5, "halt_level": 5, "syntax_highlight": "none"}
    return publish_doctree(page.read_text(), str(page), settings_overrides=settings)


def blocks_of(page: Path) -> list[Block]:
    """Return a page's blocks of code, in their order."""
    found = document_of(page).findall(nodes.literal_block)
    blocks: list[Block] = []
    for node in found:
        # An unknown directive is reported with its source, which is no block of the page.
        if isinstance(node.parent, nodes.system_message):
            continue
        language = next((name for name in node["classes"] if name != "code"), PLAIN)
        after = blocks[-1].line if blocks else 0
        blocks.append(Block(page, line_of(page, node.astext(), after), language, node.astext()))
    return blocks


def line_of(page: Path, text: str, after: int) -> int:
    """Return the line of a page that a block of code begins in, after the one before it."""
    lines = [line.strip() for line in page.read_text().splitlines()]
    wanted = [line.strip() for line in text.splitlines()]
    starts = range(after, len(lines))
    return next(at + 1 for at in starts if lines[at : at + len(wanted)] == wanted)


def run_blocks(page: Path, first: int | None = None) -> Namespace:
    """Run a page's Python blocks, or only so many of them, and return their namespace."""
    namespace: Namespace = {"__name__": "reader"}
    python = [block for block in blocks_of(page) if block.language == RUN]
    for block in python[:first]:
        # So that a traceback names the line of the page.
        source = "\n" * (block.line - 1) + block.text
        exec(compile(source, str(page), "exec", dont_inherit=True), namespace)
    return namespace


def id_of(page: Path) -> str:
    """Return the name of a page."""
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=id_of)


@pytest.fixture(autouse=True)
def close_databases() -> Iterator[None]:
    """Close what a page has opened with SQLAlchemy, as an application does when it ends."""
    yield
    close_all_sessions()
    for each in gc.get_objects():
        if issubclass(type(each), Engine):
            each.dispose()


@pytest.fixture
def usual_servers(
    monkeypatch: pytest.MonkeyPatch,
    mongo_server: MongoServer,
    redis_server: RedisServer,
    redis_client: redis.Redis,
) -> Iterator[None]:
    """Lets the usual addresses lead to the real servers, which are empty."""
    clients: list[Any] = [pymongo.MongoClient(mongo_server.url)]
    clients[0].drop_database("mydb")

    def connect(make: Callable[..., Any], usual: str, real: str, url: str, **options: Any) -> Any:
        assert url == usual
        clients.append(make(real, **options))
        return clients[-1]

    mongo = partial(connect, pymongo.MongoClient, MONGODB, mongo_server.url)
    from_url = partial(connect, redis.Redis.from_url, REDIS, redis_server.url)
    monkeypatch.setattr(pymongo, "MongoClient", mongo)
    monkeypatch.setattr(redis.Redis, "from_url", from_url)
    yield
    for client in clients:
        client.close()


@pytest.fixture
def run(usual_servers: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runner:
    """Runs a page in an empty folder, with empty servers, and the secrets that it asks for."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN_KEY", "NEW_TOKEN_KEY"):
        monkeypatch.setenv(name, TokenCipher.generate_key())
    return run_blocks


@pytest.fixture
def providers() -> Iterator[responses.RequestsMock]:
    """GitHub and GitLab, as far as the pages call them."""
    token = {"access_token": "at", "token_type": "bearer", "scope": "read:user"}
    with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
        web.post("https://github.com/login/oauth/access_token", json=token)
        web.get("https://api.github.com/user", json={"id": 7, "login": "ada"})
        web.get("https://api.github.com/user/repos", json=[{"full_name": "ada/engine"}])
        web.post("https://gitlab.com/oauth/token", json=token)
        web.get("https://gitlab.com/api/v4/projects", json=[{"name": "engine"}])
        yield web


def dance(client: FlaskClient, provider: str) -> str:
    """Go through a login as a browser would. Returns where the visitor ends up."""
    start = client.get(f"/login/{provider}", headers={"Sec-Fetch-Site": "same-origin"})
    asked = parse_qs(urlsplit(start.location).query)
    assert asked["redirect_uri"] == [f"http://localhost/login/{provider}/authorized"]
    answer = {"code": "the code", "state": asked["state"][0]}
    return client.get(f"/login/{provider}/authorized", query_string=answer).location


@every_page
def test_python_blocks_run(page: Path, run: Runner) -> None:
    """What a page shows works, and what it asserts is true."""
    run(page)


@every_page
def test_blocks_are_of_languages_that_are_checked(page: Path) -> None:
    """No block of code escapes these tests: each is of a language that one of them is about."""
    blocks = blocks_of(page)
    assert {block.language for block in blocks} <= {RUN, SHELL, DATA, QUERY, PLAIN}
    written = re.findall(r"code-block::|^ *(?!\.\. ).*::$", page.read_text(), re.MULTILINE)
    assert len(blocks) == len(written)
    assert not list(document_of(page).findall(nodes.doctest_block))


@every_page
def test_plain_blocks_show_one_url(page: Path) -> None:
    """A block without a language is the callback URL of the example beside it, and no code."""
    plain = [block.text for block in blocks_of(page) if block.language == PLAIN]
    routes = [f"/login/{name}/authorized" for name in ("github", "gitlab")]
    assert all(urlsplit(text).path in routes for text in plain)


@every_page
def test_make_targets_exist(page: Path) -> None:
    """Each ``make`` command that a page names is one that the Makefile has."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    literals = [node.astext() for node in document_of(page).findall(nodes.literal)]
    commands = shell_commands(page) + literals
    words = [word for line in commands if line.startswith("make ") for word in line.split()[1:]]
    assert {word for word in words if word.isalpha()} <= targets


@every_page
def test_extras_exist(page: Path) -> None:
    """Each extra that a page installs is one that the package has."""
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    named = re.findall(r"Flask-Dance-NoSQL\[([a-z,]+)\]", page.read_text())
    extras = {extra for names in named for extra in names.split(",")}
    assert extras <= set(metadata["options.extras_require"])


def shell_commands(page: Path) -> list[str]:
    """Return the commands in a page's shell blocks, without prompt and remark."""
    lines = [block.text.splitlines() for block in blocks_of(page) if block.language == SHELL]
    return [line.removeprefix("$ ").split("#")[0] for block in lines for line in block]


def test_queries_name_metrics() -> None:
    """Each metric that a query asks for is one of those that are kept."""
    queries = [b for page in PAGES for b in blocks_of(page) if b.language == QUERY]
    text = " ".join(block.text for block in queries)
    named = re.findall(r"flask_dance_nosql_([a-z]+)_(seconds|total)", text)
    timed = {(name, "seconds") for name in ("refresh", "store", "wait")}
    counted = {"cache", "events"}
    assert set(named) == timed | {(name, "total") for name in counted}


@every_page
def test_files_that_are_linked_exist(page: Path) -> None:
    """Each link and image that does not lead to the web leads to a file of the project."""
    document = document_of(page)
    targets = [node["uri"] for node in document.findall(nodes.image)]
    targets += [node.get("refuri", "") for node in document.findall(nodes.reference)]
    local = [urlsplit(target).path for target in targets if not urlsplit(target).scheme]
    assert [path for path in local if not (page.parent / path).exists()] == []


def test_each_page_is_in_the_table_of_contents() -> None:
    """The home page lists every other page, and none that is not there."""
    toctrees = re.findall(r"\.\. toctree::\n((?:   .*\n|\n)+)", (DOCS / "index.rst").read_text())
    lines = [line for toctree in toctrees for line in toctree.splitlines()]
    listed = [line.strip() for line in lines if line and ":" not in line]
    pages = [page.stem for page in DOCS.glob("*.rst") if page.stem != "index"]
    assert sorted(listed) == sorted([*pages, "api/index", "providers/index"])
    [reference] = re.findall(
        r"toctree::\n\n((?:   .*\n)+)", (DOCS / "api" / "index.rst").read_text()
    )
    parts = [page.stem for page in (DOCS / "api").glob("*.rst") if page.stem != "index"]
    assert sorted(reference.split()) == sorted(parts)


def test_readme_renders_outside_of_sphinx() -> None:
    """The README is plain reStructuredText, without a warning, as a package index renders it."""
    strict = {"halt_level": 2, "report_level": 2, "raw_enabled": False}
    settings = {**strict, "file_insertion_enabled": False}
    parts = publish_parts(README.read_text(), writer="html5", settings_overrides=settings)
    assert parts["title"] == "Flask-Dance-NoSQL"


def test_readme(run: Runner, providers: responses.RequestsMock) -> None:
    """The README's application connects two visitors; each has a document, a key, and an answer."""
    page = run(README, 2)
    for _ in range(2):
        client = page["app"].test_client()
        assert 'href="/login/github"' in client.get("/").text
        assert dance(client, "github") == "/"
        assert client.get("/").text == "You are ada."
        assert client.get("/projects").location == "/login/gitlab"
        assert dance(client, "gitlab") == "/projects"
        assert client.get("/projects").json == [{"name": "engine"}]
    assert page["tokens"].count_documents({"provider": "github"}) == 2
    assert len(page["client"].keys("flask_dance:{u:browser*}:token:gitlab")) == 2


def test_readme_does_not_loop(run: Runner) -> None:
    """With a wrong client secret, its application ends on a page, whichever view was asked for."""
    client = run(README, 2)["app"].test_client()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
        web.post("https://gitlab.com/oauth/token", json={"error": "invalid_client"}, status=401)
        web.post("https://github.com/login/oauth/access_token", json={"error": "invalid_client"})
        for provider, page in (("gitlab", "/projects"), ("github", "/")):
            client.get(page)
            assert dance(client, provider) == "/"
            assert client.get("/").status_code == 200
        assert client.get("/projects").location == "/login/gitlab"
        assert "invalid_client" in client.get("/login/gitlab").text


def test_encryption_loses_no_token(run: Runner) -> None:
    """Whoever pastes the page's examples into an application with tokens has them all, sealed."""
    collection = pymongo.MongoClient(MONGODB).mydb.tokens
    github = OAuth2ConsumerBlueprint("github", __name__)
    tokens = {user: {"access_token": f"at-{user}"} for user in ("42", "43", "44")}
    for user, token in tokens.items():
        MongoBackend(collection, user_id=user).set(github, token)
    page = run(DOCS / "encryption.rst")
    documents = list(collection.find())
    assert {document["user_id"] for document in documents} == set(tokens)
    assert all(list(document["token"]) == ["sealed"] for document in documents)
    with page["app"].app_context():
        found = {user: page["github"].backend.get(github, user_id=user) for user in tokens}
    assert found == tokens


def test_quickstart(
    run: Runner, providers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quickstart's application connects, calls the API, and disconnects."""
    monkeypatch.setenv("GITHUB_CLIENT_ID", "the id")
    client = run(DOCS / "quickstart.rst", 2)["app"].test_client()
    assert 'href="/login/github"' in client.get("/").text
    assert client.get("/repositories").location == "/login/github"
    assert dance(client, "github") == "/repositories"
    assert client.get("/").text == "You are ada at GitHub."
    assert client.get("/repositories").json == ["ada/engine"]
    assert client.post("/disconnect").location == "/"
    assert "Connect GitHub" in client.get("/").text


def test_quickstart_says_how_a_dance_ended(
    run: Runner, providers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quickstart's receivers tell the visitor of a success and of a failure."""
    monkeypatch.setenv("GITHUB_CLIENT_ID", "the id")
    page = run(DOCS / "quickstart.rst")
    client = page["app"].test_client()
    client.get("/login/github")
    client.get("/login/github/authorized?error=access_denied")
    dance(client, "github")
    with client.session_transaction() as session:
        flashed = [message for _, message in session["_flashes"]]
    assert flashed == ["GitHub is not connected (access_denied).", "GitHub is connected."]


def test_multi_user(run: Runner, providers: responses.RequestsMock) -> None:
    """A visitor signs in with one provider, and then connects another: both tokens are theirs."""
    page = run(DOCS / "multi-user.rst", 4)
    client = page["app"].test_client()
    assert client.get("/login/gitlab").location.startswith("/?next=")
    assert client.get("/").text == "Hello stranger"
    assert dance(client, "github") == "/"
    assert client.get("/").text == "Hello ada"
    assert client.get("/projects").location == "/login/gitlab"
    assert dance(client, "gitlab") == "/projects"
    assert client.get("/projects").json == [{"name": "engine"}]
    user = page["database"].users.find_one({"account": "github:7"})
    tokens = page["github"].backend.tokens_of(user["_id"])
    assert {each.provider for each in tokens} == {"github", "gitlab"}


def test_multi_user_keeps_the_user_who_signs_in_again(
    run: Runner, providers: responses.RequestsMock
) -> None:
    """Who signs in a second time is the same user, with one token."""
    page = run(DOCS / "multi-user.rst", 4)
    for _ in range(2):
        assert dance(page["app"].test_client(), "github") == "/"
    assert page["database"].users.count_documents({}) == 1
    assert len(list(page["github"].backend.store.scan())) == 1


def test_sign_in(run: Runner, providers: responses.RequestsMock) -> None:
    """A visitor of the page's application signs in, leaves, and is the same user later."""
    page = run(DOCS / "sign-in.rst")
    for _ in range(2):
        client = page["app"].test_client()
        assert client.get("/").text == "Hello stranger"
        assert dance(client, "github") == "/"
        assert client.get("/").text == "Hello ada"
        assert client.post("/log-out").location == "/"
        assert client.get("/").text == "Hello stranger"
    assert page["users"].count_documents({}) == 1
    assert page["welcome"] == ["ada"]


def test_document_is_as_it_is_shown(run: Runner) -> None:
    """The document that the page shows is the one that its example stores, but for the moment."""
    page = run(DOCS / "backends.rst", 5)
    [shown] = [block.text for block in blocks_of(DOCS / "backends.rst") if block.language == DATA]
    expected = json.loads(shown)
    stored = page["client"].mydb.tokens.find_one({"_id": expected["_id"]})
    assert len(str(stored.pop("version"))) == len(str(expected.pop("version")))
    for moment in ("created_at", "updated_at"):
        text = stored[moment].isoformat(timespec="milliseconds") + "Z"
        assert len(text) == len(expected.pop(moment))
        del stored[moment]
    assert stored == expected


def test_unreachable_store_is_a_friendly_page(run: Runner) -> None:
    """With the page's error handler, a visitor reads of the outage, with status 503."""
    page = run(DOCS / "backends.rst")
    page["app"].add_url_rule("/", "home", lambda: str(page["github"].session.authorized))
    Path("folder").mkdir()
    page["github"].backend = page["FileBackend"]("folder")
    answer = page["app"].test_client().get("/")
    assert answer.status_code == 503
    assert "try again" in answer.text
