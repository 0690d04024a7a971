"""What an OpenID provider says of itself: its issuer, its endpoints, and how it signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import ConfigurationError, ProviderError
from ..issuer import GUID, is_named, tenant_of
from ..redaction import Redactor
from ..transport import require_tls
from .keys import TENANT

ENDPOINTS = {
    "authorization_url": "authorization_endpoint",
    "token_url": "token_endpoint",
    "revocation_url": "revocation_endpoint",
    "userinfo_url": "userinfo_endpoint",
    "end_session_url": "end_session_endpoint",
    "jwks_url": "jwks_uri",
}
"""The settings of a blueprint that have their names in the document."""

_ALLTENANTS = ("common", "organizations")
# OpenID Connect Core 1.0 section 15.6.2 tells of it.
_OTHER_NAMES = {"https://accounts.google.com": "accounts.google.com"}


@dataclass(frozen=True)
class Metadata:
    """A discovery document that may be used.

    Source: OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2; RFC 9207 section 3.

    Attributes:
        issuer: The issuer. Microsoft's has ``{tenantid}`` in it where one document is for all.
        endpoints: The endpoints, by the names of the settings.
        algorithms: How ID tokens are signed.
        names_issuer: Whether each answer of the authorization endpoint says which issuer it is of.
    """

    issuer: str
    endpoints: dict[str, str]
    algorithms: tuple[str, ...]
    names_issuer: bool

    @property
    def is_for_all_tenants(self) -> bool:
        """Whether it is Microsoft's document for all tenants."""
        return TENANT in self.issuer

    def is_issuer(self, value: object, tenant: object = None) -> bool:
        """Whether a value names this issuer, which for Microsoft's is that of a tenant.

        Args:
            value: The value.
            tenant: The tenant that is named beside it. Where one document is for all, ``None`` is
                any, and every other value has to be in the issuer.
        """
        before, mark, after = self.issuer.partition(TENANT)
        if not mark:
            own = tenant_of(self.issuer)
            is_own = own is None or tenant in (None, "", own)
            return is_own and value in (self.issuer, _OTHER_NAMES.get(self.issuer, self.issuer))
        if not isinstance(value, str) or not (value.startswith(before) and value.endswith(after)):
            return False
        named = value[len(before) : len(value) - len(after)]
        return bool(GUID.fullmatch(named)) and tenant in (None, named)


def discovery_url(issuer: str) -> str:
    """Return where the document of an issuer is. Source: Discovery 1.0 section 4."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_metadata(provider: str, document: dict[str, Any], issuer: str) -> Metadata:
    """Return what a discovery document says.

    Raises:
        ProviderError: If it is another issuer's, or names an endpoint that is not https.
    """
    said = document.get("issuer")
    if not isinstance(said, str) or not _is_of(said, issuer):
        raise ProviderError(
            provider,
            f"the discovery document is of the issuer {Redactor().text(said)!r}, and not of "
            f"{issuer!r}. Give the blueprint the issuer exactly as the provider writes it.",
        )
    endpoints = {}
    for setting, field in ENDPOINTS.items():
        url = document.get(field)
        if not url:
            # Some write what they have not as an empty text.
            continue
        try:
            require_tls(url if isinstance(url, str) else "")
        except (ConfigurationError, ValueError):
            message = f"the {field} in its discovery document is no https URL."
            raise ProviderError(provider, message) from None
        endpoints[setting] = url
    names_issuer = document.get("authorization_response_iss_parameter_supported")
    algorithms = document.get("id_token_signing_alg_values_supported")
    if not isinstance(algorithms, list):
        algorithms = ["RS256"]
    return Metadata(
        issuer=said,
        endpoints=endpoints,
        algorithms=tuple(each for each in algorithms if isinstance(each, str)),
        names_issuer=str(names_issuer).lower() == "true",
    )


def _is_of(said: str, issuer: str) -> bool:
    """Whether a document is of an issuer. Source: Discovery 1.0 section 4.3."""
    return is_named(said, issuer) or issuer in (said.replace(TENANT, each) for each in _ALLTENANTS)
