"""What every store does, whatever it is built on."""

from __future__ import annotations

import copy
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from flask_dance_nosql.consumer.backend import TokenDocument, TokenKey, TokenStore
from flask_dance_nosql.consumer.backend.owner import Who
from flask_dance_nosql.errors import CorruptToken

from .places import MISSING, Place, document, scoped
from .strategies import exact, keys, nested, tokens

pytestmark = pytest.mark.usefixtures("versions_from_one")

# Whose document it is: the user's alone, or of one of their accounts; see keys_with_accounts().
KEY = TokenKey("demo", "42")
SECRET = "at-very-secret"

one_place_many_examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=[None, "4:2 %"], ids=["alone", "account"], autouse=True)
def keys_with_accounts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test be about a user's token, and about that of one account."""
    monkeypatch.setitem(globals(), "KEY", TokenKey("demo", "42", request.param))


def load(place: Place, key: TokenKey | None = None) -> TokenDocument:
    """Return the document under a key, which must be there."""
    found = place.store.load(key or KEY)
    assert found is not None
    return found


def test_there_is_nothing_at_first(place: Place) -> None:
    """Loading a key that was never saved is ``None``, and makes nothing."""
    assert place.store.load(KEY) is None
    assert place.count() == 0


def test_a_document_comes_back_as_it_was_saved(place: Place) -> None:
    """What is loaded is what saving returned: version 1, the owner, the dates as aware UTC."""
    saved = place.store.save(document(KEY))
    assert load(place) == saved == document(KEY, version=1)
    assert load(place).created_at.tzinfo is not None
    assert saved.created_at.utcoffset() == load(place).updated_at.utcoffset() == UTC.utcoffset(None)


@one_place_many_examples
@given(token=tokens)
def test_any_token_comes_back_exactly(place: Place, token: dict[str, Any]) -> None:
    """Dots, dollars, big numbers, empty names, emoji: what went in comes out, digit by digit."""
    place.store.save(document(KEY, copy.deepcopy(token)))
    assert exact(load(place).token) == exact(token)


@pytest.mark.parametrize("levels", [1, 88, 89, 90, 91, 99, 100])
def test_deep_tokens_come_back_exactly(place: Place, levels: int) -> None:
    """A token of as many levels as are allowed fits into every store, at any server's own limit."""
    place.store.save(document(KEY, nested(levels)))
    assert exact(load(place).token) == exact(nested(levels))


@one_place_many_examples
@given(one=keys, other=keys)
def test_keys_do_not_mix(place: Place, one: TokenKey, other: TokenKey) -> None:
    """What is saved, replaced and deleted under one key is never another's."""
    assume(one != other)
    for key in (one, other):
        place.store.delete(key)
    place.store.save(document(one, {"access_token": "one"}))
    assert place.store.load(other) is None
    place.store.save(document(other, {"access_token": "other"}))
    before = place.record(one)
    place.store.save(document(other, {"access_token": "other again"}))
    place.store.delete(other)
    assert place.record(one) == before
    assert load(place, one).token == {"access_token": "one"}
    assert load(place, one).key == one


def test_replacing_counts_and_keeps_the_first_date(place: Place) -> None:
    """Each save is one version more and a new ``updated_at``; ``created_at`` is the first one's."""
    later = datetime(2032, 1, 1, tzinfo=UTC)
    first = place.store.save(document(KEY, {"access_token": "1", "refresh_token": "r"}))
    second = place.store.save(
        document(KEY, {"access_token": "2"}, created_at=later, updated_at=later)
    )
    assert (first.version, second.version) == (1, 2)
    assert (second.created_at, second.updated_at) == (first.created_at, later)
    assert load(place) == second
    assert load(place).token == {"access_token": "2"}
    assert place.count() == 1


def test_version_of_the_document_given_is_not_looked_at(place: Place) -> None:
    """The store counts; a document that was loaded and is saved again does not skip a version."""
    place.store.save(document(KEY, version=7))
    assert place.store.save(load(place)).version == 2


def test_deleting_is_idempotent_and_starts_anew(place: Place) -> None:
    """Deleting twice, or nothing, is no error; what is saved afterwards is version 1 again."""
    place.store.delete(KEY)
    place.store.save(document(KEY))
    place.store.delete(KEY)
    place.store.delete(KEY)
    assert place.store.load(KEY) is None
    assert place.count() == 0
    assert place.store.save(document(KEY)).version == 1


def test_what_is_loaded_is_the_callers_own(place: Place) -> None:
    """Changing a loaded token, or the one that was saved, changes nothing stored."""
    token: dict[str, Any] = {"access_token": "at", "scope": ["a"]}
    place.store.save(document(KEY, token))
    token["scope"].append("b")
    first = load(place).token
    first["scope"].clear()
    del first["access_token"]
    assert load(place).token == {"access_token": "at", "scope": ["a"]}


def test_providers_and_nobody_have_records_of_their_own(place: Place) -> None:
    """One user's tokens of two providers, and the application's own, are three records."""
    owners = [KEY, TokenKey("other", "42"), TokenKey("demo")]
    for number, key in enumerate(owners):
        place.store.save(document(key, {"access_token": str(number)}))
    assert [load(place, key).token["access_token"] for key in owners] == ["0", "1", "2"]
    assert place.count() == 3


CORRUPTIONS: dict[str, dict[str, Any]] = {
    "no provider": {"provider": MISSING},
    "no user": {"user_id": MISSING},
    "no token": {"token": MISSING},
    "no created_at": {"created_at": MISSING},
    "no updated_at": {"updated_at": MISSING},
    "token is null": {"token": None},
    "token is a list": {"token": [SECRET]},
    "token is a number": {"token": 5},
    "token is text": {"token": SECRET},
    "token is JSON text of a list": {"token": f'["{SECRET}"]'},
    "created_at is text": {"created_at": SECRET},
    "created_at is a number": {"created_at": 5},
    "updated_at is text": {"updated_at": SECRET},
    "provider is a number": {"provider": 5},
    "provider is empty": {"provider": ""},
    "user is a number": {"user_id": 42},
    "user is an object": {"user_id": {"$ne": SECRET}},
    "user is empty": {"user_id": ""},
    "user is another": {"user_id": "43"},
    "user is nobody": {"user_id": None},
    "provider is another": {"provider": "other"},
    "account is another": {"account": "43"},
    "account is empty": {"account": ""},
    "account is a number": {"account": 42},
}


@pytest.fixture(params=CORRUPTIONS)
def corrupt_place(place: Place, request: pytest.FixtureRequest) -> Place:
    """Each place, with a record that is not a right one in each way."""
    place.store.save(document(KEY, {"access_token": SECRET}))
    place.change(KEY, CORRUPTIONS[request.param])
    return place


def test_a_corrupt_record_is_told_and_left(corrupt_place: Place) -> None:
    """It is a ``CorruptToken`` that names the owner, shows nothing, and deletes nothing."""
    before = corrupt_place.record(KEY)
    with pytest.raises(CorruptToken) as caught:
        corrupt_place.store.load(KEY)
    assert_names_the_owner(caught.value, corrupt_place.store)
    assert corrupt_place.record(KEY) == before


def assert_names_the_owner(
    error: CorruptToken, store: TokenStore, key: TokenKey | None = None
) -> None:
    """Check that an error says where and whose, and neither it nor its causes say what."""
    key = key or KEY
    assert (error.operation, error.backend) == ("load", type(store).__name__)
    assert (error.provider, error.user_id) == (key.provider, key.user_id)
    assert repr(key.provider) in str(error)
    assert repr(key.user_id) in str(error)
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert SECRET not in shown


def test_the_key_of_a_corrupt_record_is_listed(corrupt_place: Place) -> None:
    """What is left out of a scan can be found, and removed, by its user and nobody else."""
    store = corrupt_place.store
    assert store.keys("other", "42") == store.keys(KEY.provider, "4") == []
    found = store.keys(KEY.provider, str(KEY.user_id))
    # A row is its user's by the column alone.
    assert found == [KEY] or (found == [] and store.load(KEY) is None)


def test_a_corrupt_record_is_replaced_by_a_new_token(corrupt_place: Place) -> None:
    """A user whose record is corrupt gets well by logging in again."""
    saved = corrupt_place.store.save(document(KEY, {"access_token": "new"}))
    assert saved.token == {"access_token": "new"}
    assert load(corrupt_place) == saved


def test_a_corrupt_record_can_be_deleted(corrupt_place: Place) -> None:
    """A user whose record is corrupt can disconnect."""
    corrupt_place.store.delete(KEY)
    assert corrupt_place.store.load(KEY) is None
    assert corrupt_place.count() == 0


@pytest.mark.parametrize("version", [SECRET, None, -1.5], ids=["text", "null", "fraction"])
def test_a_version_that_is_no_number_is_corrupt(place: Place, version: Any) -> None:
    """A record that was not counted is no record of ours."""
    place.store.save(document(KEY, {"access_token": SECRET}))
    place.change(KEY, {"version": version})
    with pytest.raises(CorruptToken) as caught:
        place.store.load(KEY)
    assert_names_the_owner(caught.value, place.store)


@pytest.mark.parametrize("version", [SECRET, None], ids=["text", "null"])
def test_a_version_that_is_no_number_is_counted_anew(real_place: Place, version: Any) -> None:
    """A server that can't count such a version up takes the new token all the same."""
    real_place.store.save(document(KEY))
    real_place.change(KEY, {"version": version})
    saved = real_place.store.save(document(KEY, {"access_token": "new"}))
    assert saved.version == 1
    assert load(real_place) == saved


@pytest.mark.parametrize(
    "to",
    [
        TokenKey("demo", "43"),
        TokenKey("other", "42"),
        TokenKey("demo"),
        TokenKey("demo", "42", "43"),
    ],
)
def test_a_copied_record_is_nobody_elses(place: Place, to: TokenKey) -> None:
    """A record that lies under another key than its fields say is corrupt, and not that owner's."""
    place.store.save(document(KEY, {"access_token": SECRET}))
    place.copy(KEY, to)
    with pytest.raises(CorruptToken, match="name another owner") as caught:
        place.store.load(to)
    assert_names_the_owner(caught.value, place.store, to)
    assert load(place).token == {"access_token": SECRET}
    assert place.count() == 2


def test_unknown_fields_do_no_harm(place: Place) -> None:
    """A field that a later version or an operator added is no error."""
    place.store.save(document(KEY))
    place.change(KEY, {"note": "seen", "provider_user_id": "alice"})
    assert load(place).token == {"access_token": "at"}
    assert place.store.save(document(KEY)).version == 2


BAD_TOKENS: dict[str, Any] = {
    "no dict": [("access_token", "new")],
    "nothing": None,
    "a set": {"access_token": "new", "scope": {"a"}},
    "bytes": {"access_token": b"new"},
    "NaN": {"access_token": "new", "expires_at": float("nan")},
    "key no text": {"access_token": "new", 1: 2},
    "too deep": nested(101),
    "broken text": {"access_token": "\ud800"},
    "too many digits": {"access_token": "new", "n": 10**5000},
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_rejected_token_changes_nothing(place: Place, blueprint: Any, name: str) -> None:
    """A token that JSON can't hold is refused as such, and what was stored is as it was."""
    slot = scoped(place.store, user_id=42).slot(blueprint, Who(account=KEY.account))
    with pytest.raises((TypeError, ValueError)):
        slot.write(BAD_TOKENS[name])
    assert place.count() == 0
    slot.write({"access_token": "old"})
    before = place.record(KEY)
    assert before is not None
    with pytest.raises((TypeError, ValueError)):
        slot.write(BAD_TOKENS[name])
    assert place.record(KEY) == before
    assert slot.read(fresh=True).token == {"access_token": "old"}


def test_the_owners_of_a_backend_are_those_of_its_records(place: Place, blueprint: Any) -> None:
    """Through a backend, too, each user's token is theirs alone, and 42 is "42"."""
    backend = scoped(place.store, user_required=True)
    for user_id in (0, 42, "forty-two"):
        backend.set(blueprint, {"access_token": f"of {user_id}"}, user_id=user_id)
    assert backend.get(blueprint, user_id="42") == {"access_token": "of 42"}
    backend.delete(blueprint, user_id=42)
    found = [backend.get(blueprint, user_id=user_id) for user_id in ("0", 42, "forty-two")]
    assert found == [{"access_token": "of 0"}, None, {"access_token": "of forty-two"}]
    assert place.record(TokenKey("demo", "0")) is not None
