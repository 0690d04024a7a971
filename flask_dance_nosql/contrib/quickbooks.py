"""QuickBooks. The company is ``realmId`` of the token. Refresh tokens change daily."""

from ..preset import Preset, Profile, Revocation, factory, option, proxy


class QuickBooks(Preset):
    base_url = "https://{sandbox}quickbooks.api.intuit.com/"
    authorization_url = "https://appcenter.intuit.com/connect/oauth2"
    token_url = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
    issuer = "https://oauth.platform.intuit.com/op/v1"
    discovery_url = "https://developer.api.intuit.com/.well-known/openid_configuration"
    scope = ["com.intuit.quickbooks.accounting", "openid", "profile", "email"]
    callback_fields = ("realmId",)
    revocation = Revocation(
        "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
        sends="json",
        auth="basic",
        only="refresh_token",
        ends_grant=True,
    )
    profile = Profile(
        "https://{sandbox}accounts.platform.intuit.com/v1/openid_connect/userinfo",
        "sub givenName email - emailVerified",
    )
    console = "https://developer.intuit.com"
    callback_rule = "https; http for ``localhost`` in development only."

    sandbox: bool = option("The sandbox.", default=False, texts={False: "", True: "sandbox-"})


make_quickbooks_blueprint, quickbooks = factory(QuickBooks), proxy(QuickBooks)
