"""Issuers: by which name a provider is known, and by which it may call itself."""

from __future__ import annotations

import re

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The identifier of one of Microsoft's tenants."""

_MICROSOFT = re.compile(r"https://login\.microsoftonline\.com/([^/]+)/v2\.0")


def tenant_of(issuer: object) -> str | None:
    """Return which tenant an issuer names, by whatever name, or ``None`` if it is not Microsoft."""
    match = _MICROSOFT.fullmatch(issuer) if isinstance(issuer, str) else None
    return None if match is None else match[1]


def is_named(said: object, issuer: str) -> bool:
    """Whether a provider that is known by an issuer may call itself something.

    That is the issuer, exactly: RFC 9207 section 2.4; OpenID Connect Discovery 1.0 section 4.3. But
    a tenant of Microsoft that is known by a domain, or as one of many (``common``), calls itself by
    its identifier.
    """
    known, own = tenant_of(issuer), tenant_of(said)
    if known is None or own is None or GUID.fullmatch(known):
        return said == issuer
    return GUID.fullmatch(own) is not None
