"""DigitalOcean."""

from typing import Any

from ..preset import Preset, Profile, Revocation, factory, proxy


class DigitalOcean(Preset):
    base_url = "https://api.digitalocean.com/v2/"
    authorization_url = "https://cloud.digitalocean.com/v1/oauth/authorize"
    token_url = "https://cloud.digitalocean.com/v1/oauth/token"
    revocation = Revocation("https://cloud.digitalocean.com/v1/oauth/revoke", auth="token")
    profile = Profile("account", "account.uuid account.name account.email")
    apps_page = "https://cloud.digitalocean.com/account/api/tokens"
    console = "https://cloud.digitalocean.com/account/api/applications"
    doubts = "The revocation endpoint."

    def complete(self, arguments: dict[str, Any]) -> None:
        """Take a scope with commas, too, as this provider's documentation once had it."""
        if isinstance(arguments.get("scope"), str):
            arguments["scope"] = arguments["scope"].replace(",", " ")
        super().complete(arguments)


make_digitalocean_blueprint, digitalocean = factory(DigitalOcean), proxy(DigitalOcean)
