"""LinkedIn.

A verifier beside the client secret is refused, so that PKCE is off. Only approved partners get
refresh tokens, which end a year after the consent. For sign-in see ``linkedin_oidc``.
"""

from ..preset import Preset, Profile, factory, proxy


class LinkedIn(Preset):
    base_url = "https://api.linkedin.com/v2/"
    authorization_url = "https://www.linkedin.com/oauth/v2/authorization"
    token_url = "https://www.linkedin.com/oauth/v2/accessToken"
    scope = ["openid", "profile", "email"]
    token_endpoint_auth_method = "client_secret_post"
    use_pkce = False
    profile = Profile("userinfo", "sub name email picture email_verified")
    apps_page = "https://www.linkedin.com/psettings/permitted-services"
    console = "https://www.linkedin.com/developers/apps/new"


make_linkedin_blueprint, linkedin = factory(LinkedIn), proxy(LinkedIn)
