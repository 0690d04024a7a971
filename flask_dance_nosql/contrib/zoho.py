"""Zoho.

A refresh token comes with ``offline=True`` and the first consent, and with each one if
``reprompt_consent=True``. It may be used ten times in ten minutes. The profile needs the scope
``aaaserver.profile.READ``. A blueprint is for one ``data_center``: for the users of another make
one more, with a ``name`` of its own.
"""

from ..preset import CONSENT, Preset, Profile, Revocation, TokenHeaderClient, factory, option, proxy

ZOHO_TOKEN_HEADER = "Zoho-oauthtoken"


class Zoho(Preset):
    base_url = "https://www.zohoapis.{data_center}/"
    authorization_url = "https://accounts.zoho.{data_center}/oauth/v2/auth"
    token_url = "https://accounts.zoho.{data_center}/oauth/v2/token"
    scope = ["ZohoCRM.users.all"]
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    client = TokenHeaderClient("Authorization", f"{ZOHO_TOKEN_HEADER} ")
    revocation = Revocation(
        "https://accounts.zoho.{data_center}/oauth/v2/token/revoke",
        auth=None,
        only="refresh_token",
    )
    profile = Profile(
        "https://accounts.zoho.{data_center}/oauth/user/info", "ZUID Display_Name Email"
    )
    apps_page = "https://accounts.zoho.{data_center}"
    console = "https://api-console.zoho.com/"

    offline: bool = option(
        "Ask for a refresh token.",
        default=False,
        adds="access_type=offline",
        otherwise="access_type=online",
        refreshes=True,
    )
    reprompt_consent: bool = CONSENT
    data_center: str = option(
        "The end of its hosts.", default="com", pattern=r"com|eu|in|com\.au|jp|com\.cn|sa|ca|uk"
    )


make_zoho_blueprint, zoho = factory(Zoho), proxy(Zoho)
