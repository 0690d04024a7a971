"""Google.

A refresh token comes with ``offline=True``, and with the first consent only:
``reprompt_consent=True`` asks for another one. ``hosted_domain`` is a hint: check the claim
``hd``. While the consent screen is in the state *Testing*, refresh tokens end after a week.
"""

from ..preset import CONSENT, OFFLINE, Preset, Profile, Revocation, factory, option, proxy


class Google(Preset):
    base_url = "https://www.googleapis.com/"
    authorization_url = "https://accounts.google.com/o/oauth2/v2/auth"
    token_url = "https://oauth2.googleapis.com/token"
    issuer = "https://accounts.google.com"
    scope = ["openid", "email", "profile"]
    another_account = {"prompt": "select_account"}
    revocation = Revocation(
        "https://oauth2.googleapis.com/revoke", auth=None, only="first", ends_grant=True
    )
    profile = Profile(
        "https://openidconnect.googleapis.com/v1/userinfo", "sub name email picture email_verified"
    )
    apps_page = "https://myaccount.google.com/connections"
    console = "https://console.cloud.google.com/apis/credentials"

    offline: bool = OFFLINE
    reprompt_consent: bool = CONSENT
    reprompt_select_account: bool = option(
        "Choose an account.", default=False, adds="prompt=select_account"
    )
    hosted_domain: str | None = option("The domain of the account.", default=None, adds="hd={}")


make_google_blueprint, google = factory(Google), proxy(Google)
