"""authentik."""

from ..preset import HOST, WORD, OpenIDPreset, Revocation, factory, option, proxy


class Authentik(OpenIDPreset):
    display = "authentik"
    base_url = "https://{hostname}/"
    authorization_url = "https://{hostname}/application/o/authorize/"
    token_url = "https://{hostname}/application/o/token/"
    issuer = "https://{hostname}/application/o/{slug}/"
    refresh = "offline_access"
    revocation = Revocation("https://{hostname}/application/o/revoke/")

    hostname: str = option("The host of the server.", pattern=HOST)
    slug: str = option("The slug of the application.", pattern=WORD)


make_authentik_blueprint, authentik = factory(Authentik), proxy(Authentik)
