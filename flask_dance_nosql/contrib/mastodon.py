"""Mastodon.

Accounts are told apart by host and id together. Tokens have no end. Servers before 4.3 do not know
the scope ``profile``, nor PKCE, which they pass over.
"""

from ..preset import HOST, Preset, Profile, Revocation, factory, option, proxy


class Mastodon(Preset):
    base_url = "https://{hostname}/api/v1/"
    authorization_url = "https://{hostname}/oauth/authorize"
    token_url = "https://{hostname}/oauth/token"
    refresh = False
    scope = ["read:accounts"]
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://{hostname}/oauth/revoke", only="access_token", ends_grant=True)
    profile = Profile("accounts/verify_credentials", "id display_name|username - avatar")
    apps_page = "https://{hostname}/oauth/authorized_applications"
    console = "https://{hostname}/settings/applications"

    hostname: str = option("The host of the server.", default="mastodon.social", pattern=HOST)
    force_login: bool = option("Let the user log in anew.", default=False, adds="force_login=true")


make_mastodon_blueprint, mastodon = factory(Mastodon), proxy(Mastodon)
