"""ORCID.

Scopes are ``openid`` or ``/authenticate``. The answer to the login names the iD, as ``orcid``.
"""

from ..preset import Preset, Profile, Revocation, factory, option, proxy


class Orcid(Preset):
    display = "ORCID"
    base_url = "https://{member}.{sandbox}orcid.org/v3.0/"
    authorization_url = "https://{sandbox}orcid.org/oauth/authorize"
    token_url = "https://{sandbox}orcid.org/oauth/token"
    issuer = "https://{sandbox}orcid.org"
    scope = ["openid"]
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation("https://{sandbox}orcid.org/oauth/revoke")
    profile = Profile("token", "orcid name")
    apps_page = "https://orcid.org/trusted-parties"
    console = "https://orcid.org/developer-tools"

    sandbox: bool = option("The sandbox.", default=False, texts={False: "", True: "sandbox."})
    member: bool = option("A member's API.", default=True, texts={True: "api", False: "pub"})


make_orcid_blueprint, orcid = factory(Orcid), proxy(Orcid)
