"""Zoom. The scopes are the app's. A refresh token works once, and for about 90 days."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Zoom(Preset):
    base_url = "https://api.zoom.us/v2/"
    authorization_url = "https://zoom.us/oauth/authorize"
    token_url = "https://zoom.us/oauth/token"
    revocation = Revocation("https://zoom.us/oauth/revoke", only="access_token", ends_grant=False)
    profile = Profile("users/me", "id display_name email pic_url verified")
    apps_page = "https://marketplace.zoom.us/user/installed"
    console = "https://marketplace.zoom.us/"


make_zoom_blueprint, zoom = factory(Zoom), proxy(Zoom)
