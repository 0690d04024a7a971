"""LinkedIn (OpenID Connect).

A verifier beside the client secret is refused, so that PKCE is off. ID tokens have no nonce.
"""

from ..preset import OpenIDPreset, Profile, factory, proxy


class LinkedInOIDC(OpenIDPreset):
    display = "LinkedIn (OpenID Connect)"
    base_url = "https://api.linkedin.com/"
    authorization_url = "https://www.linkedin.com/oauth/v2/authorization"
    token_url = "https://www.linkedin.com/oauth/v2/accessToken"
    refresh = False
    issuer = "https://www.linkedin.com/oauth"
    scope = ["openid", "profile", "email"]
    token_endpoint_auth_method = "client_secret_post"
    use_pkce = False
    use_nonce = False
    profile = Profile("v2/userinfo", "sub name email picture email_verified")
    apps_page = "https://www.linkedin.com/psettings/permitted-services"
    console = "https://www.linkedin.com/developers/apps/new"


make_linkedin_oidc_blueprint, linkedin_oidc = factory(LinkedInOIDC), proxy(LinkedInOIDC)
