"""Several accounts of a user at one provider, and accounts that belong to one user only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import session as flask_session
from msgspec.structs import replace

from flask_dance_nosql.consumer import OAuth1ConsumerBlueprint, OAuth2ConsumerBlueprint
from flask_dance_nosql.consumer.backend import (
    LocalCache,
    SessionBackend,
    TokenCipher,
    TokenDocument,
    TokenKey,
    TokenStore,
    UserScopedBackend,
)
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.errors import (
    AccountAlreadyLinked,
    AccountUnknown,
    ConfigurationError,
    UserRequired,
)
from flask_dance_nosql.testing import connected
from flask_dance_nosql.testing.documents import make_document

from ..rotating import RotatingProvider
from .site import Browser, RefusingStore, Site, make_site, sign_of, soon

SEVERAL = {"several_accounts": True}
EXCLUSIVE = {"exclusive_accounts": True}
BOTH = {**SEVERAL, **EXCLUSIVE}


class Counting(MemoryStore):
    """A store that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def load(self, key: TokenKey) -> TokenDocument | None:
        self.asked.append("load")
        return super().load(key)

    def scan(
        self, provider: str | None = None, user_id: str | None = None
    ) -> Iterator[TokenDocument]:
        before = len(self.asked)
        found = list(super().scan(provider, user_id))
        self.asked[before:] = ["scan"]
        yield from found

    def entries(self) -> list[TokenKey]:
        """Return the keys of all records, those that only the package itself reads included."""
        return list(self._documents)


class People:
    """A site whose current user can be changed.

    Attributes:
        now: The id of the current user.
    """

    def __init__(self, rotating: RotatingProvider, **options: Any) -> None:
        self.now: Any = 1
        self.store = options.pop("store", None) or Counting()
        backend = UserScopedBackend(
            self.store, user_id=lambda: self.now, **options.pop("backend_options", {})
        )
        self.rotating = rotating
        self.site: Site = make_site(rotating, backend, **options)
        self.blueprint: Any = self.site.blueprint

    def login(self, browser: Browser, account: str, **more: Any) -> Any:
        """Log a browser in with an account at the provider, and return the answer."""
        self.rotating.approve(account, code=f"of-{account}", **{"sub": account, **more})
        # Three logins within moments would look like a circle of redirects.
        begun = browser.get("/login/acme?retry=").location
        return browser.finish(parse_qs(urlsplit(begun).query)["state"][0], f"of-{account}")

    def both(self) -> Browser:
        """Return a browser that has connected the accounts A and then B."""
        browser = self.site.browser()
        for account in ("A", "B"):
            assert self.login(browser, account).status_code == 302
        return browser

    def accounts(self, browser: Browser | None = None) -> list[str | None]:
        """Return the ids of the current user's accounts."""
        found = (browser or self.site.browser()).do(self.blueprint.accounts)
        return [each.account for each in found]


@pytest.fixture(params=[{}, {"cache": True}], ids=["no cache", "cache"])
def people(rotating: RotatingProvider, request: pytest.FixtureRequest) -> People:
    """A site whose users may have several accounts."""
    options = {"cache": LocalCache()} if request.param else {}
    return People(rotating, backend_options=options, **SEVERAL)


def call_of(blueprint: Any, account: str) -> int:
    """Call the API with an account's token, and return the status."""
    return int(blueprint.account(account).session.get("api").status_code)


class TestSeveralAccounts:
    """Each account of a user has a token of its own."""

    def test_the_last_one_is_in_use(self, people: People) -> None:
        """Two logins make two accounts, the newest first; calls are made with that one."""
        browser = people.both()
        assert people.accounts() == ["B", "A"]
        for each in (browser, people.site.browser()):
            assert each.call() == 200
            assert sign_of(people.rotating) == "Bearer at-B-0"
        assert people.store.load(TokenKey("acme", "1")) is None

    def test_one_can_be_chosen(self, people: People) -> None:
        """The visitor's choice holds in this browser until there is another choice or login."""
        browser = people.both()
        assert browser.do(lambda: people.blueprint.use_account("A")) is True
        assert browser.call() == 200
        assert sign_of(people.rotating) == "Bearer at-A-0"
        assert people.site.browser().call() == 200
        assert sign_of(people.rotating) == "Bearer at-B-0"
        people.login(browser, "B")
        browser.call()
        assert sign_of(people.rotating) == "Bearer at-B-0"
        assert people.accounts() == ["B", "A"]

    def test_a_choice_holds_at_once(self, people: People) -> None:
        """Within the request in which it is made, too."""

        def work() -> list[Any]:
            found = []
            for account in ("A", "B"):
                people.blueprint.use_account(account)
                found.append(people.blueprint.token["access_token"])
                found.append(people.blueprint.session.token["access_token"])
            return found

        assert people.both().do(work) == ["at-A-0", "at-A-0", "at-B-0", "at-B-0"]

    def test_what_the_user_has_not_can_not_be_chosen(self, people: People) -> None:
        """Neither an account that nobody has, nor another user's; and the choice stays."""
        browser = people.both()
        people.now = 2
        people.login(people.site.browser(), "C")
        people.now = 1
        for account in ("C", "D", None):
            choose = partial(people.blueprint.use_account, account)
            assert browser.do(choose) is False
        browser.call()
        assert sign_of(people.rotating) == "Bearer at-B-0"

    def test_logging_out_forgets_the_choice(self, people: People) -> None:
        """The next visitor of the browser finds no account's id in its cookie."""
        browser = people.both()
        assert browser.do(lambda: "acme_oauth_account" in flask_session)
        browser.do(lambda: delattr(people.blueprint, "token"))
        assert browser.do(lambda: list(flask_session)) == []
        assert people.accounts() == ["A"]

    def test_another_user_of_the_browser_gets_nothing_of_it(self, people: People) -> None:
        """A choice is of its user, also where both have the account."""
        browser = people.both()
        browser.do(lambda: people.blueprint.use_account("A"))
        people.now = 2
        assert browser.do(lambda: people.blueprint.session.authorized) is False
        other = people.both()
        assert browser.call() == 200
        assert sign_of(people.rotating) == "Bearer at-B-0"
        assert people.accounts(other) == ["B", "A"]

    def test_a_chosen_one_that_is_gone(self, people: People) -> None:
        """An account that was disconnected elsewhere gives way to the one connected last."""
        browser = people.both()
        browser.do(lambda: people.blueprint.use_account("A"))
        people.site.browser().do(lambda: people.blueprint.account("A").revoke())
        assert browser.call() == 200
        assert sign_of(people.rotating) == "Bearer at-B-0"
        assert people.rotating.live("B")
        assert not people.rotating.live("A")

    @pytest.mark.parametrize("kept", [5, "A", [], ["x"], ["x", "A", "B"], {"a": 1}, [None, {}]])
    def test_odd_cookies(self, people: People, kept: Any) -> None:
        """Whatever the session holds in place of a choice, it is as if there was none."""
        browser = people.both()

        def plant() -> None:
            flask_session["acme_oauth_account"] = kept

        browser.do(plant)
        assert browser.call() == 200
        assert sign_of(people.rotating) == "Bearer at-B-0"

    def test_what_has_no_account_goes_on(self, people: People) -> None:
        """A token of before is in use, and becomes the account's at the next login with it."""
        blueprint, backend = people.blueprint, people.blueprint.backend
        browser = people.site.browser()
        old = {**people.rotating.grant("A", expires_at=soon()), "sub": "A"}
        browser.do(lambda: backend.set(blueprint, old))
        assert people.accounts() == [None]
        assert browser.call() == 200
        assert people.login(browser, "B").status_code == 302
        assert people.accounts() == ["B", None]
        people.rotating.approve("new", code="of-A", sub="A", refresh_token=False)
        people.site.browser().login("of-A")
        assert people.accounts() == ["A", "B"]
        stored = browser.do(lambda: blueprint.account("A").token)
        assert (stored["access_token"], stored["refresh_token"]) == ("at-new-0", "rt-A-0")

    def test_what_costs(self, rotating: RotatingProvider) -> None:
        """A request asks the store once: for the chosen account, or else for the list."""
        people = People(rotating, **SEVERAL)
        browser, blueprint = people.both(), people.blueprint

        def work() -> None:
            assert blueprint.session.authorized
            assert blueprint.session.get("api").status_code == 200
            assert blueprint.session.get("api").status_code == 200

        for each, asked in ((browser, "load"), (people.site.browser(), "scan")):
            people.store.asked.clear()
            each.do(work)
            assert people.store.asked == [asked]

    def test_each_is_refreshed_apart(self, people: People) -> None:
        """Refreshes of two accounts concern one token each, at the provider and in the store."""
        browser = people.both()
        for saved in list(people.store.scan()):
            ended = {**saved.token, "expires_at": 1}
            people.blueprint.backend.set(people.blueprint, ended, account=saved.account)
        for account in ("A", "B", "A"):
            call = partial(call_of, people.blueprint, account)
            assert browser.do(call) == 200
            assert sign_of(people.rotating) == f"Bearer at-{account}-1"
        assert (people.rotating.refreshes, people.rotating.spent) == (2, 0)

    def test_a_job(self, people: People) -> None:
        """Outside of a request a user's session is of the account named, or connected last."""
        people.both()
        with people.site.app.app_context():
            for named, sign in (({"account": "A"}, "A"), ({}, "B")):
                with people.blueprint.user_session(user_id=1, **named) as session:
                    assert session.get("api").status_code == 200
                    assert sign_of(people.rotating) == f"Bearer at-{sign}-0"
            assert {each.account for each in people.blueprint.tokens_of(1)} == {"A", "B"}
            assert [each.account for each in people.blueprint.accounts(user_id=1)] == ["B", "A"]
            assert people.blueprint.account("A", user_id=1).token["access_token"] == "at-A-0"

    def test_nobody(self, people: People) -> None:
        """A visitor without a user has no accounts, and no token."""
        people.both()
        people.now = None
        browser = people.site.browser()
        assert people.accounts() == []
        assert browser.do(lambda: people.blueprint.use_account("A")) is False
        with pytest.raises(UserRequired):
            browser.do(lambda: people.blueprint.token)

    def test_a_user_without_accounts(self, people: People) -> None:
        """There is no token, and that is all."""
        assert people.site.browser().do(lambda: people.blueprint.token) is None
        assert people.site.browser().do(lambda: people.blueprint.session.authorized) is False


class TestHandle:
    """``blueprint.account(id)``."""

    def test_its_token(self, people: People) -> None:
        """It is read, stored and removed without any other account being touched."""
        browser, blueprint = people.both(), people.blueprint

        def work() -> list[Any]:
            account = blueprint.account("A")
            found = [account.token["access_token"], account.session.token["access_token"]]
            account.token = {"access_token": "mine"}
            found += [account.token["access_token"], account.session.token["access_token"]]
            del account.token
            return [*found, account.token, account.session.token, account.slot().key]

        key = TokenKey("acme", "1", "A")
        assert browser.do(work) == ["at-A-0", "at-A-0", "mine", "mine", None, None, key]
        assert people.accounts() == ["B"]

    def test_revoking(self, people: People) -> None:
        """One account's grant ends, and the other is in use."""
        browser, blueprint = people.both(), people.blueprint
        assert browser.do(lambda: blueprint.account("B").revoke()) is True
        assert [form["token"] for form in people.rotating.revoked] == ["rt-B-0", "at-B-0"]
        assert browser.call() == 200
        assert sign_of(people.rotating) == "Bearer at-A-0"

    @pytest.mark.parametrize("account", ["", "a\0b", {"$ne": 1}, 1.5, True])
    def test_what_is_no_id(self, people: People, account: Any) -> None:
        """What can't be an id is refused where it is given."""
        with pytest.raises((TypeError, ValueError)):
            people.site.browser().do(lambda: people.blueprint.account(account))

    def test_numbers_are_their_text(self, people: People) -> None:
        """The account 5 of a provider's JSON and the "5" of a form are one."""
        browser = people.site.browser()
        people.login(browser, "n", sub=5)
        assert people.accounts() == ["5"]
        assert browser.do(lambda: people.blueprint.account(5).token["access_token"]) == "at-n-0"


def test_one_account_is_the_default(rotating: RotatingProvider) -> None:
    """A blueprint that is told nothing keeps one token, without account, and no choice."""
    people = People(rotating)
    browser = people.both()
    assert people.store.entries() == [TokenKey("acme", "1")]
    assert people.accounts() == [None]
    with pytest.raises(ConfigurationError, match="several_accounts"):
        browser.do(lambda: people.blueprint.use_account("A"))
    kept = browser.do(lambda: dict(flask_session))
    assert not any("account" in name for name in kept)


def naming(session: Any) -> str:
    """Name the account by the first token's text, and make a call with it."""
    assert session.get("api").status_code == 200
    return "account of " + str(session.token["access_token"])


def test_a_function_names_the_account(rotating: RotatingProvider) -> None:
    """It is given a session with the new token, by which it may ask the provider."""
    people = People(rotating, account_id=naming, **SEVERAL)
    people.both()
    assert people.accounts() == ["account of at-B-0", "account of at-A-0"]


def failing(session: Any) -> str:
    """Fail with a text that shows the token."""
    raise RuntimeError(session.token["access_token"])


@pytest.mark.parametrize(
    "account_id",
    [
        failing,
        lambda _: None,
        lambda _: "",
        lambda _: {"a": 1},
        lambda _: "9" * 256,
        lambda _: "a\nb",
        lambda _: "a\u202eb",
        None,
    ],
)
@pytest.mark.parametrize("settings", [SEVERAL, EXCLUSIVE])
def test_an_account_that_can_not_be_named(
    rotating: RotatingProvider,
    caplog: pytest.LogCaptureFixture,
    account_id: Any,
    settings: dict[str, Any],
) -> None:
    """The login ends on a page, nothing is stored, and the new token is revoked."""
    people = People(rotating, account_id=account_id, **settings)
    browser = people.site.browser()
    answer = people.login(browser, "A", sub=None)
    assert answer.status_code == 400
    assert "account_unknown" in answer.text
    assert "at-A-0" not in answer.text + caplog.text
    assert people.store.entries() == []
    assert not rotating.live("A")
    with pytest.raises(AccountUnknown):
        browser.do(lambda: setattr(people.blueprint, "token", {"access_token": "x"}))


class TestExclusiveAccounts:
    """An account belongs to one user."""

    @pytest.fixture(params=[EXCLUSIVE, BOTH], ids=["one", "several"])
    def people(self, rotating: RotatingProvider, request: pytest.FixtureRequest) -> People:
        """A site that links accounts."""
        return People(rotating, **request.param)

    def test_another_users_account_is_refused(self, people: People) -> None:
        """The page says so, the first one's token stays, and its grant is not revoked."""
        people.login(people.site.browser(), "A")
        before = people.site.browser().stored, people.accounts()
        people.now = 2
        answer = people.login(people.site.browser(), "A")
        assert answer.status_code == 400
        assert "account_already_linked" in answer.text
        assert people.accounts() == []
        assert people.rotating.revoked == []
        people.now = 1
        assert (people.site.browser().stored, people.accounts()) == before

    def test_who_has_an_account_is_found(self, people: People) -> None:
        """It is the document of its user, and none if nobody has it."""
        find: Callable[..., Any] = people.blueprint.backend.find_account
        people.login(people.site.browser(), "A")
        found = find(people.blueprint, "A")
        assert (found.user_id, found.provider_user_id) == ("1", "A")
        assert found.token["access_token"] == "at-A-0"
        assert find(people.blueprint, "B") is None

    @pytest.mark.parametrize("how", ["del", "revoke", "handle"])
    def test_disconnecting_frees_the_account(self, people: People, how: str) -> None:
        """The next user can have it, and nothing of the first one's stays in the store."""
        browser, blueprint = people.site.browser(), people.blueprint
        people.login(browser, "A")
        if how == "del":
            browser.do(lambda: delattr(blueprint, "token"))
        elif how == "revoke":
            assert browser.do(blueprint.revoke) is True
        else:
            account = "A" if blueprint.several_accounts else None
            browser.do(lambda: delattr(blueprint.account(account), "token"))
        assert people.store.entries() == []
        people.now = 2
        assert people.login(people.site.browser(), "A").status_code == 302
        assert blueprint.backend.find_account(blueprint, "A").user_id == "2"

    def test_a_refresh_keeps_the_link(self, people: People) -> None:
        """The refreshed token is of the account, as the first was."""
        browser, blueprint = people.site.browser(), people.blueprint
        people.login(browser, "A")
        [saved] = people.store.scan()
        people.store.save(replace(saved, token={**saved.token, "expires_at": 1}))
        assert browser.call() == 200
        assert people.rotating.refreshes == 1
        assert blueprint.backend.find_account(blueprint, "A").token["access_token"] == "at-A-1"

    @pytest.mark.parametrize("way", ["slot", "session", "handle"])
    def test_other_writes_keep_the_link(self, people: People, way: str) -> None:
        """A token that the application writes in place of the last is of the same account."""
        browser, blueprint = people.site.browser(), people.blueprint
        people.login(browser, "A")
        token = {"access_token": "mine", "sub": "A"}

        def write() -> None:
            if way == "slot":
                blueprint.slot().write(token)
            elif way == "session":
                blueprint.session.token_updater(token)
            else:
                blueprint.account(blueprint.slot().key.account).token = token

        browser.do(write)
        found = blueprint.backend.find_account(blueprint, "A")
        assert found.token["access_token"] == "mine"

    def test_a_token_given_to_an_account(self, people: People) -> None:
        """A handle links its account, and refuses another user's."""
        account, token = ("A" if people.blueprint.several_accounts else None), {"sub": "A"}

        def give() -> None:
            people.blueprint.account(account).token = {"access_token": "x", **token}

        people.site.browser().do(give)
        assert people.blueprint.backend.find_account(people.blueprint, "A").user_id == "1"
        people.now = 2
        with pytest.raises(AccountAlreadyLinked):
            people.site.browser().do(give)

    def test_a_token_that_is_assigned(self, people: People) -> None:
        """It is linked by what it names, and refused if that is somebody else's."""
        token = {"access_token": "mine", "sub": "A"}
        people.site.browser().do(lambda: setattr(people.blueprint, "token", token))
        assert people.blueprint.backend.find_account(people.blueprint, "A").user_id == "1"
        people.now = 2
        with pytest.raises(AccountAlreadyLinked):
            people.site.browser().do(lambda: setattr(people.blueprint, "token", token))


def test_several_after_one(rotating: RotatingProvider) -> None:
    """A user's linked account of before several were allowed is theirs afterwards, too."""
    one = People(rotating, **EXCLUSIVE)
    one.login(one.site.browser(), "A")
    people = People(rotating, store=one.store, **BOTH)
    browser = people.site.browser()
    assert people.accounts() == [None]
    people.login(browser, "A")
    people.login(browser, "B")
    assert people.accounts() == ["B", "A"]
    find = people.blueprint.backend.find_account
    assert find(people.blueprint, "A").account == "A"


def test_the_backend_links_by_itself() -> None:
    """``set`` takes the account, for applications that link by themselves."""
    backend = UserScopedBackend(MemoryStore(), user_id=1)
    site = Site(make_plain(backend))
    blueprint = site.blueprint
    backend.set(blueprint, {"access_token": "1"}, provider_user_id="A")
    with pytest.raises(AccountAlreadyLinked) as caught:
        backend.set(blueprint, {"access_token": "2"}, user_id=2, provider_user_id="A")
    assert (caught.value.provider, caught.value.provider_user_id) == ("acme", "A")
    backend.set(blueprint, {"access_token": "2"}, user_id=2, account="x", provider_user_id="B")
    found = backend.find_account(blueprint, "B")
    assert found is not None
    assert (found.user_id, found.account) == ("2", "x")
    assert backend.get(blueprint, user_id=2) is None
    assert backend.get(blueprint, user_id=2, account="x") == {"access_token": "2"}
    backend.delete(blueprint, user_id=2, account="x")
    assert backend.find_account(blueprint, "B") is None


def make_plain(backend: Any, **options: Any) -> Any:
    """Make a blueprint that asks no provider."""
    from .conftest import make_blueprint

    return make_blueprint(backend=backend, **options)


class Unaware(TokenStore):
    """A store of somebody who knows of no accounts."""

    load = save = delete = scan = prepare = ping = acquire = release = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("backend", "may_be_named"),
    [
        (SessionBackend(), False),
        (UserScopedBackend(MemoryStore()), True),
        (UserScopedBackend(MemoryStore(), scope="browser"), False),
        (UserScopedBackend(Unaware(), user_id=1), False),
    ],
    ids=["session", "app", "browser", "unaware store"],
)
def test_where_there_are_no_accounts(backend: Any, may_be_named: bool) -> None:
    """What can't keep accounts says so, whether an account is named or several are allowed."""
    blueprint = make_plain(backend)
    token = {"access_token": "x", "sub": "A"}
    if not may_be_named:
        with pytest.raises(ConfigurationError, match=r"[Aa]ccount"):
            Site(blueprint).browser().do(lambda: blueprint.slot(account="A").write(token))
    several = make_plain(backend, **SEVERAL)
    with pytest.raises(ConfigurationError, match=r"[Aa]ccount"):
        Site(several).browser().do(lambda: setattr(several, "token", token))


def test_an_application_that_is_tested(rotating: RotatingProvider) -> None:
    """``connected`` gives everybody its token, whatever accounts they could have."""
    people = People(rotating, **BOTH)
    token = {"access_token": "at-test"}
    with connected(people.site.app, "acme", token) as backend:
        assert people.site.browser().do(lambda: people.blueprint.session.token) == token
        people.login(people.site.browser(), "A")
        assert backend.token is not None
        assert backend.token["access_token"] == "at-A-0"
    assert people.store.entries() == []


def test_exclusive_accounts_need_no_accounts_of_the_store() -> None:
    """A store that keeps one token for each user can link them to one user each."""

    class OneEach(MemoryStore):
        def require_accounts(self) -> None:
            raise ConfigurationError("one account each")

    blueprint = make_plain(UserScopedBackend(OneEach(), user_id=1), **EXCLUSIVE)
    token = {"access_token": "x", "sub": "A"}
    Site(blueprint).browser().do(lambda: setattr(blueprint, "token", token))
    assert blueprint.backend.find_account(blueprint, "A").user_id == "1"


def test_a_store_that_does_not_answer(rotating: RotatingProvider) -> None:
    """Which account is in use is not known then: nobody is told that there is none."""
    store = RefusingStore()
    people = People(rotating, store=store, **SEVERAL)
    browser = people.both()
    store.refuses = {"load"}
    with pytest.raises(Exception, match="RefusingStore"):
        browser.do(lambda: people.blueprint.token)


class TestDisconnect:
    """One method that ends an account, whatever its provider can do."""

    def test_ends_the_grant_and_removes_the_token(self, people: People) -> None:
        """The provider is told, and the other account stays."""
        browser = people.both()
        assert browser.do(lambda: people.blueprint.account("A").disconnect()) is True
        assert people.accounts() == ["B"]
        assert "rt-A-0" in [form["token"] for form in people.rotating.revoked]

    def test_removes_the_token_where_nothing_can_be_revoked(
        self, rotating: RotatingProvider
    ) -> None:
        """Without a revocation endpoint it is over here alone, which the answer tells."""
        people = People(rotating, revokes=False, **BOTH)
        browser = people.both()
        assert browser.do(lambda: people.blueprint.account("A").disconnect()) is False
        assert people.accounts() == ["B"]
        other = people.site.browser()
        people.now = 2
        assert people.login(other, "A").status_code == 302
        assert people.accounts() == ["A"]

    def test_records_that_cannot_be_read_are_listed_by_their_ids(self) -> None:
        """A scan of documents leaves them out, and what is not listed can't be disconnected."""
        cipher, other = (TokenCipher(TokenCipher.generate_key()) for _ in range(2))
        store = MemoryStore()
        for account, key in (("A", cipher), ("B", other), (None, other)):
            backend = UserScopedBackend(store, user_id=1, cipher=key)
            backend.store.save(make_document(TokenKey("acme", "1", account)))
        backend = UserScopedBackend(store, user_id=1, cipher=cipher)
        blueprint = OAuth2ConsumerBlueprint("acme", __name__, backend=backend, **SEVERAL)
        assert [each.account for each in blueprint.accounts()] == ["A"]
        assert blueprint.account_ids() == [None, "A", "B"]
        assert blueprint.account_ids(user_id=2) == blueprint.account_ids(user=None) == []


def test_oauth_1_cannot_revoke() -> None:
    """The error says what to do in its place."""
    blueprint = OAuth1ConsumerBlueprint("acme", __name__, backend=UserScopedBackend(MemoryStore()))
    with pytest.raises(ConfigurationError, match=r"del blueprint\.token"):
        blueprint.revoke()
