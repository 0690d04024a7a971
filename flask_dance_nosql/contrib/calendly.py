"""Calendly. A refresh token works once. Apps made since March 2026 have to ask for scopes."""

from ..preset import Preset, Profile, Revocation, factory, proxy


class Calendly(Preset):
    base_url = "https://api.calendly.com/"
    authorization_url = "https://auth.calendly.com/oauth/authorize"
    token_url = "https://auth.calendly.com/oauth/token"
    revocation = Revocation("https://auth.calendly.com/oauth/revoke", auth="body")
    profile = Profile("users/me", "resource.uri resource.name resource.email resource.avatar_url")
    console = "https://developer.calendly.com"
    callback_rule = "https, but for development."


make_calendly_blueprint, calendly = factory(Calendly), proxy(Calendly)
