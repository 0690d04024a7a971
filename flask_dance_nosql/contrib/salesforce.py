"""Salesforce.

API calls go to the ``instance_url`` of the token. Answers do not say when a token ends: it is
refreshed when the API refuses it. New apps are *External Client Apps*, which want PKCE.
"""

from ..preset import CONSENT, HOST, Preset, Profile, Revocation, factory, option, proxy


class Salesforce(Preset):
    base_url = "https://{hostname}/"
    authorization_url = "https://{hostname}/services/oauth2/authorize"
    token_url = "https://{hostname}/services/oauth2/token"
    issuer = "https://{hostname}"
    refresh = "refresh_token offline_access"
    use_pkce = True
    revocation = Revocation("https://{hostname}/services/oauth2/revoke")
    profile = Profile(
        "https://{hostname}/services/oauth2/userinfo", "sub name email picture email_verified"
    )
    console = "https://login.salesforce.com"
    doubts = "Whether a revocation ends the grant."

    is_sandbox: bool = option("Use a sandbox.", default=False, texts={False: "login", True: "test"})
    hostname: str | None = option(
        "The server.", default="{is_sandbox}.salesforce.com", pattern=HOST
    )
    reprompt_consent: bool = CONSENT


make_salesforce_blueprint, salesforce = factory(Salesforce), proxy(Salesforce)
