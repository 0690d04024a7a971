"""HubSpot. The app stays installed after a revocation."""

from ..preset import Preset, Revocation, factory, proxy


class HubSpot(Preset):
    base_url = "https://api.hubapi.com/"
    authorization_url = "https://app.hubspot.com/oauth/authorize"
    token_url = "https://api.hubapi.com/oauth/2026-03/token"
    scope = ["oauth"]
    always = "oauth"
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://api.hubapi.com/oauth/2026-03/token/revoke", ends_grant=False)
    console = "https://app.hubspot.com/signup-hubspot/developers"
    callback_rule = "https, but for ``localhost``."


make_hubspot_blueprint, hubspot = factory(HubSpot), proxy(HubSpot)
