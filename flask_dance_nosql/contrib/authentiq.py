"""Authentiq."""

from ..preset import HOST, Preset, Profile, argument, factory, option, proxy


class Authentiq(Preset):
    base_url = "https://{hostname}/"
    authorization_url = "https://{hostname}/authorize"
    token_url = "https://{hostname}/token"
    refresh = False
    profile = Profile("userinfo", "sub name email picture email_verified")
    deprecated = "The service seems to have ended."
    doubts = "Whether the service exists."

    scope: list[str] | str | None = argument(default="openid profile")
    hostname: str = option("The host of the server.", default="connect.authentiq.io", pattern=HOST)


make_authentiq_blueprint, authentiq = factory(Authentiq), proxy(Authentiq)
