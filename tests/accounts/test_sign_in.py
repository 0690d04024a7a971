"""Signing in with an account, and linking accounts to users."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask import abort, flash, get_flashed_messages, redirect
from flask import session as flask_session
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from flask_dance_nosql.accounts import AccountProfile, SignIn, current_user_id, sign_in
from flask_dance_nosql.accounts.profile import profile_in
from flask_dance_nosql.consumer import oauth_authorized, user_signed_in
from flask_dance_nosql.consumer.backend import SessionBackend, TokenKey, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore
from flask_dance_nosql.consumer.revocation import Revocation
from flask_dance_nosql.errors import BackendError, BackendUnavailable, ConfigurationError
from flask_dance_nosql.testing import connected

from ..consumer.conftest import make_blueprint
from ..consumer.site import RefusingStore
from ..rotating import RotatingProvider
from .members import Member, Members

VERIFIED = {"email": "ann@example.test", "email_verified": True}


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[RotatingProvider]:
    """A provider that rotates refresh tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with RotatingProvider() as provider:
        yield provider


@pytest.fixture(params=[False, True], ids=["session", "flask-login"])
def members(rotating: RotatingProvider, request: pytest.FixtureRequest) -> Members:
    """A site, with Flask-Login and without."""
    return Members(rotating, has_flask_login=request.param)


def test_a_newcomer_is_created(members: Members) -> None:
    """They are signed in and linked, the token is theirs, and the page that they wanted follows."""
    browser = members.site.browser()
    code = members.approve("A", name="Ann")
    answer = browser.finish(members.begin(browser, "next=/view"), code)
    assert (answer.status_code, answer.location) == (302, "/view")
    assert members.user_of(browser) == "1"
    assert browser.get("/view").text == "seen"
    assert members.owners() == {"A": "1"}
    assert members.users[1].key == "acme:A"
    kept = profile_in("acme", members.stored("1"))
    assert kept == AccountProfile("acme", "A", "Ann")
    names = ["user-created", "account-linked", "user-signed-in"]
    assert members.sent == [(name, 1, "acme:A") for name in names]


def test_a_known_account_signs_in(members: Members) -> None:
    """In another browser, they are the same user, with the new token."""
    members.arrived()
    browser = members.site.browser()
    members.login(browser)
    assert members.user_of(browser) == "1"
    assert list(members.users) == [1]
    assert members.sent == [("user-signed-in", 1, "acme:A")]


def test_ones_own_account_again(members: Members) -> None:
    """Whoever is signed in may sign in again."""
    browser = members.arrived()
    assert members.login(browser).status_code == 302
    assert members.user_of(browser) == "1"
    assert members.sent == [("user-signed-in", 1, "acme:A")]


@pytest.mark.parametrize("has_flask_login", [False, True])
def test_who_is_signed_in_links(rotating: RotatingProvider, has_flask_login: bool) -> None:
    """An account that is nobody's becomes the current user's, and signs them in from then on."""
    members = Members(rotating, has_flask_login=has_flask_login, several_accounts=True)
    browser = members.arrived("A")
    assert members.login(browser, "B").status_code == 302
    assert members.sent == [("account-linked", 1, "acme:B")]
    assert members.owners() == {"A": "1", "B": "1"}
    other = members.site.browser()
    members.login(other, "B")
    assert members.user_of(other) == "1"
    accounts = other.do(members.blueprint.accounts)
    assert [each.account for each in accounts] == ["B", "A"]


def test_another_account_in_place_of_ones_own(members: Members) -> None:
    """With one account each, the new one counts, and gets no refresh token of the old one."""
    browser = members.arrived("A")
    members.rotating.approve("B", code="b", refresh_token=False, who={"id": "B"})
    browser.finish(members.begin(browser), "b")
    assert members.owners() == {"B": "1"}
    assert "refresh_token" not in members.stored("1")


def test_somebody_elses_account_is_refused(members: Members) -> None:
    """There is a page, nothing changes, and the other user's grant is not revoked."""
    members.arrived("A")
    browser = members.arrived("B")
    before = members.store.load(TokenKey("acme", "1"))
    answer = members.login(browser, "A")
    assert answer.status_code == 400
    assert "account_already_linked" in answer.text
    assert members.user_of(browser) == "2"
    assert members.owners() == {"A": "1", "B": "2"}
    assert members.store.load(TokenKey("acme", "1")) == before
    assert members.rotating.revoked == []
    assert members.sent == []


def test_a_grant_that_others_do_not_depend_on_is_revoked(rotating: RotatingProvider) -> None:
    """Where tokens of an account end apart, one that was refused does not live on."""
    revocation = Revocation(f"{rotating.url}/revoke", ends_grant=False)
    members = Members(rotating, revocation=revocation)
    members.arrived("A")
    browser = members.arrived("B")
    assert "account_already_linked" in members.login(browser, "A").text
    assert rotating.revoked != []


@pytest.mark.parametrize("ends_grant", [True, None])
def test_a_profile_that_fails_ends_no_grant(
    rotating: RotatingProvider, ends_grant: bool | None
) -> None:
    """A login whose account is not told leaves the grant where all tokens of it would end."""
    failing: list[bool] = []

    def profile(session: Any) -> dict[str, Any]:
        if failing:
            raise KeyError("id")
        return {"id": session.token["access_token"].split("-")[1]}

    revocation = Revocation(f"{rotating.url}/revoke", ends_grant=ends_grant)
    members = Members(rotating, revocation=revocation, steps={"profile": profile})
    members.arrived("A")
    failing.append(True)
    assert "account_unknown" in members.login(members.site.browser(), "A").text
    assert (rotating.revoked == []) is (ends_grant is True)


def test_a_link_to_a_user_who_is_gone(members: Members) -> None:
    """They come as a newcomer, and the record of the one who is gone does not stay."""
    members.arrived()
    del members.users[1]
    browser = members.site.browser()
    assert members.login(browser).status_code == 302
    assert members.user_of(browser) == "2"
    assert members.owners() == {"A": "2"}
    assert members.store.load(TokenKey("acme", "1")) is None


def test_who_is_signed_in_takes_over_from_a_user_who_is_gone(members: Members) -> None:
    """An account of nobody can be linked, whatever record it has."""
    members.arrived("A")
    browser = members.arrived("B")
    del members.users[1]
    assert members.login(browser, "A").status_code == 302
    assert members.owners() == {"A": "2"}


def test_a_record_that_has_lost_its_user(members: Members) -> None:
    """As a row has whose foreign key was set to NULL when its user was deleted."""
    members.arrived()
    document = members.store.load(TokenKey("acme", "1"))
    members.store.delete(document.key)
    members.store.link(replace(document, user_id=None))
    del members.users[1]
    browser = members.site.browser()
    assert members.login(browser).status_code == 302
    assert members.user_of(browser) == "2"
    assert [each.key for each in members.store.scan()] == [TokenKey("acme", "2")]


def test_a_browser_of_a_user_who_is_gone(members: Members) -> None:
    """Nobody is signed in there; the next one is, and finds nothing that was the other one's."""
    browser = members.arrived("A")
    browser.do(lambda: flask_session.update(cart=["a book"]))
    del members.users[1]
    assert members.login(browser, "B").status_code == 302
    assert members.user_of(browser) == "2"
    assert browser.do(lambda: flask_session.get("cart")) is None


def test_an_account_whose_record_can_not_be_read(members: Members) -> None:
    """It is its user's all the same, and the new token replaces what can't be read."""
    members.arrived()
    load, key = members.store.load_fresh, TokenKey("acme", "1")

    def corrupt(wanted: TokenKey) -> Any:
        if wanted == key:
            raise members.store.corrupt("load", key, "for the test")
        return load(wanted)

    members.store.load_fresh = corrupt
    browser = members.site.browser()
    assert members.login(browser).status_code == 302
    assert members.user_of(browser) == "1"
    assert list(members.users) == [1]


class TestByEmail:
    """Linking an account for its e-mail address."""

    @pytest.mark.parametrize(
        ("profile", "asks", "owner"),
        [
            (VERIFIED, True, "1"),
            (VERIFIED, False, "2"),
            ({"email": "ann@example.test"}, True, "2"),
            ({"email": "ann@example.test", "email_verified": "no"}, True, "2"),
            ({"email": "bea@example.test", "email_verified": True}, True, "2"),
            ({"email_verified": True}, True, "2"),
        ],
    )
    def test_it_has_to_be_verified_and_asked_for(
        self, rotating: RotatingProvider, profile: dict[str, Any], asks: bool, owner: str
    ) -> None:
        """Nothing less links: there is a new user then."""
        members = Members(rotating)
        if asks:
            members.replace("find_user_by_email", members.find_by_email)
        members.create_user(AccountProfile("other", "1", email="ann@example.test"))
        browser = members.site.browser()
        members.login(browser, "A", **profile)
        assert members.user_of(browser) == owner
        assert members.owners() == {"A": owner}
        told = [name for name, *_ in members.sent]
        created = ["user-created"] if owner == "2" else []
        assert told == [*created, "account-linked", "user-signed-in"]

    def test_whoever_is_signed_in_comes_first(self, rotating: RotatingProvider) -> None:
        """An address does not make the account another user's."""
        members = Members(rotating)
        members.replace("find_user_by_email", members.find_by_email)
        members.arrived("A", email="ann@example.test", email_verified=True)
        browser = members.arrived("B")
        members.login(browser, "C", **VERIFIED)
        assert members.owners()["C"] == "2"


def raising(error: Exception) -> Any:
    """Return a function that raises an error, whatever it is given."""

    def fail(*_: Any) -> Any:
        raise error

    return fail


TAKEN = IntegrityError("INSERT", {"email": "ann@example.test"}, Exception("UNIQUE"))

REFUSALS: list[tuple[dict[str, Any], int, str]] = [
    ({"create_user": lambda profile: None}, 403, "sign_in_refused"),
    ({"create_user": raising(TAKEN)}, 400, "sign_in_failed"),
    ({"create_user": lambda profile: {"no": "id"}}, 400, "sign_in_failed"),
    ({"create_user": lambda profile: Member(None)}, 400, "sign_in_failed"),  # type: ignore[arg-type]
    ({"log_in": lambda user: False}, 403, "sign_in_refused"),
    ({"log_in": raising(ValueError("s3cret"))}, 400, "sign_in_failed"),
    ({"renew_session": raising(ValueError("s3cret"))}, 400, "sign_in_failed"),
    ({"current_user_id": raising(KeyError("s3cret"))}, 400, "sign_in_failed"),
    ({"current_user_id": lambda: {"$ne": None}}, 400, "sign_in_failed"),
    ({"current_user_id": lambda: "odd"}, 400, "sign_in_failed"),
    ({"profile": raising(KeyError("s3cret"))}, 400, "account_unknown"),
    ({"profile": lambda session: None}, 400, "account_unknown"),
    ({"profile": lambda session: {"id": ""}}, 400, "account_unknown"),
    ({"profile": lambda session: {"name": "Ann"}}, 400, "account_unknown"),
    ({"profile": lambda session: {"id": "9" * 256}}, 400, "account_unknown"),
    ({"profile": lambda session: {"id": 10**5000}}, 400, "account_unknown"),
    ({"profile": lambda session: {"id": "a\0b"}}, 400, "account_unknown"),
    ({"profile": lambda session: {"id": "\ud800"}}, 400, "account_unknown"),
]


@pytest.mark.parametrize("has_flask_login", [False, True], ids=["session", "flask-login"])
@pytest.mark.parametrize(("steps", "status", "error"), REFUSALS)
def test_what_fails_is_a_page(
    rotating: RotatingProvider,
    caplog: pytest.LogCaptureFixture,
    has_flask_login: bool,
    steps: dict[str, Any],
    status: int,
    error: str,
) -> None:
    """Nobody is signed in, nothing is stored, the token is revoked, and the session stays."""
    members = Members(rotating, has_flask_login=has_flask_login, steps=steps)
    browser = members.site.browser()
    browser.do(lambda: flask_session.update(cart=["a book"]))
    answer = members.login(browser, "A")
    assert (answer.status_code, error in answer.text) == (status, True)
    assert "at-A-0" not in answer.text + caplog.text
    assert "s3cret" not in answer.text + caplog.text
    assert "ann@example.test" not in answer.text + caplog.text
    assert browser.do(lambda: flask_session.get("_user_id")) is None
    assert browser.do(lambda: flask_session.get("flask_dance_user_id")) is None
    assert browser.do(lambda: flask_session["cart"]) == ["a book"]
    assert members.store.keys() == []
    assert not rotating.live("A")
    assert members.sent == []


def test_the_class_of_an_error_is_logged(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """A developer reads which function has raised what."""
    members = Members(rotating, steps={"create_user": raising(TAKEN)})
    with caplog.at_level(logging.ERROR):
        members.login(members.site.browser())
    assert "create_user, of SignIn with 'acme', raised IntegrityError." in caplog.text


def test_a_user_who_may_not_sign_in(rotating: RotatingProvider) -> None:
    """Flask-Login refuses one who is not active: a page, and the token that they have stays."""
    members = Members(rotating, has_flask_login=True)
    members.arrived()
    before = members.store.load(TokenKey("acme", "1"))
    members.users[1].may_sign_in = False
    browser = members.site.browser()
    answer = members.login(browser)
    assert (answer.status_code, "sign_in_refused" in answer.text) == (403, True)
    assert members.user_of(browser) is None
    assert members.store.load(TokenKey("acme", "1")) == before
    assert rotating.revoked == []


def test_a_lookup_that_fails_makes_no_second_user(members: Members) -> None:
    """That a user could not be loaded does not mean that they are gone."""
    members.arrived()
    members.replace("load_user", raising(ConnectionError("down")))
    answer = members.login(members.site.browser())
    assert "sign_in_failed" in answer.text
    assert list(members.users) == [1]
    assert members.owners() == {"A": "1"}
    assert members.rotating.revoked == []


def test_an_application_may_answer_by_itself(members: Members) -> None:
    """``abort`` passes, with an answer or without one, and the token is given up."""
    for answer, status in ((403, 403), (redirect("/sorry"), 302)):
        members.replace("create_user", lambda profile, answer=answer: abort(answer))
        browser = members.site.browser()
        assert members.login(browser).status_code == status
        assert members.user_of(browser) is None
        assert not members.rotating.live("A")


def test_a_reader_of_the_profile_may_answer_by_itself(rotating: RotatingProvider) -> None:
    """It knows which accounts may come in at all, such as those of a company."""
    members = Members(rotating, steps={"profile": lambda session: abort(403)})
    answer = members.login(members.site.browser())
    assert (answer.status_code, "account_unknown" in answer.text) == (403, False)
    assert not rotating.live("A")


@pytest.mark.parametrize("query", ["error=access_denied", "error=odd%0A", "code=unknown", ""])
def test_denied_and_cancelled(members: Members, query: str) -> None:
    """No user is made, and the visitor comes to a page without a 500."""
    browser = members.site.browser()
    state = members.begin(browser)
    answer = browser.get(f"/login/acme/authorized?state={state}&{query}")
    assert answer.status_code in (302, 400, 403)
    assert members.users == {}
    assert members.user_of(browser) is None


def test_a_store_that_does_not_answer(rotating: RotatingProvider) -> None:
    """It is told apart from a visitor's mistake; nobody is signed in, and the token is given up."""
    store = RefusingStore()
    members = Members(rotating, has_flask_login=True, store=store)
    members.site.app.config["PROPAGATE_EXCEPTIONS"] = True
    store.refuses = {"save"}
    browser = members.site.browser()
    with pytest.raises(BackendUnavailable):
        members.login(browser)
    assert members.user_of(browser) is None
    assert not rotating.live("A")
    store.refuses = set()
    members.login(browser)
    assert members.user_of(browser) == "1"


@pytest.mark.parametrize("operation", ["acquire", "linked"])
def test_a_store_that_does_not_tell(rotating: RotatingProvider, operation: str) -> None:
    """Without an answer to whose the account is, no user is made."""

    class Silent(MemoryStore):
        pass

    def fail(self: Any, *_: Any) -> Any:
        raise BackendUnavailable(operation, "Silent")

    members = Members(rotating, store=Silent())
    setattr(Silent, operation, fail)
    with pytest.raises(BackendUnavailable):
        members.login(members.site.browser())
    assert members.users == {}
    assert not rotating.live("A")


def test_a_store_that_does_not_lock(
    rotating: RotatingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Visitors sign in all the same, as with a database that lacks a right, and it is logged."""

    class Unlocked(MemoryStore):
        def acquire(self, key: TokenKey, holder: str, seconds: float) -> bool:
            raise BackendError("acquire", "Unlocked")

    members = Members(rotating, store=Unlocked())
    assert members.user_of(members.arrived()) == "1"
    assert "without a lock" in caplog.text


def test_who_waits_too_long(rotating: RotatingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another login with the account does not end, there is a page, and no second user."""
    monkeypatch.setattr(sign_in, "WAIT_SECONDS", 0.05)
    members = Members(rotating)
    with members.site.app.app_context(), members.sign_in._turn("A"):
        answer = members.login(members.site.browser())
    assert (answer.status_code, "sign_in_failed" in answer.text) == (400, True)
    assert members.users == {}
    assert members.user_of(members.arrived()) == "1"


def test_the_profile_is_asked_once(rotating: RotatingProvider) -> None:
    """A login costs one reading of it, whatever the blueprint's other settings."""
    asked = []

    def count(session: Any) -> dict[str, Any]:
        asked.append(session.token["access_token"])
        return {"id": "A"}

    members = Members(rotating, steps={"profile": count}, several_accounts=True)
    members.arrived()
    assert asked == ["at-A-0"]


def test_methods_in_place_of_functions(rotating: RotatingProvider) -> None:
    """A subclass may have the steps, and a step that was not given is told."""
    members = Members(rotating)

    class Ours(SignIn):
        def load_user(self, user_id: str) -> Any:
            return members.load_user(user_id)

        def create_user(self, profile: AccountProfile) -> Any:
            return members.create_user(profile)

    members.blueprint.sign_in = members.blueprint.account_id = None
    Ours(members.blueprint, profile=lambda session: {"id": "A"})
    assert members.user_of(members.arrived()) == "1"


BACKEND = UserScopedBackend(MemoryStore(), user_id=current_user_id)
BOTH: dict[str, Any] = {"load_user": print, "create_user": print}


@pytest.mark.parametrize(
    ("options", "steps", "message"),
    [
        ({}, BOTH, "SessionBackend has none"),
        ({"backend": UserScopedBackend(MemoryStore())}, BOTH, "token for each user"),
        ({"backend": UserScopedBackend(MemoryStore(), scope="browser")}, BOTH, "each user"),
        ({"backend": BACKEND}, {"load_user": print}, "create_user"),
        ({"backend": BACKEND}, {"create_user": print}, "load_user"),
        ({"backend": BACKEND}, {**BOTH, "log_in": True}, "log_in"),
        ({"backend": BACKEND, "account_id": print}, BOTH, "account_id"),
    ],
)
def test_what_can_not_work(options: dict[str, Any], steps: dict[str, Any], message: str) -> None:
    """It is an error where the sign-in is made, and the message says what to change."""
    with pytest.raises(ConfigurationError, match=message):
        SignIn(make_blueprint(**options), **steps)


def test_one_for_each_blueprint() -> None:
    """A second one would take the first one's place in silence."""
    blueprint = make_blueprint(backend=BACKEND)
    SignIn(blueprint, **BOTH)
    with pytest.raises(ConfigurationError, match="already"):
        SignIn(blueprint, **BOTH)


def test_a_backend_that_is_given_later(members: Members) -> None:
    """It links accounts, too; one without users is an error where it is used."""
    store = MemoryStore()
    members.blueprint.backend = UserScopedBackend(store, user_id=current_user_id)
    members.arrived()
    assert store.linked("acme", "A") == TokenKey("acme", "1")
    members.blueprint.backend = SessionBackend()
    with pytest.raises(ConfigurationError):
        members.site.browser().do(lambda: members.blueprint.token)


def test_an_application_that_is_tested(members: Members) -> None:
    """With the backend of ``connected``, in which all have one token, visitors sign in as well."""
    with connected(members.site.app, "acme", {"access_token": "at"}):
        browser = members.site.browser()
        for account in ("A", "B"):
            assert members.login(browser, account).status_code == 302
            assert members.user_of(browser) == "1"
        assert members.sent[-1] == ("account-linked", 1, "acme:B")


def test_one_account_after_several(rotating: RotatingProvider) -> None:
    """A user's account of when several were allowed signs them in afterwards, too."""
    several = Members(rotating, several_accounts=True)
    several.arrived("A")
    members = Members(rotating, store=several.store)
    members.users = several.users
    browser = members.arrived("A")
    assert members.user_of(browser) == "1"
    assert [each.key for each in members.store.scan()] == [TokenKey("acme", "1")]
    assert members.owners() == {"A": "1"}


def test_receivers_that_do_it_themselves(members: Members) -> None:
    """If a receiver of ``oauth_authorized`` returns ``False``, nobody is signed in."""

    @oauth_authorized.connect_via(members.blueprint)
    def ours(blueprint: Any, token: Any) -> bool:
        return False

    browser = members.site.browser()
    assert members.login(browser).status_code == 302
    assert members.users == {}


def test_an_error_of_a_receiver_is_its_own(members: Members) -> None:
    """It is no failure of the login, which has ended well."""

    @user_signed_in.connect_via(members.blueprint)
    def fail(blueprint: Any, **sent: Any) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        members.login(members.site.browser())
    assert members.owners() == {"A": "1"}


def test_tokens_of_before_are_linked_at_the_next_login(rotating: RotatingProvider) -> None:
    """A user whose token was stored without a link is who ``create_user`` says."""
    members = Members(rotating, several_accounts=True)
    user = members.create_user(AccountProfile("acme", "A"))
    old = {**rotating.grant("A", expires_at=9e9), "who": {"id": "A"}}
    with members.site.app.app_context():
        members.blueprint.backend.set(members.blueprint, old, user_id=user.id)
    members.arrived("A")
    assert [each.key for each in members.store.scan()] == [TokenKey("acme", "1", "A")]


class TestSession:
    """What the Flask session holds after somebody has signed in."""

    def test_what_a_visitor_had_stays(self, members: Members) -> None:
        """A cart and messages outlive the sign-in; a CSRF token that others may know does not."""
        browser = members.site.browser()
        browser.do(lambda: flash("hello"))
        browser.do(lambda: flask_session.update(cart=["a book"], csrf_token="planted"))
        members.login(browser)
        assert browser.do(lambda: flask_session["cart"]) == ["a book"]
        assert browser.do(lambda: list(get_flashed_messages())) == ["hello"]
        assert browser.do(lambda: flask_session.get("csrf_token")) is None

    def test_signing_in_again_keeps_forms_valid(self, members: Members) -> None:
        """The CSRF token of whoever is signed in stays, so that forms in other tabs still work."""
        browser = members.arrived()
        browser.do(lambda: flask_session.update(csrf_token="own"))
        members.login(browser)
        assert browser.do(lambda: flask_session["csrf_token"]) == "own"

    def test_logging_out(self, members: Members) -> None:
        """Nothing of the user stays in the browser, and the token stays stored."""
        browser = members.arrived()
        browser.do(lambda: flask_session.update(cart=["a book"]))
        browser.do(members.sign_in.log_out)
        assert members.user_of(browser) is None
        assert browser.do(lambda: list(flask_session)) == []
        assert members.owners() == {"A": "1"}

    def test_nobody_outside_of_requests(self, members: Members) -> None:
        """A job has no current user, and names one."""
        members.arrived()
        with members.site.app.app_context():
            assert current_user_id() is None
            with members.blueprint.user_session(user_id=1) as session:
                assert session.authorized

    @pytest.mark.parametrize("kept", [7, "", None, ["1"], {"$ne": 1}])
    def test_odd_sessions(self, rotating: RotatingProvider, kept: Any) -> None:
        """Whatever lies in place of an id, nobody is signed in."""
        members = Members(rotating)
        browser = members.site.browser()
        browser.do(lambda: flask_session.update(flask_dance_user_id=kept))
        assert members.user_of(browser) is None
        assert members.login(browser).status_code == 302
        assert members.user_of(browser) == "1"


class TestLoginCSRF:
    """A visitor who wants somebody else's browser to be signed in as him."""

    def test_a_planted_callback_signs_nobody_in(self, members: Members) -> None:
        """His state is bound to his own browser, with a login begun in the other one or not."""
        attacker, victim = members.site.browser(), members.site.browser()
        state, code = members.begin(attacker), members.approve("evil")
        answer = victim.finish(state, code)
        assert answer.status_code == 400
        members.begin(victim)
        victim.finish(state, code)
        assert members.user_of(victim) is None
        assert members.users == {}

    def test_a_planted_callback_links_nothing(self, members: Members) -> None:
        """Who is signed in does not get the attacker's account, by which he could come in."""
        victim = members.arrived("A")
        attacker = members.site.browser()
        state, code = members.begin(attacker), members.approve("evil")
        victim.finish(state, code)
        assert members.owners() == {"A": "1"}
        assert members.user_of(victim) == "1"

    def test_a_login_that_was_begun_before(self, members: Members) -> None:
        """It links nothing to who has signed in since: a planted session may have it."""
        browser = members.site.browser()
        state, again, code = members.begin(browser), members.begin(browser), members.approve("B")
        members.login(browser, "A")
        assert browser.finish(state, code).status_code in (302, 400)
        assert members.owners() == {"A": "1"}
        assert not members.rotating.live("B")
        assert browser.finish(again, members.approve("A")).location == "/"
        assert members.owners() == {"A": "1"}
