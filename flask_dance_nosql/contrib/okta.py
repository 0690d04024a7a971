"""Okta.

Give the ``domain``, and the ``server`` if it is not the organisation's own; or the URLs.
"""

from typing import Any

from ..preset import HOST, WORD, OpenIDPreset, Revocation, factory, option, proxy


class Okta(OpenIDPreset):
    base_url = "https://{domain}/"
    authorization_url = "https://{domain}/oauth2/{server}v1/authorize"
    token_url = "https://{domain}/oauth2/{server}v1/token"
    issuer = "https://{domain}/oauth2/{server}"
    refresh = "offline_access"
    revocation = Revocation("https://{domain}/oauth2/{server}v1/revoke")
    console = "https://developer.okta.com/"

    domain: str | None = option("The organisation's.", default=None, pattern=HOST)
    server: str | None = option("The authorization server.", default=None, pattern=WORD, ends="/")

    def complete(self, arguments: dict[str, Any]) -> None:
        """Write the issuer as Okta does, which for the organisation's own server is the host."""
        super().complete(arguments)
        if arguments.get("issuer"):
            arguments["issuer"] = arguments["issuer"].removesuffix("/oauth2/").removesuffix("/")


make_okta_blueprint, okta = factory(Okta), proxy(Okta)
