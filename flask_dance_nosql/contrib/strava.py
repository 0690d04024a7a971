"""Strava.

A token ends after six hours. There is no e-mail address in the profile. A new app serves its
owner's account alone until it is approved.
"""

from ..preset import USER_AGENT, Preset, Profile, Revocation, argument, factory, proxy

DEFAULT_USER_AGENT = USER_AGENT.default


class Strava(Preset):
    base_url = "https://www.strava.com/api/v3/"
    authorization_url = "https://www.strava.com/oauth/authorize"
    token_url = "https://www.strava.com/oauth/token"
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    headers = {"User-Agent": "{user_agent}"}
    revocation = Revocation(
        "https://www.strava.com/oauth/deauthorize", field="access_token", auth=None, ends_grant=True
    )
    profile = Profile("athlete", "id firstname - profile")
    apps_page = "https://www.strava.com/settings/apps"
    console = "https://www.strava.com/settings/api"

    scope: list[str] | str | None = argument(default="read")
    user_agent: str | None = USER_AGENT


make_strava_blueprint, strava = factory(Strava), proxy(Strava)
