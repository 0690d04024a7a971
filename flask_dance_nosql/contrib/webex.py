"""Webex."""

from ..preset import Preset, Profile, factory, proxy


class Webex(Preset):
    base_url = "https://webexapis.com/v1/"
    authorization_url = "https://webexapis.com/v1/authorize"
    token_url = "https://webexapis.com/v1/access_token"
    scope = ["spark:people_read", "spark:kms"]
    token_endpoint_auth_method = "client_secret_post"
    profile = Profile("people/me", "id displayName emails.0 avatar")
    console = "https://developer.webex.com/my-apps"


make_webex_blueprint, webex = factory(Webex), proxy(Webex)
