"""Any provider of OpenID Connect, by its issuer."""

from ..consumer.oidc.factory import make_oidc_blueprint

__all__ = ["make_oidc_blueprint"]
