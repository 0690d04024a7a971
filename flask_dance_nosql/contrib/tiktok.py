"""TikTok. The client id is what TikTok calls the client key. A refresh token works once."""

from typing import Any

from ..consumer.oauth2 import OAuth2ConsumerBlueprint
from ..consumer.pending import PendingLogin
from ..preset import Preset, Profile, Revocation, factory, proxy


def with_client_key(form: dict[str, str]) -> dict[str, Any]:
    """Give the client's id the name that TikTok has for it."""
    return {"data": {"client_key" if n == "client_id" else n: value for n, value in form.items()}}


class TikTokBlueprint(OAuth2ConsumerBlueprint):
    """A blueprint that does so in the authorization URL, too."""

    def _begin(self, *args: Any) -> tuple[str, PendingLogin]:
        url, login = super()._begin(*args)
        return url.replace("client_id=", "client_key=", 1), login


class TikTok(Preset):
    make = TikTokBlueprint
    base_url = "https://open.tiktokapis.com/v2/"
    authorization_url = "https://www.tiktok.com/v2/auth/authorize/"
    token_url = "https://open.tiktokapis.com/v2/oauth/token/"
    token_request = with_client_key
    scope = ["user.info.basic"]
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    revocation = Revocation(
        "https://open.tiktokapis.com/v2/oauth/revoke/", only="access_token", ends_grant=True
    )
    profile = Profile(
        "user/info/?fields=open_id,avatar_url,display_name",
        "open_id display_name - avatar_url",
        within="data.user",
    )
    console = "https://developers.tiktok.com"
    callback_rule = "https, without query and fragment, at most ten."


make_tiktok_blueprint, tiktok = factory(TikTok), proxy(TikTok)
