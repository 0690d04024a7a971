"""Tells from two token responses whether they are of the same account at the provider."""

from __future__ import annotations

import base64
import json
from typing import Any

_ACCOUNT_FIELDS = ("sub", "user_id", "account_id", "open_id")


def same_account(old: dict[str, Any], new: dict[str, Any], *, default: bool) -> bool:
    """Whether two tokens name the same account at the provider.

    Compared are the ``sub`` of an ID token (OpenID Connect Core 1.0 section 2) and the fields by
    which some providers name the account in the token response. The ID token is only compared, and
    comes from the token endpoint itself, so its signature is not checked here (section 3.1.3.7).

    Args:
        old: A token as it was stored.
        new: A token as the provider sent it.
        default: The answer when they do not both name an account in the same way.
    """
    before, after = _names(old), _names(new)
    shared = before.keys() & after.keys()
    if not shared:
        return default
    return all(before[field] == after[field] for field in shared)


def _names(token: dict[str, Any]) -> dict[str, Any]:
    names = {field: token[field] for field in _ACCOUNT_FIELDS if token.get(field) is not None}
    subject = _id_token_subject(token.get("id_token"))
    return names if subject is None else {**names, "id_token": subject}


def _id_token_subject(id_token: Any) -> Any:
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims["sub"]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
