"""Nylas.

The client secret is an API key. The answer to the login has ``grant_id``, which API calls name in
their path.
"""

from ..preset import OFFLINE, Preset, Profile, Revocation, argument, factory, option, proxy


class Nylas(Preset):
    base_url = "https://api.{region}.nylas.com/v3/"
    authorization_url = "https://api.{region}.nylas.com/v3/connect/auth"
    token_url = "https://api.{region}.nylas.com/v3/connect/token"
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation(
        "https://api.{region}.nylas.com/v3/connect/revoke", auth="secret", ends_grant=False
    )
    profile = Profile("token", "grant_id - email")
    console = "https://dashboard-v3.nylas.com"
    doubts = "The region ``eu``, and the parameters ``provider`` and ``login_hint``."

    scope: list[str] | str | None = argument(default="email")
    region: str = option("``us`` or ``eu``.", default="us", pattern="us|eu")
    offline: bool = OFFLINE
    provider: str | None = option("The mail provider to ask.", default=None, adds="provider={}")
    login_hint: str | None = option("The account.", default=None, adds="login_hint={}")


make_nylas_blueprint, nylas = factory(Nylas), proxy(Nylas)
