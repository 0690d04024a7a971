"""Xero.

API calls name an organisation in the header ``Xero-Tenant-Id``; ``GET connections`` lists those of
the token.
"""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Xero(Preset):
    base_url = "https://api.xero.com/"
    authorization_url = "https://login.xero.com/identity/connect/authorize"
    token_url = "https://identity.xero.com/connect/token"
    issuer = "https://identity.xero.com"
    scope = ["openid", "profile", "email", "offline_access"]
    refresh = "offline_access"
    revocation = Revocation(
        "https://identity.xero.com/connect/revocation", only="refresh_token", ends_grant=True
    )
    profile = Profile("id_token", "xero_userid name email")
    console = "https://developer.xero.com/app/manage"
    doubts = "The issuer, and PKCE beside a client secret."


make_xero_blueprint, xero = factory(Xero), proxy(Xero)
