"""Sealed tokens: what opens them, what doesn't, where keys come from, and what is never told."""

from __future__ import annotations

import base64
import json
import os
import traceback
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_dance_nosql.consumer.backend import TokenCipher, TokenKey
from flask_dance_nosql.consumer.backend.cipher.envelope import FALLBACKS_SETTING, KEY_SETTING
from flask_dance_nosql.errors import ConfigurationError, TokenDecryptError
from flask_dance_nosql.testing import at_once, tokens

from ..strategies import EDGES, exact, keys, nested

OLD, NEW, OTHER = (base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2, 0xFB))
KEY = TokenKey("demo", "42")
TOKEN = {"access_token": "at-secret", "refresh_token": "rt-secret", "expires_at": 1_700_000_000.5}
CIPHER = TokenCipher(NEW)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def envelope(sealed: dict[str, Any]) -> bytes:
    """Return the bytes of a sealed token."""
    return base64.urlsafe_b64decode(sealed["sealed"])


def sealed_of(data: bytes) -> dict[str, Any]:
    """Return a sealed token of these bytes."""
    return {"sealed": base64.urlsafe_b64encode(data).decode()}


def opens(token: dict[str, Any], key: TokenKey = KEY, cipher: TokenCipher = CIPHER) -> bool:
    """Whether a token opens for a key."""
    try:
        cipher.open(key, token)
    except TokenDecryptError:
        return False
    return True


def app_with(key: Any, fallbacks: Any = None) -> Flask:
    """Make an app with keys in its configuration."""
    app = Flask(__name__)
    app.config.update(
        {"SECRET_KEY": OTHER, KEY_SETTING: key, FALLBACKS_SETTING: fallbacks},
    )
    return app


def seal_in(app: Flask, cipher: TokenCipher) -> dict[str, Any]:
    """Seal the token within an app's context."""
    with app.app_context():
        return cipher.seal(KEY, TOKEN)


# What is sealed


@given(keys, tokens())
def test_token_comes_back_exactly(key: TokenKey, token: dict[str, Any]) -> None:
    """Whatever token is sealed, the same one is opened, digit by digit."""
    assert exact(CIPHER.open(key, CIPHER.seal(key, token))) == exact(token)


@pytest.mark.parametrize("value", [*EDGES, 10**4000, -0.0, 5e-324, 1e308, nested(99)])
def test_edges_come_back_exactly(value: Any) -> None:
    """Numbers beyond 64 bits, the smallest and largest floats and deep nesting are kept."""
    token = {"value": value}
    assert exact(CIPHER.open(KEY, CIPHER.seal(KEY, token))) == exact(token)


@given(st.integers(0, 400))
def test_envelope_is_as_documented(length: int) -> None:
    """One text field: format, key id, nonce, ciphertext and tag, in URL-safe base64."""
    token = {"access_token": "a" * length}
    sealed = CIPHER.seal(KEY, token)
    assert list(sealed) == ["sealed"]
    assert set(sealed["sealed"]) <= set(ALPHABET)
    data = envelope(sealed)
    assert data[0] == 1
    # Nothing but what is documented is needed to open it.
    associated = b"\x01\x00\x00\x00\x04demou42"
    plain = AESGCM(b"\x02" * 32).decrypt(data[9:21], data[21:], associated)
    assert json.loads(plain) == token


def test_an_envelope_of_an_earlier_release_opens() -> None:
    """What was sealed once opens for ever: the format, the key's id and the bound data stay."""
    sealed = "Ae4i05PcmMSofN0zNjbtPP-MUuVFO0ewNKgP2h4xymOfJegTR4VhhGu13JHJLuIiyJkO6xMrJW9kM2La"
    assert CIPHER.open(KEY, {"sealed": sealed}) == {"access_token": "at"}


def test_sealing_leaves_the_token_alone() -> None:
    """Neither sealing nor opening changes what it was given."""
    token = json.loads(exact(TOKEN))
    sealed = CIPHER.seal(KEY, token)
    before = dict(sealed)
    assert CIPHER.open(KEY, sealed) is not token
    assert token == TOKEN
    assert sealed == before


def test_no_two_envelopes_are_alike() -> None:
    """The same token, sealed again, has another nonce and another ciphertext."""
    data = [envelope(CIPHER.seal(KEY, TOKEN)) for _ in range(1000)]
    assert len({one[9:21] for one in data}) == 1000
    assert len({one[21:] for one in data}) == 1000


def test_nothing_of_token_or_key_can_be_read_in_an_envelope() -> None:
    """The envelope's bytes contain neither the token's texts nor a part of the key."""
    raw = os.urandom(32)
    cipher = TokenCipher(base64.urlsafe_b64encode(raw))
    data = envelope(cipher.seal(KEY, TOKEN))
    for secret in (b"at-secret", b"rt-secret", b"access_token", b"demo"):
        assert secret not in data
    assert all(raw[at : at + 4] not in data for at in range(29))


def test_a_token_with_a_field_sealed_is_sealed_like_any_other() -> None:
    """What a provider names its fields makes no difference to sealing."""
    for token in ({"sealed": "yes"}, {"sealed": "yes", "access_token": "at"}, CIPHER.seal(KEY, {})):
        assert CIPHER.open(KEY, CIPHER.seal(KEY, token)) == token


# What does not open


@given(keys, keys)
def test_a_token_opens_for_its_own_key_only(one: TokenKey, other: TokenKey) -> None:
    """A token that is copied to another user or provider does not open, nearly alike or not."""
    assert opens(CIPHER.seal(one, TOKEN), other) == (one == other)


@pytest.mark.parametrize(
    "other",
    [
        TokenKey("demo", "43"),
        TokenKey("demo"),
        TokenKey("demo2", "42"),
        TokenKey("demo4", "2"),
        TokenKey("demou42"),
        TokenKey("demou", "42"),
        TokenKey("demo", "u42"),
    ],
    ids=repr,
)
def test_a_copy_in_anothers_record_does_not_open(other: TokenKey) -> None:
    """Another user, nobody, another provider, or the same letters cut elsewhere: an error."""
    assert not opens(CIPHER.seal(KEY, TOKEN), other)
    assert not opens(CIPHER.seal(other, TOKEN), KEY)


def test_every_flipped_byte_is_noticed() -> None:
    """Whichever byte of the envelope is changed, the token does not open."""
    data = envelope(CIPHER.seal(KEY, TOKEN))
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            flipped = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            assert not opens(sealed_of(flipped)), at


@pytest.mark.parametrize("length", [1, 2, 3])
def test_every_changed_character_is_noticed(length: int) -> None:
    """Each character of the text counts in all its bits; none stands for the same as another."""
    text = CIPHER.seal(KEY, {"access_token": "a" * length})["sealed"]
    for at in range(len(text)):
        for other in {*ALPHABET, "+", "/", "=", " ", "\n", "\0", "é", "\ud800"} - {text[at]}:
            assert not opens({"sealed": text[:at] + other + text[at + 1 :]}), (at, other)


def test_every_truncation_is_noticed() -> None:
    """However much of the envelope or of its text is missing, at either end, it does not open."""
    sealed = CIPHER.seal(KEY, TOKEN)
    data, text = envelope(sealed), sealed["sealed"]
    for at in range(1, len(data) + 1):
        assert not opens(sealed_of(data[:-at]))
        assert not opens(sealed_of(data[at:]))
    for at in range(1, len(text) + 1):
        assert not opens({"sealed": text[:-at]})
        assert not opens({"sealed": text[at:]})


@pytest.mark.parametrize("more", ["A", "AAAA", "=", "====", "\n", " "])
def test_additions_are_noticed(more: str) -> None:
    """What is longer than what was sealed does not open."""
    text = CIPHER.seal(KEY, TOKEN)["sealed"]
    assert not opens({"sealed": text + more})
    assert not opens({"sealed": more + text})


@pytest.mark.parametrize("value", [None, 1, True, b"AAAA", ["AAAA"], {}, "", "AAAA", "\ud800"])
def test_a_field_sealed_that_is_no_envelope_does_not_open(value: Any) -> None:
    """A sealed token whose text is replaced by anything is an error, also among plain ones."""
    assert not opens({"sealed": value})
    assert not opens({"sealed": value}, cipher=TokenCipher(NEW, allow_plaintext=True))


def test_an_envelope_with_something_else_inside_does_not_open() -> None:
    """A key that is used elsewhere, too, makes no tokens of what is not JSON, or is no object."""
    header = envelope(CIPHER.seal(KEY, TOKEN))[:9]
    nonce, associated = bytes(12), b"\x01\x00\x00\x00\x04demou42"
    for content in (b"", b"no JSON", b"[]", b'"text"', b"\xff", b'{"a":' * 100_000):
        sealed = AESGCM(b"\x02" * 32).encrypt(nonce, content, associated)
        assert not opens(sealed_of(header + nonce + sealed)), content


# Keys


def test_an_unknown_key_is_an_error() -> None:
    """What was sealed with a key that is not here does not open."""
    assert not opens(TokenCipher(OLD).seal(KEY, TOKEN))


def test_fallback_keys_open_and_the_current_one_seals() -> None:
    """A key is changed step by step: the old one opens until all is sealed with the new one."""
    before, during, after = TokenCipher(OLD), TokenCipher(NEW, [OTHER, OLD]), TokenCipher(NEW)
    old = before.seal(KEY, TOKEN)
    assert during.open(KEY, old) == TOKEN
    new = during.seal(KEY, during.open(KEY, old))
    assert during.open(KEY, new) == after.open(KEY, new) == TOKEN
    assert not opens(new, cipher=before)
    assert not opens(old, cipher=after)


def test_the_id_of_a_key_is_told_without_opening() -> None:
    """A stored token tells by which key it is sealed, and a cipher which keys it has."""
    old, both = TokenCipher(OLD), TokenCipher(NEW, [OLD])
    assert both.key_ids() == (*CIPHER.key_ids(), *old.key_ids())
    assert [len(bytes.fromhex(each)) for each in both.key_ids()] == [8, 8]
    assert TokenCipher.key_id_of(old.seal(KEY, TOKEN)) == both.key_ids()[1]
    assert TokenCipher.key_id_of(both.seal(KEY, TOKEN)) == both.key_ids()[0]
    assert TokenCipher(NEW, [NEW]).key_ids() == CIPHER.key_ids()


@pytest.mark.parametrize("plain", [TOKEN, {}, {"sealed": "x", "access_token": "at"}])
def test_a_token_that_is_not_sealed_has_no_key(plain: dict[str, Any]) -> None:
    """It is told apart from one that is sealed."""
    assert TokenCipher.key_id_of(plain) is None


@pytest.mark.parametrize("value", [None, 5, "", "+", "é", "AAAA", "!", ["x"], "A" * 200])
def test_a_damaged_envelope_has_no_key_that_can_be_told(value: Any) -> None:
    """Whatever stands in place of an envelope, the answer is a text."""
    assert TokenCipher.key_id_of({"sealed": value}) == ""


def test_a_header_of_another_known_key_does_not_open() -> None:
    """The key's id is a hint: another key of the ring opens nothing that it did not seal."""
    cipher = TokenCipher(NEW, [OLD])
    new, old = (envelope(TokenCipher(key).seal(KEY, TOKEN)) for key in (NEW, OLD))
    assert new[:9] != old[:9]
    assert not opens(sealed_of(old[:9] + new[9:]), cipher=cipher)


def test_generated_keys_are_usable_and_differ() -> None:
    """A new key is text of 32 random bytes, another one each time, and a cipher takes it."""
    made = [TokenCipher.generate_key() for _ in range(100)]
    assert len(set(made)) == 100
    for key in made:
        assert len(base64.urlsafe_b64decode(key)) == 32
        assert opens(TokenCipher(key).seal(KEY, TOKEN), cipher=TokenCipher(key))


@pytest.mark.parametrize(
    "form",
    [NEW, NEW.encode(), f" {NEW}\n", lambda: NEW, NEW.encode, partial(str, NEW)],
    ids=["text", "bytes", "line", "function", "method", "partial"],
)
@pytest.mark.parametrize("configured", [False, True], ids=["given", "configured"])
def test_forms_of_a_key(form: Any, configured: bool) -> None:
    """Text, bytes, a line of a file, and whatever can be called for one of these."""
    with app_with(form).app_context():
        cipher = TokenCipher() if configured else TokenCipher(form)
        assert opens(cipher.seal(KEY, TOKEN))


NO_KEYS = [
    "",
    "correct horse battery staple",
    "x" * 32,
    "x" * 43,
    "ü" * 44,
    NEW[:-1],
    NEW + "=",
    NEW[:20] + " " + NEW[20:],
    NEW[:-2] + "J=",
    OTHER.replace("-", "+").replace("_", "/"),
    "\ud800",
    b"",
    b"\x02" * 32,
    base64.urlsafe_b64encode(b"x" * 16).decode(),
    base64.urlsafe_b64encode(b"x" * 31).decode(),
    base64.urlsafe_b64encode(b"x" * 33).decode(),
    (b"x" * 32).hex(),
    bytearray(NEW.encode()),
    1,
    False,
    [NEW],
    {NEW: NEW},
]


@pytest.mark.parametrize("wrong", NO_KEYS, ids=ascii)
def test_what_is_no_key_is_told(wrong: Any) -> None:
    """A passphrase, a key of another length or alphabet: the error says how to make one."""
    ways: list[Callable[[], Any]] = [
        lambda: TokenCipher(wrong).seal(KEY, TOKEN),
        lambda: TokenCipher(NEW, [wrong]).seal(KEY, TOKEN),
        lambda: TokenCipher(lambda: wrong).seal(KEY, TOKEN),
        lambda: seal_in(app_with(wrong), TokenCipher()),
        lambda: seal_in(app_with(NEW, [OLD, wrong]), TokenCipher()),
        lambda: seal_in(app_with(lambda: wrong), TokenCipher()),
    ]
    for way in ways:
        with pytest.raises(ConfigurationError, match="flask tokens generate-key") as caught:
            way()
        shown = "".join(traceback.format_exception(caught.value))
        for text in {str(wrong), NEW, OLD} - {"", "1", "False"}:
            assert text not in shown


def test_the_wrong_key_is_named_by_its_place() -> None:
    """Among several keys, the error says which one can't be used."""
    with pytest.raises(ConfigurationError, match=r"^The key of TokenCipher"):
        TokenCipher("passphrase", [OLD])
    with pytest.raises(ConfigurationError, match=r"^Fallback key 2 of TokenCipher"):
        TokenCipher(NEW, [OLD, "passphrase", "another"])


def test_keys_are_checked_at_once() -> None:
    """A key that is given as text is refused when the cipher is made, not at the first login."""
    with pytest.raises(ConfigurationError):
        TokenCipher("passphrase")


@pytest.mark.parametrize("fallbacks", [NEW, NEW.encode(), 1, {OLD: NEW}], ids=ascii)
def test_fallbacks_are_a_list(fallbacks: Any) -> None:
    """One key in place of a list is told, and not taken for a list of letters."""
    with pytest.raises(ConfigurationError, match="as a list, not as a"):
        TokenCipher(NEW, fallbacks)
    with pytest.raises(ConfigurationError, match="as a list, not as a"):
        seal_in(app_with(NEW, fallbacks), TokenCipher())


def test_fallbacks_alone_are_told() -> None:
    """Fallback keys without a key to seal with are an error."""
    with pytest.raises(ConfigurationError, match="no key to seal with"):
        TokenCipher(fallbacks=[OLD])


# Keys of apps


def test_each_app_has_its_own_keys() -> None:
    """One cipher serves several apps, and opens nothing of one in another."""
    cipher, apps = TokenCipher(), [app_with(OLD), app_with(NEW)]
    for _ in range(2):
        sealed = [seal_in(app, cipher) for app in apps]
        for app, own, others in zip(apps, sealed, reversed(sealed), strict=True):
            with app.app_context():
                assert cipher.open(KEY, own) == TOKEN
                assert not opens(others, cipher=cipher)


def test_fallbacks_come_from_the_configuration() -> None:
    """``FLASK_DANCE_TOKEN_KEY_FALLBACKS`` opens what was sealed before, as a list or a tuple."""
    old = TokenCipher(OLD).seal(KEY, TOKEN)
    for fallbacks in ([OLD], (OTHER, OLD), [lambda: OLD]):
        with app_with(NEW, fallbacks).app_context():
            assert TokenCipher().open(KEY, old) == TOKEN
            assert opens(TokenCipher().seal(KEY, TOKEN))


def test_a_changed_configuration_counts_at_once() -> None:
    """A key that is put in place later, as tests do, is used from then on; so are fallbacks."""
    app, cipher = app_with(OLD), TokenCipher()
    old = seal_in(app, cipher)
    app.config[KEY_SETTING] = NEW
    with app.app_context():
        assert opens(cipher.seal(KEY, TOKEN))
        assert not opens(old, cipher=cipher)
        app.config[FALLBACKS_SETTING] = [OLD]
        assert opens(old, cipher=cipher)
        app.config[FALLBACKS_SETTING].clear()
        assert not opens(old, cipher=cipher)


def test_a_given_key_wins_over_the_configuration() -> None:
    """With keys of its own, a cipher does not look at the app, nor needs one."""
    for form in (NEW, lambda: NEW):
        sealed = seal_in(app_with(OLD, ["passphrase"]), TokenCipher(form))
        assert opens(sealed)
        assert opens(TokenCipher(form).seal(KEY, TOKEN))


@pytest.mark.parametrize("operation", ["seal", "open"])
def test_a_missing_key_is_told(operation: str) -> None:
    """Without the setting there is an error that names it; ``SECRET_KEY`` is never used instead."""
    token = CIPHER.seal(KEY, TOKEN)
    missing = pytest.raises(ConfigurationError, match="has no FLASK_DANCE_TOKEN_KEY")
    with app_with(None, [NEW]).app_context(), missing as caught:
        getattr(TokenCipher(), operation)(KEY, token)
    assert "generate-key" in str(caught.value)
    assert "SECRET_KEY" not in str(caught.value)


def test_a_missing_app_is_told() -> None:
    """Outside of any app, a cipher without a key of its own says what it needs."""
    with pytest.raises(ConfigurationError, match=r"FLASK_DANCE_TOKEN_KEY.*app\.app_context"):
        TokenCipher().seal(KEY, TOKEN)


# Functions that return keys


class Service:
    """A key management service that counts how often it is asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def test_a_function_is_called_when_needed_and_once_for_each_app() -> None:
    """Making a cipher asks nothing; using it asks once in each app, and once outside of any."""
    service = Service(NEW)
    ciphers, apps = [TokenCipher(service), TokenCipher()], [app_with(service), app_with(service)]
    assert service.calls == 0
    for count in (1, 2):
        app = apps[count - 1]
        for cipher in ciphers * 3:
            assert opens(seal_in(app, cipher))
            assert service.calls == count
    for _ in range(3):
        assert opens(ciphers[0].seal(KEY, TOKEN))
    assert service.calls == 3


def test_threads_ask_once() -> None:
    """However many threads need the key at once, the service is asked once for each function."""
    service, fallback = Service(NEW), Service(OLD)
    cipher = TokenCipher(service, [fallback])
    sealed = at_once(16, lambda number: cipher.seal(KEY, {"number": number}))
    assert (service.calls, fallback.calls) == (1, 1)
    found = at_once(16, lambda number: cipher.open(KEY, sealed[number]))
    assert found == [{"number": number} for number in range(16)]


def test_a_service_that_failed_is_asked_again() -> None:
    """Its error is the caller's, nothing of it is kept, and the next call asks anew."""
    cipher = TokenCipher(Service(TimeoutError("no answer"), "passphrase", NEW))
    with pytest.raises(TimeoutError, match="no answer"):
        cipher.seal(KEY, TOKEN)
    with pytest.raises(ConfigurationError):
        cipher.seal(KEY, TOKEN)
    assert opens(cipher.seal(KEY, TOKEN))


def test_a_service_may_need_a_token_itself() -> None:
    """A function that opens another token to get at its key does not wait for itself."""
    first = TokenCipher(lambda: OLD)
    kept = first.seal(KEY, {"key": NEW})
    cipher = TokenCipher(lambda: first.open(KEY, kept)["key"])
    assert opens(seal_in(app_with(None), cipher))


# Tokens that are not sealed


@pytest.mark.parametrize(
    "plain",
    [
        {},
        TOKEN,
        {"access_token": "at", "sealed": True},
        {"access_token": "at", "sealed": "AAAA"},
        {"Sealed": "AAAA"},
    ],
    ids=repr,
)
def test_plain_tokens_are_an_error_unless_allowed(plain: dict[str, Any]) -> None:
    """A record that somebody put there unsealed is refused, until ``allow_plaintext`` is on."""
    with pytest.raises(TokenDecryptError, match="allow_plaintext"):
        CIPHER.open(KEY, plain)
    assert TokenCipher(NEW, allow_plaintext=True).open(KEY, plain) == plain


def test_a_sealed_token_is_never_taken_for_a_plain_one() -> None:
    """With ``allow_plaintext``, sealed tokens open as ever, and those that don't are errors."""
    cipher = TokenCipher(NEW, allow_plaintext=True)
    assert cipher.open(KEY, cipher.seal(KEY, TOKEN)) == TOKEN
    assert not opens(cipher.seal(KEY, TOKEN), TokenKey("demo", "43"), cipher)
    assert not opens(TokenCipher(OLD).seal(KEY, TOKEN), cipher=cipher)


# What is told


@pytest.mark.parametrize("key", [KEY, TokenKey("demo")], ids=repr)
def test_the_error_names_whose_and_nothing_more(key: TokenKey) -> None:
    """An unknown key, a copy, a damage: one message, with provider and user, without a cause."""
    data = envelope(CIPHER.seal(key, TOKEN))
    wrong = [
        TokenCipher(OLD).seal(key, TOKEN),
        CIPHER.seal(TokenKey("demo", "somebody else"), TOKEN),
        sealed_of(data[:-1]),
        sealed_of(data[:-1] + bytes([data[-1] ^ 1])),
        {"sealed": "no envelope"},
    ]
    errors = []
    for token in wrong:
        with pytest.raises(TokenDecryptError) as caught:
            CIPHER.open(key, token)
        errors.append(caught.value)
    assert all(str(one) == str(other) for one, other in pairwise(errors))
    for error in errors:
        assert (error.provider, error.user_id) == (key.provider, key.user_id)
        assert repr(key.provider) in str(error)
        assert repr(key.user_id) in str(error)
        assert error.__cause__ is error.__context__ is None


def test_nothing_secret_is_shown() -> None:
    """No ``repr``, message or traceback has a key, a token or an envelope in it."""
    token = {"access_token": "<secret>"}
    ciphers = [TokenCipher(NEW, [OLD]), TokenCipher(lambda: NEW, [OLD]), TokenCipher()]
    app = app_with(NEW, [OLD])
    shown = []
    with app.app_context():
        for cipher in ciphers:
            sealed = cipher.seal(KEY, token)
            for wrong in (sealed, token):
                with pytest.raises(TokenDecryptError) as caught:
                    cipher.open(TokenKey("demo", "43"), wrong)
                lines = traceback.format_exception(caught.value)
                shown += ["".join(lines), repr(caught.value), str(caught.value)]
            shown += [repr(cipher), str(cipher), f"{cipher}", sealed["sealed"]]
    shown.append(repr(app.extensions))
    raw = [repr(base64.urlsafe_b64decode(key))[2:-1] for key in (NEW, OLD)]
    for text in shown:
        assert not any(secret in text for secret in (NEW, OLD, *raw, "<secret>"))
    assert all(repr(cipher) == "<TokenCipher allow_plaintext=False>" for cipher in ciphers)


def test_a_token_of_one_account_opens_for_no_other() -> None:
    """Neither for another account, nor for the user without one, nor the other way round."""
    keys = [TokenKey("demo", "42", account) for account in (None, "1", "2")]
    keys += [TokenKey("demo", None, "1"), TokenKey("demo", "42:a:1"), TokenKey("demo", "421")]
    for key in keys:
        sealed = CIPHER.seal(key, TOKEN)
        for other in keys:
            if other == key:
                assert CIPHER.open(other, sealed) == TOKEN
            else:
                with pytest.raises(TokenDecryptError):
                    CIPHER.open(other, sealed)
