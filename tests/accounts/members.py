"""A site on which visitors sign in with their accounts, with its users in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask_login import LoginManager, UserMixin

from flask_dance_nosql.accounts import AccountProfile, SignIn, current_user_id
from flask_dance_nosql.consumer import account_linked, user_created, user_signed_in
from flask_dance_nosql.consumer.backend import TokenKey, UserScopedBackend
from flask_dance_nosql.consumer.backend.store.memory import MemoryStore

from ..consumer.site import Browser, Site, make_site
from ..rotating import RotatingProvider


class Member(UserMixin):
    """A user of the site."""

    def __init__(self, number: int, key: str | None = None, email: str | None = None) -> None:
        self.id = number
        self.key = key
        self.email = email
        self.may_sign_in = True

    @property
    def is_active(self) -> bool:
        """Whether Flask-Login lets them in."""
        return self.may_sign_in


class Store(MemoryStore):
    """A store that can be looked into."""

    def keys(self) -> list[TokenKey]:
        """Return the keys of all records, those that only the package itself reads included."""
        return list(self._documents)


def read(session: Any) -> dict[str, Any]:
    """Read the profile from the answer to the login, in place of a call."""
    return dict(session.token["who"])


class Members:
    """The site.

    Attributes:
        users: Its users, by id.
        sent: The signals that were sent: the name of each, the user's id, and the profile's key.
    """

    def __init__(
        self,
        rotating: RotatingProvider,
        *,
        has_flask_login: bool = False,
        steps: dict[str, Any] | None = None,
        store: Any = None,
        **options: Any,
    ) -> None:
        self.rotating = rotating
        self.users: dict[int, Member] = {}
        self._numbers = itertools.count(1)
        self.store: Any = store or Store()
        backend = UserScopedBackend(self.store, user_id=current_user_id)
        self.site: Site = make_site(rotating, backend, **options)
        self.blueprint: Any = self.site.blueprint
        if has_flask_login:
            LoginManager(self.site.app).user_loader(self.load_user)
        given = {
            "load_user": self.load_user,
            "create_user": self.create_user,
            "profile": read,
            **(steps or {}),
        }
        self.sign_in = SignIn(self.blueprint, **given)
        self.sent: list[tuple[str, int, str]] = []
        self._receivers = [self._receiver(each) for each in (user_created, account_linked)]
        self._receivers.append(self._receiver(user_signed_in))

    def _receiver(self, signal: Any) -> Callable[..., None]:
        def receive(blueprint: Any, *, user: Member, profile: AccountProfile) -> None:
            self.sent.append((signal.name, user.id, profile.key))

        signal.connect(receive, self.blueprint)
        return receive

    def load_user(self, user_id: str) -> Member | None:
        """Return a user."""
        return self.users.get(int(user_id))

    def create_user(self, profile: AccountProfile) -> Member:
        """Return the user that was made for an account, or a new one."""
        made = next((each for each in self.users.values() if each.key == profile.key), None)
        if made is None:
            made = Member(next(self._numbers), profile.key, profile.email)
            self.users[made.id] = made
        return made

    def find_by_email(self, email: str) -> Member | None:
        """Return the user with an address."""
        return next((each for each in self.users.values() if each.email == email), None)

    def begin(self, browser: Browser, query: str = "retry=") -> str:
        """Begin a login, and return its state."""
        # Three logins within moments would look like a circle of redirects.
        begun = browser.get(f"/login/acme?{query}").location
        return str(parse_qs(urlsplit(begun).query)["state"][0])

    def approve(self, account: str | None, **profile: Any) -> str:
        """Let the provider know an account, and return the code of a login with it."""
        who = {"id": account, **profile}
        self.rotating.approve(str(account), code=f"of-{account}", who=who)
        return f"of-{account}"

    def login(self, browser: Browser, account: str | None = "A", **profile: Any) -> Any:
        """Sign a browser in with an account at the provider, and return the answer."""
        code = self.approve(account, **profile)
        return browser.finish(self.begin(browser), code)

    def arrived(self, account: str = "A", **profile: Any) -> Browser:
        """Return a browser that has signed in with an account."""
        browser = self.site.browser()
        assert self.login(browser, account, **profile).status_code == 302
        self.sent.clear()
        return browser

    def user_of(self, browser: Browser) -> str | None:
        """Return the id of the user who is signed in in a browser."""
        return browser.do(current_user_id)

    def stored(self, user_id: str) -> dict[str, Any]:
        """Return the token that is stored for a user, without an account."""
        document = self.store.load(TokenKey("acme", user_id))
        return dict(document.token)

    def replace(self, step: str, function: Callable[..., Any]) -> None:
        """Replace a step of the sign-in."""
        setattr(self.sign_in, step, function)

    def owners(self) -> dict[str | None, str | None]:
        """Return which user each account that is linked is linked to."""
        return {each.provider_user_id: each.user_id for each in self.store.scan()}
