"""Okta.

Give the ``domain``, and the ``server`` if it is not the organisation's own; or the URLs.
"""

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


make_okta_blueprint, okta = factory(Okta), proxy(Okta)
