"""Keycloak.

Before version 17 the path of a realm begins with ``/auth``: give ``hostname`` with it.
"""

from ..preset import HOST, WORD, OpenIDPreset, Revocation, factory, option, proxy


class Keycloak(OpenIDPreset):
    base_url = "https://{hostname}/"
    authorization_url = "https://{hostname}/realms/{realm}/protocol/openid-connect/auth"
    token_url = "https://{hostname}/realms/{realm}/protocol/openid-connect/token"
    issuer = "https://{hostname}/realms/{realm}"
    revocation = Revocation("https://{hostname}/realms/{realm}/protocol/openid-connect/revoke")
    apps_page = "https://{hostname}/realms/{realm}/account/"

    hostname: str = option("The host of the server.", pattern=f"{HOST}(/auth)?")
    realm: str = option("The realm.", pattern=WORD)


make_keycloak_blueprint, keycloak = factory(Keycloak), proxy(Keycloak)
