"""Asana."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Asana(Preset):
    base_url = "https://app.asana.com/api/1.0/"
    authorization_url = "https://app.asana.com/-/oauth_authorize"
    token_url = "https://app.asana.com/-/oauth_token"
    issuer = "https://app.asana.com/api/1.0"
    scope = ["default"]
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://app.asana.com/-/oauth_revoke", only="refresh_token")
    profile = Profile("users/me", "data.gid data.name data.email data.photo.image_128x128")
    console = "https://app.asana.com/0/my-apps"


make_asana_blueprint, asana = factory(Asana), proxy(Asana)
