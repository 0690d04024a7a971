"""A provider that says by itself, and not through the browser, that somebody has logged out there.

Source: OpenID Connect Back-Channel Logout 1.0.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from flask import Response, jsonify, request

from ...errors import (
    BackendError,
    ConfigurationError,
    CorruptToken,
    ProviderError,
    VersionConflict,
)
from ..backend.scoped import UserScopedBackend
from ..backend.scoped_slot import StoreSlot
from ..backend.store.document import TokenDocument
from ..backend.store.values import Token
from ..client import SlotMaker
from ..oauth2 import OAuth2ConsumerBlueprint
from ..refresh.turns import turn_of
from ..settings import argument
from ..signals import backchannel_logout, token_deleted
from .id_token import Claims, Expected, InvalidIDToken, claims_in, number, subject_of, verified

log = logging.getLogger(__name__)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
_TYPE = "logout+jwt"
_ROUNDS = 10


class BackchannelLogout(OAuth2ConsumerBlueprint):
    """A blueprint with a view to which the provider posts that somebody has logged out."""

    backchannel_logout_url: str | None = argument(default=None)

    def _set_up(self, values: dict[str, Any], further: dict[str, Any]) -> None:
        url, rule_kwargs = values["backchannel_logout_url"], values["rule_kwargs"] or {}
        super()._set_up(values, further)
        if url is not None:
            rule = self._route("backchannel_logout_url", url)
            methods = {"methods": ["POST"], **rule_kwargs}
            self.add_url_rule(rule, "backchannel_logout", self.backchannel_logout, **methods)

    def _slot_maker(self, backend: Any) -> SlotMaker:
        if self.backchannel_logout_url is None:
            return super()._slot_maker(backend)
        if is_suitable(backend):
            backend.marks[self.name] = names_of
            return super()._slot_maker(backend)

        def refuse(*_: object) -> StoreSlot:
            raise self._unsuitable()

        return refuse

    def _unsuitable(self) -> ConfigurationError:
        return ConfigurationError(
            f"Blueprint {self.name!r} has a backchannel_logout_url, and its backend does not find "
            "the token of a user who is not there. Give it MongoBackend, RedisBackend, "
            "SQLAlchemyBackend or another UserScopedBackend, with user=, user_id= or "
            "scope='browser'."
        )

    def backchannel_logout(self) -> Response:
        """End the tokens of a login, or of all of an account, that the provider says is over.

        The provider posts a ``logout_token``. The answer is 200 if it is valid, whether there was a
        token or not, else 400 with an error as JSON.

        Source: OpenID Connect Back-Channel Logout 1.0 sections 2.5 to 2.8.
        """
        error = "invalid_request"
        try:
            claims = self._logout_claims(request.form.get("logout_token"))
            users = [self._end(slot, claims) for slot in self._slots_of(claims)]
        except InvalidIDToken as refusal:
            reason = str(refusal)
        except ProviderError as failure:
            error, reason = "temporarily_unavailable", failure.reason
        except BackendError as failure:
            log.error("A back-channel logout of %r has failed. %s", self.name, failure)  # noqa: TRY400
            error, reason = "temporarily_unavailable", "The token could not be removed."
        else:
            ended = [user for is_ended, user in users if is_ended]
            given = {name: claims.get(name) for name in ("sub", "sid")}
            backchannel_logout.send(self, **given, user_ids=ended)
            return _unkept(Response(status=200))
        log.warning("A back-channel logout of %r is refused: %s", self.name, reason)
        response = jsonify(error=error, error_description=reason)
        response.status_code = 400
        return _unkept(response)

    def _logout_claims(self, logout_token: object) -> Claims:
        """Return the claims of a logout token, or raise :class:`InvalidIDToken`.

        Source: OpenID Connect Back-Channel Logout 1.0 section 2.6.
        """
        if not logout_token:
            raise InvalidIDToken("There is no logout_token in what was posted.")
        claims, _ = verified(logout_token, self._expected(), "logout token", _TYPE)
        events, sid = claims.get("events"), claims.get("sid")
        if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
            raise InvalidIDToken("The logout token does not say that somebody has logged out.")
        if "nonce" in claims:
            raise InvalidIDToken("The logout token has a nonce, as an ID token has.")
        if not isinstance(claims.get("jti"), str) or not claims["jti"]:
            raise InvalidIDToken("The logout token has no identifier.")
        if "sub" in claims and subject_of(claims) is None:
            raise InvalidIDToken("The logout token names no subject.")
        if "sid" in claims and (not isinstance(sid, str) or not sid):
            raise InvalidIDToken("The logout token names no session.")
        if "sub" not in claims and "sid" not in claims:
            raise InvalidIDToken("The logout token names neither a subject nor a session.")
        return claims

    def _expected(self) -> Expected:
        """Return what a token that the provider has signed has to be."""
        raise NotImplementedError

    def _slots_of(self, claims: Claims) -> list[StoreSlot]:
        """Return the slots whose tokens may be meant."""
        backend: Any = self._backend
        if not is_suitable(backend):
            raise self._unsuitable()
        documents: list[TokenDocument] = []
        if "sub" in claims and self.exclusive_accounts:
            with suppress(CorruptToken):
                found = backend.find_account(self, claims["sub"])
                # The ids of accounts may be others than the subjects.
                documents = [] if found is None or not is_meant(found.token, claims) else [found]
        if not documents:
            name = next(f"{each} {claims[each]}" for each in ("sub", "sid") if each in claims)
            documents = backend.store.marked(self.name, name)
        is_person = backend.scope == "user"
        return [
            StoreSlot(backend, each.key, is_person=is_person)
            for each in documents
            if is_meant(each.token, claims)
        ]

    def _end(self, slot: StoreSlot, claims: Claims) -> tuple[bool, str | None]:
        """Remove what is in a slot if it is meant, and tell whether it was, and whose it was."""
        with turn_of(self, slot) as (_, stored):
            tries_left, token = _ROUNDS, None if stored is None else stored.token
            while is_meant(token, claims):
                try:
                    slot.erase(stored)
                    break
                except VersionConflict:
                    tries_left -= 1
                    if not tries_left:
                        raise
                token = (stored := slot.read(fresh=True)).token
            else:
                return False, None
            self.flights.forget(self.flights.newest(slot, token or {}))
            self.flights.rescue.settle_slot(slot)
        self.forget_token()
        token_deleted.send(self, user_id=slot.user_id)
        return True, slot.user_id


def is_suitable(backend: object) -> bool:
    """Whether a backend keeps a token for each user or browser, and finds it without them."""
    return isinstance(backend, UserScopedBackend) and backend.scope != "app"


def names_of(token: Token) -> set[str]:
    """Return the names by which the provider may ask for a token to be ended."""
    claims = claims_in(token) or {}
    found = ((name, claims.get(name)) for name in ("sub", "sid"))
    return {f"{name} {value}" for name, value in found if isinstance(value, str) and value}


def is_meant(token: Token | None, claims: Claims) -> bool:
    """Whether a logout token with these claims ends a token.

    One whose ID token tells no session belongs to every session of its subject. One that was issued
    after the logout belongs to a later login, so that a logout token that comes twice, or that
    somebody sends again, ends no login that has come since.
    """
    own = claims_in(token)
    if own is None or own.get("iss") != claims.get("iss"):
        return False
    issued, ended = number(own.get("iat")), number(claims.get("iat"))
    if issued is not None and ended is not None and issued > ended:
        return False
    has_session = "sid" in claims and ("sub" not in claims or own.get("sid") is not None)
    wanted = [name for name in ("sub", "sid") if name in claims and (name == "sub" or has_session)]
    return all(own.get(name) == claims[name] for name in wanted)


def _unkept(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
