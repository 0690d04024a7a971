"""Box. A refresh token works once, and for 60 days."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Box(Preset):
    base_url = "https://api.box.com/2.0/"
    authorization_url = "https://account.box.com/api/oauth2/authorize"
    token_url = "https://api.box.com/oauth2/token"
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://api.box.com/oauth2/revoke", only="refresh_token")
    profile = Profile("users/me", "id name login avatar_url")
    console = "https://app.box.com/developers/console"


make_box_blueprint, box = factory(Box), proxy(Box)
