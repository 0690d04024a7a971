"""Auth0. A token for an API needs its ``audience``. With a custom domain, give that one."""

from ..preset import HOST, OpenIDPreset, Revocation, factory, option, proxy


class Auth0(OpenIDPreset):
    base_url = "https://{domain}/"
    authorization_url = "https://{domain}/authorize"
    token_url = "https://{domain}/oauth/token"
    issuer = "https://{domain}/"
    refresh = "offline_access"
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://{domain}/oauth/revoke", only="refresh_token")
    console = "https://manage.auth0.com/"

    domain: str = option("The tenant's domain, or a custom one.", pattern=HOST)
    audience: str | None = option("The API to call.", default=None, adds="audience={}")


make_auth0_blueprint, auth0 = factory(Auth0), proxy(Auth0)
