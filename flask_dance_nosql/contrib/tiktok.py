"""TikTok. The client id is what TikTok calls the client key. A refresh token works once."""

from typing import Any

from ..consumer.requests import OAuth2Session
from ..preset import Preset, Profile, Revocation, factory, proxy


def with_client_key(form: dict[str, str]) -> dict[str, Any]:
    """Give the client's id the name that TikTok has for it."""
    return {"data": {"client_key" if n == "client_id" else n: value for n, value in form.items()}}


class TikTokSession(OAuth2Session):
    """A session that does so in the authorization URL, too."""

    def authorization_url(self, *args: Any, **kwargs: Any) -> tuple[str, str]:
        """Return the authorization URL and the state."""
        url, state = super().authorization_url(*args, **kwargs)
        return url.replace("client_id=", "client_key=", 1), state


class TikTok(Preset):
    base_url = "https://open.tiktokapis.com/v2/"
    authorization_url = "https://www.tiktok.com/v2/auth/authorize/"
    token_url = "https://open.tiktokapis.com/v2/oauth/token/"
    token_request = with_client_key
    scope = ["user.info.basic"]
    scope_separator = ","
    token_endpoint_auth_method = "client_secret_post"
    session_class = TikTokSession
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
