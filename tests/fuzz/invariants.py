"""What must hold for every input: the table, and what finds an input for which it does not."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, quote_plus, urljoin, urlsplit

from .seen import DETAILS, Seen
from .site import CLIENT_ID, HOME, OF_BOB, PROVIDER

LONGEST = 300
"""How many characters a text from outside has at most."""


class Broken(AssertionError):
    """Something does not hold."""


def no_error(seen: Seen) -> str | None:
    """Nobody meets a 500, nor an error that is documented nowhere."""
    if seen.errors:
        error = seen.errors[0]
        raise Broken(f"{type(error).__name__}: {str(error)[:200]!r}") from error
    failed = [each for each in seen.answers if each.status >= 500]
    return f"status {failed[0].status} of {failed[0].path[:200]!r}" if failed else None


def no_secret(seen: Seen) -> str | None:
    """No secret is in a log, a signal or an error's message, or goes to another host."""
    for secret in sorted(seen.secrets):
        for form in forms(secret):
            for source, text in seen.texts:
                if form in str(text):
                    return f"{source} shows {secret!r} as {form!r}: {str(text)[:500]!r}"
            for request in seen.sent:
                if str(request.url).startswith(f"{PROVIDER}/"):
                    continue
                if form in f"{request.url} {request.headers} {request.body!r}":
                    return f"{request.url!r} is sent {secret!r}"
    return None


def no_foreign_token(seen: Seen) -> str | None:
    """Nobody is given another's token."""
    foreign = [text for text in seen.given if OF_BOB in text]
    return f"given: {foreign[0][:500]!r}" if foreign else None


def no_way_out(seen: Seen) -> str | None:
    """Nobody is redirected off the site, but to the provider's own page by the login view."""
    for path, _, location in seen.answers:
        if location is None or location.startswith(f"{PROVIDER}/authorize?"):
            continue
        # As browsers read it.
        cleaned = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33)))))
        target = urlsplit(urljoin(urljoin(HOME, path), cleaned.replace("\\", "/")))
        if (target.scheme, target.netloc) != tuple(urlsplit(HOME)[:2]):
            return f"{path[:200]!r} leads to {location!r}"
    return None


def no_hang(seen: Seen) -> str | None:
    """Nothing takes longer than some seconds."""
    return None if seen.hangs_at is None else f"it hangs at {seen.hangs_at}"


def clean_text(seen: Seen) -> str | None:
    """What signals tell is text of bounded length, and that and our log have one line each."""
    for source, text in seen.texts:
        if source == "signal" and not (isinstance(text, str) and len(text) <= LONGEST):
            return f"a signal tells {type(text).__name__} {str(text)[:350]!r}"
        is_ours = source.startswith("flask_dance_nosql") and not source.endswith(DETAILS)
        if source == "signal" or is_ours:
            odd = [each for each in text if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")]
            if odd:
                return f"{source} has {odd[0]!r}: {text[:350]!r}"
    return None


def all_well(seen: Seen) -> str | None:
    """What was there before or comes after the input is as it has to be."""
    return seen.wrong[0] if seen.wrong else None


INVARIANTS: dict[str, Callable[[Seen], str | None]] = {
    "no error": no_error,
    "no secret": no_secret,
    "no foreign token": no_foreign_token,
    "no way out": no_way_out,
    "no hang": no_hang,
    "clean text": clean_text,
    "all well": all_well,
}


def check(seen: Seen) -> None:
    """Raise what does not hold for an input, first of all that it hangs."""
    for name in ("no hang", *INVARIANTS):
        complaint = INVARIANTS[name](seen)
        if complaint is not None:
            raise Broken(f"{name}: {complaint}")


def complaints(seen: Seen) -> list[str]:
    """Return all that does not hold for an input."""
    found = []
    for name, holds in INVARIANTS.items():
        try:
            complaint = holds(seen)
        except Broken as broken:
            complaint = str(broken)
        if complaint is not None:
            found.append(f"{name}: {complaint}")
    return found


@lru_cache(maxsize=256)
def forms(secret: str) -> frozenset[str]:
    """Return how a secret may look in a text: as it is, quoted, escaped or encoded."""
    as_client = f"{CLIENT_ID}:{secret}".encode()
    return frozenset(
        {
            secret,
            quote(secret),
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            base64.b64encode(as_client).decode(),
            base64.b64encode(secret.encode()).decode().rstrip("="),
        }
    )
