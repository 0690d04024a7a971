"""Twitch.

Twitch wants an app to ask ``https://id.twitch.tv/oauth2/validate`` hourly whether a token is still
good. The e-mail address needs the scope ``user:read:email``.
"""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Twitch(Preset):
    base_url = "https://api.twitch.tv/helix/"
    authorization_url = "https://id.twitch.tv/oauth2/authorize"
    token_url = "https://id.twitch.tv/oauth2/token"
    issuer = "https://id.twitch.tv/oauth2"
    token_endpoint_auth_method = "client_secret_post"
    headers = {"client-id": lambda session: session.client_id}
    revocation = Revocation(
        "https://id.twitch.tv/oauth2/revoke",
        auth="id",
        only="access_token",
        done=((400, "invalid token"),),
    )
    profile = Profile("users", "id display_name email profile_image_url", within="data.0")
    apps_page = "https://www.twitch.tv/settings/connections"
    console = "https://dev.twitch.tv/console/apps"


make_twitch_blueprint, twitch = factory(Twitch), proxy(Twitch)
