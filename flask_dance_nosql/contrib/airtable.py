"""Airtable. A refresh token works once, and the access token ends with it."""

from ..preset import Preset, Profile, factory, proxy


class Airtable(Preset):
    base_url = "https://api.airtable.com/v0/"
    authorization_url = "https://airtable.com/oauth2/v1/authorize"
    token_url = "https://airtable.com/oauth2/v1/token"
    scope = ["user.email:read", "schema.bases:read", "data.records:read"]
    use_pkce = True
    profile = Profile("meta/whoami", "id - email")
    console = "https://airtable.com/create/oauth"
    callback_rule = "https, but for ``localhost``; compared exactly."


make_airtable_blueprint, airtable = factory(Airtable), proxy(Airtable)
