"""Dexcom.

``base_url`` is ``https://sandbox-api.dexcom.com/`` for the sandbox, and ``https://api.dexcom.eu/``
outside of the United States. There is no profile: the token tells nothing of the user.
"""

from ..preset import Preset, argument, factory, option, proxy


class Dexcom(Preset):
    base_url = "https://api.dexcom.com/"
    authorization_url = "{base_url}{version}/oauth2/login"
    token_url = "{base_url}{version}/oauth2/token"
    token_endpoint_auth_method = "client_secret_post"
    console = "https://developer.dexcom.com"
    doubts = "Whether the OAuth endpoints are of version 3 or 2, and the host for Europe."

    scope: list[str] | str | None = argument(default="offline_access")
    version: str = option("The API's version.", default="v3", pattern="v[23]")


make_dexcom_blueprint, dexcom = factory(Dexcom), proxy(Dexcom)
