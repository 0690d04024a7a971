"""The provider says that somebody has logged out there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_dance_nosql.consumer import backchannel_logout, token_deleted
from flask_dance_nosql.consumer.backend import (
    MemoryBackend,
    SessionBackend,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.sqla import (
    OAuthTokenMixin,
    SQLAlchemyStore,
    unique_per_user,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.oidc.backchannel import EVENT
from flask_dance_nosql.errors import BackendUnavailable, ConfigurationError

from .provider import (
    CLIENT_ID,
    OpenIDProvider,
    OpenIDSite,
    log_in,
    make_openid_site,
    rsa_key,
    sign,
)

URL = "/login/backchannel-logout"


class Base(DeclarativeBase):
    """The base of the model."""


class OAuth(OAuthTokenMixin, Base):
    """Tokens of users whose ids are texts."""

    __table_args__ = unique_per_user()
    user_id: Mapped[str | None] = mapped_column(sqlalchemy.String(200))


class People:
    """A site whose current user can be changed, and a provider that logs them out.

    Attributes:
        now: The id of the current user.
        told: What receivers of the logout were told.
    """

    def __init__(self, openid: OpenIDProvider, store: TokenStore, **options: Any) -> None:
        self.openid = openid
        self.now: Any = 1
        self.told: list[dict[str, Any]] = []
        scoping = options.pop("scoping", {"user_id": lambda: self.now})
        self.backend = UserScopedBackend(store, **scoping)
        self.site: OpenIDSite = make_openid_site(
            openid, backend=self.backend, backchannel_logout_url="/backchannel-logout", **options
        )
        self._receive = backchannel_logout.connect(self._tell, self.site.blueprint)

    def _tell(self, sender: object, **arguments: Any) -> None:
        self.told.append(arguments)

    def login(self, user: Any, browser: Any = None, **claims: Any) -> Any:
        """Log a user in with an ID token that has claims."""
        self.now, self.openid.claims = user, claims
        browser = browser or self.site.browser()
        assert log_in(self.site, self.openid, browser).status_code == 302
        assert self.token(user, browser)
        return browser

    def token(self, user: Any, browser: Any) -> Any:
        """Return the token of a user."""
        self.now = user
        return browser.do(lambda: self.site.blueprint.token)

    def logout_token(self, header: Any = None, key: Any = None, **claims: Any) -> str:
        """Return a logout token; a claim or member of the header that is ``...`` is left out."""
        now = int(time.time())
        claims = {
            "iss": self.openid.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": "id-1",
            "events": {EVENT: {}},
            **claims,
        }
        header = {"alg": "RS256", "typ": "logout+jwt", "kid": rsa_key().kid, **(header or {})}
        parts = [{k: v for k, v in each.items() if v is not ...} for each in (claims, header)]
        return sign(parts[0], key or rsa_key(), parts[1])

    def post(self, token: str | None = None, **claims: Any) -> Any:
        """Have the provider post a logout token."""
        form = {"logout_token": self.logout_token(**claims) if token is None else token}
        answer = self.site.app.test_client().post(URL, data=form)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
        return answer


def stores(fixture: Any, name: str) -> Iterator[TokenStore]:
    """Make a store of each kind."""
    if name == "mongo":
        yield MongoStore(fixture("mongo_collection"))
    elif name == "redis":
        yield RedisStore(fixture("redis_client"))
    elif name == "cluster":
        yield RedisStore(fixture("redis_cluster_client"))
    elif name == "memory":
        yield MemoryStore()
    else:
        engine = fixture("sqlite_engine")
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            yield SQLAlchemyStore(OAuth, session)


@pytest.fixture(params=["memory", "mongo", "redis", "cluster", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """Each kind of store, empty."""
    yield from stores(request.getfixturevalue, request.param)


@pytest.fixture
def people(openid: OpenIDProvider) -> People:
    """A site on a store in memory."""
    return People(openid, MemoryStore())


CIPHER = TokenCipher(TokenCipher.generate_key())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scoping": {"scope": "browser"}},
        {"scoping": {"user_id": lambda: 1, "cipher": CIPHER}},
    ],
    ids=["users", "browsers", "sealed"],
)
def test_a_session_is_ended(openid: OpenIDProvider, store: TokenStore, options: Any) -> None:
    """One of the provider's sessions, by what the ID token has said of it, and no other one."""
    people = People(openid, store, **options)
    is_one = "cipher" in options.get("scoping", {})
    one = people.login(1, sub="ann", sid="s 1")
    two = None if is_one else people.login(2, sub="ann", sid="s2")
    assert people.post(sid="s3").status_code == people.post(sid="s2", sub="bob").status_code == 200
    assert people.post(sid="s 1", sub="ann").status_code == 200
    assert people.token(1, one) is None
    assert is_one or people.token(2, two)
    user_ids = [None] if options.get("scoping", {}).get("scope") == "browser" else ["1"]
    assert people.told == [
        {"sub": None, "sid": "s3", "user_ids": []},
        {"sub": "bob", "sid": "s2", "user_ids": []},
        {"sub": "ann", "sid": "s 1", "user_ids": user_ids},
    ]
    if not is_one:
        assert people.post(sid="s2").status_code == 200
        assert people.token(2, two) is None


def test_all_sessions_of_a_subject_are_ended(openid: OpenIDProvider, store: TokenStore) -> None:
    """A token without a session says that the account has logged out everywhere."""
    people = People(openid, store)
    browsers = {n: people.login(n, sub="ann", sid=f"s{n}") for n in (1, 2)}
    other = people.login(3, sub="bob", sid="s1")
    for _ in range(2):
        # A second delivery is no error.
        assert people.post(sub="ann").status_code == 200
        assert [people.token(n, browsers[n]) for n in (1, 2)] == [None, None]
    assert people.token(3, other)
    assert [sorted(each["user_ids"]) for each in people.told] == [["1", "2"], []]


@pytest.mark.parametrize("several", [False, True])
def test_accounts(openid: OpenIDProvider, several: bool) -> None:
    """An account that is one user's alone is found by its link; a user's other one stays."""
    people = People(openid, MemoryStore(), exclusive_accounts=True, several_accounts=several)
    browser = people.login(1, sub="ann")
    if several:
        people.login(1, browser, sub="bob")
    assert people.post(sub="ann").status_code == 200
    ids = [each.account for each in browser.do(people.site.blueprint.accounts)]
    assert ids == (["bob"] if several else [])
    assert people.post(sub="bob", sid="s1").status_code == 200
    assert browser.do(people.site.blueprint.accounts) == []
    assert people.backend.store._documents == {}  # type: ignore[attr-defined] # it is in memory


def test_ids_of_accounts_that_are_no_subjects(openid: OpenIDProvider) -> None:
    """An account whose id is another's subject keeps nobody logged in."""
    people = People(
        openid,
        MemoryStore(),
        exclusive_accounts=True,
        account_id=lambda session: session.id_claims["nick"],
    )
    browser = people.login(1, sub="ann", nick="a")
    other = people.login(2, sub="bob", nick="ann")
    assert people.post(sub="ann").status_code == 200
    assert not people.token(1, browser)
    assert people.token(2, other)


def test_a_login_that_has_come_since_stays(people: People) -> None:
    """A logout token that is late, or sent again by somebody, ends what was issued before it."""
    browser = people.login(1, sub="ann", sid="s1")
    old = people.logout_token(sub="ann", iat=int(time.time()) - 30)
    assert people.post(old).status_code == 200
    assert people.token(1, browser)
    assert people.told[-1]["user_ids"] == []


def test_names_go_with_the_token(people: People) -> None:
    """Neither a logout here nor another login leaves an entry of the last one."""
    documents = people.backend.store._documents  # type: ignore[attr-defined] # it is in memory
    browser = people.login(1, sub="ann", sid="s1")
    assert len(documents) == 3
    people.login(1, browser, sub="ann", sid="s2")
    assert len(documents) == 3
    assert people.post(sid="s1").status_code == 200
    assert people.token(1, browser)

    def delete() -> None:
        del people.site.blueprint.token

    browser.do(delete)
    assert documents == {}


class Interrupted(MemoryStore):
    """A store in which something else happens before one operation.

    Attributes:
        before: The operation, the beginning of the provider that it is about, and what happens.
    """

    before: Any = None

    def save(self, document: TokenDocument, if_version: int | None = None) -> TokenDocument:
        self._interrupt("save", document.provider)
        return super().save(document, if_version)

    def delete(self, key: TokenKey, if_version: int | None = None) -> None:
        self._interrupt("delete", key.provider)
        super().delete(key, if_version)

    def _interrupt(self, operation: str, provider: str) -> None:
        if self.before is not None and self.before[0] == operation:
            _, start, happens = self.before
            if provider.startswith(start):
                self.before = None
                happens()


@pytest.mark.parametrize(
    "scoping", [{"user_id": lambda: 1}, {"scope": "browser"}], ids=["user", "browser"]
)
@pytest.mark.parametrize("interrupts", ["a logout a login", "a login a logout"])
def test_a_login_and_a_logout_at_once(
    openid: OpenIDProvider, scoping: Any, interrupts: str
) -> None:
    """The new token is found by the next logout token, although the last one drops entries."""
    store = Interrupted()
    people = People(openid, store, scoping=scoping)
    people.login(1, sub="ann", sid="s1")
    ended = people.logout_token(sub="ann")
    if interrupts == "a logout a login":
        # The entries are written, and the document is not.
        store.before = ("save", "acme", lambda: people.post(ended))
        browser = people.login(1, sub="ann", sid="s1")
    else:
        # The document is found to be gone, and its entries are not yet.
        found: list[Any] = []
        store.before = (
            "delete",
            ".marked.",
            lambda: found.append(people.login(1, sub="ann", sid="s1")),
        )
        people.post(ended)
        (browser,) = found
    assert store.before is None
    assert people.token(1, browser)
    assert people.post(sub="ann").status_code == 200
    assert not people.token(1, browser)


NOW = int(time.time())
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "of another issuer": ({"iss": "https://evil.example"}, "of another issuer"),
    "for another client": ({"aud": "other"}, "for another client"),
    "without an audience": ({"aud": ...}, "for another client"),
    "ended": ({"exp": NOW - 3600}, "has expired"),
    "without an end": ({"exp": ...}, "has expired"),
    "of the future": ({"iat": NOW + 3600}, "in the future"),
    "without a time": ({"iat": ...}, "in the future"),
    "without events": ({"events": ...}, "does not say that somebody has logged out"),
    "of another event": ({"events": {"https://e.example": {}}}, "does not say"),
    "with an odd event": ({"events": {EVENT: True}}, "does not say"),
    "with odd events": ({"events": [EVENT]}, "does not say"),
    "with a nonce": ({"nonce": "n"}, "has a nonce"),
    "without an identifier": ({"jti": ...}, "has no identifier"),
    "of nobody": ({"sub": ...}, "neither a subject nor a session"),
    "with an odd subject": ({"sub": {"$ne": 1}}, "names no subject"),
    "with an odd session": ({"sid": ["s1"]}, "names no session"),
    "of another kind": ({"header": {"typ": "at+jwt"}}, "of another kind"),
    "signed by another key": ({"key": rsa_key(7)}, "not signed by a key of the provider"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_is_refused(people: People, name: str) -> None:
    """It is answered with an error as JSON, and nothing is changed."""
    browser = people.login(1, sub="ann", sid="s1")
    changes, reason = REFUSED[name]
    answer = people.post(**{"sub": "ann", **changes})
    assert answer.status_code == 400
    assert answer.json["error"] == "invalid_request"
    assert reason in answer.json["error_description"]
    assert people.token(1, browser)
    assert people.told == []


@pytest.mark.parametrize("token", ["", "a.b.c", "x" * 70_000, "é.é.é"])
def test_what_is_no_token(people: People, token: str) -> None:
    """Whatever is posted, the answer is an error."""
    assert people.post(token).status_code == 400
    unsigned = people.logout_token(sub="ann").rpartition(".")[0] + "."
    assert people.post(unsigned).status_code == 400


def test_an_id_token_is_no_logout_token(people: People, openid: OpenIDProvider) -> None:
    """Whoever has one of a user can't log them out with it."""
    browser = people.login(1, sub="ann")
    assert people.post(people.token(1, browser)["id_token"]).status_code == 400
    assert people.token(1, browser)


@pytest.mark.parametrize("kind", ["JWT", ..., "application/LOGOUT+JWT"])
def test_the_type_is_not_required(people: People, kind: Any) -> None:
    """Providers of before its specification do not name it."""
    browser = people.login(1, sub="ann")
    assert people.post(sub="ann", header={"typ": kind}).status_code == 200
    assert people.token(1, browser) is None


def test_a_flood_of_keys_that_are_not_known(people: People, openid: OpenIDProvider) -> None:
    """The provider's keys are fetched once more for all of them, as for ID tokens."""
    people.login(1, sub="ann")
    before = openid.count("/jwks")
    for number in range(20):
        header = {"kid": f"unknown-{number}"}
        assert people.post(sub="ann", header=header, key=rsa_key(7)).status_code == 400
    assert openid.count("/jwks") == before + 1


def test_only_the_provider_posts(people: People) -> None:
    """There is no page to look at, and without the setting no view at all."""
    client = people.site.app.test_client()
    assert client.get(URL).status_code == 405
    assert client.post(URL).status_code == 400
    plain = make_openid_site(people.openid)
    assert plain.app.test_client().post(URL).status_code == 404


@pytest.mark.parametrize(
    "backend", [SessionBackend(), MemoryBackend(), UserScopedBackend(MemoryStore())]
)
def test_a_backend_without_users(openid: OpenIDProvider, backend: Any) -> None:
    """The error of the first request says what to use."""
    site = make_openid_site(openid, backend=backend, backchannel_logout_url="/backchannel-logout")
    with pytest.raises(ConfigurationError, match="scope='browser'"):
        site.browser().do(lambda: site.blueprint.token)


def test_a_provider_or_a_store_that_is_down(openid: OpenIDProvider) -> None:
    """The provider gets an error, and may deliver it again."""

    class Refusing(MemoryStore):
        is_down = False

        def delete(self, key: Any, if_version: int | None = None) -> None:
            if self.is_down:
                raise BackendUnavailable("delete", "Refusing", "no answer of secret.example")
            super().delete(key, if_version)

    store = Refusing()
    people = People(openid, store)
    openid.down = {"/.well-known/openid-configuration"}
    assert people.post(sub="ann").json["error"] == "temporarily_unavailable"
    openid.down = set()
    people = People(openid, store)
    browser = people.login(1, sub="ann")
    store.is_down = True
    answer = people.post(sub="ann")
    assert (answer.status_code, answer.json["error"]) == (400, "temporarily_unavailable")
    assert "secret" not in answer.text
    assert people.told == []
    store.is_down = False
    told: list[Any] = []

    def receive(sender: object, user_id: Any) -> None:
        told.append(user_id)

    with token_deleted.connected_to(receive):
        assert people.post(sub="ann").status_code == 200
    assert told == ["1"]
    assert people.token(1, browser) is None
