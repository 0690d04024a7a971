"""Keys, documents, and what counts as a token."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict, UserDict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from bson import ObjectId
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oauthlib.oauth2.rfc6749.tokens import OAuth2Token
from redis.crc import key_slot

from flask_dance_nosql.consumer.backend import TokenKey
from flask_dance_nosql.consumer.backend.cipher.envelope import _associated_data
from flask_dance_nosql.consumer.backend.redis.keys import RedisKeys
from flask_dance_nosql.consumer.backend.redis.store import RedisStore
from flask_dance_nosql.consumer.backend.store.values import id_text, json_token
from flask_dance_nosql.testing import keys as hostile_keys
from flask_dance_nosql.testing.documents import pairs_of_accounts

from ..places import document
from ..strategies import any_text, exact, keys, nested, parts, tokens

UUID_TEXT = "12345678-1234-5678-1234-567812345678"
OBJECT_ID_TEXT = "65a1b2c3d4e5f60718293a4b"
LONE_SURROGATE = "a\ud800b"


class Colour(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    """A text with a name, of the kind whose ``str()`` is the name."""

    RED = "red"


class Number(enum.IntEnum):
    """A number with a name."""

    SEVEN = 7


SAME_PERSON = [
    ("42", "42"),
    (42, "42"),
    (0, "0"),
    (-1, "-1"),
    (10**30, "1" + "0" * 30),
    (UUID(UUID_TEXT), UUID_TEXT),
    (ObjectId(OBJECT_ID_TEXT), OBJECT_ID_TEXT),
    ("null", "null"),
    (" ", " "),
    ("Ünï 😀", "Ünï 😀"),
    (Number.SEVEN, "7"),
    (Colour.RED, "red"),
]

NO_USER_IDS = [
    {"$ne": None},
    {},
    [],
    ["42"],
    ("42",),
    {"42"},
    True,
    False,
    b"42",
    bytearray(b"42"),
    42.0,
    float("nan"),
    Decimal(42),
    object(),
    datetime.now(UTC),
    str,
]


def type_name(value: object) -> str:
    """Name a case after the type of its value."""
    return type(value).__name__


@pytest.mark.parametrize(
    ("user_id", "text"), SAME_PERSON, ids=map(repr, dict(SAME_PERSON).values())
)
def test_user_ids_become_their_text(user_id: Any, text: str) -> None:
    """A model's number, UUID or ObjectId and the text of it in a session are the same person."""
    key = TokenKey("demo", user_id)
    assert key == TokenKey("demo", text)
    assert hash(key) == hash(TokenKey("demo", text))
    assert type(key.user_id) is str
    assert key.user_id == text


@given(st.integers() | st.uuids() | st.binary(min_size=12, max_size=12).map(ObjectId))
def test_any_id_is_the_person_of_its_text(user_id: Any) -> None:
    """Whatever the number, UUID or ObjectId, its text names the same person."""
    assert TokenKey("demo", user_id) == TokenKey("demo", str(user_id))


@given(parts)
def test_text_ids_are_kept_as_they_are(text: str) -> None:
    """No text is normalised, trimmed or folded: those would be other people."""
    assert TokenKey(text, text).user_id == text
    assert TokenKey(text, text).provider == text


def test_nobody_is_not_a_person() -> None:
    """``None`` means nobody, and is neither user 0 nor a user called None."""
    assert TokenKey("demo").user_id is None
    assert len({TokenKey("demo"), TokenKey("demo", 0), TokenKey("demo", "None")}) == 3


@pytest.mark.parametrize("user_id", NO_USER_IDS, ids=type_name)
def test_other_types_are_no_user_ids(user_id: Any) -> None:
    """What could be a query, or is no id at all, is a ``TypeError`` that names the type alone."""
    with pytest.raises(TypeError, match=f"not {type_name(user_id)}$"):
        TokenKey("demo", user_id)


def test_nobody_has_no_text() -> None:
    """``None`` has no text: whoever needs an id must say whose."""
    with pytest.raises(TypeError, match="not NoneType"):
        id_text(None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "be empty"),
        (LONE_SURROGATE, "be valid Unicode"),
        ("4\x002", "contain NUL"),
        ("é\0", "contain NUL"),
    ],
)
def test_empty_and_broken_text_is_refused(text: str, reason: str) -> None:
    """Neither part of a key may be empty, anything but Unicode, or hold a NUL."""
    with pytest.raises(ValueError, match=f"user_id must (not )?{reason}"):
        TokenKey("demo", text)
    with pytest.raises(ValueError, match=f"provider must (not )?{reason}"):
        TokenKey(text, "42")


@pytest.mark.parametrize("provider", [None, 1, b"demo", {"$ne": None}], ids=type_name)
def test_provider_is_text(provider: Any) -> None:
    """A provider of another type is a ``TypeError``."""
    with pytest.raises(TypeError, match=f"not {type_name(provider)}$"):
        TokenKey(provider, "42")


def test_key_cannot_be_changed() -> None:
    """A key is frozen: its checks hold for its whole life."""
    with pytest.raises(AttributeError):
        TokenKey("demo", "42").user_id = "43"  # type: ignore[misc] # what is tested


any_keys = keys | hostile_keys()


def names_in_stores(key: TokenKey) -> dict[str, Any]:
    """Return what each kind of store calls a key."""
    return {
        "mongo": key.text,
        "redis": RedisStore(lambda: None).redis_key(key),
        "redis in a cluster": RedisStore(lambda: None).redis_key(key).encode(),
        "sql": (key.provider, key.user_id, key.account),
        "lock in sql": key.digest,
    }


@settings(max_examples=1000, deadline=None)
@given(any_keys, any_keys)
def test_different_keys_lie_apart(one: TokenKey, other: TokenKey) -> None:
    """Two different keys never have the same name in any store."""
    assume(one != other)
    ones, others = names_in_stores(one), names_in_stores(other)
    assert [kind for kind in ones if ones[kind] == others[kind]] == []


@given(keys)
def test_document_id_tells_the_key(key: TokenKey) -> None:
    """All parts of a key can be read back from a document id, which is plain ASCII."""
    text = key.text
    assert text.isascii()
    assert text.isprintable()
    provider, *owner = text.split(":")
    if key.account is not None:
        owner, (mark, account) = owner[:-2], owner[-2:]
        assert (mark, unquote(account)) == ("a", key.account)
    assert unquote(provider) == key.provider
    assert owner == (["app"] if key.user_id is None else ["u", owner[-1]])
    assert key.user_id is None or unquote(owner[1]) == key.user_id


@given(keys, parts)
def test_all_redis_keys_of_a_user_are_in_one_slot(key: TokenKey, provider: str) -> None:
    """On a cluster, the tokens of one user lie on one node, whatever the names contain."""
    store = RedisStore(lambda: None)
    text = store.redis_key(key)
    assert text.isascii()
    assert text == f"flask_dance:{{{key.owner_text}}}:token:{key.token_text}"
    other = store.redis_key(TokenKey(provider, key.user_id))
    assert key_slot(text.encode()) == key_slot(other.encode()) == key_slot(key.owner_text.encode())


@given(tokens)
def test_token_is_kept_exactly(token: dict[str, Any]) -> None:
    """Whatever JSON object a token is, its copy is the same, digit by digit."""
    assert exact(json_token(token)) == exact(token)


@given(tokens)
def test_token_is_copied_deeply(token: dict[str, Any]) -> None:
    """No list or dict of the copy is one of the original."""
    before = exact(token)
    for container in containers(json_token(token)):
        container.clear()
    assert exact(token) == before


def containers(value: Any) -> list[Any]:
    """Return all dicts and lists within a value, the innermost first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return [found for item in inner for found in containers(item)] + own


def test_subclasses_become_plain() -> None:
    """A library's token class, ordered dicts, tuples and named numbers become what JSON has."""
    pair = namedtuple("pair", "x y")
    token = OAuth2Token({"access_token": "at", "scope": "a b"})
    token["inner"] = OrderedDict(t=(1, pair(2, 3)), n=Number.SEVEN)
    copied = json_token(token)
    assert type(copied) is dict
    assert copied["inner"] == {"t": [1, [2, 3]], "n": 7}
    plain = [type(value) for value in (copied["inner"], *copied["inner"].values())]
    assert plain == [dict, list, int]


def test_texts_of_an_enum_are_their_values() -> None:
    """A member of a text enum is kept as what ``json.dumps`` would write, keys and values alike."""
    token = {Colour.RED: Colour.RED}
    assert json_token(token) == json.loads(json.dumps(token)) == {"red": "red"}


@pytest.mark.parametrize(
    "token",
    [None, "at", b"{}", 1, [], [("access_token", "at")], ("a",), {"a"}, UserDict(a=1), object()],
    ids=type_name,
)
def test_token_is_a_dict(token: Any) -> None:
    """Anything but a dict is a ``TypeError`` that names the type and not the content."""
    with pytest.raises(TypeError, match=rf"^An OAuth token is a dict, not {type_name(token)}$"):
        json_token(token)


@pytest.mark.parametrize(
    "value",
    [b"at", {"at"}, object(), datetime.now(UTC), Decimal(1), 1j, UUID(UUID_TEXT), UserDict(), str],
    ids=type_name,
)
def test_values_without_a_json_type_are_refused(value: Any) -> None:
    """What JSON has no type for is a ``TypeError``, however deep it lies."""
    for token in ({"a": value}, {"a": [{"b": (value,)}]}):
        with pytest.raises(TypeError, match=f"can't hold a {type_name(value)},"):
            json_token(token)


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"a", ("a",)], ids=type_name)
def test_keys_are_text(key: Any) -> None:
    """A key that is not text is refused, not turned into text: 1 and "1" would become one."""
    for token in ({key: 1}, {"a": [{key: 1}]}):
        with pytest.raises(TypeError, match=f"keys of a token are str, not {type_name(key)}"):
            json_token(token)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), LONE_SURROGATE])
def test_values_json_cannot_express_are_refused(value: Any) -> None:
    """NaN, infinities and broken text are a ``ValueError``, however deep they lie."""
    for token in ({"a": value}, {"a": [value]}, {"a": {"b": {"c": value}}}):
        with pytest.raises(ValueError, match="A token can't hold"):
            json_token(token)


def test_broken_text_is_no_key() -> None:
    """A key that is not valid Unicode is a ``ValueError``."""
    with pytest.raises(ValueError, match="valid Unicode"):
        json_token({LONE_SURROGATE: 1})


def test_depth_is_limited() -> None:
    """A hundred levels are kept and one more is refused, also when it has no end."""
    assert exact(json_token(nested(100))) == exact(nested(100))
    endless: dict[str, Any] = {}
    endless["again"] = [endless]
    for token in (nested(101), endless):
        with pytest.raises(ValueError, match="deeper than 100"):
            json_token(token)


@given(any_text)
def test_document_shows_no_secret(secret: str) -> None:
    """However a document is turned into text, its token is not in it."""
    secret = f"<secret>{secret}"
    kept = document(TokenKey("demo", "42"), {"access_token": secret, secret: [secret]})
    for text in (repr(kept), str(kept), f"{kept}", repr([kept]), repr({"d": kept})):
        assert "<secret>" not in text
        assert "'demo'" in text
        assert "'42'" in text


def test_rich_shows_no_secret() -> None:
    """The protocol by which Rich prints objects and tracebacks' locals shows no token either."""
    kept = document(TokenKey("demo", "42"), {"access_token": "at-secret"})
    protocol = getattr(kept, "__rich_repr__", None)
    assert "at-secret" not in repr(list(protocol()) if protocol else "")


def test_document_knows_its_key() -> None:
    """A document says whose it is."""
    key = TokenKey("demo", "42")
    assert document(key).key == key


WITH_ACCOUNT = {
    TokenKey("acme", "1", "2"): "acme:u:1:a:2",
    TokenKey("acme", None, "2"): "acme:app:a:2",
    TokenKey("a:b", "c:d", "e:%é"): "a%3Ab:u:c%3Ad:a:e%3A%25%C3%A9",
}


@pytest.mark.parametrize("key", WITH_ACCOUNT)
def test_text_of_a_key_with_an_account(key: TokenKey) -> None:
    """The account comes last; a key without one has the text that it always had."""
    assert key.text == WITH_ACCOUNT[key]
    bare = TokenKey(key.provider, key.user_id)
    assert key.text == f"{bare.text}:a:{key.token_text.partition(':')[2]}"
    assert bare.token_text == bare.provider_text


@settings(deadline=None)
@given(pairs_of_accounts())
def test_no_two_keys_share_a_name(pair: tuple[TokenKey, TokenKey]) -> None:
    """Neither a text, nor a digest, nor a Redis key, nor what is sealed along is two keys'."""
    one, other = pair
    names = RedisKeys("p")
    assert one.text != other.text
    assert one.digest != other.digest
    assert names.token(one) != names.token(other)
    assert names.lock(one) != names.lock(other)
    assert names.key(names.token(one).encode()) == one
    assert _associated_data(b"\x01", one) != _associated_data(b"\x01", other)


@pytest.mark.parametrize("account", NO_USER_IDS, ids=type_name)
def test_other_types_are_no_accounts(account: Any) -> None:
    """What could be a query, or is no id at all, is a ``TypeError``."""
    with pytest.raises(TypeError, match=f"account is .* not {type_name(account)}$"):
        TokenKey("demo", "1", account)


@pytest.mark.parametrize("account", ["", "a\0b", LONE_SURROGATE])
def test_odd_texts_are_no_accounts(account: str) -> None:
    """A text that not every database can keep is a ``ValueError``."""
    with pytest.raises(ValueError, match="account"):
        TokenKey("demo", "1", account)


def test_a_document_shows_its_account() -> None:
    """If there is one: its ``repr`` is otherwise what it was."""
    without, having = (document(TokenKey("demo", "1", each)) for each in (None, "2"))
    assert "account" not in repr(without)
    assert "account='2'" in repr(having)


@given(key=hostile_keys())
def test_a_key_is_read_from_its_text(key: TokenKey) -> None:
    """What was made of a key leads back to it."""
    assert TokenKey.of_text(key.text) == key


@pytest.mark.parametrize(
    "text", ["", "acme", "acme:app:", "acme:u", "acme:u:", "a:u:1:b:2", "a b:app"]
)
def test_a_text_of_no_key(text: str) -> None:
    """Any other text is refused."""
    with pytest.raises(ValueError, match=r"not the text|must not be empty"):
        TokenKey.of_text(text)
