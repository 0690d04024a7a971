"""Atlassian.

API calls go to ``ex/{product}/{cloudId}``, with the ids that ``oauth/token/accessible-resources``
lists. The profile needs the scope ``read:me`` and the *User identity API* of the app.
"""

from ..preset import CONSENT, Preset, Profile, factory, proxy


class Atlassian(Preset):
    base_url = "https://api.atlassian.com/"
    authorization_url = "https://auth.atlassian.com/authorize"
    token_url = "https://auth.atlassian.com/oauth/token"
    authorization_url_params = {"audience": "api.atlassian.com"}
    refresh = "offline_access"
    token_endpoint_auth_method = "client_secret_post"
    profile = Profile("me", "account_id name email picture")
    apps_page = "https://id.atlassian.com/manage-profile/apps"
    console = "https://developer.atlassian.com/console/myapps/"

    reprompt_consent: bool = CONSENT


make_atlassian_blueprint, atlassian = factory(Atlassian), proxy(Atlassian)
