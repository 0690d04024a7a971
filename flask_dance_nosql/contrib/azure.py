"""Microsoft Entra ID, and personal Microsoft accounts.

People are told apart by ``oid`` and ``tid`` of the ID token together; ``sub`` is another one for
each app. An e-mail address is no proof of who somebody is. Tokens can't be revoked.
"""

from ..preset import WORD, Preset, Profile, factory, option, proxy


class Azure(Preset):
    display = "Microsoft"
    base_url = "https://graph.microsoft.com"
    authorization_url = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
    token_url = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    issuer = "https://login.microsoftonline.com/{tenant}/v2.0"
    scope = ["openid", "email", "profile", "User.Read"]
    another_account = {"prompt": "select_account"}
    refresh = "offline_access"
    profile = Profile("v1.0/me", "id displayName mail|userPrincipalName")
    apps_page = "https://myapps.microsoft.com"
    console = "https://entra.microsoft.com"

    tenant: str = option("Id or domain; or ``organizations``.", default="common", pattern=WORD)
    prompt: str | None = option("As of OpenID Connect.", default=None, adds="prompt={}")
    domain_hint: str | None = option("The domain of the user.", default=None, adds="domain_hint={}")
    login_hint: str | None = option("The name of the user.", default=None, adds="login_hint={}")


make_azure_blueprint, azure = factory(Azure), proxy(Azure)
